package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// propagation measures how long the others take to learn of one replica's cooldown: from
// the end of the request that began it to the debug page of the last one.
func propagation(ctx context.Context, o *options) error {
	s, err := newStage("")
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.add(o.replicasOr(3)); err != nil {
		return err
	}
	if err := s.settled(ctx); err != nil {
		return err
	}
	var took []time.Duration
	for i := range o.trials {
		name := fmt.Sprintf("p%d", i%flaky)
		from := s.replicas[i%len(s.replicas)]
		// What is left of the last time must have gone.
		if _, err := s.all(ctx, 5*time.Second, s.replicas, name, false); err != nil {
			return fmt.Errorf("trial %d: the last cooldown: %w", i, err)
		}
		var answer *answerError
		if err := from.chat(ctx, body("status=429 retry=1", name+":m")); !errors.As(err, &answer) || answer.status != 429 {
			return fmt.Errorf("trial %d: %w", i, err)
		}
		d, err := s.all(ctx, 3*time.Second, s.others(from), name, true)
		if err != nil {
			return fmt.Errorf("trial %d: the cooldown of %s at the others: %w", i, name, err)
		}
		took = append(took, d)
	}
	slices.Sort(took)
	p50, p99 := percentile(took, 0.5), percentile(took, 0.99)
	o.printf("a cooldown is known at all of %d replicas after: p50 %d ms, p99 %d ms, max %d ms, %d trials",
		len(s.replicas), p50.Milliseconds(), p99.Milliseconds(), took[len(took)-1].Milliseconds(), len(took))
	if bound := o.within(500 * time.Millisecond); p99 > bound {
		return fmt.Errorf("p99 is %s: want %s at most", p99, bound)
	}
	return nil
}

// all waits until the replicas agree about a provider's cooldown.
func (s *stage) all(ctx context.Context, limit time.Duration, replicas []*replica, provider string, cools bool) (time.Duration, error) {
	rest := slices.Clone(replicas)
	return until(ctx, limit, func() (bool, error) {
		for len(rest) > 0 {
			is, err := rest[0].cools(ctx, provider)
			if err != nil || is != cools {
				return false, err
			}
			rest = rest[1:]
		}
		return true, nil
	})
}

// others are all replicas but one.
func (s *stage) others(r *replica) []*replica {
	return slices.DeleteFunc(slices.Clone(s.replicas), func(x *replica) bool { return x == r })
}

// settled waits until all replicas share: what the first learns, all know.
func (s *stage) settled(ctx context.Context) error {
	const provider = "p19"
	var answer *answerError
	if err := s.replicas[0].chat(ctx, body("status=429 retry=2", provider+":m")); !errors.As(err, &answer) || answer.status != 429 {
		return fmt.Errorf("a request that begins a cooldown: %w", err)
	}
	if _, err := s.all(ctx, 2*time.Second, s.replicas, provider, true); err != nil {
		return fmt.Errorf("the replicas do not share: %w", err)
	}
	return nil
}

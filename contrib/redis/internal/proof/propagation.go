package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/chart"
	"github.com/aigateway-go/aigateway/internal/section"
)

// propagation measures how long the others take to learn of one replica's cooldown: from
// the end of the request that began it to the debug page of the last one.
func propagation(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 3, "")
	if err != nil {
		return err
	}
	defer s.close()
	var first, all []time.Duration // until one of the others knows, and until all do
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
		d, err := s.spread(ctx, s.others(from), name)
		if err != nil {
			return fmt.Errorf("trial %d: the cooldown of %s at the others: %w", i, name, err)
		}
		first, all = append(first, d[0]), append(all, d[len(d)-1])
	}
	slices.Sort(first)
	slices.Sort(all)
	p50, p99 := percentile(all, 0.5), percentile(all, 0.99)
	o.printf("a cooldown is known at all of %d replicas after: p50 %d ms, p99 %d ms, max %d ms, %d trials",
		len(s.replicas), p50.Milliseconds(), p99.Milliseconds(), all[len(all)-1].Milliseconds(), len(all))
	if bound := o.within(500 * time.Millisecond); p99 > bound {
		return fmt.Errorf("p99 is %s: want %s at most", p99, bound)
	}
	if o.update == "" {
		return nil
	}
	return writeSpread(o, len(s.replicas), first, all)
}

// spread returns how long each replica takes to learn of a provider's cooldown, in
// order.
func (s *stage) spread(ctx context.Context, replicas []*replica, provider string) ([]time.Duration, error) {
	rest := slices.Clone(replicas)
	var took []time.Duration
	begin := time.Now()
	_, err := until(ctx, 3*time.Second, measured, func() (bool, error) {
		var err error
		rest = slices.DeleteFunc(rest, func(r *replica) bool {
			knows, bad := r.cools(ctx, provider)
			if knows {
				took = append(took, time.Since(begin))
			}
			err = errors.Join(err, bad)
			return knows
		})
		return len(rest) == 0, err
	})
	return took, err
}

// writeSpread writes percentiles into a document, in its part "propagation", and draws
// the chart beside it.
func writeSpread(o *options, replicas int, first, all []time.Duration) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%d replicas, %d trials, on %d cores with %s.\n\n", replicas, len(all), runtime.NumCPU(), runtime.Version())
	out.WriteString("| share of the cooldowns | one other replica knows | all others know |\n|--:|--:|--:|\n")
	for _, share := range []float64{0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1} {
		fmt.Fprintf(&out, "| %.0f %% | %d ms | %d ms |\n", 100*share, percentile(first, share).Milliseconds(), percentile(all, share).Milliseconds())
	}
	if err := section.Write(o.update, "propagation", out.String()); err != nil {
		return err
	}
	return chart.Write(filepath.Dir(o.update))
}

// all waits until the replicas agree about a provider's cooldown.
func (s *stage) all(ctx context.Context, limit time.Duration, replicas []*replica, provider string, cools bool) (time.Duration, error) {
	rest := slices.Clone(replicas)
	return until(ctx, limit, relaxed, func() (bool, error) {
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

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// restart replaces each replica in turn under load.
func restart(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 3, "")
	if err != nil {
		return err
	}
	defer s.close()
	var answer *answerError
	if err := s.replicas[0].chat(ctx, body("status=429 retry=300", "p3:m")); !errors.As(err, &answer) {
		return fmt.Errorf("a request that begins a cooldown: %w", err)
	}
	var load balancer
	load.set(s.replicas)
	loadCtx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { load.serve(loadCtx, o.rateOr(200), body("slow=50ms", "good:m")) })
	for i := range s.replicas {
		if err = s.replace(ctx, &load, i); err != nil {
			break
		}
	}
	stop()
	running.Wait()
	n, first := load.failures()
	sent, p99 := load.figures(quiet, 0.99)
	o.printf("%d replicas replaced under %d requests, p99 %.1f ms: %d failed", len(s.replicas), sent, ms(p99), n)
	if n > 0 {
		err = errors.Join(err, fmt.Errorf("%d requests failed, the first: %w", n, first))
	}
	if err != nil {
		return err
	}
	if _, err := s.all(ctx, o.within(agreement), s.replicas, "p3", true); err != nil {
		return fmt.Errorf("the new replicas do not know what the old ones learnt: %w", err)
	}
	return nil
}

// replace starts a replica in another's place, and then drains the old one.
func (s *stage) replace(ctx context.Context, load *balancer, i int) error {
	old := s.replicas[i]
	fresh, err := s.start(old.name, s.url())
	if err != nil {
		return err
	}
	s.replicas[i] = fresh
	load.set(s.replicas)
	pause(ctx, 300*time.Millisecond)
	return old.stop()
}

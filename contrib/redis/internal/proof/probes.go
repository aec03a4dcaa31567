package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// probes lets a model fail on, under load at all replicas. After each cooldown one
// request in the fleet tries it at a time.
func probes(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 8, "")
	if err != nil {
		return err
	}
	defer s.close()
	first := s.replicas[0]
	for i := range 5 { // failures in a row begin a cooldown
		if err := first.chat(ctx, body("status=500", "p0:m", "good:m"), "X-User", fmt.Sprint("user-", i)); err != nil {
			return err
		}
	}
	if _, err := s.all(ctx, o.within(agreement), s.replicas, "p0", true); err != nil {
		return fmt.Errorf("the cooldown: %w", err)
	}
	s.provider.seen("p0.internal")

	// The model fails on, and slowly, so that probes at one time would meet.
	ctx, stop := context.WithTimeout(ctx, min(o.length, 32*time.Second))
	defer stop()
	failures := make(chan error, len(s.replicas))
	var all sync.WaitGroup
	for _, r := range s.replicas {
		all.Go(func() {
			for ctx.Err() == nil {
				err := r.chat(context.WithoutCancel(ctx), body("hold=400ms status=500", "p0:m", "good:m"))
				if err != nil {
					failures <- err
					return
				}
				pause(ctx, 20*time.Millisecond)
			}
		})
	}
	all.Wait()
	select {
	case err := <-failures:
		return err
	default:
	}
	seen := s.provider.seen("p0.internal")
	o.printf("%d probes by %d replicas, at most %d at one time", seen.requests, len(s.replicas), seen.most)
	if seen.requests < 2 || seen.most != 1 {
		return fmt.Errorf("want at least 2 probes, one at a time")
	}
	return nil
}

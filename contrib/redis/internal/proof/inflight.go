package main

import (
	"context"
	"fmt"
	"time"
)

// inFlight kills a replica under its requests, and measures until the others no longer
// count them.
func inFlight(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 3, "")
	if err != nil {
		return err
	}
	defer s.close()
	const held = 5
	victim := s.replicas[0]
	for range held {
		go victim.chat(ctx, body("slow=30s", "good:m")) //nolint:errcheck // it is killed
	}
	seen := func(r *replica) (int, error) {
		state, err := r.state(ctx)
		if err != nil {
			return 0, err
		}
		for _, other := range state.Fleet.Replicas {
			if other.Name == victim.name {
				return other.InFlight, nil
			}
		}
		return 0, nil
	}
	for _, r := range s.replicas[1:] {
		took, err := until(ctx, 5*time.Second, relaxed, func() (bool, error) { n, err := seen(r); return n == held, err })
		if err != nil {
			return fmt.Errorf("%s does not see %d requests in flight: %w", r.name, held, err)
		}
		o.printf("%s sees %d requests in flight at %s after %d ms", r.name, held, victim.name, took.Milliseconds())
	}
	victim.kill()
	begin := time.Now()
	for _, r := range s.replicas[1:] {
		_, err := until(ctx, 15*time.Second, measured, func() (bool, error) { n, err := seen(r); return n == 0, err })
		if err != nil {
			return fmt.Errorf("%s still counts those of the killed one: %w", r.name, err)
		}
	}
	took := time.Since(begin)
	o.printf("a killed replica's requests in flight are gone after %d ms", took.Milliseconds())
	if bound := o.within(5 * time.Second); took > bound {
		return fmt.Errorf("gone after %s: want %s at most", took, bound)
	}
	return nil
}

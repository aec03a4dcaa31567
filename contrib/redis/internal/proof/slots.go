package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// slotLimit is the exact limit in flight of the provider gpu.
const slotLimit = 12

// slots fills an exact limit in flight from all replicas. Never more requests are under
// way, and no slot stays idle. Then a replica dies with all slots, and the store stops.
func slots(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 8, "")
	if err != nil {
		return err
	}
	defer s.close()
	for _, step := range []func(context.Context, *options) error{s.fillSlots, s.dieWithSlots, s.stopUnderSlots, s.fillSlots} {
		if err := step(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// together sends n requests in all to replicas, some at a time at each, and returns the
// longest time of one.
func together(ctx context.Context, n, each int, replicas []*replica, body string) (longest time.Duration, err error) {
	var mu sync.Mutex
	var sent atomic.Int64
	var all sync.WaitGroup
	for i := range each * len(replicas) {
		all.Go(func() {
			for sent.Add(1) <= int64(n) {
				begin := time.Now()
				e := replicas[i%len(replicas)].chat(ctx, body)
				mu.Lock()
				longest, err = max(longest, time.Since(begin)), errors.Join(err, e)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return longest, err
}

// fillSlots sends more requests than there are slots.
func (s *stage) fillSlots(ctx context.Context, o *options) error {
	const n, length = 240, 500 * time.Millisecond
	s.provider.seen("gpu.internal")
	begin := time.Now()
	if _, err := together(ctx, n, 4, s.replicas, body("hold="+length.String(), "gpu:m")); err != nil {
		return err
	}
	used := float64(n*length) / float64(slotLimit*time.Since(begin))
	most := s.provider.seen("gpu.internal").most
	o.printf("%d requests at %d replicas, limit %d in flight: at most %d at a time, the slots %.0f %% in use", n, len(s.replicas), slotLimit, most, 100*used)
	if most != slotLimit {
		return fmt.Errorf("%d requests in flight: want %d", most, slotLimit)
	}
	if used < 0.8/float64(max(o.slack, 1)) {
		return fmt.Errorf("the slots are %.0f %% in use: want 80 %%", 100*used)
	}
	return nil
}

// dieWithSlots kills the replica that has all slots.
func (s *stage) dieWithSlots(ctx context.Context, o *options) error {
	victim, others := s.replicas[0], s.replicas[1:]
	for range slotLimit {
		go victim.chat(ctx, body("hold=1m", "gpu:m")) //nolint:errcheck // it is killed
	}
	if _, err := until(ctx, o.within(5*time.Second), measured, func() (bool, error) { return s.provider.seen("gpu.internal").now == slotLimit, nil }); err != nil {
		return fmt.Errorf("%d requests in flight: %w", slotLimit, err)
	}
	pause(ctx, time.Second)
	victim.kill()
	s.replicas = others
	took, err := together(ctx, len(others), 1, others, body("hi", "gpu:m"))
	if err != nil {
		return err
	}
	o.printf("a killed replica's %d slots are free after %d ms", slotLimit, took.Milliseconds())
	if bound := o.within(5 * time.Second); took > bound {
		return fmt.Errorf("free after %s: want %s at most", took, bound)
	}
	return nil
}

// stopUnderSlots stops the store. Each replica then decides alone, and no request fails.
func (s *stage) stopUnderSlots(ctx context.Context, o *options) error {
	if err := s.store.Pause(); err != nil {
		return err
	}
	longest, err := together(ctx, 40*len(s.replicas), 4, s.replicas, body("hi", "gpu:m"))
	err = errors.Join(err, s.store.Resume())
	if err != nil {
		return err
	}
	o.printf("the store stopped under %d requests: 0 failed, the slowest took %d ms", 40*len(s.replicas), longest.Milliseconds())
	if bound := o.within(300 * time.Millisecond); longest > bound {
		return fmt.Errorf("a request took %s with the store stopped: want %s at most", longest, bound)
	}
	pause(ctx, o.within(agreement))
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// The phases of the load.
const (
	quiet int32 = iota
	faulty
	asking // the replicas for their debug pages, which takes their time
)

// fault is one thing that happens to a store.
type fault struct {
	name  string
	begin func(s *stage) error
	end   func(s *stage) error // nil if there is nothing to end
}

var faults = []fault{
	{"killed", func(s *stage) error { s.store.Kill(); return nil }, func(s *stage) error { return s.store.Restart() }},
	{"stopped", func(s *stage) error { return s.store.Pause() }, func(s *stage) error { return s.store.Resume() }},
	{"emptied", func(s *stage) error { _, err := s.store.CLI("FLUSHALL"); return err }, nil},
	{"restarted", func(s *stage) error { s.store.Kill(); return s.store.Restart() }, nil},
	{"full", func(s *stage) error { _, err := s.store.CLI("CONFIG", "SET", "maxmemory", "1"); return err },
		func(s *stage) error { _, err := s.store.CLI("CONFIG", "SET", "maxmemory", "0"); return err }},
}

// agreement is the time for the fleet to agree again.
const agreement = 2 * time.Second

// chaos breaks the store at random under load. Each time a replica learns of a cooldown
// while the store is broken, and all must know of it soon after. At last a new replica
// must learn everything from the store.
func chaos(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 3, "")
	if err != nil {
		return err
	}
	defer s.close()
	o.printf("seed %d, %d replicas, %d requests a second", o.seed, len(s.replicas), o.rateOr(200))
	var load balancer
	load.set(s.replicas)
	loadCtx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		load.serve(loadCtx, o.rateOr(200), body("hi", "good:m"), body("hi", "p0:m", "good:m"), body("hi", "p1:m", "p2:m", "good:m"))
	})
	err = s.breakStore(ctx, o, &load)
	stop()
	running.Wait()
	n, first := load.failures()
	calm, calm99 := load.figures(quiet, 0.99)
	rough, rough99 := load.figures(faulty, 0.99)
	asked, asked99 := load.figures(asking, 0.99)
	o.printf("%d requests with the store, p99 %.1f ms; %d during its faults, p99 %.1f ms; %d while the replicas were asked for debug pages, p99 %.1f ms; %d failed",
		calm, ms(calm99), rough, ms(rough99), asked, ms(asked99), n)
	if n > 0 {
		err = errors.Join(err, fmt.Errorf("%d requests failed, the first: %w", n, first))
	}
	for _, r := range s.replicas {
		err = errors.Join(err, r.stop())
	}
	return err
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// breakStore plays faults until the time is over.
func (s *stage) breakStore(ctx context.Context, o *options, load *balancer) error {
	random := rand.New(rand.NewPCG(o.seed, 1))
	end := time.Now().Add(o.length)
	var worst time.Duration
	var cooled []string
	for i := 0; time.Now().Before(end) && i+3 < flaky; i++ {
		pause(ctx, time.Second)
		f := faults[random.IntN(len(faults))]
		if i < len(faults) {
			f = faults[i]
		}
		name := fmt.Sprintf("p%d", 3+i) // those before are in the load
		load.phase.Store(faulty)
		took, err := s.one(ctx, o, &f, name, load, random)
		load.phase.Store(quiet)
		if err != nil {
			return fmt.Errorf("store %s: %w", f.name, err)
		}
		o.printf("store %-9s all replicas agree after %d ms", f.name, took.Milliseconds())
		worst, cooled = max(worst, took), append(cooled, name)
		pause(ctx, min(2*time.Second, time.Until(end)/time.Duration(max(1, flaky-4-i))))
	}
	o.printf("%d faults, agreement within %d ms", len(cooled), worst.Milliseconds())
	return s.newcomer(ctx, o, cooled)
}

// one plays a fault, and returns how long after it the replicas agree.
func (s *stage) one(ctx context.Context, o *options, f *fault, provider string, load *balancer, random *rand.Rand) (time.Duration, error) {
	at := s.replicas[random.IntN(len(s.replicas))]
	if err := f.begin(s); err != nil {
		return 0, err
	}
	if f.end != nil {
		pause(ctx, time.Duration(500+random.IntN(1500))*time.Millisecond)
	}
	var answer *answerError
	if err := at.chat(ctx, body("status=429 retry=300", provider+":m")); !errors.As(err, &answer) || answer.status != 429 {
		return 0, fmt.Errorf("a request that begins a cooldown: %w", err)
	}
	if f.end != nil {
		if err := f.end(s); err != nil {
			return 0, err
		}
	}
	load.phase.Store(asking)
	took, err := s.all(ctx, o.within(agreement), s.replicas, provider, true)
	if err != nil {
		return took, fmt.Errorf("the replicas do not agree about %s: %w", provider, err)
	}
	return took, nil
}

// newcomer starts a replica, which learns all cooldowns from the store.
func (s *stage) newcomer(ctx context.Context, o *options, cooled []string) error {
	pause(ctx, agreement)
	if err := s.add(1); err != nil {
		return err
	}
	begin := time.Now()
	for _, provider := range cooled {
		if _, err := s.all(ctx, o.within(agreement), s.replicas[len(s.replicas)-1:], provider, true); err != nil {
			return fmt.Errorf("a new replica does not know that %s cools down: %w", provider, err)
		}
	}
	o.printf("a new replica knows all %d cooldowns after %d ms", len(cooled), time.Since(begin).Milliseconds())
	return nil
}

package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// balancer sends a steady stream of requests to the replicas that take some, in turn. As
// load balancers do, it asks each for its readiness.
type balancer struct {
	ready   atomic.Pointer[[]*replica]
	next    atomic.Uint64
	phase   atomic.Int32 // of the samples
	mu      sync.Mutex
	samples map[int32][]time.Duration
	failed  []error
}

// serve sends rate requests a second until ctx ends, whether the ones before have been
// answered or not.
func (b *balancer) serve(ctx context.Context, rate int, bodies ...string) {
	b.samples = map[int32][]time.Duration{}
	steady(ctx, rate, func(ctx context.Context) {
		n := b.next.Add(1)
		b.one(ctx, n, bodies[n%uint64(len(bodies))])
	})
}

// steady calls do rate times a second until ctx ends, and returns when all have
// returned. Their context does not end.
func steady(ctx context.Context, rate int, do func(ctx context.Context)) {
	var all sync.WaitGroup
	defer all.Wait()
	// A ticker skips what comes too late, so each tick calls as often as is due.
	tick := time.NewTicker(max(time.Second/time.Duration(rate), time.Millisecond))
	defer tick.Stop()
	begin := time.Now()
	for n := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for due := int(time.Since(begin).Seconds() * float64(rate)); n < due; n++ {
			all.Go(func() { do(context.WithoutCancel(ctx)) })
		}
	}
}

func (b *balancer) one(ctx context.Context, n uint64, body string) {
	ready := *b.ready.Load()
	phase := b.phase.Load()
	begin := time.Now()
	err := ready[n%uint64(len(ready))].chat(ctx, body)
	took := time.Since(begin)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.failed = append(b.failed, err)
		return
	}
	b.samples[phase] = append(b.samples[phase], took)
}

// set is the list of replicas that take requests.
func (b *balancer) set(replicas []*replica) {
	list := slices.Clone(replicas)
	b.ready.Store(&list)
}

// figures returns the number of answers and a percentile of a phase.
func (b *balancer) figures(phase int32, share float64) (int, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sorted := slices.Sorted(slices.Values(b.samples[phase]))
	return len(sorted), percentile(sorted, share)
}

// failures returns the number of failed requests, and the first.
func (b *balancer) failures() (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.failed) == 0 {
		return 0, nil
	}
	return len(b.failed), b.failed[0]
}

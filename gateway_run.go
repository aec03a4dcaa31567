package aigateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Run does the gateway's periodic work until ctx ends, and returns the cause of
// that. Without Config.Shared and without other periodic work it only waits.
// Call it from a goroutine of the service:
//
//	go gateway.Run(ctx)
//
// A gateway without Run works alone: it serves all the same, and learns from its
// own requests. A second Run at the same time returns an error at once. After one
// has returned, Run may be called again. No goroutine of Run outlives it.
func (g *Gateway) Run(ctx context.Context) error {
	if !g.running.CompareAndSwap(false, true) {
		return errors.New("aigateway: Run is already running")
	}
	defer g.running.Store(false)
	var all sync.WaitGroup
	for _, t := range g.tasks() {
		all.Go(func() { t.run(ctx) })
	}
	<-ctx.Done()
	all.Wait()
	g.leave()
	return context.Cause(ctx)
}

// tasks are the parts of Run. Each has a goroutine of its own.
func (g *Gateway) tasks() []task {
	list := []task{
		{every: discoverEvery, jitter: 0.2, wake: g.reloaded, turn: g.discover},
		{every: probeEvery, jitter: 0.5, turn: func(ctx context.Context) { g.servers.probe(ctx, g.current.Load()) }},
	}
	if g.fleet != nil {
		list = append(list, task{every: exchangeEvery, jitter: exchangeJitter, wake: g.fleet.Woken(), turn: g.exchange},
			task{every: keysEvery, jitter: exchangeJitter, wake: g.health.KeysWanted(), turn: g.tellKeys})
	}
	return list
}

// task is one kind of periodic work. Its first turn is at once.
type task struct {
	// every is the time from the end of a turn to the next.
	every time.Duration
	// jitter is the part of every that is left to chance, from 0 to 1. The mean
	// stays every.
	jitter float64
	// wake begins a turn at once. It may be nil.
	wake <-chan struct{}
	// turn is one turn. It returns soon after ctx has ended.
	turn func(ctx context.Context)
}

func (t *task) run(ctx context.Context) {
	for ctx.Err() == nil {
		t.turn(ctx)
		timer := time.NewTimer(t.pause())
		select {
		case <-timer.C:
		case <-t.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (t *task) pause() time.Duration {
	return time.Duration(float64(t.every) * (1 + t.jitter*(rand.Float64()-0.5)))
}

// discover asks providers for their models, and has the gateway serve them.
func (g *Gateway) discover(ctx context.Context) {
	s := g.current.Load()
	if !g.servers.refresh(ctx, s) || ctx.Err() != nil {
		return
	}
	if err := g.rediscover(); err != nil { //nolint:contextcheck // compiling calls nobody who could wait
		s.logger.Warn("the models of providers cannot be taken up: the last good ones stay", "error", err.Error())
	}
}

// rediscover compiles the Config again, with the lists as they are now. Connections
// and the debug page stay.
func (g *Gateway) rediscover() error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	old := g.current.Load()
	if old.origin == nil {
		return nil // a Reload came between
	}
	s, err := newSettings(*old.origin, old, g.servers.lists())
	if err != nil {
		return err
	}
	s.transports = old.transports
	for i, p := range s.selector.providers {
		was := old.selector.providers[i] // the same Config has the same providers
		p.transport, p.dialled = was.transport, was.dialled
	}
	s.debug, s.warnings = old.debug, old.warnings
	s.attach(g)
	g.current.Store(s)
	return nil
}

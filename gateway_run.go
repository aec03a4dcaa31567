package aigateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/redact"
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
			task{every: keysEvery, jitter: exchangeJitter, wake: g.health.KeysWanted(), turn: g.tellKeys},
			task{every: slotsEvery, wake: g.slots.Looks(), turn: g.slots.Turn})
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

// run makes turns until ctx ends: one at once, and then one after each pause, or as soon
// as wake is ready. A slow turn delays the next one, and never overlaps with it.
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

// pause is every, up to half of jitter shorter or longer. It keeps replicas that started
// together from asking together.
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

// The time between two exchanges with the store is 200 to 250 ms. A cooldown reaches
// the store at once, and other replicas with their next exchange.
const (
	exchangeEvery  = 225 * time.Millisecond
	exchangeJitter = 0.22
)

// slotsEvery is how often the slots of exact limits are renewed at least.
const slotsEvery = time.Second

// FleetStatus is a replica's view of its fleet.
type FleetStatus struct {
	// Name is Config.ReplicaName.
	Name string
	// StoreUp reports whether the latest exchange with the store succeeded. It is
	// false before the first one, and while Run does not run.
	StoreUp bool
	// StoreSince is when StoreUp changed last.
	StoreSince time.Time
	// StoreError is the error of the latest exchange, nil if it succeeded.
	StoreError error
	// SnapshotAge is the time since the latest exchange that succeeded, negative if
	// there was none.
	SnapshotAge time.Duration
	// Replicas are the living replicas by name, this one included.
	Replicas []ReplicaStatus
}

// ReplicaStatus is a replica as it told about itself.
type ReplicaStatus struct {
	Name string
	// LastSeen is the time since its latest word.
	LastSeen time.Duration
	// InFlight are its upstream requests under way, Requests those that ended in the
	// last five minutes.
	InFlight, Requests int64
	// OtherSecret reports whether it has another Config.SharedSecret than this replica.
	// The two share nothing.
	OtherSecret bool
}

// Fleet returns the state of the fleet, such as for a gauge. It is nil without
// Config.Shared. It does not ask the store.
func (g *Gateway) Fleet() *FleetStatus {
	if g.fleet == nil {
		return nil
	}
	now, link := time.Now(), g.fleet.Link()
	f := &FleetStatus{Name: g.replica, StoreUp: g.fleet.Up(), StoreSince: link.Since, StoreError: link.Err, SnapshotAge: -1}
	if !link.At.IsZero() {
		f.SnapshotAge = now.Sub(link.At)
	}
	for _, m := range g.members.List() {
		f.Replicas = append(f.Replicas, ReplicaStatus{m.Name, max(now.Sub(m.Seen), 0), m.InFlight, m.Requests, m.Stranger})
	}
	return f
}

// leave ends the replica's part for now, as Run has ended.
func (g *Gateway) leave() {
	if g.fleet != nil {
		g.fleet.Pause()
		g.limits.Alone()
		g.slots.Alone()
	}
}

// keysEvery is how often the values of keys in trouble are looked at again.
const keysEvery = 10 * time.Second

// tellKeys tells the fleet which values the configured keys have: replicas match
// keys by their values. It asks the secret store only if there is something to
// match. The exchange does not wait for it.
func (g *Gateway) tellKeys(ctx context.Context) {
	if !g.health.NeedsKeys() {
		return
	}
	s := g.current.Load()
	for _, p := range s.selector.providers {
		for _, k := range p.allKeys() {
			if k.perRequest {
				continue
			}
			value := ""
			if !k.none {
				var set redact.Set
				var err error
				t := templates{secrets: s.secrets, set: &set}
				t.in.Secret = t.secret
				within, cancel := context.WithTimeout(ctx, s.perRequest)
				value, err = t.text(within, k.value)
				cancel()
				if err != nil {
					continue // the next request tells
				}
			}
			g.health.SetKey(k.track, g.fleet.Of("key", k.provider, value))
		}
	}
}

// exchange is one turn of Run: it tells the store what is new, and learns what
// others told.
func (g *Gateway) exchange(ctx context.Context) {
	if err := g.fleet.Exchange(ctx); err != nil {
		g.limits.Alone() // the link has told of it
		g.slots.Alone()
	}
}

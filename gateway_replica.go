package aigateway

import (
	"context"
	"time"
)

// The time between two exchanges with the store is 200 to 250 ms. A cooldown reaches
// the store at once, and other replicas with their next exchange.
const (
	exchangeEvery  = 225 * time.Millisecond
	exchangeJitter = 0.22
)

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
		f.Replicas = append(f.Replicas, ReplicaStatus{m.Name, max(now.Sub(m.Seen), 0), m.InFlight, m.Requests})
	}
	return f
}

// leave ends the replica's part for now, as Run has ended.
func (g *Gateway) leave() {
	if g.fleet != nil {
		g.fleet.Pause()
		g.limits.Alone()
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
				var set secretSet
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
	}
}

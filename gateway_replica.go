package aigateway

import (
	"context"
	"time"

	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// The time between two exchanges with the store is 200 to 250 ms. A cooldown reaches
// the store at once, and other replicas with their next exchange.
const (
	exchangeEvery  = 225 * time.Millisecond
	exchangeJitter = 0.22
)

// join makes the gateway a replica of the fleet at Config.Shared. Every gateway has
// sums: without a fleet they are those of this process.
func (g *Gateway) join(cfg Config) error {
	g.sums = fleet.NewSums(cfg.SharedSecret)
	if cfg.Shared == nil {
		return nil
	}
	if len(cfg.SharedSecret) == 0 {
		var p problems
		p.add("SharedSecret", "", "is required with Shared: give all replicas the same 32 random bytes")
		return ConfigErrors(p)
	}
	g.fleet = fleet.New(sharedStore{cfg.Shared}, g.sums, time.Now())
	names := make(map[stats.Surface]string)
	numbers := make(map[string]stats.Surface)
	for _, s := range newSurfaces().byPath {
		names[s.number], numbers[s.offer()] = s.offer(), s.number
	}
	g.health = fleet.NewHealth(g.fleet, g.recorder, fleet.Surfaces{
		Name:   func(n stats.Surface) string { return names[n] },
		Number: func(name string) (stats.Surface, bool) { n, ok := numbers[name]; return n, ok },
	})
	g.members = fleet.NewMembers(g.health, cfg.ReplicaName, g.clients.Gone)
	g.limits = fleet.NewLimits(g.fleet, g.clients, g.members)
	g.replica = cfg.ReplicaName
	g.told = tellPins(g.fleet, g.pins)
	tellIDs(g.fleet, g.ids)
	g.fleet.OnLink(g.logLink)
	return nil
}

// logLink logs that the store has gone, or is back.
func (g *Gateway) logLink(l fleet.Link) {
	logger := g.current.Load().logger
	if l.Up {
		logger.Info("the store of the fleet is back", "aigateway.replica", g.replica)
		return
	}
	logger.Warn("the store of the fleet is away: this replica goes on with what it knows", "aigateway.replica", g.replica, "error", l.Err.Error())
}

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

// sharedStore is a Shared in the words of the mechanism.
type sharedStore struct{ Shared }

func (s sharedStore) Exchange(ctx context.Context, put []fleet.Record, after fleet.Cursor) (fleet.Changes, error) {
	records := make([]SharedRecord, len(put))
	for i, r := range put {
		records[i] = SharedRecord(r)
	}
	c, err := s.Shared.Exchange(ctx, records, SharedCursor(after))
	out := fleet.Changes{Now: c.Now, Cursor: fleet.Cursor(c.Cursor), Records: make([]fleet.Record, len(c.Records)), More: c.More}
	for i, r := range c.Records {
		out.Records[i] = fleet.Record(r)
	}
	return out, err
}

func (s sharedStore) Take(ctx context.Context, takes []fleet.Take) (fleet.Taken, error) {
	list := make([]SharedTake, len(takes))
	for i, t := range takes {
		list[i] = SharedTake{
			Key: t.Key, Kind: SharedKind(t.Kind), Owner: t.Owner, Amount: t.Amount, Settle: t.Settle,
			Limit: t.Limit, Per: t.Per, TTL: t.TTL,
		}
	}
	taken, err := s.Shared.Take(ctx, list)
	return fleet.Taken(taken), err
}

package aigateway

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/pins"
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

// idLife is the life of an id in the store of a fleet. Providers keep responses for
// 30 days, unless they are told otherwise.
const idLife = 30 * 24 * time.Hour

// toldPins tells the fleet of the pins of sticky(). nil tells nobody.
type toldPins struct {
	fleet *fleet.Fleet
	words *fleet.Newest
}

// pinWord is a pin in a sealed record.
type pinWord struct {
	Caller   uint64 `json:"c"`
	Sum      uint64 `json:"s"`
	Provider string `json:"p,omitempty"` // empty: the pin is dropped
	ID       string `json:"i,omitempty"`
}

func tellPins(f *fleet.Fleet, t *pinTable) *toldPins {
	return &toldPins{f, f.Newest("p", func(value string, _ time.Duration) {
		var w pinWord
		if json.Unmarshal([]byte(value), &w) != nil {
			return
		}
		if at := (pins.Key{Caller: w.Caller, Sum: w.Sum}); w.Provider == "" {
			t.Drop(at)
		} else {
			t.Set(time.Now(), at, pinned{w.Provider, w.ID})
		}
	})}
}

// tell tells of a pin. A zero value says that it was dropped.
func (p *toldPins) tell(now time.Time, at pins.Key, v pinned) {
	if p == nil {
		return
	}
	id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at.Caller), at.Sum)
	value, _ := json.Marshal(pinWord{at.Caller, at.Sum, v.provider, v.id}) // of plain fields
	p.words.Put(now, p.fleet.Of("pin", string(id)), string(value), pinLife)
}

// idWord is the place of an id in a sealed record.
type idWord struct {
	Caller   uint64 `json:"c,omitempty"`
	Kind     string `json:"k"`
	ID       string `json:"i"`
	Provider string `json:"p"`
	Key      int    `json:"n,omitempty"`
}

// tellIDs shares the places of ids.
func tellIDs(f *fleet.Fleet, t *ids.Table) {
	words := f.Newest("i", func(value string, _ time.Duration) {
		var w idWord
		if json.Unmarshal([]byte(value), &w) != nil {
			return
		}
		if kind := ids.KindOf(w.Kind); kind != ids.None {
			t.Learn(w.Caller, ids.Ref{Kind: kind, ID: w.ID}, ids.Route{Provider: w.Provider, Key: w.Key})
		}
	})
	t.OnNote(func(caller uint64, ref ids.Ref, at ids.Route) {
		value, _ := json.Marshal(idWord{caller, ref.Kind.String(), ref.ID, at.Provider, at.Key}) // of plain fields
		id := binary.BigEndian.AppendUint64(nil, caller)
		words.Put(time.Now(), f.Of("id", string(id), ref.Kind.String(), ref.ID), string(value), idLife)
	})
}

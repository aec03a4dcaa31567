package fleet

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
)

// Times of cooldowns and of the leases of their probes.
const (
	// probeTTL lets a lease survive one lost renewal.
	coolsKept  = 5 * time.Minute // after the end of a cooldown
	leaveLife  = 2 * time.Second // for a request to take the probe
	probeTTL   = 5 * time.Second // of a lease, from its latest renewal
	probeRenew = 2 * time.Second
	claimLimit = 100 * time.Millisecond
)

// A rank of a cooldown holds its generation and its end: of one generation the
// longest wins. A success begins the next generation.
const generationBit = 44

// Health shares cooldowns of models and keys, the leases of their probes, and the
// quotas of keys. Its methods may be called from many goroutines at once.
//
// mu guards dirty, fresh and values. The maps below them belong to the goroutine
// of Exchange.
type Health struct {
	fleet    *Fleet
	recorder *stats.Recorder
	surfaces Surfaces
	pruned   time.Time
	wanted   chan struct{}
	needs    atomic.Bool

	mu     sync.Mutex
	dirty  map[*stats.Track]bool
	fresh  []*stats.Track
	values map[*stats.Track]Sum // of configured keys

	// Of the goroutine in Exchange.
	tracks    map[Sum][]*stats.Track
	sums      map[*stats.Track]Sum
	cools     map[coolKey]*cool
	unmatched map[Sum]map[string]bool // records by the sum of a track
	held      map[string]time.Time    // leases of probes by record key, and their renewals
}

// Surfaces translates between numbers of surfaces and their names, which other
// versions know too.
type Surfaces struct {
	Name   func(stats.Surface) string
	Number func(string) (stats.Surface, bool)
}

// coolKey names a cooldown at a Track. One record may be about several Tracks: keys
// with one value have one health.
type coolKey struct {
	record string
	track  *stats.Track
}

// cool is the latest state of a cooldown that this replica has told or learnt.
type cool struct {
	sum        Sum // of the track
	scope      stats.Scope
	generation int64
	open       bool
	until      time.Time
}

// coolRecord is the value of a cooldown's record. Times are milliseconds.
//
// A failure puts Open, with the times of the cooldown. A success puts a record
// without it, of the next generation:
//
//	{"v": 1, "t": "9f…", "o": true, "b": 1700000000000, "u": 1700000005000, "l": 5000, "n": 5}
//	{"v": 1, "t": "9f…", "b": 1700000004000}
type coolRecord struct {
	Version  int    `json:"v"`
	Track    string `json:"t"`
	Model    string `json:"m,omitempty"`
	Surface  string `json:"s,omitempty"`
	Open     bool   `json:"o,omitempty"`
	Began    int64  `json:"b"` // of a success: its time
	Until    int64  `json:"u,omitempty"`
	Length   int64  `json:"l,omitempty"`
	First    int64  `json:"f,omitempty"`
	Longest  int64  `json:"x,omitempty"`
	Failures int    `json:"n,omitempty"`
	Several  bool   `json:"e,omitempty"` // older versions leave it out
}

// NewHealth shares the health of the Tracks of a Recorder. Call it before the
// Recorder makes Tracks.
func NewHealth(f *Fleet, r *stats.Recorder, s Surfaces) *Health {
	h := &Health{
		fleet: f, recorder: r, surfaces: s, wanted: make(chan struct{}, 1),
		dirty: map[*stats.Track]bool{}, values: map[*stats.Track]Sum{},
		tracks: map[Sum][]*stats.Track{}, sums: map[*stats.Track]Sum{}, cools: map[coolKey]*cool{},
		unmatched: map[Sum]map[string]bool{}, held: map[string]time.Time{},
	}
	r.OnNew(func(t *stats.Track) {
		h.mu.Lock()
		h.fresh = append(h.fresh, t)
		h.mu.Unlock()
	})
	f.Add(&Kind{Prefix: "c", Learn: h.learn})
	f.Add(&Kind{Prefix: "q", Learn: h.learnQuota})
	f.Collect(h.collect)
	return h
}

// Changed says that cooldowns of a Track have changed. On a nil Health it does
// nothing.
// It wakes the exchange, and waits for nothing.
func (h *Health) Changed(t *stats.Track) {
	if h == nil {
		return
	}
	h.mu.Lock()
	h.dirty[t] = true
	h.mu.Unlock()
	h.fleet.Wake()
}

// NeedsKeys reports whether a key in trouble, or a record, waits for a value.
func (h *Health) NeedsKeys() bool { return h.needs.Load() }

// KeysWanted is ready when [Health.SetKey] should be called with the configured
// keys: their values are needed to match records.
func (h *Health) KeysWanted() <-chan struct{} { return h.wanted }

// wantKeys asks the gateway for the values of the configured keys, see
// [Health.KeysWanted]. It does not wait.
func (h *Health) wantKeys() {
	h.needs.Store(true)
	select {
	case h.wanted <- struct{}{}:
	default:
	}
}

// SetKey says the present value of a configured key, as a Sum of its provider and
// value.
//
// A changed value makes the key another one: its cooldowns are told under the
// new sum.
func (h *Health) SetKey(t *stats.Track, value Sum) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if old, ok := h.values[t]; !ok || old != value {
		h.values[t] = value
		h.fresh = append(h.fresh, t)
		h.dirty[t] = true
		h.fleet.Wake()
	}
}

// collect puts the changed cooldowns and quotas, and sees to probes.
//
// It runs in Exchange, before the records go out.
func (h *Health) collect(now time.Time) {
	h.match(now)
	h.prune(now)
	h.mu.Lock()
	dirty := h.dirty
	h.dirty = map[*stats.Track]bool{}
	h.mu.Unlock()
	for t := range dirty {
		h.tell(now, t)
	}
	h.collectQuotas(now)
	h.probes(now)
}

// match gives new Tracks their sums, and the records that came before them.
//
// A Track of a key has no sum before its value is known: replicas must agree on
// the value, and not on the place of the key in a config.
func (h *Health) match(now time.Time) {
	h.mu.Lock()
	fresh := h.fresh
	h.fresh = nil
	sums := make([]Sum, len(fresh))
	for i, t := range fresh {
		sums[i] = h.values[t]
	}
	h.mu.Unlock()
	for i, t := range fresh {
		kind, provider, id, value := t.Names()
		sum := sums[i]
		switch {
		case kind == "model":
			sum = h.fleet.Of("model", provider, id)
		case value:
			copy(sum[:], id)
		case sum == Sum{}:
			continue // until its value is known
		}
		if old, ok := h.sums[t]; ok {
			h.tracks[old] = without(h.tracks[old], t)
		}
		h.sums[t] = sum
		h.tracks[sum] = append(h.tracks[sum], t)
		for record := range h.unmatched[sum] {
			if v, rank, life, ok := h.fleet.get(now, "c", record); ok {
				h.learn(record, v, rank, life)
			}
		}
		delete(h.unmatched, sum)
		if v, rank, life, ok := h.fleet.get(now, "q", sum.String()); ok {
			h.learnQuota(sum.String(), v, rank, life)
		}
	}
}

// prune forgets the Tracks that the Recorder has forgotten.
//
// Once a minute is enough, as it only frees memory.
func (h *Health) prune(now time.Time) {
	if now.Sub(h.pruned) < time.Minute {
		return
	}
	h.pruned = now
	live := map[*stats.Track]bool{}
	h.recorder.Tracks(func(t *stats.Track) { live[t] = true })
	for t, sum := range h.sums {
		if live[t] {
			continue
		}
		delete(h.sums, t)
		if h.tracks[sum] = without(h.tracks[sum], t); len(h.tracks[sum]) == 0 {
			delete(h.tracks, sum)
		}
	}
	for at := range h.cools {
		if !live[at.track] {
			delete(h.cools, at)
		}
	}
}

// without returns a list less one Track, in memory of its own.
func without(list []*stats.Track, t *stats.Track) []*stats.Track {
	out := list[:0:0]
	for _, o := range list {
		if o != t {
			out = append(out, o)
		}
	}
	return out
}

// recordOf names the record of a cooldown. It returns false if a sum is not known
// yet.
// The name is a keyed hash of the sums and the surface: the store learns which
// cooldowns are the same, and of whom they are not.
func (h *Health) recordOf(t *stats.Track, s stats.Scope) (record string, sum, model Sum, surface string, ok bool) {
	if sum, ok = h.sums[t]; !ok {
		return "", sum, model, "", false
	}
	if s.Model != nil {
		if model, ok = h.sums[s.Model]; !ok {
			return "", sum, model, "", false
		}
	}
	if s.Surface > 0 {
		surface = h.surfaces.Name(stats.Surface(s.Surface - 1))
	}
	return h.fleet.Of("cooldown", string(sum[:]), string(model[:]), surface).String(), sum, model, surface, true
}

// tell puts the cooldowns of a Track that differ from the last ones told or learnt.
//
// A Track with a missing sum stays dirty, and asks for the values of keys.
// Records of cooldowns that have ended here are put once, without Open.
func (h *Health) tell(now time.Time, t *stats.Track) {
	seen := map[string]bool{}
	for _, s := range t.Shared() {
		record, sum, model, surface, ok := h.recordOf(t, s.Scope)
		if !ok {
			h.mu.Lock()
			h.dirty[t] = true
			h.mu.Unlock()
			h.wantKeys()
			return
		}
		seen[record] = true
		c := h.cool(record, t, sum, s.Scope)
		if c.open && c.until.Equal(s.Until) {
			continue
		}
		if c.open && s.Until.Before(c.until) { // a failure was taken back
			c.generation++
		}
		c.open, c.until = true, s.Until
		r := coolRecord{
			Version: version, Track: sum.String(), Surface: surface, Open: true, Began: h.fleet.Millis(s.Began), Until: h.fleet.Millis(s.Until),
			Length: s.Length.Milliseconds(), First: s.Backoff.First.Milliseconds(), Longest: s.Backoff.Longest.Milliseconds(), Failures: s.Failures, Several: s.Several,
		}
		if s.Scope.Model != nil {
			r.Model = model.String()
		}
		h.put(now, record, c, r)
	}
	for at, c := range h.cools {
		switch {
		case at.track != t, seen[at.record]:
		case c.sum != h.sums[t]: // the key's value has changed: its health is another's
			delete(h.cools, at)
		case c.open:
			c.open, c.until = false, now
			c.generation++
			r := coolRecord{Version: version, Track: c.sum.String(), Began: h.fleet.Millis(now)}
			_, _, model, surface, _ := h.recordOf(t, c.scope)
			if c.scope.Model != nil {
				r.Model = model.String()
			}
			r.Surface = surface
			h.put(now, at.record, c, r)
		}
	}
}

// cool returns the state of a cooldown, a new one for a Track that has none or that
// has another sum now. Its generation goes on from that of the record.
// A replica that starts late goes on from the record's generation, so that its
// first word does not hide behind an older one.
func (h *Health) cool(record string, t *stats.Track, sum Sum, s stats.Scope) *cool {
	at := coolKey{record, t}
	c := h.cools[at]
	if c == nil || c.sum != sum {
		c = &cool{sum: sum, scope: s, generation: 1}
		if rank := h.fleet.Rank(time.Now(), "c", record); rank > 0 {
			c.generation = rank >> generationBit
		}
		h.cools[at] = c
	}
	return c
}

// put puts a cooldown's record. The rank is the generation above the end in
// milliseconds, in 44 bits: enough until the year 2527.
func (h *Health) put(now time.Time, record string, c *cool, r coolRecord) {
	value, _ := json.Marshal(r) // of plain fields
	rank := c.generation<<generationBit | max(r.Until, 1)&(1<<generationBit-1)
	h.fleet.Put(now, "c", record, value, rank, max(c.until.Sub(now), 0)+coolsKept)
}

// learn takes the cooldown of another replica over.
//
// A record in another version, or one that cannot be read, is skipped. A record
// about a Track or a surface that is not known here waits for it.
func (h *Health) learn(record string, value []byte, rank int64, _ time.Duration) {
	var r coolRecord
	if json.Unmarshal(value, &r) != nil || r.Version != version {
		return
	}
	sum, ok := parseSum(r.Track)
	if !ok {
		return
	}
	tracks := h.tracks[sum]
	scope, known := h.scope(&r)
	if len(tracks) == 0 || !known {
		h.later(sum, record)
		return
	}
	generation := rank >> generationBit
	for _, t := range tracks {
		c := h.cool(record, t, sum, scope)
		replace := generation > c.generation
		c.generation, c.open = max(generation, c.generation), r.Open
		if r.Open {
			c.until = h.fleet.Local(r.Until)
			t.Cool(stats.Shared{
				Scope: scope, Began: h.fleet.Local(r.Began), Until: c.until, Length: time.Duration(r.Length) * time.Millisecond,
				Backoff:  stats.Backoff{First: time.Duration(r.First) * time.Millisecond, Longest: time.Duration(r.Longest) * time.Millisecond},
				Failures: r.Failures, Several: r.Several,
			}, replace)
		} else {
			c.until = h.fleet.Local(r.Began)
			t.Heal(scope, c.until)
		}
		h.mu.Lock()
		h.dirty[t] = true // what is known here may be later than the record
		h.mu.Unlock()
	}
}

// later remembers a record of a Track that is not there yet.
// The number of sums is bounded by maxRecords.
func (h *Health) later(sum Sum, record string) {
	if h.unmatched[sum] == nil {
		if len(h.unmatched) >= maxRecords {
			return
		}
		h.unmatched[sum] = map[string]bool{}
	}
	h.unmatched[sum][record] = true
	h.wantKeys()
}

// scope returns the part of a Track that a record is about.
// False means that the model or the surface is unknown here, as between two
// versions.
func (h *Health) scope(r *coolRecord) (s stats.Scope, ok bool) {
	if r.Model != "" {
		sum, _ := parseSum(r.Model)
		if len(h.tracks[sum]) == 0 {
			return s, false
		}
		s.Model = h.tracks[sum][0]
	}
	if r.Surface != "" {
		n, ok := h.surfaces.Number(r.Surface)
		if !ok {
			return s, false
		}
		s.Surface = uint8(n) + 1
	}
	return s, true
}

// probes fetches the fleet's leave where a request wanted to probe, and gives it back
// after the probe. The request did not wait for it.
//
// A lease is kept as long as the leave stands or the probe is under way, and
// renewed meanwhile.
func (h *Health) probes(now time.Time) {
	open := map[string]bool{}
	for at, c := range h.cools {
		switch {
		case now.Sub(c.until) >= coolsKept:
			delete(h.cools, at)
			continue
		case !c.open || now.Before(c.until):
			continue
		}
		p := at.track.Probe(c.scope, now)
		renewed, held := h.held[at.record]
		switch {
		case p.Leave || p.Busy:
			open[at.record] = open[at.record] || held
		case p.Due && p.Wanted && !held && h.claim(at.record, 1):
			h.held[at.record], open[at.record] = now, true
			at.track.Grant(c.scope, now.Add(leaveLife))
		}
		if held && open[at.record] && now.Sub(renewed) >= probeRenew {
			h.held[at.record] = now
			h.claim(at.record, 0)
		}
	}
	for record := range h.held {
		if !open[record] {
			delete(h.held, record)
			h.claim(record, -1)
		}
	}
}

// claim takes, renews (0) or gives back (-1) the lease of a probe.
//
// It runs in the goroutine of Exchange, which waits for it for 100 ms at most. The
// lease of a replica that died ends by itself after five seconds.
func (h *Health) claim(record string, amount int64) bool {
	if !h.fleet.Up() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimLimit)
	defer cancel()
	taken, err := h.fleet.store.Take(ctx, []Take{{
		Key: "p/" + record, Kind: Lease, Owner: h.fleet.instance, Amount: amount, Limit: 1, TTL: probeTTL,
	}})
	return err == nil && taken.OK
}

// mostLent bounds the cooldowns of one [Health.Lend].
const mostLent = 64

// Lend takes the leases of the probes of models, for a probe that is not a request of
// a client. It returns false if another replica probes one of them. Call back at the
// end, or after life at the latest. Without a store ok is true. A nil Health has none.
func (h *Health) Lend(ctx context.Context, models []*stats.Track, life time.Duration) (back func(), ok bool) {
	none := func() {}
	if h == nil || !h.fleet.Up() {
		return none, true
	}
	takes := make([]Take, 0, min(len(models), mostLent))
	for _, t := range models[:cap(takes)] {
		_, provider, id, _ := t.Names()
		sum := h.fleet.Of("model", provider, id)
		record := h.fleet.Of("cooldown", string(sum[:]), string(make([]byte, len(sum))), "")
		takes = append(takes, Take{Key: "p/" + record.String(), Kind: Lease, Owner: h.fleet.instance, Amount: 1, Limit: 1, TTL: life})
	}
	within, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()
	taken, err := h.fleet.store.Take(within, takes)
	if err != nil || !taken.OK {
		return none, err != nil
	}
	return func() {
		for i := range takes {
			takes[i].Amount = -1
		}
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimLimit)
		defer cancel()
		_, _ = h.fleet.store.Take(within, takes) // else they end by themselves
	}, true
}

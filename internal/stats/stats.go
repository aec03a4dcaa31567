// Package stats measures the models and API keys of a gateway: counts, latencies,
// error rates and tokens over a rolling window of five minutes, the quotas of
// providers, and cooldowns after failures.
//
// A gateway has one [Recorder]. It hands out a [Track] for each model and key. The
// gateway records into the Track. It outlives the configuration. Readers put
// the wider scopes together from the Tracks of all gateways in the process, so a
// record is written once.
//
// A record costs about 150 nanoseconds and takes no lock. It allocates only for
// the first record of each half minute. Time is always an argument: the package
// asks no clock, starts no goroutine and sets no timer. Pass times from
// [time.Now]: their monotonic reading protects windows and cooldowns from changes
// of the wall clock. Durations of cooldowns are arguments too, as they are the
// gateway's policy.
//
// # Files
//
//   - series.go counts into a window of slots, histogram.go keeps latencies,
//     window.go adds them up, and slots.go and overview.go show them.
//   - candidate.go is the health of a model, key.go that of a key. Both are made
//     of circuit.go and cooldown.go, and table.go bounds what they remember.
//   - quota.go is what providers said about rate limits.
//   - unlisted.go makes Tracks for names and key values that only clients know.
//   - shared.go and remote.go take over what other replicas know.
//   - snapshot.go keeps values that are expensive to make.
package stats

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// Recorder is the memory of one gateway for its models and keys. Its methods may
// be called from many goroutines at once. It needs no Close: once nothing refers
// to it, its numbers leave the wider scopes of all other Recorders.
type Recorder struct {
	registry *registry
	place    atomic.Pointer[place]

	// mu guards the maps, not the Tracks. A gateway looks a configured model up
	// when it is configured, so no request waits here for it.
	mu       sync.RWMutex
	tracks   map[identity]*Track
	unlisted table[identity, *Track]
	values   table[identity, *Track]
	uses     atomic.Int64 // of unlisted and values
	swept    time.Time    // when unused Tracks of unlisted were last forgotten
	sweptAt  int64        // and the number of uses then
	made     func(*Track) // of OnNew, or nil
	fleet    atomic.Pointer[Fleet]
	keys     []*Track // of configured keys
}

// place is where a gateway is, by the names of its scopes.
type place struct{ region, account string }

// identity matches the Tracks of two Recorders.
type identity struct {
	kind     kind
	provider string
	name     string
}

// kind is what a Track measures: a model, a configured key, or a value of a key
// that depends on the request.
type kind uint8

const (
	modelKind kind = iota
	keyKind
	valueKind
)

// Track is the memory of a Recorder for one model at one provider, or for one API
// key. It must not be copied.
type Track struct {
	remote atomic.Pointer[[]Remote] // of other replicas; beside the count of Series that is read with it
	Series
	id identity

	// Health is the health of a model at its provider.
	Health CandidateHealth
	// Key is the health of an API key.
	Key   KeyHealth
	Quota Quota
}

// NewRecorder returns a Recorder for a gateway in a region and an account.
// Gateways of this process with the same name share the scope. A gateway without a
// name has the scope to itself.
func NewRecorder(region, account string) *Recorder { return process.newRecorder(region, account) }

// Move changes the names of the scopes of r, as a reload may.
func (r *Recorder) Move(region, account string) { r.place.Store(&place{region, account}) }

// Model returns the Track of a model at a provider, always the same one. Names
// are compared as they are: the caller folds aliases and case. The Track stays
// for the life of r, so this is for names in the catalog or the configuration. See
// [Recorder.Unlisted] for others.
func (r *Recorder) Model(provider, name string) *Track {
	return r.track(identity{modelKind, provider, name})
}

// Key returns the Track of an API key by its id, always the same one. The id must
// not be the key itself. The Track stays for the life of r. See
// [Recorder.KeyValue] for a key whose value depends on the request.
func (r *Recorder) Key(provider, id string) *Track {
	return r.track(identity{keyKind, provider, id})
}

// track returns the Track of id, made if need be. It stays for the life of r.
func (r *Recorder) track(id identity) *Track {
	r.mu.RLock()
	t := r.tracks[id]
	r.mu.RUnlock()
	if t != nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tracks[id]; t != nil {
		return t
	}
	if e := r.unlisted.entries[id]; e != nil {
		// A reload came to list the model.
		t = e.value
		r.unlisted.remove(id)
	} else {
		t = r.makeLocked(id)
	}
	r.tracks[id] = t
	return t
}

// makeLocked makes a Track.
func (r *Recorder) makeLocked(id identity) *Track {
	t := &Track{id: id}
	if id.kind == keyKind {
		r.keys = append(r.keys, t)
	}
	if r.made != nil {
		r.made(t)
	}
	return t
}

// find returns the Track of id, or nil.
func (r *Recorder) find(id identity) *Track {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.findLocked(id)
}

// findLocked is find while r.mu is held.
func (r *Recorder) findLocked(id identity) *Track {
	if t := r.tracks[id]; t != nil {
		return t
	}
	for _, t := range [...]*table[identity, *Track]{&r.unlisted, &r.values} {
		if e := t.entries[id]; e != nil {
			return e.value
		}
	}
	return nil
}

// Scopes are the windows of one model or key, from the narrowest scope to the
// widest. Each contains the ones before it. Region and account do not contain
// each other.
type Scopes struct {
	Endpoint Window // this gateway
	Region   Window // the gateways of this process in the same region
	Account  Window // the gateways of this process in the same account
	Global   Window // all gateways of this process
}

// Read returns the windows of a Track of r at a time. It does not disturb
// concurrent records. It may see a part of a concurrent record.
func (r *Recorder) Read(t *Track, now time.Time) Scopes {
	if here := r.fleet.Load(); here != nil {
		return r.readFleet(t, now, here)
	}
	var endpoint tally
	endpoint.collect(&t.Series, now)
	all := r.registry.all()
	if len(all) <= 1 {
		w := endpoint.window()
		return Scopes{w, w, w, w}
	}
	// One sample of each Series goes into all of its scopes. A scope is so never
	// smaller than one inside it.
	region, account, global := endpoint, endpoint, endpoint
	here := r.place.Load()
	for _, w := range all {
		other := w.Value()
		if other == nil || other == r {
			continue
		}
		found := other.find(t.id)
		if found == nil {
			continue
		}
		var sample tally
		sample.collect(&found.Series, now)
		there := other.place.Load()
		if here.region != "" && here.region == there.region {
			region.add(&sample)
		}
		if here.account != "" && here.account == there.account {
			account.add(&sample)
		}
		global.add(&sample)
	}
	return Scopes{endpoint.window(), region.window(), account.window(), global.window()}
}

// process knows the Recorders of this process. The scope global is defined as all
// gateways of the process. Gateways do not know each other, so a variable of the
// package brings them together. It holds them weakly and keeps nothing alive.
var process registry

// registry is a set of Recorders with common wider scopes.
type registry struct {
	mu sync.Mutex // of writers

	// recorders is replaced, never changed. Readers take no lock.
	recorders atomic.Pointer[[]weak.Pointer[Recorder]]
}

// newRecorder adds a Recorder to the set. The set holds it weakly, so it needs no
// Close.
func (g *registry) newRecorder(region, account string) *Recorder {
	r := &Recorder{registry: g, tracks: make(map[identity]*Track)}
	r.Move(region, account)
	w := weak.Make(r)
	g.update(func(all []weak.Pointer[Recorder]) []weak.Pointer[Recorder] { return append(all, w) })
	// The weak pointer loses its value as soon as r is unreachable. The cleanup
	// only removes the entry.
	runtime.AddCleanup(r, g.remove, w)
	return r
}

// remove forgets a Recorder that is unreachable.
func (g *registry) remove(w weak.Pointer[Recorder]) {
	g.update(func(all []weak.Pointer[Recorder]) []weak.Pointer[Recorder] {
		return slices.DeleteFunc(all, func(other weak.Pointer[Recorder]) bool { return other == w })
	})
}

// update replaces the set by a changed copy.
func (g *registry) update(change func([]weak.Pointer[Recorder]) []weak.Pointer[Recorder]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := change(slices.Clone(g.all()))
	g.recorders.Store(&all)
}

// all returns the present set. It must not be changed.
func (g *registry) all() []weak.Pointer[Recorder] {
	if p := g.recorders.Load(); p != nil {
		return *p
	}
	return nil
}

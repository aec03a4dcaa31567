// Package stats measures how models and API keys did lately: counts, latencies,
// error rates and tokens over a rolling window of five minutes, what a provider
// last said about a quota, and who rests after failures.
//
// A gateway has one [Recorder]. It hands out a [Track] for each model and key,
// which the gateway records into and which outlives its configuration. What one
// gateway measured is the scope endpoint; the wider scopes are put together from
// the Tracks of all gateways in the process when somebody reads them, so that a
// record is written once.
//
// To record costs about 150 nanoseconds, no lock and, but for the first
// record of each half minute, no allocation. Time is always an argument: the
// package asks no clock, starts no goroutine and sets no timer. Times should come
// from [time.Now], whose monotonic reading makes windows and rests immune to a
// wall clock that is set.
package stats

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// maxPassing bounds the Tracks of names that clients made up. One that was used
// once takes about 2 KB.
const maxPassing = 4096

// Recorder is what one gateway remembers of its models and keys. Its methods may
// be called from many goroutines at once. It needs no Close: once nothing refers
// to it, its numbers leave the wider scopes of all other Recorders.
type Recorder struct {
	registry *registry
	place    atomic.Pointer[place]

	// mu guards the maps, not the Tracks. A gateway looks a configured model up
	// when it is configured, so no request waits here for it.
	mu      sync.RWMutex
	tracks  map[identity]*Track
	passing map[identity]passing
	swept   time.Time
}

// place is where a gateway is, by the names of its scopes.
type place struct{ region, account string }

// identity is what the Tracks of two Recorders are matched by.
type identity struct {
	kind     kind
	provider string
	name     string
}

type kind uint8

const (
	modelKind kind = iota
	keyKind
)

// passing is a Track whose name is no part of a configuration.
type passing struct {
	*Track
	created time.Time
}

// Track is what a Recorder remembers of one model at one provider, or of one API
// key. It must not be copied.
type Track struct {
	id identity
	Series
	Rest  Rest
	Quota Quota
}

// NewRecorder returns a Recorder for a gateway in a region and an account.
// Gateways of this process that give the same name share that scope; with an
// empty name a gateway is alone in it.
func NewRecorder(region, account string) *Recorder { return process.newRecorder(region, account) }

// Move changes the names of the scopes that r is in, as a reload may.
func (r *Recorder) Move(region, account string) { r.place.Store(&place{region, account}) }

// Model returns the Track of a model at a provider, always the same one. Names
// are compared as they are: the caller folds aliases and case. The Track stays
// for the life of r, so this is for names that the catalog or the configuration
// lists; see [Recorder.Passing].
func (r *Recorder) Model(provider, name string) *Track {
	return r.track(identity{modelKind, provider, name})
}

// Key returns the Track of an API key by its id, which must not be the key
// itself. It stays for the life of r.
func (r *Recorder) Key(provider, id string) *Track {
	return r.track(identity{keyKind, provider, id})
}

// Passing returns the Track of a model that a client named and nobody lists. As
// clients can name anything, there are at most 4096 of these: when more come,
// the ones that the window has left behind are forgotten. Where that makes no
// room, the Track returned is good to record into, but nobody else finds it.
func (r *Recorder) Passing(provider, name string, now time.Time) *Track {
	id := identity{modelKind, provider, name}
	if t := r.find(id); t != nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.findLocked(id); t != nil {
		return t
	}
	t := &Track{id: id}
	if len(r.passing) >= maxPassing {
		r.sweepLocked(now)
	}
	if len(r.passing) < maxPassing {
		if r.passing == nil {
			r.passing = make(map[identity]passing)
		}
		r.passing[id] = passing{t, now}
	}
	return t
}

// sweepLocked forgets passing Tracks that hold nothing any more. It does so once
// in a while only, lest a flood of new names makes each of them pay for a walk.
func (r *Recorder) sweepLocked(now time.Time) {
	if since := now.Sub(r.swept); since >= 0 && since < slotLength {
		return
	}
	r.swept = now
	for id, p := range r.passing {
		// A new one may be between its look-up and its first record.
		if now.Sub(p.created) >= windowLength && p.idle(now) && p.Rest.State(now).Phase == Awake {
			delete(r.passing, id)
		}
	}
}

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
	if p, ok := r.passing[id]; ok {
		// A reload came to list what had been passed through.
		delete(r.passing, id)
		t = p.Track
	} else {
		t = &Track{id: id}
	}
	r.tracks[id] = t
	return t
}

// find returns the Track of id, or nil. It creates none.
func (r *Recorder) find(id identity) *Track {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.findLocked(id)
}

func (r *Recorder) findLocked(id identity) *Track {
	if t := r.tracks[id]; t != nil {
		return t
	}
	return r.passing[id].Track
}

// Scopes are the windows of one model or key, from the narrowest scope to the
// widest. Each contains those before it, but for region and account, which do
// not contain each other.
type Scopes struct {
	Endpoint Window // this gateway
	Region   Window // the gateways of this process in the same region
	Account  Window // the gateways of this process in the same account
	Global   Window // all gateways of this process
}

// Read returns the windows of a Track of r at a time. It does not disturb those
// who record meanwhile; what it sees of a record that is just being written may
// be a part.
func (r *Recorder) Read(t *Track, now time.Time) Scopes {
	var endpoint tally
	endpoint.collect(&t.Series, now)
	all := r.registry.all()
	if len(all) <= 1 {
		w := endpoint.window()
		return Scopes{w, w, w, w}
	}
	// One sample of each Series goes into every scope that it is part of, so
	// that a scope is never smaller than one inside it.
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

// process knows the Recorders of this process. The scope global is defined as
// all gateways of the process, which do not know each other: only a variable of
// the package can bring them together. It holds them weakly, so it keeps
// nothing alive, and nobody can set it.
var process registry

// registry is a set of Recorders that share their wider scopes.
type registry struct {
	mu sync.Mutex // of writers

	// recorders is replaced, never changed: readers take no lock.
	recorders atomic.Pointer[[]weak.Pointer[Recorder]]
}

func (g *registry) newRecorder(region, account string) *Recorder {
	r := &Recorder{registry: g, tracks: make(map[identity]*Track)}
	r.Move(region, account)
	w := weak.Make(r)
	g.update(func(all []weak.Pointer[Recorder]) []weak.Pointer[Recorder] { return append(all, w) })
	// The weak pointer has no value from the moment r is unreachable; the cleanup
	// only takes out the entry.
	runtime.AddCleanup(r, g.remove, w)
	return r
}

func (g *registry) remove(w weak.Pointer[Recorder]) {
	g.update(func(all []weak.Pointer[Recorder]) []weak.Pointer[Recorder] {
		return slices.DeleteFunc(all, func(other weak.Pointer[Recorder]) bool { return other == w })
	})
}

// update replaces the set by what change makes of a copy.
func (g *registry) update(change func([]weak.Pointer[Recorder]) []weak.Pointer[Recorder]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := change(slices.Clone(g.all()))
	g.recorders.Store(&all)
}

func (g *registry) all() []weak.Pointer[Recorder] {
	if p := g.recorders.Load(); p != nil {
		return *p
	}
	return nil
}

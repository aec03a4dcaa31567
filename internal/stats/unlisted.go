package stats

import "time"

// Bounds of the Tracks under names and values of the clients' choice. A Track with
// one record takes about 2 KB. One caller has at most a sixteenth, so a flood of
// made-up names costs others nothing.
const (
	maxUnlisted = 4096
	maxValues   = 4096
	shareOf     = 16
)

// Unlisted returns the Track of a model outside of the catalog and the
// configuration. There are at most 4096 of them, and 256 of one caller. New ones
// replace the least recently used, and those unused for two windows go. A Track with requests in flight or in cooldown
// for everybody goes last. A Track due for a probe may go.
func (r *Recorder) Unlisted(provider, name string, caller uint64, now time.Time) *Track {
	id := identity{modelKind, provider, name}
	r.mu.RLock()
	t := r.tracks[id]
	if e := r.unlisted.entries[id]; t == nil && e != nil {
		t = e.value
		e.used.Store(r.uses.Add(1))
	}
	r.mu.RUnlock()
	if t != nil {
		return t
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.findLocked(id); t != nil {
		return t
	}
	inUse := func(t *Track) bool { return t.inFlight.Load() != 0 || t.Health.coolsDown(now) }
	r.forgetUnused(now, inUse)
	return r.addLocked(&r.unlisted, id, caller, limits{maxUnlisted, maxUnlisted / shareOf}, inUse)
}

// forgetUnused forgets the Tracks of unlisted models that were not asked for since
// the time before. That is one window ago at least, so all that they counted has
// ended. r.mu is held.
func (r *Recorder) forgetUnused(now time.Time, inUse func(*Track) bool) {
	if now.Sub(r.swept) < SlotCount*SlotLength {
		return
	}
	for id, e := range r.unlisted.entries {
		if e.used.Load() <= r.sweptAt && !inUse(e.value) {
			r.unlisted.remove(id)
		}
	}
	r.swept, r.sweptAt = now, r.uses.Load()
}

// KeyValue returns the Track of an API key whose value depends on the request.
// The value is a keyed hash of the resolved key, never the key itself. So each
// value has cooldowns, quotas and metrics of its own, and one tenant's 429 does
// not move another. There are at most 4096 Tracks, and 256 of one caller. New
// ones replace the least recently used. A Track with requests in flight or in
// cooldown goes last.
//
// The caller asks again for each request. The gateway must not keep the Track, as
// it may be forgotten.
func (r *Recorder) KeyValue(provider string, value [16]byte, caller uint64, now time.Time) *Track {
	r.mu.RLock()
	e := r.values.entries[identity{valueKind, provider, string(value[:])}]
	if e != nil {
		e.used.Store(r.uses.Add(1))
	}
	r.mu.RUnlock()
	if e != nil {
		return e.value
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := identity{valueKind, provider, string(value[:])}
	if t := r.findLocked(id); t != nil {
		return t
	}
	return r.addLocked(&r.values, id, caller, limits{maxValues, maxValues / shareOf}, func(t *Track) bool {
		return t.inFlight.Load() != 0 || t.Key.coolsDown(now)
	})
}

// Find returns the Track of a model, listed or not, or nil. It makes none, so it is
// for a look at the state without a request.
func (r *Recorder) Find(provider, name string) *Track {
	return r.find(identity{modelKind, provider, name})
}

// addLocked makes a Track. Tracks in use are the last to make room for it.
func (r *Recorder) addLocked(in *table[identity, *Track], id identity, caller uint64, most limits, inUse func(*Track) bool) *Track {
	e := &entry[*Track]{value: r.makeLocked(id), caller: caller}
	e.used.Store(r.uses.Add(1))
	in.add(id, e, most, func(o *entry[*Track]) bool { return inUse(o.value) })
	return e.value
}

// Named is a Track with the names of its provider and model.
type Named struct {
	Provider, Name string
	*Track
}

// UnlistedInUse returns the Tracks of unlisted models with requests in the window,
// in any order. See [Recorder.Unlisted].
func (r *Recorder) UnlistedInUse(now time.Time) []Named {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []Named
	for id, e := range r.unlisted.entries {
		if !e.value.idle(now) {
			list = append(list, Named{id.provider, id.name, e.value})
		}
	}
	return list
}

package stats

import "time"

// Scope is the part of a Track in a cooldown. The zero Scope is the whole of it.
type Scope struct {
	Model *Track // of a key's part
	// Surface is a Surface plus one, or zero for all.
	Surface uint8
}

// Shared is a cooldown for all callers, as the replicas of a fleet tell each other
// about it.
type Shared struct {
	Scope Scope
	// Began is when it began or was prolonged, Until its end. An ended cooldown stays
	// until a success.
	Began, Until time.Time
	// Length and Backoff continue the doubling.
	Length  time.Duration
	Backoff Backoff
	// Failures is the number that the candidate's first cooldown took.
	Failures int
	// Several callers led to it, so that one may be suspected.
	Several bool
}

// Probe is the state of a cooldown's probe in a fleet. Of all replicas one probes at
// a time: a request becomes the probe only where the replica has the fleet's leave.
type Probe struct {
	Due    bool // the cooldown is over, and no success has come
	Wanted bool // a request would have been the probe, since the last look
	Leave  bool // given, and not taken yet
	Busy   bool // a probe is under way
}

// Shared returns the cooldowns for all callers that no success has ended: of the
// candidate, and of the key.
func (t *Track) Shared() []Shared {
	return append(t.Health.shared(), t.Key.shared()...)
}

// shared lists the circuits that are open for all callers. Those of a single caller
// stay in their replica.
func (h *CandidateHealth) shared() (list []Shared) {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	add := func(c *circuit, surface uint8) {
		if s := &c.shared; s.open {
			list = append(list, Shared{Scope: Scope{Surface: surface}, Began: s.began, Until: s.until, Length: s.length, Failures: s.needs, Several: c.several})
		}
	}
	add(&t.all, 0)
	for i, c := range t.surfaces {
		if c != nil {
			add(c, uint8(i)+1)
		}
	}
	return list
}

// shared lists the refusals that are open, with the longer of their two backoffs.
func (h *KeyHealth) shared() (list []Shared) {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	add := func(e *refused, s Scope) {
		if e.open {
			l := &e.lengths[0]
			if e.lengths[1].length > l.length {
				l = &e.lengths[1]
			}
			list = append(list, Shared{Scope: s, Began: e.began, Until: e.until, Length: l.length, Backoff: l.backoff})
		}
	}
	add(&t.whole, Scope{})
	for at, e := range t.scopes.entries {
		add(&e.value, Scope{Model: at.model, Surface: at.surface})
	}
	return list
}

// Cool takes over a cooldown from another replica. The longest wins; with replace it
// takes the place of an earlier one that is longer.
func (t *Track) Cool(c Shared, replace bool) {
	if t.id.kind == modelKind {
		t.Health.cool(c, replace)
		return
	}
	t.Key.cool(c, replace)
}

// takeOver returns whether the cooldown of another replica counts here.
// A probe under way here loses its meaning: it belonged to the cooldown before.
func (b *breaker) takeOver(c Shared, replace bool) bool {
	if b.open && !c.Until.After(b.until) && !(replace && !c.Began.Before(b.began)) {
		return false
	}
	b.open, b.began, b.until = true, c.Began, c.Until
	b.probe, b.held, b.wasted, b.leave = 0, time.Time{}, 0, time.Time{}
	return true
}

// cool takes a cooldown over. The next failures count on from those of the other
// replica.
func (h *CandidateHealth) cool(c Shared, replace bool) {
	t := h.open()
	t.mu.Lock()
	defer t.mu.Unlock()
	at := &t.all
	if c.Scope.Surface > 0 {
		i := Surface(c.Scope.Surface - 1).index()
		if t.surfaces[i] == nil {
			t.surfaces[i] = new(circuit)
		}
		at = t.surfaces[i]
	}
	known := at.shared.open
	if at.shared.takeOver(c, replace) {
		at.last = c.Began
		at.several = c.Several || known && at.several
		if !known {
			at.unblame()
			t.ticket++
			at.first = t.ticket
		}
		// A probe counts: nothing that is taken back here ends the cooldown.
		at.shared.length, at.shared.needs, at.shared.probes = c.Length, max(c.Failures, 1), 1
		t.well.Store(false)
	}
}

// cool takes a refusal over. An entry of the table may have to make room for it.
func (h *KeyHealth) cool(c Shared, replace bool) {
	t := h.open()
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &t.whole
	if at := (scope{c.Scope.Model, c.Scope.Surface}); at.model != nil {
		found := t.scopes.entries[at]
		if found == nil {
			found = &entry[refused]{}
			t.scopes.add(at, found, limits{maxScopes, maxScopes}, func(o *entry[refused]) bool { return c.Began.Before(o.value.until) })
		}
		t.ticket++
		found.used.Store(int64(t.ticket))
		e = &found.value
	}
	if e.takeOver(c, replace) {
		if c.Length > 0 {
			e.lengths[0].backoff, e.lengths[0].length = c.Backoff, c.Length
		}
		t.well.Store(false)
	}
}

// Heal ends a cooldown, as a success of another replica did. It returns false for
// one that began after that success.
func (t *Track) Heal(s Scope, success time.Time) (ended bool) {
	t.breaker(s, func(b *breaker) {
		if ended = !b.began.After(success); ended {
			*b = breaker{}
		}
	})
	return ended
}

// Grant gives leave for one probe until a time.
// The first request after it takes the leave, and becomes the probe.
func (t *Track) Grant(s Scope, until time.Time) {
	t.breaker(s, func(b *breaker) { b.leave = until })
}

// Probe returns the state of a cooldown's probe, and looks at Wanted. The zero Probe
// says that there is none.
func (t *Track) Probe(s Scope, now time.Time) (p Probe) {
	t.breaker(s, func(b *breaker) {
		p = Probe{
			Due: !now.Before(b.until), Wanted: b.wanted,
			Leave: now.Before(b.leave), Busy: b.probe != 0 && now.Before(b.lease),
		}
		b.wanted = false
	})
	return p
}

// breaker calls do with the open breaker of a scope, under its lock.
// A scope without an open breaker calls nothing. If do closed it, what hung on
// the cooldown is forgotten with it: the row of failures, the blame, the
// doubling.
func (t *Track) breaker(s Scope, do func(*breaker)) {
	if t.id.kind == modelKind {
		h := t.Health.trouble.Load()
		if h == nil {
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		c := &h.all
		if s.Surface > 0 {
			c = h.surfaces[Surface(s.Surface-1).index()]
		}
		if c != nil && c.shared.open {
			do(&c.shared.breaker)
			if !c.shared.open {
				c.shared, c.row, c.several = streak{}, nil, false
				c.unblame()
			}
		}
		return
	}
	h := t.Key.trouble.Load()
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e := &h.whole
	if s.Model != nil {
		found := h.scopes.entries[scope{s.Model, s.Surface}]
		if found == nil {
			return
		}
		e = &found.value
	}
	if e.open {
		do(&e.breaker)
		if !e.open {
			*e = refused{}
		}
	}
}

// Names returns what a Track is about: "model" or "key", the provider, and the id.
// The id of a key whose value depends on the request is a hash of the value, and
// value is true.
func (t *Track) Names() (kind, provider, id string, value bool) {
	kind = "key"
	if t.id.kind == modelKind {
		kind = "model"
	}
	return kind, t.id.provider, t.id.name, t.id.kind == valueKind
}

// Tracks calls do with every Track of r.
// The lock of r is held for reading meanwhile: do must not make a Track.
func (r *Recorder) Tracks(do func(*Track)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.tracks {
		do(t)
	}
	for _, in := range [...]*table[identity, *Track]{&r.unlisted, &r.values} {
		for _, e := range in.entries {
			do(e.value)
		}
	}
}

// Keys calls do with the Track of every key of r.
// The lock is held as in Tracks.
func (r *Recorder) Keys(do func(*Track)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.keys {
		do(t)
	}
	for _, e := range r.values.entries {
		do(e.value)
	}
}

// OnNew has made called with each Track that is made from now on, under the lock of
// r. Call it before r is in use.
func (r *Recorder) OnNew(made func(*Track)) { r.made = made }

package stats

import (
	"sync"
	"sync/atomic"
	"time"
)

// maxScopes bounds the models and surfaces in trouble of one key.
// An entry costs about 400 bytes. One caller has at most a sixteenth.
const maxScopes = 1024

// Breadth is the part of a key in a refusal.
type Breadth uint8

const (
	// WholeKey: the key itself, or its account.
	WholeKey Breadth = iota
	// ThisModel: the key together with the model of the request.
	ThisModel
	// ThisModelAndSurface: the same, on the surface of the request.
	ThisModelAndSurface
)

// Refusal says how a refused key cools down.
type Refusal struct {
	Breadth Breadth

	// Backoff gives the cooldown without a word in the answer. Refusals under
	// different Backoffs double apart.
	Backoff Backoff

	// Told is the cooldown named in the answer. It does not enter the
	// doubling. Zero or negative: the answer does not say.
	Told time.Duration

	// Most bounds the cooldown, whatever the answer says.
	Most time.Duration

	// Callers is how many different callers must be refused, without a success
	// in between, before the key cools down: 1 or 2. Zero means 1.
	Callers int
}

// Backoff doubles the cooldown from First to Longest.
type Backoff struct{ First, Longest time.Duration }

// KeyHealth decides when an API key cools down after refusals: the whole key, or
// the key for one model, or for one surface of a model. Refusals of several
// models never add up to one of the key. After a cooldown one request at a time
// probes the key, up to the beginning of its answer, until one succeeds.
//
// The zero KeyHealth is healthy and ready for use. All methods may be called
// from many goroutines at once. While all is well each is one or two atomic
// loads, and does not allocate.
type KeyHealth struct{ trouble atomic.Pointer[keyTrouble] }

// keyTrouble is the memory of a key after its first refusal.
type keyTrouble struct {
	well atomic.Bool // written with the lock, read without it

	mu     sync.Mutex
	ticket uint64
	whole  refused
	scopes table[scope, refused]
	pruned time.Time
}

// scope is a part of a key. Its surface is zero for all surfaces, else the
// Surface plus one.
type scope struct {
	model   *Track
	surface uint8
}

func (s Surface) scope() uint8 { return uint8(s.index()) + 1 }

// refused is the state of a key, or of a part of it.
type refused struct {
	breaker
	lengths [2]struct { // of the last cooldown under a Backoff
		backoff Backoff
		length  time.Duration
	}

	// The first word of a refusal on the word of two callers.
	word   bool
	caller uint64
	at     time.Time
}

// State returns the key's State for a request to a model, and changes nothing.
func (h *KeyHealth) State(now time.Time, model *Track, r Request) State {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return State{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state(now, model, r)
}

// state combines the parts of a key in the way of a request. mu is held.
func (t *keyTrouble) state(now time.Time, model *Track, r Request) State {
	var s State
	t.each(model, r, func(e *refused) {
		phase, until := e.stateIn(now, r)
		s = s.And(State{Phase: phase, Until: until})
	})
	return s
}

// each calls f with the parts in the way of a request.
func (t *keyTrouble) each(model *Track, r Request, f func(*refused)) {
	f(&t.whole)
	for _, surface := range [...]uint8{0, r.Surface.scope()} {
		if e := t.scopes.entries[scope{model, surface}]; e != nil {
			f(&e.value)
		}
	}
}

// Begin is called before a request is sent with the key. It returns false if other
// keys should come first: this one cools down, is being probed, or is due while
// mayProbe is false. The KeyTurn is good all the same. Lease and mayProbe
// are as in [CandidateHealth.Begin].
func (h *KeyHealth) Begin(now time.Time, model *Track, r Request, lease time.Duration, mayProbe bool) (KeyTurn, bool) {
	turn := KeyTurn{health: h, model: model, began: now, request: r}
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return turn, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch phase := t.state(now, model, r).Phase; {
	case phase.Last(), phase == Due && !mayProbe:
		return turn, false
	case phase == Due:
		t.ticket++
		turn.ticket = t.ticket
		t.each(model, r, func(e *refused) {
			if e.open {
				e.take(turn.ticket, r.Caller, now, lease)
			}
		})
	}
	return turn, true
}

// Renew ends all cooldowns of the key, as its value has changed. Report on the old
// value before: later reports count for the new one.
func (h *KeyHealth) Renew() {
	t := h.trouble.Load()
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.whole, t.scopes = refused{}, table[scope, refused]{}
	t.well.Store(true)
}

// open returns the trouble, made at the first refusal. A key without refusals needs
// no memory.
func (h *KeyHealth) open() *keyTrouble {
	if t := h.trouble.Load(); t != nil {
		return t
	}
	t := new(keyTrouble)
	if h.trouble.CompareAndSwap(nil, t) {
		return t
	}
	return h.trouble.Load()
}

// KeyTurn is one request's leave to report to a key's health. The first report
// counts, and later ones have no effect, so Release may be deferred. A KeyTurn
// belongs to one goroutine. Reports of the zero KeyTurn have no effect.
type KeyTurn struct {
	health  *KeyHealth
	model   *Track
	began   time.Time
	request Request
	ticket  uint64 // of the probe
	status  turnStatus
}

// Probe reports whether the request is a probe without a report yet.
func (t *KeyTurn) Probe() bool { return t.ticket != 0 && t.status <= answering }

// Answers says that an answer has begun. After a probe's the next probe may go.
func (t *KeyTurn) Answers() {
	if t.ticket == 0 || t.status != waiting {
		return
	}
	t.status = answering
	t.each(func(e *refused) { e.answers(t.ticket) })
}

// each calls f with the parts in the way of the turn's request, under the lock.
func (t *KeyTurn) each(f func(*refused)) {
	s := t.health.trouble.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each(t.model, t.request, f)
}

// Success ends the cooldowns in the way of the request, and their doubling begins
// anew. A request from before a cooldown cannot end it. Success returns whether it
// ended one.
func (t *KeyTurn) Success(now time.Time) (ended bool) {
	if !t.report(reported) {
		return false
	}
	s := t.health.trouble.Load()
	if s == nil || s.well.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole.succeed(now, t) {
		ended = s.whole.open
		s.whole = refused{}
	}
	for _, surface := range [...]uint8{0, t.request.Surface.scope()} {
		at := scope{t.model, surface}
		if e := s.scopes.entries[at]; e != nil && e.value.succeed(now, t) {
			ended = ended || e.value.open
			s.scopes.remove(at)
		}
	}
	s.prune(now)
	s.well.Store(!s.whole.open && !s.whole.word && len(s.scopes.entries) == 0)
	return ended
}

// prune forgets parts without a request in long: see keptFor.
func (t *keyTrouble) prune(now time.Time) {
	if len(t.scopes.entries) == 0 || now.Sub(t.pruned) < slotLength {
		return
	}
	t.pruned = now
	for at, e := range t.scopes.entries {
		if now.Sub(e.value.until) >= keptFor && now.Sub(e.value.at) >= keptFor {
			t.scopes.remove(at)
		}
	}
}

// succeed reports whether a success ends the part's cooldown. A request from before
// the cooldown does not.
func (e *refused) succeed(now time.Time, t *KeyTurn) bool {
	e.word = false
	if e.open && !e.endedBy(t.began) {
		e.waste(t.ticket, now)
		return false
	}
	return true
}

// Refused reports a refusal of the key at now, and returns the cooldown for it. It
// is zero until a second caller's word, where the Refusal needs one.
func (t *KeyTurn) Refused(now time.Time, r Refusal) time.Duration {
	if !t.report(reported) {
		return 0
	}
	s := t.health.open()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.part(now, t, r.Breadth)
	s.each(t.model, t.request, func(o *refused) {
		if o != e {
			o.waste(t.ticket, now)
		}
	})
	s.well.Store(false)
	if r.Callers > 1 && e.firstWord(now, t.request.Caller, r.Backoff.Longest) {
		e.waste(t.ticket, now)
		return 0
	}
	d := r.Told
	if d <= 0 {
		d = e.backOff(t.began, r.Backoff)
	}
	if r.Most > 0 {
		d = min(d, r.Most)
	}
	failedProbe := t.ticket != 0 && e.probe == t.ticket
	e.cool(now, now.Add(d))
	if failedProbe {
		e.probe, e.held, e.wasted = 0, time.Time{}, 0
	}
	return d
}

// part returns the state of a part of the key, a new one at its first refusal.
func (t *keyTrouble) part(now time.Time, turn *KeyTurn, b Breadth) *refused {
	at := scope{model: turn.model}
	switch b {
	case WholeKey:
		return &t.whole
	case ThisModelAndSurface:
		at.surface = turn.request.Surface.scope()
	}
	e := t.scopes.entries[at]
	if e == nil {
		e = &entry[refused]{caller: turn.request.Caller}
		t.scopes.add(at, e, limits{maxScopes, maxScopes / 16}, func(o *entry[refused]) bool {
			return now.Before(o.value.until)
		})
	}
	t.ticket++
	e.used.Store(int64(t.ticket))
	return &e.value
}

// firstWord reports whether a refusal needs another caller's word. A word counts
// for as long as it is kept.
func (e *refused) firstWord(now time.Time, caller uint64, kept time.Duration) bool {
	if e.word && e.caller != caller && now.Sub(e.at) < kept {
		e.word = false
		return false
	}
	e.word, e.caller, e.at = true, caller, now
	return true
}

// backOff returns the length of a cooldown without a word in the answer. It
// doubles with each refusal of a request from after the last cooldown.
func (e *refused) backOff(began time.Time, b Backoff) time.Duration {
	l := &e.lengths[0]
	if l.backoff != b && l.length != 0 {
		l = &e.lengths[1]
	}
	switch {
	case l.backoff != b || l.length == 0:
		l.backoff, l.length = b, b.First
	case !began.Before(e.until):
		l.length = min(2*l.length, b.Longest)
	}
	return l.length
}

// Release reports nothing about the key: the request failed for another reason.
// After a probe the next one may go.
func (t *KeyTurn) Release(now time.Time) {
	if t.report(reported) && t.ticket != 0 {
		t.each(func(e *refused) { e.waste(t.ticket, now) })
	}
}

// report takes the turn's one report, and returns false if there was a report
// already.
func (t *KeyTurn) report(as turnStatus) bool {
	if t.health == nil || t.status > answering {
		return false
	}
	t.status = as
	return true
}

// coolsDown reports whether the key cools down, if only for one model.
func (h *KeyHealth) coolsDown(now time.Time) bool {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.scopes.entries {
		if now.Before(e.value.until) {
			return true
		}
	}
	return now.Before(t.whole.until)
}

package stats

import (
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what one candidate remembers while something is wrong with it. An
// entry costs about 250 bytes.
const (
	maxSurfaces = 64 // a higher Surface counts as the last one
	maxRow      = 16 // failures in a row
	mostCallers = 64
)

// Surface is the caller's own number of an endpoint. Numbers are below 64.
type Surface uint8

// Request holds what a candidate's health depends on.
type Request struct {
	// Caller is a hash of who asks. Requests of equal Callers come from one
	// client. Zero is a caller like any other.
	Caller uint64
	// Surface is the requested endpoint.
	Surface Surface
	// Fleet: probes need the fleet's leave: see [Probe].
	Fleet bool
}

// Failure says how a failed request counts.
type Failure struct {
	Rules Rules

	// ThisSurface limits the failure to the surface of the request.
	ThisSurface bool

	// Unprovoked: no request could have caused it, as with DNS, connections
	// and TLS. It counts for everybody, and cannot be taken back.
	Unprovoked bool
}

// Rules say when failures lead to a cooldown, and for how long.
type Rules struct {
	Failures int           // in a row
	First    time.Duration // the first cooldown
	Longest  time.Duration // each failed probe doubles it up to this
}

// CandidateHealth decides when a candidate cools down after failures in a row.
// After the cooldown one request at a time probes it, up to the beginning of its
// answer, until one succeeds. A cooldown refuses nothing: it says what to try
// later.
//
// Health is shared by all callers, so one caller must not move it:
//   - Failures in a row cool the candidate down for everybody only if at least
//     two callers had them. An unprovoked failure counts like one of another
//     caller.
//   - A caller with as many failures of its own, without a success of its own,
//     gets a cooldown for itself. It is then the only prober of it.
//   - A caller whose probe failed, or whose probes showed nothing three times
//     in a row, waits a little longer for its next probe than others.
//   - A caller with a cooldown of its own, or with the most failures and requests
//     under way during everybody's, probes after the others, and its probe keeps them away for a
//     second at most. Its failed probe prolongs everybody's cooldown only if the
//     probe of another caller fails as well.
//   - A failure can be taken back, with its consequences: see [Turn.Retract].
//
// Each surface has such a state besides the candidate's own. A request needs
// both.
//
// The zero CandidateHealth is healthy and ready for use. All methods may be
// called from many goroutines at once. While all is well each is one or two
// atomic loads, and does not allocate. A candidate in trouble has a lock, held
// for a few instructions.
type CandidateHealth struct{ trouble atomic.Pointer[trouble] }

// trouble is the memory of a candidate after its first failure.
type trouble struct {
	well atomic.Bool // written with the lock, read without it

	mu       sync.Mutex
	ticket   uint64 // the last one given out, to a probe or a failure
	all      circuit
	surfaces [maxSurfaces]*circuit
}

// State returns the candidate's State for a request, and changes nothing.
func (h *CandidateHealth) State(now time.Time, r Request) State {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return State{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state(now, r)
}

// state combines the health of the whole candidate and of the request's surface. mu
// is held.
func (t *trouble) state(now time.Time, r Request) State {
	s := t.all.state(now, r)
	if c := t.surfaces[r.Surface.index()]; c != nil {
		o := c.state(now, r)
		failures := max(s.Failures, o.Failures)
		s = s.And(o)
		s.Failures = failures
	}
	return s
}

// index is the place of a Surface in the array. Numbers too high share the last
// one.
func (s Surface) index() int { return min(int(s), maxSurfaces-1) }

// Begin is called before a request is sent. It returns false if other candidates
// should come first: this one cools down, is being probed, or is due while mayProbe
// is false. The Turn is good all the same, for a request with nothing else left to
// try. A request that waits for others to be tried releases it.
//
// A Turn may be a probe. Other requests then get no probe until this one reports,
// calls [Turn.Answers], or has used up its lease. A short lease keeps a slow request
// from hiding a candidate for long. A request has one probe at most: pass mayProbe
// false after it.
func (h *CandidateHealth) Begin(now time.Time, r Request, lease time.Duration, mayProbe bool) (Turn, bool) {
	turn := Turn{health: h, began: now, request: r}
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return turn, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch phase := t.state(now, r).Phase; {
	case phase.Last(), phase == Due && !mayProbe:
		for _, c := range t.circuits(r) {
			if c.begun(now, &turn, t.ticket) {
				break
			}
		}
		return turn, false
	case phase == Due:
		t.ticket++
		turn.ticket = t.ticket
		t.take(now, r, lease)
	}
	return turn, true
}

// take gives the latest ticket the probe of all cooldowns in the way of a request.
func (t *trouble) take(now time.Time, r Request, lease time.Duration) {
	for _, c := range t.circuits(r) {
		if c == nil {
			continue
		}
		if c.shared.open {
			c.take(t.ticket, r.Caller, now, lease)
		}
		if own := c.own(r.Caller); own != nil && own.open {
			own.take(t.ticket, r.Caller, now, lease)
		}
	}
}

// circuits are those of the candidate and of a request's surface. The latter may be
// nil.
func (t *trouble) circuits(r Request) [2]*circuit {
	return [...]*circuit{&t.all, t.surfaces[r.Surface.index()]}
}

// each calls f with the breakers in the way of a request.
func (t *trouble) each(r Request, f func(*breaker)) {
	for _, c := range t.circuits(r) {
		if c == nil {
			continue
		}
		f(&c.shared.breaker)
		if own := c.own(r.Caller); own != nil {
			f(&own.breaker)
		}
	}
}

// open returns the trouble, made at the first failure. A candidate without failures
// needs no memory.
func (h *CandidateHealth) open() *trouble {
	if t := h.trouble.Load(); t != nil {
		return t
	}
	t := new(trouble)
	if h.trouble.CompareAndSwap(nil, t) {
		return t
	}
	return h.trouble.Load()
}

// Turn is one request's leave to report to a candidate's health. The first report
// counts, and later ones have no effect, so Release may be deferred. A Turn
// belongs to one goroutine. It may be copied before its report. Reports of the
// zero Turn have no effect.
type Turn struct {
	health  *CandidateHealth
	began   time.Time
	request Request
	ticket  uint64 // of the probe, then of the failure
	status  turnStatus

	// The circuit whose cooldown for everybody is under way, and its first failure: it
	// counts the request, and then its failure. Nil without one.
	blamed   *circuit
	blamedIn uint64
}

// turnStatus is the progress of a Turn. A Turn up to answering can still report.
type turnStatus uint8

const (
	waiting   turnStatus = iota
	answering            // the next probe may have begun
	failing              // reported, can be taken back
	reported
)

// Probe reports whether the request is a probe without a report yet.
func (t *Turn) Probe() bool { return t.ticket != 0 && t.status <= answering }

// Answers says that an answer has begun. After a probe's the next probe may go, so
// a stream of minutes does not keep others away. The probe's own verdict comes with
// its report.
func (t *Turn) Answers() {
	if t.ticket == 0 || t.status != waiting {
		return
	}
	t.status = answering
	s := t.health.trouble.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frees(t)
	s.each(t.request, func(b *breaker) { b.answers(t.ticket) })
}

// Success ends a cooldown and forgets failures in a row: everybody's, and the
// caller's own. A request from before the cooldown cannot end it. Success returns
// whether it ended everybody's cooldown.
func (t *Turn) Success(now time.Time) (ended bool) {
	if !t.report(reported) {
		return false
	}
	s := t.health.trouble.Load()
	if s == nil || s.well.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ended = s.all.shared.open
	well := s.all.succeed(now, t)
	ended = ended && !s.all.shared.open
	at := t.request.Surface.index()
	for i, c := range s.surfaces {
		if c == nil {
			continue
		}
		open := c.shared.open
		switch {
		case i == at && c.succeed(now, t), c.forgotten(now):
			s.surfaces[i] = nil
			ended = ended || open
		default:
			ended = ended || open && !c.shared.open
			well = false
		}
	}
	s.well.Store(well)
	return ended
}

// Failure counts a failure at now. One that completes a row begins a cooldown. A
// failed probe begins one of twice the length. Other failures during a cooldown
// change nothing: their requests were under way when it began, or had nothing
// better left to try. Failure returns the new cooldown.
func (t *Turn) Failure(now time.Time, f Failure) Cooldown {
	ticket, early := t.ticket, t.status == answering
	if !t.report(failing) {
		return Cooldown{}
	}
	s := t.health.open()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.well.Store(false)
	s.ticket++
	t.ticket = s.ticket
	if f.Unprovoked {
		t.status = reported
	}
	c := &s.all
	if f.ThisSurface {
		at := t.request.Surface.index()
		if s.surfaces[at] == nil {
			s.surfaces[at] = new(circuit)
		}
		c = s.surfaces[at]
	}
	// A probe of several scopes is a verdict only on the scope of the failure.
	s.each(t.request, func(b *breaker) {
		if own := c.own(t.request.Caller); b != &c.shared.breaker && (own == nil || b != &own.breaker) {
			b.waste(ticket, now)
		}
	})
	return c.fail(now, t, f, ticket, early)
}

// Retract takes a reported failure back, as its request failed alike everywhere:
// the request was at fault. A cooldown ends at now if it would not have begun
// without the failure. A failed probe leaves the candidate due for the next one.
// An unprovoked failure stays. Retract has no effect before a failure was
// reported, after a success came since, and the second time.
func (t *Turn) Retract(now time.Time) {
	if t.status != failing {
		return
	}
	t.status = reported
	s := t.health.trouble.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.retract(now, t)
	if c := s.surfaces[t.request.Surface.index()]; c != nil {
		c.retract(now, t)
	}
}

// Release reports nothing: the client left, or its request is wrong everywhere.
// After a probe the next one may go.
func (t *Turn) Release(now time.Time) {
	if !t.report(reported) || t.ticket == 0 {
		return
	}
	s := t.health.trouble.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frees(t)
	s.each(t.request, func(b *breaker) { b.waste(t.ticket, now) })
}

// frees lets the caller of a probe without a verdict probe again.
func (t *trouble) frees(turn *Turn) {
	for _, c := range t.circuits(turn.request) {
		if c != nil {
			c.frees(turn)
		}
	}
}

// report returns whether this is the first report.
func (t *Turn) report(as turnStatus) bool {
	if t.health == nil || t.status > answering {
		return false
	}
	t.status = as
	if c := t.blamed; c != nil {
		s := t.health.trouble.Load()
		s.mu.Lock()
		c.ends(t)
		t.blamed = nil
		s.mu.Unlock()
	}
	return true
}

// Suspended returns the end of the candidate's cooldown for everybody. It is false
// outside of one. A cooldown lasts until a success, so its end may be past.
func (h *CandidateHealth) Suspended() (until time.Time, ok bool) {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return time.Time{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all.shared.until, t.all.shared.open
}

// Hold prolongs the cooldown for everybody up to a time: not a request has shown
// that the candidate is still down. It does nothing outside of a cooldown, and ends
// within most after the latest failure that counted.
func (h *CandidateHealth) Hold(until time.Time, most time.Duration) {
	h.cooling(func(s *streak) {
		if last := s.began.Add(most); until.After(last) {
			until = last
		}
		if s.until.Before(until) {
			if s.earned.IsZero() {
				s.earned = s.until
			}
			s.until = until
		}
	})
}

// Free takes back what [CandidateHealth.Hold] has added at now. The candidate is
// then due for a probe, unless its own cooldown goes on.
func (h *CandidateHealth) Free(now time.Time) {
	h.cooling(func(s *streak) {
		if s.earned.IsZero() {
			return
		}
		if s.until.After(now) {
			s.until = now
			if s.earned.After(now) {
				s.until = s.earned
			}
		}
		s.earned = time.Time{}
	})
}

// cooling calls f with the cooldown for everybody, under the lock.
func (h *CandidateHealth) cooling(f func(*streak)) {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all.shared.open {
		f(&t.all.shared)
	}
}

// coolsDown reports whether the candidate cools down for everybody.
func (h *CandidateHealth) coolsDown(now time.Time) bool {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.surfaces {
		if c != nil && now.Before(c.shared.until) {
			return true
		}
	}
	return now.Before(t.all.shared.until)
}

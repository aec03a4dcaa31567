package stats

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what one candidate remembers while something is wrong with it. An
// entry costs about 250 bytes.
const (
	maxSurfaces = 32 // a higher Surface counts as the last one
	maxRow      = 16 // failures in a row
	mostCallers = 64
)

// callersKeptFor is how long after its last cooldown a caller is remembered who
// does not return to end it.
const callersKeptFor = windowLength

// Surface is the caller's own number of an endpoint. Numbers are below 32.
type Surface uint8

// Request tells apart the requests that health depends on.
type Request struct {
	// Caller is a hash of who asks. Requests of equal Callers come from one
	// client. Zero is a caller like any other.
	Caller uint64
	// Surface is the endpoint that is asked for.
	Surface Surface
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
//   - Failures in a row cool the candidate down for everybody only where at
//     least two callers had them. An unprovoked failure counts as one of a
//     caller of its own.
//   - Where one caller has had as many failures without a success of its own,
//     the candidate cools down for this caller. The caller is then its only
//     prober.
//   - A caller whose probe failed, or whose probes showed nothing three times
//     in a row, waits a little longer for its next probe than others.
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

// trouble is the memory of a candidate that once failed.
type trouble struct {
	well atomic.Bool // written with the lock, read without it

	mu       sync.Mutex
	ticket   uint64 // the last one given out, to a probe or a failure
	all      circuit
	surfaces [maxSurfaces]*circuit
}

// circuit is the state of one candidate, or of one surface of it.
type circuit struct {
	shared  streak
	row     []failed // in a row, the latest last
	several bool     // whether at least two callers led to the shared cooldown
	callers table[uint64, streak]
	pruned  time.Time
}

// streak is a breaker that failures in a row open, for everybody or one caller.
type streak struct {
	breaker
	length time.Duration // of the last cooldown; zero while closed
	needs  int           // failures in a row that led to it
	probes int           // failed, since the first cooldown

	// The last failed probe, and the length of the cooldown before it.
	verdict uint64
	before  time.Duration

	// Of a caller's streak alone: its failures in a row, and when it last failed.
	own  []uint64 // tickets
	last time.Time
}

// failed is one failure in a row.
type failed struct {
	ticket     uint64
	caller     uint64
	unprovoked bool
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

func (t *trouble) state(now time.Time, r Request) State {
	s := t.all.state(now, r.Caller)
	if c := t.surfaces[r.Surface.index()]; c != nil {
		o := c.state(now, r.Caller)
		failures := max(s.Failures, o.Failures)
		s = s.And(o)
		s.Failures = failures
	}
	return s
}

func (s Surface) index() int { return min(int(s), maxSurfaces-1) }

func (c *circuit) state(now time.Time, caller uint64) State {
	phase, until := c.shared.state(now, caller)
	s := State{Phase: phase, Until: until, Failures: len(c.row)}
	if own := c.own(caller); own != nil {
		phase, until = own.state(now, ^caller)
		s = s.And(State{Phase: phase, Until: until})
		s.Failures = max(s.Failures, len(own.own))
	}
	return s
}

// own returns the streak of a caller, or nil.
func (c *circuit) own(caller uint64) *streak {
	if e := c.callers.entries[caller]; e != nil {
		return &e.value
	}
	return nil
}

// Begin is called before a request is sent. It returns false where other
// candidates should come first: the candidate cools down, is being probed, or is
// due while mayProbe is false. The Turn is good all the same, for a caller that
// has nothing else left to try.
//
// Where the Turn is a probe, other requests get none until it has reported, until
// [Turn.Answers], or until the lease is over. A request has one probe at most:
// the caller passes mayProbe false after it.
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
		return turn, false
	case phase == Due:
		t.ticket++
		turn.ticket = t.ticket
		t.each(r, func(b *breaker) {
			if b.open {
				b.take(turn.ticket, r.Caller, now, lease)
			}
		})
	}
	return turn, true
}

// each calls f with the breakers that a request depends on.
func (t *trouble) each(r Request, f func(*breaker)) {
	for _, c := range [...]*circuit{&t.all, t.surfaces[r.Surface.index()]} {
		if c == nil {
			continue
		}
		f(&c.shared.breaker)
		if own := c.own(r.Caller); own != nil {
			f(&own.breaker)
		}
	}
}

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
// belongs to one goroutine. It may be copied before its report. The zero Turn
// reports to nobody.
type Turn struct {
	health  *CandidateHealth
	began   time.Time
	request Request
	ticket  uint64 // of the probe, then of the failure
	status  turnStatus
}

type turnStatus uint8

const (
	waiting   turnStatus = iota
	answering            // the next probe may have begun
	failing              // reported, can be taken back
	reported
)

// Probe reports whether the request is a probe that has yet to report.
func (t *Turn) Probe() bool { return t.ticket != 0 && t.status <= answering }

// Answers says that an answer has begun. Where the request is a probe, the next
// probe may go: a stream of minutes does not keep others away from a candidate
// that is well again. The probe's own verdict comes with its report.
func (t *Turn) Answers() {
	if t.ticket == 0 || t.status != waiting {
		return
	}
	t.status = answering
	s := t.health.trouble.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each(t.request, func(b *breaker) { b.answers(t.ticket) })
}

// Success ends a cooldown and forgets failures in a row: everybody's, and the
// caller's own. A request that began before the cooldown cannot end it.
func (t *Turn) Success(now time.Time) {
	if !t.report(reported) {
		return
	}
	s := t.health.trouble.Load()
	if s == nil || s.well.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	well := s.all.succeed(now, t)
	at := t.request.Surface.index()
	if c := s.surfaces[at]; c != nil && c.succeed(now, t) {
		s.surfaces[at] = nil
	}
	for _, c := range s.surfaces {
		well = well && c == nil
	}
	s.well.Store(well)
}

// succeed returns whether nothing is left to remember.
func (c *circuit) succeed(now time.Time, t *Turn) bool {
	switch {
	case c.shared.endedBy(t.began):
		c.shared, c.row, c.several = streak{}, nil, false
		// The callers' failures were part of it.
		for caller, e := range c.callers.entries {
			if !e.value.open {
				c.callers.remove(caller)
			}
		}
	case !c.shared.open:
		c.row = nil
	default:
		c.shared.waste(t.ticket, now)
	}
	if own := c.own(t.request.Caller); own != nil && (!own.open || own.endedBy(t.began)) {
		c.callers.remove(t.request.Caller)
	}
	if len(c.callers.entries) > 0 && now.Sub(c.pruned) >= slotLength {
		c.pruned = now
		for caller, e := range c.callers.entries {
			if now.Sub(e.value.until) >= callersKeptFor && now.Sub(e.value.last) >= callersKeptFor {
				c.callers.remove(caller)
			}
		}
	}
	return !c.shared.open && len(c.row) == 0 && len(c.callers.entries) == 0
}

// Failure counts a failure at now. One that completes a row begins a cooldown. A
// failed probe begins one of twice the length. Other failures during a cooldown
// change nothing: their requests were under way when it began, or had nothing
// better left to try. Failure returns the cooldown that it began.
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
	// A probe of several scopes is a verdict on the one that it failed in.
	s.each(t.request, func(b *breaker) {
		if own := c.own(t.request.Caller); b != &c.shared.breaker && (own == nil || b != &own.breaker) {
			b.waste(ticket, now)
		}
	})
	return c.fail(now, t, f, ticket, early)
}

// Cooldown is one that a failure began. The zero Cooldown means that it began none.
type Cooldown struct {
	Length time.Duration

	// Everybody: for all callers, not only for the one that failed.
	Everybody bool
}

func (c *circuit) fail(now time.Time, t *Turn, f Failure, probe uint64, early bool) (begun Cooldown) {
	own := c.own(t.request.Caller)
	if c.shared.open {
		if own != nil {
			own.waste(probe, now)
		}
		if c.shared.judges(probe, early, t.began) {
			c.shared.extend(now, t.ticket, f.Rules)
			begun = Cooldown{c.shared.length, true}
			if c.several && !f.Unprovoked {
				c.shared.hold()
			}
		}
		return begun
	}
	if own != nil && own.open {
		if own.judges(probe, early, t.began) {
			own.extend(now, t.ticket, f.Rules)
			begun.Length = own.length
		}
		if !f.Unprovoked {
			own.last = now
			return begun
		}
	}
	if !f.Unprovoked {
		own = c.remember(now, t)
		if own.own = append(own.own, t.ticket); len(own.own) >= f.Rules.Failures {
			own.begin(now, f.Rules)
			begun.Length = own.length
		}
	}
	if len(c.row) == maxRow {
		c.row = append(c.row[:0], c.row[1:]...)
	}
	c.row = append(c.row, failed{t.ticket, t.request.Caller, f.Unprovoked})
	if len(c.row) >= f.Rules.Failures && !c.oneCaller() {
		c.several = c.callersInRow() >= 2
		c.shared.begin(now, f.Rules)
		begun = Cooldown{c.shared.length, true}
	}
	return begun
}

// remember returns the streak of the caller that failed, a new one where it had
// none.
func (c *circuit) remember(now time.Time, t *Turn) *streak {
	e := c.callers.entries[t.request.Caller]
	if e == nil {
		e = &entry[streak]{caller: t.request.Caller}
		c.callers.add(t.request.Caller, e, limits{mostCallers, mostCallers}, func(o *entry[streak]) bool {
			return now.Before(o.value.until)
		})
	}
	e.used.Store(int64(t.ticket))
	e.value.last = now
	return &e.value
}

// oneCaller reports whether one caller may be the reason for the whole row.
func (c *circuit) oneCaller() bool {
	for _, f := range c.row {
		if f.unprovoked {
			return false
		}
	}
	return c.callersInRow() < 2
}

// callersInRow counts the callers of provoked failures, up to two.
func (c *circuit) callersInRow() int {
	var first *failed
	for i := range c.row {
		switch f := &c.row[i]; {
		case f.unprovoked:
		case first == nil:
			first = f
		case f.caller != first.caller:
			return 2
		}
	}
	if first == nil {
		return 0
	}
	return 1
}

func (s *streak) begin(now time.Time, r Rules) {
	s.length, s.needs, s.probes = r.First, r.Failures, 0
	s.cool(now, now.Add(s.length))
}

// judges reports whether the failure of a request is one of a probe. An early
// probe let others go when its answer began.
func (s *streak) judges(probe uint64, early bool, began time.Time) bool {
	return probe != 0 && s.open && (probe == s.probe || early && !began.Before(s.began))
}

func (s *streak) extend(now time.Time, verdict uint64, r Rules) {
	s.verdict, s.before = verdict, s.length
	s.length = min(2*s.length, r.Longest)
	s.probes++
	s.probe, s.held, s.wasted = 0, time.Time{}, 0
	s.cool(now, now.Add(s.length))
}

// Retract takes a reported failure back, as its request failed alike everywhere:
// the request was at fault. A cooldown ends at now that would not have begun
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

func (c *circuit) retract(now time.Time, t *Turn) {
	c.row = slices.DeleteFunc(c.row, func(f failed) bool { return f.ticket == t.ticket })
	c.shared.retract(now, t.ticket, len(c.row) >= c.shared.needs && !c.oneCaller())
	own := c.own(t.request.Caller)
	if own == nil {
		return
	}
	own.own = slices.DeleteFunc(own.own, func(ticket uint64) bool { return ticket == t.ticket })
	own.retract(now, t.ticket, len(own.own) >= own.needs)
	if !own.open && len(own.own) == 0 {
		c.callers.remove(t.request.Caller)
	}
}

// retract takes back what the failure with a ticket did. Earned says whether
// the remaining failures lead to a cooldown as well.
func (s *streak) retract(now time.Time, ticket uint64, earned bool) {
	if !s.open {
		return
	}
	if s.verdict == ticket {
		s.length, s.verdict = s.before, 0
		s.probes--
		s.held = now.Add(s.grace())
		s.until = now
	}
	if s.probes == 0 && !earned {
		*s = streak{own: s.own, last: s.last}
	}
}

// Release reports nothing: the client left, or asked for something that it would
// be refused everywhere. Where the request was a probe, the next one may go.
func (t *Turn) Release(now time.Time) {
	if !t.report(reported) || t.ticket == 0 {
		return
	}
	s := t.health.trouble.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each(t.request, func(b *breaker) { b.waste(t.ticket, now) })
}

// report returns whether this is the first report.
func (t *Turn) report(as turnStatus) bool {
	if t.health == nil || t.status > answering {
		return false
	}
	t.status = as
	return true
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

// Overview is a candidate's health for those who look after it.
type Overview struct {
	// Everybody is the State for callers without failures of their own.
	Everybody State

	// Callers counts the callers for whom the candidate is not healthy, and
	// Until is the end of the last of their cooldowns, be it past.
	Callers int
	Until   time.Time

	// Surfaces are the surfaces that are not healthy for everybody.
	Surfaces []SurfaceState
}

// SurfaceState is the State of a surface for callers without failures of their own.
type SurfaceState struct {
	Surface Surface
	State
}

// Overview returns what all callers see, and changes nothing.
func (h *CandidateHealth) Overview(now time.Time) Overview {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return Overview{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	o := Overview{Everybody: t.all.everybody(now)}
	for _, e := range t.all.callers.entries {
		if own := &e.value; own.open {
			o.Callers++
			if own.until.After(o.Until) {
				o.Until = own.until
			}
		}
	}
	for i, c := range t.surfaces {
		if c == nil {
			continue
		}
		if s := c.everybody(now); s.Phase != Healthy {
			o.Surfaces = append(o.Surfaces, SurfaceState{Surface(i), s})
		}
	}
	return o
}

func (c *circuit) everybody(now time.Time) State {
	phase, until := c.shared.state(now, ^c.shared.prober)
	return State{Phase: phase, Until: until, Failures: len(c.row)}
}

package stats

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	failuresToRest = 5 // in a row
	firstRest      = 5 * time.Second
	longestRest    = 15 * time.Second // of those that failures lead to
)

// Rest decides whether a model or a key is to be left alone for a while. It
// rests because the upstream said so (RestUntil), or after five failures in a
// row. After the latter it is probed: one request at a time is let through, up to
// the beginning of its answer, until one succeeds. Resting means last, not away:
// a Rest refuses nothing, it only says what to try later.
//
// The zero Rest is awake and ready for use. All methods may be called from many
// goroutines at once. While all is well each is one or two atomic loads; the first
// trouble allocates 128 bytes, and only in trouble is there a lock, held for a
// few instructions.
type Rest struct{ trouble atomic.Pointer[trouble] }

// trouble is what a Rest has to remember once something went wrong. It stays
// with its Rest, and is well again when there is nothing to remember.
type trouble struct {
	well atomic.Bool // written with the lock, and read without

	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // when the longest rest ends, be it past
	imposed  time.Time // when the last rest began

	// length is that of the last rest that failures led to. Zero: there was
	// none since the last success, so what wakes needs no probe.
	length time.Duration

	probe  uint64    // the ticket of the Turn that probes; zero: none does
	lease  time.Time // when the probe counts as lost
	ticket uint64    // the last one given out
}

// Phase is what a Rest is in.
type Phase uint8

const (
	// Awake: any number of requests may go.
	Awake Phase = iota
	// Due: the rest is over, and one request may go, as the probe.
	Due
	// Probing: the probe is under way, and other candidates come first.
	Probing
	// Resting: other candidates come first.
	Resting
)

// Last reports whether other candidates come first.
func (p Phase) Last() bool { return p >= Probing }

func (p Phase) String() string {
	switch p {
	case Awake:
		return "awake"
	case Due:
		return "due for a probe"
	case Probing:
		return "being probed"
	default:
		return "resting"
	}
}

// State is what can be seen of a Rest.
type State struct {
	Phase Phase

	// Until is when what is resting wakes. Of what is being probed nobody knows;
	// then it is when the probe counts as lost. Zero in other phases.
	Until time.Time

	// Failures counts those in a row, without those of probes.
	Failures int
}

// State returns what r is in, and changes nothing.
func (r *Rest) State(now time.Time) State {
	t := r.trouble.Load()
	if t == nil || t.well.Load() {
		return State{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := State{Failures: t.failures}
	switch {
	case now.Before(t.until):
		s.Phase, s.Until = Resting, t.until
	case t.length == 0:
	case t.probing(now):
		s.Phase, s.Until = Probing, t.lease
	default:
		s.Phase = Due
	}
	return s
}

// Resting is until when other candidates come first because of a rest; zero where
// they do not, or do because of a probe.
func (s State) Resting() time.Time {
	if s.Phase != Resting {
		return time.Time{}
	}
	return s.Until
}

func (t *trouble) probing(now time.Time) bool { return t.probe != 0 && now.Before(t.lease) }

// Begin is called before a request is sent. It returns false where other
// candidates should come first: r rests, or is being probed. The Turn is good
// all the same, for a caller who has nothing else left to try.
//
// Where the Turn is a probe, nobody else gets one before it has reported or
// answers, or for the time of lease, which should be the limit of the request.
func (r *Rest) Begin(now time.Time, lease time.Duration) (Turn, bool) {
	turn := Turn{rest: r, began: now}
	t := r.trouble.Load()
	if t == nil || t.well.Load() {
		return turn, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case now.Before(t.until), t.probing(now):
		return turn, false
	case t.length > 0:
		t.ticket++
		t.probe, t.lease = t.ticket, now.Add(lease)
		turn.ticket = t.ticket
	case t.failures == 0:
		t.recover() // all there was is a rest that is over
	}
	return turn, true
}

// RestUntil lets r rest until a time, as an upstream asked for at now. Where r
// rests longer already, that stands.
func (r *Rest) RestUntil(now, until time.Time) {
	if !now.Before(until) {
		return
	}
	t := r.open()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rest(now, until)
}

func (t *trouble) rest(now, until time.Time) {
	t.well.Store(false)
	t.imposed = now
	if t.until.Before(until) {
		t.until = until
	}
}

func (t *trouble) recover() {
	t.failures, t.length, t.probe = 0, 0, 0
	t.until, t.imposed = time.Time{}, time.Time{}
	t.well.Store(true)
}

func (r *Rest) open() *trouble {
	if t := r.trouble.Load(); t != nil {
		return t
	}
	t := new(trouble)
	if r.trouble.CompareAndSwap(nil, t) {
		return t
	}
	return r.trouble.Load()
}

// Turn is one request's leave to report how it went. Its first report counts,
// and further ones have no effect, so Release may be deferred. A Turn belongs
// to one goroutine; the zero Turn reports to nobody.
type Turn struct {
	rest   *Rest
	began  time.Time
	ticket uint64 // zero: no probe
	early  bool   // whether the next probe may have begun before this one has reported
}

// Probe reports whether the request is a probe, until it has been reported.
func (t *Turn) Probe() bool { return t.ticket != 0 }

// Answers says that an answer has begun, and may take its time. Where the request
// is a probe, the next one may go: a stream of minutes is not to keep all others
// away from what is well again. Whether it is shows at the end, by the reports of
// all that were let through meanwhile.
func (t *Turn) Answers() {
	if t.ticket == 0 || t.early {
		return
	}
	t.early = true
	t.rest.free(t.ticket)
}

// free lets the next probe go, unless another has taken the place already.
func (r *Rest) free(ticket uint64) {
	t := r.trouble.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.probe == ticket {
		t.probe = 0
	}
}

// Success ends a rest and forgets all failures. A request that began before the
// rest did cannot end it: that it succeeds says nothing about what came to
// light since.
func (t *Turn) Success() {
	r := t.done()
	if r == nil {
		return
	}
	s := r.trouble.Load()
	if s == nil || s.well.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.began.Before(s.imposed) {
		s.recover()
	}
}

// Failure counts a failure at now that is not the client's fault. The fifth in
// a row starts a rest of 5 s; a probe that fails starts one twice as long as the
// last, up to 15 s. Other failures of what rests already change nothing: they
// were under way when the rest began, or were sent for want of anything better.
func (t *Turn) Failure(now time.Time) {
	ticket, early := t.ticket, t.early
	r := t.done()
	if r == nil {
		return
	}
	s := r.open()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.length > 0 {
		probe := ticket == s.probe || early && !t.began.Before(s.imposed)
		if ticket == 0 || !probe {
			return
		}
		s.length = min(2*s.length, longestRest)
		s.probe = 0
		s.rest(now, now.Add(s.length))
		return
	}
	s.well.Store(false)
	if s.failures++; s.failures >= failuresToRest {
		s.length = firstRest
		s.rest(now, now.Add(s.length))
	}
}

// Release reports nothing: the client left, or asked for something that no
// provider would do. Where the request was a probe, the next one may be it.
func (t *Turn) Release() {
	ticket := t.ticket
	if r := t.done(); r != nil && ticket != 0 {
		r.free(ticket)
	}
}

// done returns the Rest to report to, or nil where that was done.
func (t *Turn) done() *Rest {
	r := t.rest
	t.rest, t.ticket = nil, 0
	return r
}

// Order returns items with those that rest at the end, the one that wakes first
// before the others; all else stays in order. It asks for each state once,
// does not change items, and returns it as it is where nothing rests.
//
// A caller who tries items one by one need not order them all beforehand: it may
// put off each whose [Rest.Begin] is false, and call Order on those put off.
func Order[S ~[]E, E any](items S, state func(E) State) S {
	type resting struct {
		item  E
		until time.Time
	}
	var (
		awake S
		later []resting
	)
	for i, item := range items {
		s := state(item)
		switch {
		case s.Phase.Last():
			if later == nil {
				awake = append(make(S, 0, len(items)), items[:i]...)
			}
			later = append(later, resting{item, s.Until})
		case later != nil:
			awake = append(awake, item)
		}
	}
	if later == nil {
		return items
	}
	slices.SortStableFunc(later, func(a, b resting) int { return a.until.Compare(b.until) })
	for _, l := range later {
		awake = append(awake, l.item)
	}
	return awake
}

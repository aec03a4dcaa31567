package stats

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The simulation of blame, in virtual time. Eight callers with ten requests a second
// each prefer the first of three good candidates. One caller is hostile. In all of
// its ways the others' requests are served by the first candidate.
func TestHostileCallerMovesNobody(t *testing.T) {
	type attack = func(s *simulation, candidate, nth int) outcome
	quick := func(o outcome) outcome { o.after = 20 * msec; return o }
	bad, neutral, good := outcome{failure: &provoked}, outcome{released: true}, outcome{}
	for name, tt := range map[string]attack{
		"poison that fails at the first": func(_ *simulation, candidate, _ int) outcome {
			if candidate == 0 {
				return quick(bad)
			}
			return quick(good)
		},
		"poison that fails everywhere":     func(*simulation, int, int) outcome { return quick(bad) },
		"poison that fails after a minute": func(*simulation, int, int) outcome { return outcome{failure: &provoked, after: time.Minute} },
		"slow poison at the first": func(_ *simulation, candidate, _ int) outcome {
			if candidate == 0 {
				return outcome{failure: &provoked, after: time.Minute}
			}
			return quick(good)
		},
		"four bad and a good one": func(_ *simulation, candidate, nth int) outcome {
			if nth%5 == 4 || candidate > 0 {
				return quick(good)
			}
			return quick(bad)
		},
		"every second one bad": func(_ *simulation, candidate, nth int) outcome {
			if nth%2 == 0 || candidate > 0 {
				return quick(good)
			}
			return quick(bad)
		},
		"refused by all":           func(*simulation, int, int) outcome { return quick(neutral) },
		"aborted at any moment":    func(s *simulation, _, _ int) outcome { return outcome{released: true, after: s.within(time.Minute)} },
		"endpoints that are not":   func(*simulation, int, int) outcome { return outcome{failure: &onSurface, after: msec} },
		"held open for an hour":    func(*simulation, int, int) outcome { return outcome{after: time.Hour} },
		"bad or aborted by chance": func(s *simulation, _, nth int) outcome { return []outcome{quick(bad), quick(neutral)}[s.rand.IntN(2)] },
	} {
		for _, outage := range []bool{false, true} {
			name := name
			if outage {
				name += ", after an outage"
			}
			t.Run(name, func(t *testing.T) {
				s := newSimulation()
				s.hostile = tt
				if outage {
					s.down = func(candidate int, now time.Duration) bool {
						return candidate == 0 && now > secs(60) && now < secs(90)
					}
				}
				s.run(secs(150))
				assert.GreaterOrEqual(t, s.share(0, 0, secs(60)), .95)
				if outage {
					assert.LessOrEqual(t, s.failed(secs(60), secs(90)), 5+2*8)
				}
				assert.GreaterOrEqual(t, s.share(0, secs(90)+secs(16), secs(150)), .95)
			})
		}
	}
}

// Two dead providers never hide a third that is well.
func TestTwoDeadCandidatesHideNoThird(t *testing.T) {
	s := newSimulation()
	s.noise = 0
	s.down = func(candidate int, _ time.Duration) bool { return candidate < 2 }
	s.run(secs(300))
	assert.Equal(t, 1., s.share(2, 0, secs(300)))
	assert.LessOrEqual(t, s.failed(0, secs(300)), 2*(6+300/15+8), "failures that cost time")
}

type outcome struct {
	failure  *Failure // nil: answered
	released bool     // nothing is known
	after    time.Duration
}

// simulation is a loop of events in virtual time.
type simulation struct {
	rand       *rand.Rand
	noise      int // failures of good requests in a thousand
	candidates [3]CandidateHealth
	hostile    func(s *simulation, candidate, nth int) outcome
	down       func(candidate int, now time.Duration) bool
	events     events
	served     []served
}

type served struct {
	began     time.Duration
	candidate int // -1: all failed
	failures  int
}

func newSimulation() *simulation {
	return &simulation{
		rand:  rand.New(rand.NewPCG(1, 2)),
		noise: 1,
		down:  func(int, time.Duration) bool { return false },
	}
}

func (s *simulation) within(d time.Duration) time.Duration {
	return time.Duration(s.rand.Int64N(int64(d)))
}

func (s *simulation) run(until time.Duration) {
	const callers, each = 8, 100 * msec
	for caller := range uint64(callers) {
		hostile := caller == 0 && s.hostile != nil
		every := each
		if hostile {
			every = 20 * msec
		}
		nth := 0
		var arrive func(now time.Duration)
		arrive = func(now time.Duration) {
			r := &simulated{s: s, caller: caller, hostile: hostile, nth: nth, began: now}
			nth++
			r.next(now)
			if next := now + every/2 + s.within(every); next < until {
				s.at(next, arrive)
			}
		}
		s.at(s.within(every), arrive)
	}
	for len(s.events) > 0 {
		e := heap.Pop(&s.events).(event)
		if e.at > until {
			return
		}
		e.do(e.at)
	}
}

func (s *simulation) at(at time.Duration, do func(now time.Duration)) {
	heap.Push(&s.events, event{at, do})
}

// share is the part of the good callers' requests of a time that a candidate
// served.
func (s *simulation) share(candidate int, from, to time.Duration) float64 {
	all, here := 0., 0.
	for _, r := range s.served {
		if r.began >= from && r.began < to {
			all++
			if r.candidate == candidate {
				here++
			}
		}
	}
	return here / all
}

// failed counts the failed attempts of the good callers' requests of a time.
func (s *simulation) failed(from, to time.Duration) int {
	n := 0
	for _, r := range s.served {
		if r.began >= from && r.began < to {
			n += r.failures
		}
	}
	return n
}

// simulated is one request, with the loop of a gateway's failover.
type simulated struct {
	s       *simulation
	caller  uint64
	hostile bool
	nth     int
	began   time.Duration

	tried  [3]bool
	probed bool
	put    bool // off: the healthy had their turn
	failed []*Turn
	other  bool // an attempt ended in another way than a failure
}

func (r *simulated) next(now time.Duration) {
	ask := Request{Caller: r.caller}
	for i := range r.s.candidates {
		if r.tried[i] || r.put {
			continue
		}
		if turn, ok := r.s.candidates[i].Begin(at(now), ask, 15*time.Second, !r.probed); ok {
			r.send(now, i, turn)
			return
		}
	}
	r.put = true
	rest := make([]int, 0, 3)
	for i := range r.s.candidates {
		if !r.tried[i] {
			rest = append(rest, i)
		}
	}
	rest = Order(rest, false, func(i int) State { return r.s.candidates[i].State(at(now), ask) })
	if len(rest) > 0 {
		turn, _ := r.s.candidates[rest[0]].Begin(at(now), ask, 15*time.Second, !r.probed)
		r.send(now, rest[0], turn)
		return
	}
	if !r.other { // it failed alike everywhere
		for _, turn := range r.failed {
			turn.Retract(at(now))
		}
	}
	r.end(-1)
}

func (r *simulated) send(now time.Duration, i int, turn Turn) {
	r.tried[i] = true
	r.probed = r.probed || turn.Probe()
	o := outcome{after: 50*msec + r.s.within(100*msec)}
	switch {
	case r.s.down(i, now):
		o = outcome{failure: &provoked, after: 20 * msec}
	case r.hostile:
		o = r.s.hostile(r.s, i, r.nth)
	case r.s.rand.IntN(1000) < r.s.noise:
		o.failure = &provoked
	}
	r.s.at(now+o.after, func(now time.Duration) {
		switch {
		case o.released:
			turn.Release(at(now))
			r.other = true
			r.end(-1)
		case o.failure == nil:
			turn.Success(at(now))
			r.end(i)
		default:
			turn.Failure(at(now), *o.failure)
			r.failed = append(r.failed, &turn)
			r.next(now)
		}
	})
}

func (r *simulated) end(candidate int) {
	if !r.hostile {
		r.s.served = append(r.s.served, served{r.began, candidate, len(r.failed)})
	}
}

type event struct {
	at time.Duration
	do func(now time.Duration)
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

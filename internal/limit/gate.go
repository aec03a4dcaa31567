package limit

import (
	"sync"
	"sync/atomic"
	"time"
)

// Limits bound a provider, a model or a key. Zero means no limit.
type Limits struct {
	InFlight          int64
	RequestsPerMinute int64
	TokensPerMinute   int64

	// Wait is for how long a request may wait at the gate. Zero: not at all.
	Wait time.Duration

	// Exact: InFlight is that of all replicas together, if there is a Lessor.
	Exact bool
}

// Kind names a limit.
type Kind uint8

const (
	InFlight Kind = iota + 1
	RequestsPerMinute
	TokensPerMinute
	// Queue: another request waits for the gate already.
	Queue
)

// String returns the name of the limit in the configuration.
func (k Kind) String() string {
	return [...]string{"", "in_flight", "requests_per_minute", "tokens_per_minute", "queue"}[k]
}

// Limiter holds the gates of one gateway, and their queues. Its methods may be
// called from many goroutines at once. They take no lock while no request waits.
// The Limiter needs no Close: it starts no goroutine, and timers end with the
// waiting requests.
type Limiter struct {
	epoch time.Time

	lessor Lessor // nil without a fleet

	mu    sync.Mutex
	gates map[string]*Gate
	dirty []*Gate // their queues need a look
}

// NewLimiter returns a Limiter whose clock starts at now.
func NewLimiter(now time.Time) *Limiter {
	return &Limiter{epoch: now, gates: make(map[string]*Gate)}
}

func (l *Limiter) clock(now time.Time) int64 { return int64(now.Sub(l.epoch)) }

func (l *Limiter) time(at int64) time.Time { return l.epoch.Add(time.Duration(at)) }

// Gate counts the requests of one provider, model or key. It belongs to one
// Limiter.
type Gate struct {
	limiter *Limiter
	limits  atomic.Pointer[Limits]

	waiting  atomic.Int32 // entries of the queue
	stopped  atomic.Bool  // a request waits for this gate and no other
	inFlight atomic.Int64
	requests bucket
	tokens   bucket

	// Of an exact limit: the slots of this replica, its share of them all, and its
	// requests that ask for one.
	leased atomic.Int64
	share  atomic.Int64
	asking atomic.Int32

	queue queue // guarded by the Limiter's lock
}

// Gate returns the gate of a name, always the same one, with new limits. So a
// reload changes limits and keeps counts. Waiting requests are served by the new
// limits. A gate without limits still counts the requests in flight.
func (l *Limiter) Gate(name string, now time.Time, limits Limits) *Gate {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.gates[name]
	if g == nil {
		g = &Gate{limiter: l}
		l.gates[name] = g
	}
	limits.RequestsPerMinute = min(limits.RequestsPerMinute, maxRate)
	limits.TokensPerMinute = min(limits.TokensPerMinute, maxRate)
	// Requests under way see either the old limits or the new ones as a whole.
	if old := g.limits.Swap(&limits); old == nil || old.Exact != limits.Exact {
		g.leased.Store(alone)
	}
	l.serveLocked(now, g)
	if limits.Exact {
		g.look()
	}
	return g
}

// Keep forgets all gates but those of names, as a reload does. Requests in flight
// still release theirs.
func (l *Limiter) Keep(names func(name string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.gates {
		if !names(name) {
			delete(l.gates, name)
		}
	}
}

// InFlight returns the number of requests with a slot.
func (g *Gate) InFlight() int64 { return g.inFlight.Load() }

// Waiting returns the number of requests in the queue.
func (g *Gate) Waiting() int { return int(g.waiting.Load()) }

// Left returns how many requests and tokens the gate has left now. The tokens may
// be negative. Numbers without a limit are zero.
func (g *Gate) Left(now time.Time) (requests, tokens int64) {
	limits, at := g.limits.Load(), g.limiter.clock(now)
	if n := limits.RequestsPerMinute; n > 0 {
		requests = g.requests.left(at, n)
	}
	if n := limits.TokensPerMinute; n > 0 {
		tokens = g.tokens.left(at, n)
	}
	return requests, tokens
}

// Full is the limit in the way of a request. A zero Kind means that the way is
// free.
type Full struct {
	Gate *Gate
	Kind Kind

	// Ready is when the limit lets the request through, if all goes on as it is.
	// It is zero if other requests must end first.
	Ready time.Time
}

// full takes nothing. It returns the limit in the way, and when it opens. It is zero for a free way.
func (g *Gate) full(now, tokens int64) (Kind, int64) {
	return g.within(now, tokens, g.slots(g.limits.Load()))
}

// within is full with a number of slots.
func (g *Gate) within(now, tokens, slots int64) (Kind, int64) {
	limits := g.limits.Load()
	if limits.InFlight > 0 && g.inFlight.Load() >= slots {
		return InFlight, 0
	}
	if n := limits.RequestsPerMinute; n > 0 {
		if at := g.requests.ready(n, 1); at > now {
			return RequestsPerMinute, at
		}
	}
	if n := limits.TokensPerMinute; n > 0 {
		if at := g.tokens.ready(n, tokens); at > now {
			return TokensPerMinute, at
		}
	}
	return 0, 0
}

// take takes a slot, a request and tokens, or nothing. For a moment others may see
// less room than there is. It never lets more through than the limits.
func (g *Gate) take(now, tokens int64) (Kind, int64) {
	limits := g.limits.Load()
	for {
		n := g.inFlight.Load()
		if limits.InFlight > 0 && n >= g.slots(limits) {
			return InFlight, 0
		}
		if !g.inFlight.CompareAndSwap(n, n+1) {
			continue
		}
		if limits.Exact && n >= g.leased.Load() { // the slot was given up meanwhile
			g.inFlight.Add(-1)
			return InFlight, 0
		}
		break
	}
	if n := limits.RequestsPerMinute; n > 0 {
		if at, ok := g.requests.take(now, n, 1); !ok {
			g.inFlight.Add(-1)
			return RequestsPerMinute, at
		}
	}
	if n := limits.TokensPerMinute; n > 0 {
		if at, ok := g.tokens.take(now, n, tokens); !ok {
			if n := limits.RequestsPerMinute; n > 0 {
				g.requests.add(now, n, 1)
			}
			g.inFlight.Add(-1)
			return TokensPerMinute, at
		}
	}
	return 0, 0
}

// undo gives back all of take.
func (g *Gate) undo(now, tokens int64) {
	if n := g.limits.Load().RequestsPerMinute; n > 0 {
		g.requests.add(now, n, 1)
	}
	g.release(now, tokens)
}

// release gives a slot and unused tokens back. Negative tokens were used beyond the
// estimate.
func (g *Gate) release(now, tokens int64) {
	limits := g.limits.Load()
	if n := limits.TokensPerMinute; n > 0 && tokens != 0 {
		g.tokens.add(now, n, tokens)
	}
	if limits.Exact {
		g.pass()
	}
	g.inFlight.Add(-1)
	if limits.Exact {
		g.look()
	}
}

package limit

import (
	"context"
	"math"
	"time"
)

// Lessor leases slots in flight from a store that replicas share. It has the slots of
// exact limits. Its methods may be called from many goroutines at once.
//
// It must not call back into the Limiter from Look: requests call it with locks
// held.
type Lessor interface {
	// Ask asks the store for one slot more at a gate, and waits for the answer. It
	// returns false if the store has none.
	Ask(ctx context.Context, g *Gate) bool
	// Look says that a gate has slots to give back, or that requests wait there. It
	// does not wait.
	Look()
}

// SetLessor has exact gates lease their slots. Without a Lessor each limit counts for
// this process. Call SetLessor before the first Gate.
func (l *Limiter) SetLessor(s Lessor) { l.lessor = s }

// alone are the leased slots of a gate without a store: its whole limit counts here.
const alone = math.MaxInt64

// mostAsks bounds the calls of Ask for one route. Others may take a slot first.
const mostAsks = 8

// Enter is Try, and asks for slots of exact limits. It waits for nothing else.
func (l *Limiter) Enter(ctx context.Context, now time.Time, r *Route) (h Hold, full Full) {
	if h, full = l.Try(now, r); full.Kind != InFlight || !full.Gate.lacksLease() {
		return h, full
	}
	return l.ask(ctx, r, full)
}

// ask asks for slots until a route is open, or until the store or another limit is in
// the way.
func (l *Limiter) ask(ctx context.Context, r *Route, full Full) (Hold, Full) {
	var asked [maxGates]*Gate
	defer func() {
		for _, g := range asked {
			if g != nil {
				g.asking.Add(-1)
			}
		}
		l.lessor.Look() // slots may be left over
	}()
	for range mostAsks {
		for i, g := range &r.Gates {
			if g == full.Gate && asked[i] == nil {
				asked[i] = g
				g.asking.Add(1) // a slot that comes stays for it
			}
		}
		if !l.lessor.Ask(ctx, full.Gate) {
			break
		}
		var h Hold
		if h, full = l.Try(time.Now(), r); full.Kind != InFlight || !full.Gate.lacksLease() {
			return h, full
		}
	}
	return Hold{}, full
}

// lacksLease reports whether a full gate would have room with more slots.
func (g *Gate) lacksLease() bool {
	limits := g.limits.Load()
	return limits.Exact && g.leased.Load() < limits.InFlight
}

// slots returns how many requests may be in flight here.
func (g *Gate) slots(limits *Limits) int64 {
	if limits.Exact {
		return min(limits.InFlight, g.leased.Load())
	}
	return limits.InFlight
}

// pass gives a slot that is being released to the other replicas, if requests of this
// one would take it and it has more than its share.
func (g *Gate) pass() {
	for g.waiting.Load() > 0 {
		n := g.leased.Load()
		if n == alone || n <= g.share.Load() || g.leased.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// look tells the Lessor, if there is one.
func (g *Gate) look() {
	if l := g.limiter.lessor; l != nil {
		l.Look()
	}
}

// Exact calls do with the gates of exact limits in flight.
func (l *Limiter) Exact(do func(name string, g *Gate)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, g := range l.gates {
		if g.limits.Load().Exact {
			do(name, g)
		}
	}
}

// Slots returns the limit in flight.
func (g *Gate) Slots() int64 { return g.limits.Load().InFlight }

// Alone reports whether the gate counts for this process, without a store.
func (g *Gate) Alone() bool { return g.leased.Load() == alone }

// Leave has the gate count for this process from now on.
func (g *Gate) Leave(now time.Time) {
	if g.leased.Swap(alone) != alone {
		g.limiter.serve(now, &[maxGates]*Gate{g})
	}
}

// Grant adds slots that the store has leased. After Leave it does nothing.
func (g *Gate) Grant(now time.Time, n int64) {
	for {
		old := g.leased.Load()
		if old == alone {
			return
		}
		if g.leased.CompareAndSwap(old, old+n) {
			g.limiter.serve(now, &[maxGates]*Gate{g})
			return
		}
	}
}

// Trim gives slots up that no request needs. It returns the number of the others,
// which the store must learn before the next Grant. It ends Leave.
func (g *Gate) Trim() int64 {
	for {
		old := g.leased.Load()
		n := g.inFlight.Load()
		if old != alone && old > n {
			n = min(old, n+int64(g.asking.Load()))
		}
		if !g.leased.CompareAndSwap(old, n) {
			continue
		}
		// A request that took a slot meanwhile either shows here, or sees the change
		// and gives the slot back.
		if g.inFlight.Load() <= n {
			return n
		}
	}
}

// SetShare sets the number of slots that this replica keeps for requests that wait.
func (g *Gate) SetShare(n int64) { g.share.Store(n) }

// Wants returns how many waiting requests would go if they had the slots that the
// replica lacks.
func (g *Gate) Wants(now time.Time) (n int64) {
	if g.waiting.Load() == 0 {
		return 0
	}
	l := g.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	at, most := l.clock(now), max(g.limits.Load().InFlight-g.leased.Load(), 0)
	var last *waiter
	g.queue.each(func(w *waiter, route int) bool {
		if n == most {
			return false
		}
		if w != last && w.wantsLease(at, route, g) {
			n++
			last = w
		}
		return true
	})
	return n
}

// wantsLease reports whether a route is blocked by leases only, one of them that of g.
func (w *waiter) wantsLease(at int64, route int, g *Gate) bool {
	r := &w.routes[route]
	wants := false
	for _, o := range &r.Gates {
		if o == nil {
			continue
		}
		if kind, _ := o.full(at, r.tokens()); kind == 0 {
			continue
		}
		if kind, _ := o.within(at, r.tokens(), o.limits.Load().InFlight); kind != 0 {
			return false
		}
		wants = wants || o == g
	}
	return wants
}

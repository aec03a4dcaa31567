package limit

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Bounds of the queue of a gate.
const (
	maxWaiting       = 1024
	maxWaitingCaller = maxWaiting / 2 // of one caller
)

// FullError is the end of a wait without a place.
type FullError struct {
	// Full is the limit that opens first, as far as that is known.
	Full
	// QueueFull: there was no room to wait.
	QueueFull bool
}

func (e *FullError) Error() string {
	if e.QueueFull {
		return fmt.Sprintf("%s is reached, and its queue is full", e.Kind)
	}
	return fmt.Sprintf("%s is reached", e.Kind)
}

// waiter is a request that waits.
type waiter struct {
	caller uint64
	number uint64 // by arrival
	routes []Route
	until  []time.Time // when it gives a route up; zero: it has

	// All below is guarded by the Limiter's lock.
	hold  Hold
	route int // of hold; negative: it still waits
	alarm time.Time
	wake  chan struct{}
}

// Wait takes all gates of the first route that has room, and returns which one it
// is. It waits at all routes at once, at each for the shortest Wait of the gates
// that are in its way at the beginning. Callers are served in turn, and the
// requests of one caller as they come. A queue holds 1024 requests, and one
// caller at most half.
//
// The error is a [*FullError] where all routes were given up, and the context's
// cause where that was cancelled. A request that leaves frees its place at once.
func (l *Limiter) Wait(ctx context.Context, caller uint64, routes []Route) (int, Hold, error) {
	now := time.Now()
	for i := range routes {
		if h, full := l.Try(now, &routes[i]); full.Kind == 0 {
			return i, h, nil
		}
	}
	w := &waiter{caller: caller, routes: routes, route: -1, wake: make(chan struct{}, 1)}
	l.mu.Lock()
	queueFull := l.enqueue(now, w)
	l.serveDirty(now)
	var timer *time.Timer
	for {
		if w.route >= 0 {
			l.mu.Unlock()
			return w.route, w.hold, nil
		}
		if ctx.Err() != nil {
			break
		}
		if w.alarm = l.nextLook(now, w); w.alarm.IsZero() {
			break
		}
		l.mu.Unlock()
		if timer == nil {
			timer = time.NewTimer(w.alarm.Sub(now))
			defer timer.Stop()
		} else {
			timer.Reset(w.alarm.Sub(now))
		}
		select {
		case <-w.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		now = time.Now()
		l.mu.Lock()
		if w.route < 0 {
			l.look(now, w)
		}
	}
	full := l.soonest(now, w)
	for i := range w.routes {
		l.giveUp(w, i)
	}
	l.serveDirty(now)
	l.mu.Unlock()
	if ctx.Err() != nil {
		return -1, Hold{}, context.Cause(ctx)
	}
	return -1, Hold{}, &FullError{full, queueFull}
}

// enqueue puts a request into the queues of all gates of its routes. It returns
// whether there was room at none of the routes where it would have waited.
func (l *Limiter) enqueue(now time.Time, w *waiter) (queueFull bool) {
	l.arrived++
	w.number, w.until = l.arrived, make([]time.Time, len(w.routes))
	queued := false
	for i := range w.routes {
		r := &w.routes[i]
		room := true
		for _, g := range &r.Gates {
			room = room && (g == nil || g.queue.hasRoom(w.caller))
		}
		wait := l.patience(now, r)
		switch {
		case wait == 0:
			continue
		case !room:
			queueFull = true
			continue
		}
		queued = true
		w.until[i] = now.Add(wait)
		for _, g := range &r.Gates {
			if g != nil {
				g.queue.add(w, i)
				g.waiting.Store(int32(g.queue.n))
			}
		}
		l.mark(&r.Gates)
	}
	return queueFull && !queued
}

// patience returns for how long a request may wait at a route: the shortest Wait
// of the gates in its way. Where another request was faster to open the way and
// take it again, all gates count.
func (l *Limiter) patience(now time.Time, r *Route) time.Duration {
	inTheWay, all := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for _, g := range &r.Gates {
		if g == nil {
			continue
		}
		wait := g.limits.Load().Wait
		if kind, _ := g.full(l.clock(now), r.tokens()); kind != 0 || g.stopped.Load() {
			inTheWay = min(inTheWay, wait)
		}
		if *g.limits.Load() != (Limits{}) {
			all = min(all, wait)
		}
	}
	if inTheWay != math.MaxInt64 {
		return inTheWay
	}
	return all
}

// look serves the queues again that a request waits in, and gives up the routes
// whose time is over.
func (l *Limiter) look(now time.Time, w *waiter) {
	for i := range w.routes {
		if !w.until[i].IsZero() {
			l.mark(&w.routes[i].Gates)
		}
	}
	l.serveDirty(now)
	if w.route >= 0 {
		return
	}
	for i := range w.routes {
		if !w.until[i].IsZero() && !now.Before(w.until[i]) {
			l.giveUp(w, i)
		}
	}
	l.serveDirty(now)
}

// nextLook returns when a request must look again: at the end of its patience, or
// when a bucket has filled up. It is zero where the request waits nowhere.
func (l *Limiter) nextLook(now time.Time, w *waiter) time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for i := range w.routes {
		if w.until[i].IsZero() {
			continue
		}
		earlier(w.until[i])
		if b := l.blockers(now, &w.routes[i]); !b.inFlight && b.ready.After(now) {
			earlier(b.ready)
		}
	}
	return next
}

// soonest returns the limit that opens first.
func (l *Limiter) soonest(now time.Time, w *waiter) Full {
	var first Full
	for i := range w.routes {
		b := l.blockers(now, &w.routes[i])
		f := Full{Gate: b.last, Kind: b.kind}
		if b.count == 0 {
			f = Full{Gate: w.routes[i].Gates[0], Kind: Queue}
		}
		if b.count > 0 && !b.inFlight {
			f.Ready = b.ready
		}
		if first.Gate == nil || !f.Ready.IsZero() && (first.Ready.IsZero() || f.Ready.Before(first.Ready)) {
			first = f
		}
	}
	return first
}

// blockers are the gates that are in the way of a route.
type blockers struct {
	count    int
	last     *Gate // the one that opens last
	kind     Kind
	ready    time.Time // when the last bucket has filled up
	inFlight bool      // whether it depends on other requests
}

func (l *Limiter) blockers(now time.Time, r *Route) blockers {
	var b blockers
	for _, g := range &r.Gates {
		if g == nil {
			continue
		}
		kind, ready := g.full(l.clock(now), r.tokens())
		if kind == 0 {
			continue
		}
		b.count++
		at := l.epoch.Add(time.Duration(ready))
		switch {
		case kind == InFlight:
			b.inFlight, b.last, b.kind = true, g, kind
		case b.ready.Before(at):
			b.ready = at
			if !b.inFlight {
				b.last, b.kind = g, kind
			}
		}
	}
	return b
}

// giveUp takes a request out of the queues of one route.
func (l *Limiter) giveUp(w *waiter, route int) {
	if w.until == nil || w.until[route].IsZero() {
		return
	}
	w.until[route] = time.Time{}
	for _, g := range w.routes[route].Gates {
		if g != nil {
			g.queue.remove(w, route)
			g.waiting.Store(int32(g.queue.n))
		}
	}
	l.mark(&w.routes[route].Gates)
}

// mark notes gates whose queues need a look.
func (l *Limiter) mark(gates *[maxGates]*Gate) {
	for _, g := range gates {
		if g != nil && !slices.Contains(l.dirty, g) {
			l.dirty = append(l.dirty, g)
		}
	}
}

// serve looks at the queues of gates that have room again.
func (l *Limiter) serve(now time.Time, gates *[maxGates]*Gate) {
	waiting := false
	for _, g := range gates {
		waiting = waiting || g != nil && g.waiting.Load() > 0
	}
	if !waiting {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mark(gates)
	l.serveDirty(now)
}

func (l *Limiter) serveLocked(now time.Time, g *Gate) {
	l.mark(&[maxGates]*Gate{g})
	l.serveDirty(now)
}

func (l *Limiter) serveDirty(now time.Time) {
	for len(l.dirty) > 0 {
		g := l.dirty[len(l.dirty)-1]
		l.dirty = l.dirty[:len(l.dirty)-1]
		for l.serveOne(now, g) {
		}
	}
}

// serveOne lets the next request in the queue of g go. It passes over requests
// that other gates are in the way of. A request that waits for g and for no other
// gate lets none overtake it. serveOne returns whether there may be more.
func (l *Limiter) serveOne(now time.Time, g *Gate) bool {
	stopped, served := false, false
	g.queue.each(func(w *waiter, route int) bool {
		r := &w.routes[route]
		var full Full
		if undone := l.take(now, r, &w.hold, &full); undone {
			l.mark(&r.Gates)
		}
		if full.Kind == 0 {
			w.route = route
			for i := range w.routes {
				l.giveUp(w, i)
			}
			g.queue.rotate(w.caller)
			w.signal()
			served = true
			return false
		}
		b := l.blockers(now, r)
		if !b.inFlight && b.count > 0 && (w.alarm.IsZero() || b.ready.Before(w.alarm)) {
			w.signal() // it sets a timer
		}
		if b.count == 1 {
			b.last.stopped.Store(true)
			stopped = b.last == g
		}
		return !stopped
	})
	if !stopped && !served {
		g.stopped.Store(false)
	}
	return served
}

// signal wakes a request.
func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// queue holds the requests that wait at a gate, in a line for each caller.
type queue struct {
	lines []*line // in the order of their turns
	n     int
}

type line struct {
	caller uint64
	places []place // by arrival
}

type place struct {
	*waiter
	route int
}

func (q *queue) line(caller uint64) int {
	return slices.IndexFunc(q.lines, func(l *line) bool { return l.caller == caller })
}

func (q *queue) hasRoom(caller uint64) bool {
	if q.n >= maxWaiting {
		return false
	}
	i := q.line(caller)
	return i < 0 || len(q.lines[i].places) < maxWaitingCaller
}

func (q *queue) add(w *waiter, route int) {
	i := q.line(w.caller)
	if i < 0 {
		i = len(q.lines)
		q.lines = append(q.lines, &line{caller: w.caller})
	}
	q.lines[i].places = append(q.lines[i].places, place{w, route})
	q.n++
}

func (q *queue) remove(w *waiter, route int) {
	i := q.line(w.caller)
	if i < 0 {
		return
	}
	l := q.lines[i]
	at := slices.Index(l.places, place{w, route})
	if at < 0 {
		return
	}
	l.places = slices.Delete(l.places, at, at+1)
	q.n--
	if len(l.places) == 0 {
		q.lines = slices.Delete(q.lines, i, i+1)
	}
}

// rotate gives the next turn to the next caller.
func (q *queue) rotate(caller uint64) {
	if i := q.line(caller); i >= 0 {
		l := q.lines[i]
		q.lines = append(slices.Delete(q.lines, i, i+1), l)
	}
}

// each calls f with the first request of each caller, then with the second ones,
// and so on, until f returns false. The queue may change only in that last call.
func (q *queue) each(f func(w *waiter, route int) bool) {
	for depth := 0; ; depth++ {
		deeper := false
		for _, l := range q.lines {
			if depth < len(l.places) {
				deeper = true
				if p := l.places[depth]; !f(p.waiter, p.route) {
					return
				}
			}
		}
		if !deeper {
			return
		}
	}
}

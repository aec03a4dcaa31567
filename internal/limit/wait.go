package limit

import (
	"context"
	"fmt"
	"math"
	"time"
)

// FullError is the end of a wait without a place.
type FullError struct {
	// Full is the first limit to open, as far as known.
	Full
	// QueueFull: the queues had no room.
	QueueFull bool
}

// Error names the limit as the configuration does.
func (e *FullError) Error() string {
	if e.QueueFull {
		return fmt.Sprintf("%s is reached, and its queue is full", e.Kind)
	}
	return fmt.Sprintf("%s is reached", e.Kind)
}

// waiter is a waiting request. Its own goroutine sets its timer and serves the
// queues when it fires, so the Limiter needs no goroutine.
//
// It is in the queues of all gates of its routes with room at once, and leaves
// all of them with its first hold.
type waiter struct {
	caller uint64
	routes []Route
	until  []time.Time // when it gives a route up; zero: it has

	// All below is guarded by the Limiter's lock.
	hold  Hold
	route int   // of hold; negative: it still waits
	alarm int64 // of its timer, on the Limiter's clock; zero: not set yet

	// A signal makes it look at the fields above. It has room for one, so a sender
	// never blocks.
	wake chan struct{}
}

// Wait takes all gates of the first route with room, and returns the route's index.
// It waits at all routes at once, at each for the shortest Wait of the gates in its
// way at the beginning. Callers are served in turn, and the requests of one caller
// as they come. A queue holds 1024 requests, and one caller at most half.
//
// The error is a [*FullError] after all routes were given up, or the context's
// cause. A cancelled request frees its place at once. If it got its gates in the
// same moment, they are returned without an error. Wait asks the clock, as it sets a
// timer. It does not keep routes.
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
	// A slot may have come free before the request was in the queue. Whoever frees
	// one after that sees the queue.
	l.serveDirty(now)
	var timer *time.Timer
	for {
		// A place that came together with the end of the context is taken: its
		// owner releases it.
		if w.route >= 0 {
			l.mu.Unlock()
			return w.route, w.hold, nil
		}
		if ctx.Err() != nil {
			break
		}
		alarm := l.nextLook(now, w)
		if alarm.IsZero() {
			break
		}
		w.alarm = l.clock(alarm)
		l.mu.Unlock()
		if timer == nil {
			timer = time.NewTimer(alarm.Sub(now))
			defer timer.Stop()
		} else {
			timer.Reset(alarm.Sub(now))
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
// whether it waits nowhere for want of room.
//
// A route is queued at all of its gates or at none. The caller holds mu.
func (l *Limiter) enqueue(now time.Time, w *waiter) (queueFull bool) {
	w.until = make([]time.Time, len(w.routes))
	queued := false
	for i := range w.routes {
		r := &w.routes[i]
		room := true
		for _, g := range &r.Gates {
			room = room && (g == nil || g.queue.hasRoom(w))
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
				if g.limits.Load().Exact {
					g.look()
				}
			}
		}
		l.mark(&r.Gates)
	}
	return queueFull && !queued
}

// patience returns the time for a request at a route: the shortest Wait of the
// gates in its way. If the way was open for a moment, all gates count.
// Zero means not to wait at all.
func (l *Limiter) patience(now time.Time, r *Route) time.Duration {
	at := l.clock(now)
	inTheWay, all := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for _, g := range &r.Gates {
		if g == nil {
			continue
		}
		wait := g.limits.Load().Wait
		if kind, _ := g.full(at, r.tokens()); kind != 0 || g.stopped.Load() {
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

// look serves the queues of a request again, and gives up routes at the end of
// their time.
//
// The caller holds mu.
func (l *Limiter) look(now time.Time, w *waiter) {
	at := l.clock(now)
	for i := range w.routes {
		// While its own way is blocked, others have nothing from a look either: they
		// have timers of their own.
		if r := &w.routes[i]; !w.until[i].IsZero() && blocked(at, r).count == 0 {
			l.mark(&r.Gates)
		}
	}
	l.serveDirty(now)
	if w.route >= 0 {
		return
	}
	// A request at the end of its time gets what opens in this moment.
	for i := range w.routes {
		if !w.until[i].IsZero() && !now.Before(w.until[i]) {
			l.giveUp(w, i)
		}
	}
	l.serveDirty(now)
}

// nextLook returns when a request must look again: at the end of its patience, or
// when a bucket has filled up. It is zero for a request in no queue.
func (l *Limiter) nextLook(now time.Time, w *waiter) time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	at := l.clock(now)
	for i := range w.routes {
		if w.until[i].IsZero() {
			continue
		}
		earlier(w.until[i])
		if b := blocked(at, &w.routes[i]); !b.inFlight && b.ready > at {
			earlier(l.time(b.ready))
		}
	}
	return next
}

// soonest returns the first limit to open.
//
// Ready is zero if the time is not known, as with requests in flight.
func (l *Limiter) soonest(now time.Time, w *waiter) Full {
	var first Full
	for i := range w.routes {
		b := blocked(l.clock(now), &w.routes[i])
		f := Full{Gate: b.last, Kind: b.kind}
		if b.count == 0 {
			f = Full{Gate: w.routes[i].Gates[0], Kind: Queue}
		}
		if b.count > 0 && !b.inFlight {
			f.Ready = l.time(b.ready)
		}
		if first.Gate == nil || !f.Ready.IsZero() && (first.Ready.IsZero() || f.Ready.Before(first.Ready)) {
			first = f
		}
	}
	return first
}

// blockers are the gates in the way of a route.
type blockers struct {
	count    int
	last     *Gate // to open
	kind     Kind
	ready    int64 // when the last bucket has filled up, on the Limiter's clock
	inFlight bool  // whether it depends on other requests
}

// blocked counts the full gates of a route at a time on the Limiter's clock. A full
// gate of requests in flight counts as the last to open: its time is unknown.
func blocked(at int64, r *Route) blockers {
	var b blockers
	for _, g := range &r.Gates {
		if g == nil {
			continue
		}
		switch kind, ready := g.full(at, r.tokens()); {
		case kind == 0:
			continue
		case kind == InFlight:
			b.inFlight, b.last, b.kind = true, g, kind
		case b.ready < ready:
			b.ready = ready
			if !b.inFlight {
				b.last, b.kind = g, kind
			}
		}
		b.count++
	}
	return b
}

// giveUp takes a request out of the queues of one route. The requests behind it
// may have waited for it only, so these queues need a look.
//
// A second call for a route does nothing. The caller holds mu.
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

// signal wakes a request.
// It may be called with the Limiter's lock held.
func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

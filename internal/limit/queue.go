package limit

import (
	"slices"
	"time"
)

// Bounds of the queue of a gate.
const (
	maxWaiting       = 1024
	maxWaitingCaller = maxWaiting / 2 // of one caller
)

// queue holds the waiting requests of a gate, in a line for each caller.
//
// The Limiter's mu guards it. A look costs as much as there are requests passed
// over.
type queue struct {
	lines []*line // in the order of their turns
	n     int     // requests
}

// line holds the requests of one caller.
// A caller with many requests has one turn in each round, like any other.
type line struct {
	caller uint64
	places []place // by arrival
	n      int     // requests
}

// place is a waiting request in one queue. It has as many as its routes have gates.
// Its places in one queue stand together, and count once.
type place struct {
	*waiter
	route int
}

// line returns the index of a caller's line. It is negative if the caller has none.
func (q *queue) line(caller uint64) int {
	return slices.IndexFunc(q.lines, func(l *line) bool { return l.caller == caller })
}

// hasRoom reports whether the queue and the caller's line have room for a request,
// or have it already.
func (q *queue) hasRoom(w *waiter) bool {
	i := q.line(w.caller)
	if i >= 0 && q.lines[i].has(w, len(q.lines[i].places)-1) {
		return true
	}
	return q.n < maxWaiting && (i < 0 || q.lines[i].n < maxWaitingCaller)
}

// has reports whether a place of the line is a waiter's.
func (l *line) has(w *waiter, at int) bool {
	return at >= 0 && at < len(l.places) && l.places[at].waiter == w
}

// add puts a request at the end of its caller's line.
func (q *queue) add(w *waiter, route int) {
	i := q.line(w.caller)
	if i < 0 {
		i = len(q.lines)
		q.lines = append(q.lines, &line{caller: w.caller})
	}
	l := q.lines[i]
	if !l.has(w, len(l.places)-1) {
		l.n++
		q.n++
	}
	l.places = append(l.places, place{w, route})
}

// remove takes a request out, wherever it stands. A caller without requests loses
// its turn.
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
	if !l.has(w, at-1) && !l.has(w, at) {
		l.n--
		q.n--
	}
	if len(l.places) == 0 {
		q.lines = slices.Delete(q.lines, i, i+1)
	}
}

// rotate gives the next turn to the next caller.
// The caller's further requests wait for the others' turns.
func (q *queue) rotate(caller uint64) {
	if i := q.line(caller); i >= 0 {
		l := q.lines[i]
		q.lines = append(slices.Delete(q.lines, i, i+1), l)
	}
}

// each calls f with the first request of each caller, then with the second ones,
// and so on, until f returns false. The queue may change only in the last call.
// Its cost is the product of callers and the longest line, at most, and it ends
// with the first request served.
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

// mark notes gates whose queues need a look.
// A gate stands in the list once.
func (l *Limiter) mark(gates *[maxGates]*Gate) {
	for _, g := range gates {
		if g != nil && !slices.Contains(l.dirty, g) {
			l.dirty = append(l.dirty, g)
		}
	}
}

// serve looks at the queues of gates with new room. Without waiting requests it
// costs a load for each gate. It comes after the room was made: a request that
// enters a queue later finds the room by itself.
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

// serveLocked serves one gate. The Limiter's mu is held.
func (l *Limiter) serveLocked(now time.Time, g *Gate) {
	l.mark(&[maxGates]*Gate{g})
	l.serveDirty(now)
}

// serveDirty serves the marked gates, and the ones that get marked by it, as a
// request that goes leaves the queues of other gates.
//
// mu is held.
func (l *Limiter) serveDirty(now time.Time) {
	for len(l.dirty) > 0 {
		g := l.dirty[len(l.dirty)-1]
		l.dirty = l.dirty[:len(l.dirty)-1]
		for l.serveOne(now, g) {
		}
	}
}

// serveOne lets the next request in the queue of g go. It passes over requests
// blocked by other gates. A request blocked by g only is not overtaken. serveOne
// returns whether there may be more.
func (l *Limiter) serveOne(now time.Time, g *Gate) bool {
	stopped, served, at := false, false, l.clock(now)
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
		b := blocked(at, r)
		if !b.inFlight && b.count > 0 && (w.alarm == 0 || b.ready < w.alarm) {
			w.signal() // it sets a timer
		}
		// Blocked by this gate only, it goes as soon as the gate has room. Others
		// stay behind it, so that a large request gets its tokens in the end.
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

// Package limit bounds requests, tokens and money: of providers, models and keys,
// and of clients.
//
// A [Gate] counts requests in flight, requests a minute and tokens a minute. A
// request takes all gates of its route together by [Limiter.Try]. If all of its
// routes are full, it waits by [Limiter.Wait]. A request never holds one gate while
// it waits for another. [Clients] counts requests, tokens and money of each
// client.
package limit

import (
	"sync/atomic"
	"time"
)

// maxGates is how many gates a route can have: those of its provider, its model
// and its key.
const maxGates = 3

// Route is one way for a request.
type Route struct {
	// Gates are at most three. nil is a gate without limits.
	Gates [maxGates]*Gate

	// Tokens is the estimate of the request's tokens, input and output.
	Tokens int64
}

// Hold is a request's part of its gates. The zero Hold has no part. It must not be
// copied once it may be released.
type Hold struct {
	gates    [maxGates]*Gate
	tokens   int64
	released uint32
}

// Try takes all gates of a route, or returns the limit in its way. Requests in the
// queue of a gate come first. Try does not wait and does not keep r.
func (l *Limiter) Try(now time.Time, r *Route) (h Hold, full Full) {
	for _, g := range &r.Gates {
		if g != nil && g.stopped.Load() {
			full.Gate, full.Kind = g, Queue
			return h, full
		}
	}
	if undone := l.take(now, r, &h, &full); undone {
		l.serve(now, &r.Gates)
	}
	return h, full
}

// Peek returns the limit in the way of a route, and takes nothing. It does not know
// how many slots of an exact limit other replicas have.
func (l *Limiter) Peek(now time.Time, r *Route) (full Full) {
	at, tokens := l.clock(now), r.tokens()
	for _, g := range &r.Gates {
		switch {
		case g == nil:
		case g.stopped.Load():
			return Full{Gate: g, Kind: Queue}
		default:
			if kind, ready := g.within(at, tokens, g.limits.Load().InFlight); kind != 0 {
				return l.fullAt(g, kind, ready)
			}
		}
	}
	return full
}

// take is Try without regard to queues. It sets h or full. It returns whether gates
// were taken and given back, as others may have found them full.
func (l *Limiter) take(now time.Time, r *Route, h *Hold, full *Full) (undone bool) {
	at, tokens := l.clock(now), r.tokens()
	// A look at all comes before the first is taken. Otherwise a full model would
	// make its provider look full to others now and then.
	for _, g := range &r.Gates {
		if g != nil {
			if kind, ready := g.full(at, tokens); kind != 0 {
				*full = l.fullAt(g, kind, ready)
				return false
			}
		}
	}
	for i, g := range &r.Gates {
		if g == nil {
			continue
		}
		if kind, ready := g.take(at, tokens); kind != 0 {
			for _, taken := range r.Gates[:i] {
				if taken != nil {
					taken.undo(at, tokens)
				}
			}
			*full = l.fullAt(g, kind, ready)
			return true
		}
	}
	h.gates, h.tokens = r.Gates, tokens
	return false
}

func (r *Route) tokens() int64 { return min(max(r.Tokens, 0), maxTokens) }

// fullAt names the limit in the way. For requests in flight no time is known.
func (l *Limiter) fullAt(g *Gate, kind Kind, ready int64) Full {
	f := Full{Gate: g, Kind: kind}
	if kind != InFlight {
		f.Ready = l.time(ready)
	}
	return f
}

// Release gives the slots back at now, and settles the tokens: used is the real
// number, in place of the estimate. Negative: the estimate stands. Only the first
// call counts, from whichever goroutine.
func (h *Hold) Release(now time.Time, used int64) {
	if !h.first() {
		return
	}
	back := int64(0)
	if used >= 0 {
		back = h.tokens - min(used, maxTokens)
	}
	for _, g := range &h.gates {
		if g != nil {
			g.release(g.limiter.clock(now), back)
		}
	}
	h.serve(now)
}

// Cancel gives all back, the request and its tokens included, as nothing was sent.
// It counts as Release.
func (h *Hold) Cancel(now time.Time) {
	if !h.first() {
		return
	}
	for _, g := range &h.gates {
		if g != nil {
			g.undo(g.limiter.clock(now), h.tokens)
		}
	}
	h.serve(now)
}

// serve lets waiting requests look at the gates that were given back.
func (h *Hold) serve(now time.Time) {
	for _, g := range &h.gates {
		if g != nil {
			// All gates of a route belong to one Limiter.
			g.limiter.serve(now, &h.gates)
			return
		}
	}
}

// first reports whether there is something to release, and this is the first call.
func (h *Hold) first() bool {
	return h.gates != [maxGates]*Gate{} && atomic.CompareAndSwapUint32(&h.released, 0, 1)
}

package aigateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aigateway-go/aigateway/internal/limit"
)

// maxWaitRoutes bounds the routes at which one request waits.
const maxWaitRoutes = 256

// reservation is a candidate's room for one attempt with a key. It is given back
// if no attempt takes it over.
type reservation struct {
	model *model
	key   *apiKey
	hold  limit.Hold
}

// route is the way to a candidate with a key.
func (l *lineup) route(m *model, k *apiKey) limit.Route {
	r := limit.Route{Gates: [3]*limit.Gate{m.provider.gate, m.gate, k.gate}}
	if m.provider.limits.TokensPerMinute > 0 || m.limits.TokensPerMinute > 0 || k.limits.TokensPerMinute > 0 {
		r.Tokens = l.in.estimate() + l.in.outputLimit()
	}
	return r
}

// reserve takes room for an attempt at a candidate, with the first of its keys that
// has some. It returns the limit in the way if no key has. Keys in cooldown count
// only with lastToo.
func (l *lineup) reserve(m *model, keys []*apiKey, lastToo bool, now time.Time, t *trail) (full limit.Full) {
	if !m.limited() {
		return full
	}
	all, states, err := l.keysInOrder(m, now, t)
	if err != nil {
		return full // its turn tells
	}
	for i, k := range all {
		if keys != nil && !slices.Contains(keys, k) || !lastToo && states != nil && states[i].Phase.Last() {
			continue
		}
		r := l.route(m, k)
		hold, in := l.s.limiter.Try(now, &r)
		if in.Kind == 0 {
			l.reserved = reservation{m, k, hold}
			return limit.Full{}
		}
		if full.Kind == 0 {
			full, l.laterLimit = in, in.Kind
		}
	}
	return full
}

// admit reports whether an attempt with a key may begin. A key without room is
// noted for later.
func (l *lineup) admit(m *model, k *apiKey) bool {
	switch {
	case !m.limited() || l.reserved.model == m && l.reserved.key == k:
		return true
	case l.reserved.model == m: // it was reserved because this key is full
	default:
		r := l.route(m, k)
		hold, full := l.s.limiter.Try(time.Now(), &r)
		if full.Kind == 0 {
			l.reserved = reservation{m, k, hold}
			return true
		}
		l.laterLimit = full.Kind
	}
	if !slices.Contains(l.later, k) {
		l.later = append(l.later, k)
	}
	return false
}

// unreserve gives room back that no attempt has taken over.
func (l *lineup) unreserve(now time.Time) {
	l.reserved.hold.Cancel(now)
	l.reserved = reservation{}
}

// postpone gives a candidate another turn, with the keys that had no room.
func (l *lineup) postpone(r *tried, t *trail) {
	if len(l.later) == 0 {
		return
	}
	t.skip(skipped{model: r.model, limit: l.laterLimit, tried: r, keys: l.later})
	l.later = nil
}

// takeSkipped returns the first skipped candidate with room. If all are full, it
// waits for the first one that has some. It returns nil if there is none in time.
func (l *lineup) takeSkipped(t *trail) *skipped {
	now := time.Now()
	for i, k := range t.skipped {
		full := l.reserve(k.model, k.keys, true, now, t)
		if full.Kind == 0 {
			t.skipped = slices.Delete(t.skipped, i, i+1)
			return k
		}
		k.limit = full.Kind
	}
	if len(t.skipped) == 0 {
		return nil
	}
	return l.wait(t)
}

// wait waits at all skipped candidates at once.
func (l *lineup) wait(t *trail) *skipped {
	begin := time.Now()
	var routes []limit.Route
	var of []reservation
	for _, k := range t.skipped {
		keys, _, err := l.keysInOrder(k.model, begin, t)
		if err != nil {
			continue
		}
		for _, key := range keys {
			if len(routes) < maxWaitRoutes && (k.keys == nil || slices.Contains(k.keys, key)) {
				routes, of = append(routes, l.route(k.model, key)), append(of, reservation{model: k.model, key: key})
			}
		}
	}
	ctx, cancel := context.WithDeadlineCause(l.in.ctx, l.deadline, errTotal(l.s.total))
	i, hold, err := l.s.limiter.Wait(ctx, l.in.owner, routes)
	cancel()
	t.waited += time.Since(begin)
	t.queued += time.Since(begin)
	if err != nil {
		l.full = fullOf(err, routes, of)
		return nil
	}
	l.reserved = reservation{of[i].model, of[i].key, hold}
	at := slices.IndexFunc(t.skipped, func(k *skipped) bool { return k.model == of[i].model })
	k := t.skipped[at]
	t.skipped = slices.Delete(t.skipped, at, at+1)
	return k
}

// fullOf is the error of a request that found no room in time.
func fullOf(err error, routes []limit.Route, of []reservation) *Error {
	e := errorf(CodeAtCapacity, "all models for this request are at capacity: send it again later")
	e.Err, e.retryAfter = err, time.Second
	var full *limit.FullError
	if !errors.As(err, &full) {
		return e
	}
	if !full.Ready.IsZero() {
		e.retryAfter = max(time.Until(full.Ready), time.Second)
	}
	for i, r := range routes {
		switch full.Gate {
		case nil:
		case r.Gates[0]:
			e.Err = fmt.Errorf("provider %q: %w", of[i].model.provider.id, err)
		case r.Gates[1]:
			e.Err = fmt.Errorf("model %q: %w", of[i].model.name(), err)
		case r.Gates[2]:
			e.Err = fmt.Errorf("key %s of provider %q: %w", of[i].key.id, of[i].model.provider.id, err)
		}
	}
	return e
}

// limitOf returns the limit that keeps a candidate from an attempt now, and takes
// nothing. It is empty if some key has room.
func (l *lineup) limitOf(m *model, keys []*apiKey, now time.Time) string {
	if !m.limited() || len(keys) == 0 {
		return ""
	}
	var first limit.Kind
	for _, k := range keys {
		r := l.route(m, k)
		full := l.s.limiter.Peek(now, &r)
		if full.Kind == 0 {
			return ""
		}
		if first == 0 {
			first = full.Kind
		}
	}
	return first.String()
}

// settle gives the room of an attempt back. Its tokens are those that it used: none
// if it was refused, the estimate if nobody counted them.
func (a *attempt) settle(now time.Time) {
	switch {
	case !a.sent:
		a.hold.Cancel(now)
	case a.status/100 != 2:
		a.hold.Release(now, 0)
	case a.failure == nil && a.input+a.output > 0:
		a.hold.Release(now, a.input+a.output)
	default:
		a.hold.Release(now, -1)
	}
}

// outputLimit is the limit of the client on the tokens of the answer, 0 without one.
func (in *inbound) outputLimit() int64 {
	least := 0.0
	for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens"} {
		if n, _, ok := in.body.Number(name); ok && n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return int64(min(least, 1<<40))
}

// passedOver reports whether a limit kept a candidate back during the request.
func (t *trail) passedOver(m *model) bool { return slices.Contains(t.limited, m) }

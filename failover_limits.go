package aigateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aigateway-go/aigateway/internal/limit"
)

// maxWaitRoutes bounds the routes of one waiting request.
//
// It bounds the memory of a request that waits.
const maxWaitRoutes = 256

// reservation is a candidate's room for one attempt with a key. It is given back if
// no attempt takes it over.
type reservation struct {
	model *model
	key   *apiKey
	hold  limit.Hold
}

// capacity is the room for the next attempt of a request.
//
// At most one reservation is held at a time. Whoever ends a turn gives it back
// or takes it over.
type capacity struct {
	limiter  *limit.Limiter
	in       *inbound
	total    time.Duration // total_timeout
	deadline time.Time     // its end

	reserved   reservation // for the next attempt
	later      []*apiKey   // of the candidate at hand, without room so far
	laterLimit limit.Kind
	full       *Error // why nothing is left, if that is for want of room
}

// route is the way to a candidate with a key.
//
// The gates are those of the provider, the model and the key; nil is a gate
// without limits. Tokens are counted only where a limit needs them.
func (c *capacity) route(m *model, k *apiKey) limit.Route {
	r := limit.Route{Gates: [3]*limit.Gate{m.provider.gate, m.gate, k.gate}}
	if c.in.places() {
		return r // its bytes are not a prompt
	}
	if m.provider.limits.TokensPerMinute > 0 || m.limits.TokensPerMinute > 0 || k.limits.TokensPerMinute > 0 {
		r.Tokens = c.in.estimate() + c.in.outputLimit()
	}
	return r
}

// reserve takes room for an attempt at a candidate, with the first key that has
// some. It returns the limit in the way if no key has.
func (c *capacity) reserve(m *model, keys []*apiKey, now time.Time) (full limit.Full) {
	for _, k := range keys {
		r := c.route(m, k)
		hold, in := c.limiter.Enter(c.in.ctx, now, &r)
		if in.Kind == 0 {
			c.reserved = reservation{m, k, hold}
			return limit.Full{}
		}
		if full.Kind == 0 {
			full, c.laterLimit = in, in.Kind
		}
	}
	return full
}

// admit reports whether an attempt with a key may begin. A key without room is
// noted for later.
func (c *capacity) admit(m *model, k *apiKey) bool {
	switch {
	case !m.limited() || c.reserved.model == m && c.reserved.key == k:
		return true
	case c.reserved.model == m: // it was reserved because this key is full
	default:
		if full := c.reserve(m, []*apiKey{k}, time.Now()); full.Kind == 0 {
			return true
		}
	}
	if !slices.Contains(c.later, k) {
		c.later = append(c.later, k)
	}
	return false
}

// takeOver returns the reservation's hold, to be released by the attempt.
func (c *capacity) takeOver() limit.Hold {
	hold := c.reserved.hold
	c.reserved = reservation{}
	return hold
}

// unreserve gives a reservation back, if no attempt has taken it over.
func (c *capacity) unreserve(now time.Time) {
	c.reserved.hold.Cancel(now)
	c.reserved = reservation{}
}

// postpone gives a candidate another turn, with the keys left over.
func (c *capacity) postpone(r *tried, t *trail) {
	if len(c.later) == 0 {
		return
	}
	t.skip(skipped{model: r.model, limit: c.laterLimit, tried: r, keys: c.later})
	c.later = nil
}

// wait waits at all skipped candidates at once, and returns the first one with
// room. It returns nil if there is none in time.
//
// keysOf gives the keys of a skipped candidate to wait for. The time is noted as
// waited and as queued.
func (c *capacity) wait(t *trail, keysOf func(*skipped) []*apiKey) *skipped {
	begin := time.Now()
	var routes []limit.Route
	var of []reservation
	for _, k := range t.skipped {
		for _, key := range keysOf(k) {
			if len(routes) < maxWaitRoutes {
				routes, of = append(routes, c.route(k.model, key)), append(of, reservation{model: k.model, key: key})
			}
		}
	}
	ctx, cancel := context.WithDeadlineCause(c.in.ctx, c.deadline, errTotal(c.total))
	i, hold, err := c.limiter.Wait(ctx, c.in.owner, routes)
	cancel()
	t.waited += time.Since(begin)
	t.queued += time.Since(begin)
	if err != nil {
		c.full = fullOf(err, routes, of)
		return nil
	}
	c.reserved = reservation{of[i].model, of[i].key, hold}
	return t.resume(slices.IndexFunc(t.skipped, func(k *skipped) bool { return k.model == of[i].model }))
}

// fullOf is the error of a request without room in time. The client learns only the
// wait; the operator learns the limit.
func fullOf(err error, routes []limit.Route, of []reservation) *Error {
	e := errorf(CodeAtCapacity, "all models for this request are at capacity: send it again later")
	e.Err, e.RetryAfter = err, time.Second
	var full *limit.FullError
	if !errors.As(err, &full) {
		return e
	}
	if !full.Ready.IsZero() {
		e.RetryAfter = max(time.Until(full.Ready), time.Second)
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

// limitOf returns the limit in the way of a candidate, and takes nothing. It is
// empty if some key has room.
func (c *capacity) limitOf(m *model, keys []*apiKey, now time.Time) string {
	if !m.limited() || len(keys) == 0 || m.provider.estimates(c.in.surface) {
		return ""
	}
	var first limit.Kind
	for _, k := range keys {
		r := c.route(m, k)
		full := c.limiter.Peek(now, &r)
		if full.Kind == 0 {
			return ""
		}
		if first == 0 {
			first = full.Kind
		}
	}
	return first.String()
}

// settle gives back the room of an attempt. The attempt's tokens are its real ones:
// zero if it was refused, the estimate if the upstream did not count them.
//
// It is called once for each attempt, also for one that was never sent.
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

// outputLimit is the client's limit on the answer's tokens, 0 without one.
//
// The least of several limits counts. The bound keeps the sum with the estimate
// in range.
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

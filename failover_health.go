package aigateway

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// lineup gives the candidates of a request their turn: the healthy ones in order,
// then those in cooldown, the soonest ready first. A request makes at most one
// probe.
type lineup struct {
	s          *settings
	in         *inbound
	candidates []*model
	next       int           // of candidates
	direct     skipped       // the candidate at hand, if it was not skipped
	chosen     []keysOf      // by the key strategies, once a candidate
	values     []valueOf     // of keys that depend on the request
	counts     []promptCount // of the prompt's tokens
	turn       stats.Turn    // of the candidate that is to be tried next
	turnOf     *model
	probed     bool // the request has made its probe
	probing    *model

	room capacity
}

// keysOf is the result of key selection for a candidate.
type keysOf struct {
	model *model
	keyChoice
}

// valueOf is the track of a key's value for this request.
type valueOf struct {
	key   *apiKey
	track *stats.Track
}

// take returns the next candidate, nil after the last. A candidate from an earlier
// turn comes with the keys left over from it. take records skipped candidates in
// the trail.
//
// A skipped candidate comes back in the second round, after all others had their
// turn: a cooldown says "later" and refuses nothing.
func (l *lineup) take(t *trail) *skipped {
	for l.next < len(l.candidates) {
		m := l.candidates[l.next]
		l.next++
		now := time.Now()
		l.attach(m, now)
		full := l.reserve(m, l.keysToReserve(m, nil, false, now, t), now)
		if full.Kind == 0 && l.begins(m, now, t) {
			l.direct.model = m
			return &l.direct
		}
		l.room.unreserve(now)
		t.skip(skipped{model: m, at: now, cooldown: l.cooldown(m, now, t), limit: full.Kind})
	}
	if l.next == len(l.candidates) {
		l.next++
		now := time.Now()
		t.skipped = stats.Order(t.skipped, !l.probed, func(k *skipped) stats.State { return l.cooldown(k.model, now, t) })
	}
	return l.takeSkipped(t)
}

// takeSkipped returns the first skipped candidate with room. If all are full, it
// waits for the first one that has some. It returns nil if there is none in time.
func (l *lineup) takeSkipped(t *trail) *skipped {
	now := time.Now()
	keysOf := func(k *skipped) []*apiKey { return l.keysToReserve(k.model, k.keys, true, now, t) }
	for i, k := range t.skipped {
		full := l.reserve(k.model, keysOf(k), now)
		if full.Kind == 0 {
			return t.resume(i)
		}
		k.limit = full.Kind
	}
	if len(t.skipped) == 0 {
		return nil
	}
	return l.room.wait(t, keysOf)
}

// reserve takes room for an attempt at a candidate. A prompt that the candidate
// refuses beforehand needs none.
func (l *lineup) reserve(m *model, keys []*apiKey, now time.Time) limit.Full {
	full := l.room.reserve(m, keys, now)
	if full.Kind != 0 && l.inputTooLarge(m) != nil {
		return limit.Full{} // its turn tells
	}
	return full
}

// promptCount is a candidate's count of the prompt's tokens, and its refusal if they are
// too many.
type promptCount struct {
	model  *model
	tokens int64
	err    *Error
}

// inputTooLarge refuses a prompt over max_input_tokens. A body with no more bytes
// than the limit is not counted: no token is shorter than a byte. Others are counted
// once a candidate.
func (l *lineup) inputTooLarge(m *model) *Error {
	limit := l.s.maxInput
	if limit == 0 || int64(len(l.in.raw)) <= limit || m.id == "" {
		return nil
	}
	i := slices.IndexFunc(l.counts, func(c promptCount) bool { return c.model == m })
	if i < 0 {
		i = len(l.counts)
		l.counts = append(l.counts, l.count(m, limit))
	}
	if c := l.counts[i]; c.tokens > 0 {
		l.in.tokens = c.tokens
	}
	return l.counts[i].err
}

// count has the prompt's tokens counted for a candidate.
// The counter is code of the embedding service. It has until the end of
// total_timeout, and its fault refuses the candidate: a limit must not pass what
// cannot be counted.
func (l *lineup) count(m *model, limit int64) promptCount {
	ctx, cancel := context.WithDeadline(l.in.ctx, l.room.deadline)
	defer cancel()
	n, err := l.s.counter.CountTokens(ctx, m.id, l.in.raw)
	c := promptCount{model: m, tokens: n}
	switch {
	case err != nil:
		c.tokens, c.err = 0, errorf(CodeInputTooLarge, "the prompt's tokens cannot be counted")
		c.err.Err = err
	case n > limit:
		c.err = errorf(CodeInputTooLarge, "the prompt has about %d tokens, and max_input_tokens is %d", n, limit)
	}
	return c
}

// keysToReserve returns the keys of a candidate with limits in their order: those
// left from an earlier turn, or else all. Without lastToo, keys in cooldown are left
// out. A candidate without limits has none, and needs none for an estimate.
func (l *lineup) keysToReserve(m *model, left []*apiKey, lastToo bool, now time.Time, t *trail) []*apiKey {
	if !m.limited() || m.provider.estimates(l.in.surface) {
		return nil
	}
	all, states, err := l.keysInOrder(m, now, t)
	if err != nil {
		return nil // its turn tells
	}
	keys := make([]*apiKey, 0, len(all))
	for i, k := range all {
		if (left == nil || slices.Contains(left, k)) && (lastToo || states == nil || !states[i].Phase.Last()) {
			keys = append(keys, k)
		}
	}
	return keys
}

// more reports whether another candidate may still have its turn.
func (l *lineup) more(t *trail) bool { return l.next < len(l.candidates) || len(t.skipped) > 0 }

// begins reports whether a candidate may be tried before the ones in cooldown. If
// it is due for a probe, this request is the probe.
func (l *lineup) begins(m *model, now time.Time, t *trail) bool {
	if k := l.keysState(m, now, t); k.Phase.Last() || k.Phase == stats.Due && l.probed {
		return false
	}
	turn, ok := m.track.Health.Begin(now, l.in.asks(), lease(m), !l.probed)
	if !ok {
		turn.Release(now)
		return false
	}
	l.turn, l.turnOf = turn, m
	l.probe(m, turn.Probe())
	return true
}

// lease is the longest time for which a probe keeps other requests away. A slow
// probe must not hide a candidate from all of them.
func lease(m *model) time.Duration { return min(m.timeout, longestLease) }

// probe notes that this request probes a candidate, or the key of one.
func (l *lineup) probe(m *model, is bool) {
	if is {
		l.probed, l.probing = true, m
	}
}

// mayProbe reports whether this request may still probe. It makes one probe; a
// candidate with its key counts as one.
func (l *lineup) mayProbe(m *model) bool { return !l.probed || l.probing == m }

// keys returns the keys of a candidate that the request may go with, in the order of
// their turn.
func (l *lineup) keys(m *model, t *trail) ([]*apiKey, *Error) {
	keys, err := l.chosenKeys(m, t)
	if err != nil && l.in.place.key == nil {
		return nil, err
	}
	if keys = l.in.place.narrow(keys, l.s.selector.isOwn); len(keys) == 0 {
		return nil, errorf(CodeNoAPIKey, "no key of provider %q that was chosen is the caller's own", m.provider.id)
	}
	return keys, nil
}

// chosenKeys returns a candidate's keys in the order of their turn, chosen once a
// request.
func (l *lineup) chosenKeys(m *model, t *trail) ([]*apiKey, *Error) {
	if len(m.provider.keys) == 0 {
		return m.provider.keyless, nil
	}
	if len(l.s.selector.keyStrategies) == 0 {
		return m.provider.keys, nil
	}
	if c := l.choice(m); c != nil {
		return c.keys, c.err
	}
	c := l.s.selector.keysFor(l.in.ctx, m, l.in.query(), func(k *apiKey) int64 { return l.track(k).InFlight() })
	for _, n := range c.notes {
		t.note("%s", n)
	}
	l.chosen = append(l.chosen, keysOf{m, c})
	return c.keys, c.err
}

// choice returns the result of key selection for a candidate. Nil if the keys were
// not chosen yet.
func (l *lineup) choice(m *model) *keyChoice {
	for i := range l.chosen {
		if k := &l.chosen[i]; k.model == m {
			return &k.keyChoice
		}
	}
	return nil
}

// keysInOrder returns a candidate's keys with their states. Keys in cooldown come
// last.
func (l *lineup) keysInOrder(m *model, now time.Time, t *trail) ([]*apiKey, []stats.State, *Error) {
	keys, err := l.keys(m, t)
	if err != nil || len(keys) == 1 && keys[0].none {
		return keys, nil, err
	}
	keys = stats.Order(keys, l.mayProbe(m), func(k *apiKey) stats.State { return l.keyState(k, m, now) })
	var states []stats.State
	if len(keys) == 1 && !t.room.stated {
		states, t.room.stated = t.room.states[:], true
	} else {
		states = make([]stats.State, len(keys))
	}
	for i, k := range keys {
		states[i] = l.keyState(k, m, now)
	}
	if l.in.place.sole && len(keys) > 1 {
		return keys[:1], states[:1], nil
	}
	return keys, states, nil
}

// track is the track of a key. A key that depends on the request has a track for
// each value: one tenant's cooldown does not affect another.
// The value is resolved once a request.
func (l *lineup) track(k *apiKey) *stats.Track {
	if !k.perRequest && !(k.none && l.s.selector.passThrough && l.in.credential.given()) {
		return k.track
	}
	if i := slices.IndexFunc(l.values, func(v valueOf) bool { return v.key == k }); i >= 0 {
		return l.values[i].track
	}
	value := l.in.credential.value.Reveal()
	if !k.none {
		var set redact.Set
		t := templates{secrets: l.s.secrets, set: &set}
		t.in.Request, t.in.Secret = &l.in.request, t.secret
		ctx, cancel := context.WithDeadline(l.in.ctx, earlier(time.Now().Add(l.s.perRequest), l.room.deadline))
		value, _ = t.text(ctx, k.value) // a value that fails is told by the attempt
		cancel()
	}
	track := l.s.selector.recorder.KeyValue(k.provider, l.s.hashKey(k.provider, value), l.in.callerID, time.Now())
	l.values = append(l.values, valueOf{k, track})
	return track
}

// earlier is the first of two moments.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// hashKey is the keyed hash of a key's value at a provider. It is the same in all
// replicas of a fleet.
//
// Without a fleet, two hashes of 64 bits with different salts make the 128 bits.
// The seed is the gateway's own, so that a collision cannot be aimed at.
func (s *settings) hashKey(provider, value string) (sum [16]byte) {
	if s.fleet != nil {
		return s.fleet.Of("key", provider, value)
	}
	for i, salt := range []string{"a", "b"} {
		h := maphash.String(s.callers.seed, salt+value)
		for j := range 8 {
			sum[8*i+j] = byte(h >> (8 * j))
		}
	}
	return sum
}

// keyState is the health of a key for this request at a model. It is the zero
// State, healthy, for a model without a track.
func (l *lineup) keyState(k *apiKey, m *model, now time.Time) stats.State {
	if m.track == nil {
		return stats.State{}
	}
	return l.track(k).Key.State(now, m.track, l.in.asks())
}

// keysState is the state of the key that is ready first.
func (l *lineup) keysState(m *model, now time.Time, t *trail) stats.State {
	keys, _ := l.keys(m, t)
	if len(keys) == 1 {
		return l.keyState(keys[0], m, now)
	}
	states := make([]stats.State, len(keys))
	for i, k := range keys {
		states[i] = l.keyState(k, m, now)
	}
	return stats.FirstReady(states...)
}

// cooldown is the cooldown of a candidate and its keys. It ends when both the
// candidate's own and the first key's have ended. An unlisted model without a track
// is healthy.
func (l *lineup) cooldown(m *model, now time.Time, t *trail) stats.State {
	if m.track == nil {
		return stats.State{}
	}
	return l.own(m, now).And(l.keysState(m, now, t))
}

// own is the cooldown of the candidate itself, without its keys.
func (l *lineup) own(m *model, now time.Time) stats.State {
	if m.track == nil {
		return stats.State{}
	}
	return m.track.Health.State(now, l.in.asks())
}

// probes reports whether this request is the probe of a candidate.
func (l *lineup) probes(m *model) bool { return l.turnOf == m && l.turn.Probe() }

// hand gives the turn of a candidate to an attempt.
func (l *lineup) hand(m *model, now time.Time) stats.Turn {
	if l.turnOf == m {
		l.turnOf = nil
		return l.turn
	}
	turn, _ := m.track.Health.Begin(now, l.in.asks(), lease(m), l.mayProbe(m))
	l.probe(m, turn.Probe())
	return turn
}

// handKey gives the turn of a key to an attempt.
func (l *lineup) handKey(m *model, track *stats.Track, now time.Time) stats.KeyTurn {
	turn, _ := track.Key.Begin(now, m.track, l.in.asks(), lease(m), l.mayProbe(m))
	l.probe(m, turn.Probe())
	return turn
}

// release gives turn and room back if nothing was sent.
func (l *lineup) release() {
	l.room.unreserve(time.Now())
	if l.turnOf != nil {
		l.turn.Release(time.Now())
		l.turnOf = nil
	}
}

// attach gives an unlisted model the track of its name. A listed model has one.
func (l *lineup) attach(m *model, now time.Time) {
	if m.track == nil {
		m.track = l.s.selector.recorder.Unlisted(fold(m.provider.id), fold(m.id), l.in.callerID, now)
	}
}

// retract takes the failures of a request back that failed alike at every
// candidate it had: the request was at fault, and not the candidates.
//
// A request that a policy stopped early had not every candidate, and takes nothing back.
func (t *trail) retract(candidates int, now time.Time, health *fleet.Health) {
	// A single candidate cannot tell a bad request from a bad candidate.
	if candidates < 2 || len(t.tried) < candidates || len(t.attempts) == 0 {
		return
	}
	first := t.attempts[0]
	for _, a := range t.attempts[1:] {
		if first.failure != nil && first.failure.again() {
			first = a
		}
	}
	for _, r := range t.tried {
		if len(r.attempts) == 0 {
			return
		}
		for _, a := range r.attempts {
			if a.failure != nil && a.failure.again() {
				continue
			}
			if a.failure == nil || a.failure.gone || !retractable(first.failure.Cause, a.failure.Cause) {
				return
			}
		}
	}
	for _, a := range t.attempts {
		a.turn.Retract(now)
		health.Changed(a.model.track)
	}
}

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

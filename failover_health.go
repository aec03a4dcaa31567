package aigateway

import (
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// lineup gives the candidates of a request their turn: the healthy ones in order,
// then those in cooldown, of which the one that is ready first comes first.
type lineup struct {
	s          *settings
	in         *inbound
	candidates []*model
	next       int        // of candidates
	chosen     []keysOf   // by the key strategies, once a candidate
	turn       stats.Turn // of the candidate that is to be tried next
	turnOf     *model
}

// keysOf is the result of key selection for a candidate.
type keysOf struct {
	model *model
	keys  []*apiKey
	err   *Error
}

// take returns the candidate whose turn it is, nil after the last. It records in
// the trail which ones are skipped for now.
func (l *lineup) take(t *trail) *model {
	for l.next < len(l.candidates) {
		m := l.candidates[l.next]
		l.next++
		l.s.selector.attach(m)
		now := time.Now()
		if l.begins(m, now, t) {
			return m
		}
		t.skip(m, now, l.cooldown(m, now, t))
	}
	if l.next == len(l.candidates) {
		l.next++
		now := time.Now()
		t.skipped = stats.Order(t.skipped, func(k *skipped) stats.State { return l.cooldown(k.model, now, t) })
	}
	if len(t.skipped) == 0 {
		return nil
	}
	m := t.skipped[0].model
	t.skipped = t.skipped[1:]
	return m
}

// begins reports whether a candidate may be tried now, and not after the healthy
// ones. If it is due for a probe, this request is the probe.
func (l *lineup) begins(m *model, now time.Time, t *trail) bool {
	if keys, _ := l.keys(m, t); len(keys) > 0 && keysCooldown(keys, now).Phase.Last() {
		return false
	}
	turn, ok := m.track.Rest.Begin(now, m.provider.timeout)
	if ok {
		l.turn, l.turnOf = turn, m
	}
	return ok
}

// keys returns a candidate's keys in the order of their turn, chosen once a
// request.
func (l *lineup) keys(m *model, t *trail) ([]*apiKey, *Error) {
	if len(m.provider.keys) == 0 || len(l.s.selector.keyStrategies) == 0 {
		return m.provider.keys, nil
	}
	for i := range l.chosen {
		if k := &l.chosen[i]; k.model == m {
			return k.keys, k.err
		}
	}
	keys, notes, err := l.s.selector.keysFor(l.in.ctx, m, &l.in.request)
	for _, n := range notes {
		t.note("%s", n)
	}
	l.chosen = append(l.chosen, keysOf{m, keys, err})
	return keys, err
}

// keysInOrder returns a candidate's keys with those in cooldown at the end.
func (l *lineup) keysInOrder(m *model, now time.Time, t *trail) ([]*apiKey, *Error) {
	keys, err := l.keys(m, t)
	if err != nil {
		return nil, err
	}
	return stats.Order(keys, func(k *apiKey) stats.State { return k.track.Rest.State(now) }), nil
}

// cooldown is that of a candidate and its keys: it ends when both the candidate's
// own and that of its first key have ended.
func (l *lineup) cooldown(m *model, now time.Time, t *trail) stats.State {
	keys, _ := l.keys(m, t)
	return cooldownWith(m, keys, now)
}

// probes reports whether this request is the probe of a candidate.
func (l *lineup) probes(m *model) bool { return l.turnOf == m && l.turn.Probe() }

// hand gives the turn of a candidate to the call.
func (l *lineup) hand(m *model, c *call) {
	if l.turnOf == m {
		c.turn, l.turnOf = l.turn, nil
		return
	}
	c.turn, _ = m.track.Rest.Begin(time.Now(), m.provider.timeout)
}

// release gives the turn back if nothing was sent.
func (l *lineup) release() {
	if l.turnOf != nil {
		l.turn.Release()
		l.turnOf = nil
	}
}

// attach gives an unlisted model the track of its name. A listed model has one.
func (s *selector) attach(m *model) {
	if m.track == nil {
		m.track = s.recorder.Passing(fold(m.provider.id), fold(m.id), time.Now())
	}
}

// cooldown is that of the candidate itself, without its keys.
func (m *model) cooldown(now time.Time) stats.State {
	if m.track == nil {
		return stats.State{}
	}
	return m.track.Rest.State(now)
}

func cooldownWith(m *model, keys []*apiKey, now time.Time) stats.State {
	own := m.cooldown(now)
	if k := keysCooldown(keys, now); k.Phase.Last() && k.Until.After(own.Until) {
		return k
	}
	return own
}

// keysCooldown is that of the key that is ready first.
func keysCooldown(keys []*apiKey, now time.Time) stats.State {
	var first stats.State
	for i, k := range keys {
		s := k.track.Rest.State(now)
		if !s.Phase.Last() {
			return s
		}
		if i == 0 || s.Until.Before(first.Until) {
			first = s
		}
	}
	return first
}

// beginTurn takes the key's turn for an attempt.
func (c *call) beginTurn(a *attempt) {
	c.keyTurn = stats.Turn{}
	if c.key != nil {
		c.keyTurn, _ = c.key.track.Rest.Begin(a.start, c.model.provider.timeout)
	}
}

// end completes the record of an attempt, and reports it to the metrics and to the
// health of the candidate and the key.
func (c *call) end(a *attempt, f *failure) {
	if f != nil {
		f.hint = hint(a, f)
	}
	a.failure = f
	a.total = time.Since(a.start)
	tokens := c.held.meter.Tokens()
	a.input, a.output = tokens.Input, tokens.Output

	now := time.Now()
	before := c.model.track.Rest.State(now).Resting()
	class := c.class(f)
	switch class {
	case stats.Answered:
		c.turn.Success()
		c.keyTurn.Success()
	case stats.ClientFault:
		c.turn.Release()
	default:
		c.turn.Failure(now)
	}
	c.keyTurn.Release()
	if f != nil {
		a.cooldown = coolDown(c.model, c.key, f, now)
		if until := c.model.track.Rest.State(now).Resting(); until.After(before) {
			a.cooldown = max(a.cooldown, until.Sub(now))
		}
	}
	if a.sent {
		o := c.measured(a, class)
		c.model.track.End(now, o)
		if c.key != nil {
			c.key.track.End(now, o)
		}
	}
}

// class says how an attempt ended, and so whose fault it was.
func (c *call) class(f *failure) stats.Class {
	switch {
	case f == nil:
		return stats.Answered
	case c.in.ctx.Err() != nil, f.gone:
		return stats.ClientFault
	}
	return f.meaning().class
}

// coolDown puts a key into cooldown that is refused or has used up its rate. For a
// provider without keys it is the candidate. It returns for how long.
func coolDown(m *model, key *apiKey, f *failure, now time.Time) time.Duration {
	d := f.meaning().cooldown(f.RetryAfter)
	if d <= 0 {
		return 0
	}
	if key != nil {
		key.track.Rest.RestUntil(now, now.Add(d))
	} else {
		m.track.Rest.RestUntil(now, now.Add(d))
	}
	return d
}

// heal ends the cooldown of a key whose secret has changed: the refusal of the old
// one says nothing about the new one.
func heal(m *model, key *apiKey) {
	r := &m.track.Rest
	if key != nil {
		r = &key.track.Rest
	}
	turn, _ := r.Begin(time.Now(), 0)
	turn.Success()
}

// measured is an attempt as the metrics keep it. Only an answer says how fast a
// candidate is: a candidate that fails at once is not fast.
func (c *call) measured(a *attempt, class stats.Class) stats.Outcome {
	if c.s.selector.usesEstimates && c.in.tokens == 0 {
		c.in.tokens = usage.Estimate(c.in.raw)
	}
	o := stats.Outcome{
		Class: class, ProviderInput: a.input, ProviderOutput: a.output,
		EstimatedInput: c.in.tokens, EstimatedOutput: c.held.written.Tokens(),
	}
	making := a.sentAt.Sub(a.start) // the request; a slow secret store is not the provider's fault
	switch class {
	case stats.Answered:
		o.Upstream = a.total - making
		if a.firstToken > 0 {
			o.FirstToken = a.firstToken - making
		}
		if writing := a.total - a.firstToken; a.firstToken > 0 && a.output > 1 {
			o.PerOutputToken = writing / time.Duration(a.output-1)
		}
		o.Gateway = c.trail.overhead(c.in, a.sentAt, a)
	case stats.TimedOut:
		o.Upstream = a.total - making // it took at least so long
	}
	return o
}

// allows notes the limits of the key that an answer tells.
func (k *apiKey) allows(h http.Header, now time.Time) {
	q := usage.RateLimit(h, now)
	if !q.Known() {
		return
	}
	k.track.Quota.SetRequests(now, stats.Allowance{
		Limit: stats.Count(q.LimitRequests), Remaining: stats.Count(q.RemainingRequests), Reset: q.ResetRequests,
	})
	k.track.Quota.SetTokens(now, stats.Allowance{
		Limit: stats.Count(q.LimitTokens), Remaining: stats.Count(q.RemainingTokens), Reset: q.ResetTokens,
	})
}

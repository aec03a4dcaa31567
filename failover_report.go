package aigateway

import (
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/ratelimit"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// end completes the record of an attempt, and reports it to the metrics and to the
// health of the candidate and the key.
func (c *call) end(a *attempt, f *failure) {
	if f != nil {
		f.hint = hint(a, f)
	}
	a.failure = f
	a.total = time.Since(a.start)

	now := time.Now()
	class := stats.ClientFault
	switch {
	case f == nil:
		class = stats.Answered
		a.turn.Success(now)
		a.keyTurn.Success(now)
	case c.in.ctx.Err() != nil, f.gone, f.usageRefused:
	default:
		m := f.meaning()
		class = m.class
		c.blame(a, f, m, now)
	}
	a.turn.Release(now)
	a.keyTurn.Release(now)
	a.settle(now)
	if a.sent {
		o := c.measured(a, class)
		c.model.track.End(now, o)
		c.track.End(now, o)
	}
}

// blame reports a failure to the health of the candidate or the key.
func (c *call) blame(a *attempt, f *failure, m *meaning, now time.Time) {
	if m.candidate != nil {
		a.cooldown = a.turn.Failure(now, *m.candidate).Length
	}
	// With an operator's own credential, or in a form that is not settled yet, no
	// key is at fault. A limit is one all the same.
	if m.key == nil || f.otherForm || a.operatorAuth && !m.limit {
		return
	}
	r := *m.key
	r.Told = f.RetryAfter
	a.cooldown = a.keyTurn.Refused(now, r)
}

// measured is an attempt as the metrics keep it. Only an answer says how fast a
// candidate is: a candidate that fails at once is not fast.
func (c *call) measured(a *attempt, class stats.Class) stats.Outcome {
	o := stats.Outcome{Class: class, ProviderInput: a.input, ProviderOutput: a.output, EstimatedInput: c.in.tokens}
	if c.s.selector.uses.Estimates {
		o.EstimatedInput, o.EstimatedOutput = c.in.estimate(), c.held.written.Tokens()
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

// noteQuota notes the limits of a key that an answer tells.
func noteQuota(track *stats.Track, h http.Header, now time.Time) {
	q := ratelimit.Read(h, now)
	if !q.Known() {
		return
	}
	track.Quota.SetRequests(now, stats.Allowance{
		Limit: stats.Count(q.LimitRequests), Remaining: stats.Count(q.RemainingRequests), Reset: q.ResetRequests,
	})
	track.Quota.SetTokens(now, stats.Allowance{
		Limit: stats.Count(q.LimitTokens), Remaining: stats.Count(q.RemainingTokens), Reset: q.ResetTokens,
	})
}

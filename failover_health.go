package aigateway

import (
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// unauthorizedRest is how long a key rests after a 401 that does not say when
// to come back.
const unauthorizedRest = time.Minute

// measure returns the function that reports the end of an attempt: to the
// metrics, and to what decides whether the candidate and the key rest.
func (x *exchange) measure(m *model, key *apiKey, a *attemptRecord) func(f *failure) {
	a.turn = x.takeTurn(m, a.start)
	var keyTurn stats.Turn
	if key != nil {
		keyTurn, _ = key.track.Rest.Begin(a.start, m.provider.timeout)
	}
	return func(f *failure) {
		now := time.Now()
		before := m.track.Rest.State(now).Resting()
		class := x.class(f)
		switch class {
		case stats.Answered:
			a.turn.Success()
			keyTurn.Success()
		case stats.ClientFault:
			a.turn.Release()
		default:
			a.turn.Failure(now)
		}
		keyTurn.Release()
		if f != nil {
			a.rest = rest(m, key, f, now)
			if until := m.track.Rest.State(now).Resting(); until.After(before) {
				a.rest = max(a.rest, until.Sub(now))
			}
		}
		if a.sent {
			o := x.outcome(a, class)
			m.track.End(now, o)
			if key != nil {
				key.track.End(now, o)
			}
		}
	}
}

// class says how an attempt ended, and so whose fault it was.
func (x *exchange) class(f *failure) stats.Class {
	switch {
	case f == nil:
		return stats.Answered
	case x.ctx.Err() != nil, f.Kind == FailureRequest, f.reason == reasonClientGone:
		return stats.ClientFault
	case f.Kind == FailureTimeout:
		return stats.TimedOut
	case f.Kind != FailureStatus:
		return stats.ServerFault
	}
	switch f.Status {
	case http.StatusTooManyRequests:
		return stats.RateLimited
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusRequestTimeout, http.StatusConflict:
		if isContentRefusal(f.Status, f.Code) {
			return stats.ClientFault
		}
		return stats.ServerFault // of the key, or of the configuration: no client can help it
	}
	if f.Status/100 == 4 {
		return stats.ClientFault
	}
	return stats.ServerFault
}

// rest lets a key rest that is refused or has used up its rate: until the
// upstream said, or for a minute. A provider without keys rests itself. It
// returns for how long.
func rest(m *model, key *apiKey, f *failure, now time.Time) time.Duration {
	if f.Kind != FailureStatus {
		return 0
	}
	d := f.RetryAfter
	switch {
	case f.Status == http.StatusTooManyRequests && d > 0:
	case f.Status == http.StatusUnauthorized && d <= 0:
		d = unauthorizedRest
	case f.Status == http.StatusUnauthorized:
	default:
		return 0
	}
	if key != nil {
		key.track.Rest.RestUntil(now, now.Add(d))
	} else {
		m.track.Rest.RestUntil(now, now.Add(d))
	}
	return d
}

// wake ends the rest of a key whose secret has changed: what the old one was
// refused for says nothing about the new one.
func wake(m *model, key *apiKey) {
	r := &m.track.Rest
	if key != nil {
		r = &key.track.Rest
	}
	turn, _ := r.Begin(time.Now(), 0)
	turn.Success()
}

// outcome is what the metrics keep of an attempt. Only an answer says how fast a
// candidate is: one that fails at once is not.
func (x *exchange) outcome(a *attemptRecord, class stats.Class) stats.Outcome {
	if x.s.usesEstimates && x.estimated == 0 {
		x.estimated = usage.Estimate(x.raw)
	}
	o := stats.Outcome{
		Class: class, ProviderInput: a.input, ProviderOutput: a.output,
		EstimatedInput: x.estimated, EstimatedOutput: x.written.Tokens(),
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
		o.Gateway = a.sentAt.Sub(x.start) - x.readTime - x.waited
		for i := range x.attempts {
			if earlier := &x.attempts[i]; earlier != a {
				o.Gateway -= earlier.total
			}
		}
	case stats.TimedOut:
		o.Upstream = a.total - making // it took at least so long
	}
	return o
}

// allows notes what an answer says about the limits of the key.
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

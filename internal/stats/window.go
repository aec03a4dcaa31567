package stats

import "time"

// Window holds the measurements of the last five minutes. It is zero without
// any.
type Window struct {
	// Requests counts the requests that ended, InFlight the ones under way.
	Requests, InFlight int64

	Upstream       Latency
	Gateway        Latency
	FirstToken     Latency
	PerOutputToken Latency

	Errors Rates
	Tokens Tokens

	CostUSD float64 // of the requests whose cost is known
}

// Latency holds milliseconds of the requests with a measurement.
type Latency struct {
	Avg float64 // exact
	P95 float64 // within 9 % between 4 µs and 18 minutes; exact for fewer than 20 requests
}

// Rates are fractions of Window.Requests, from 0 to 1.
type Rates struct {
	// Total is the sum of the others: the fraction without an answer. The
	// provider's part of it is Total - Client.
	Total float64

	Timeout, RateLimit, Client, Server float64
}

// Tokens counts tokens as providers reported and as the gateway estimated them.
type Tokens struct {
	ProviderInput, ProviderOutput   int64
	EstimatedInput, EstimatedOutput int64
}

const (
	// The kinds of latency, as places in the arrays of a slot.
	upstream = iota
	gateway
	firstToken
	perOutputToken
	latencyKinds
)

const (
	// The kinds of counts, as places there too.
	providerInput = iota
	providerOutput
	estimatedInput
	estimatedOutput
	cost // in 10⁻⁹ USD: it is counted as tokens are
	tokenKinds
)

// Window returns the window of this Series. See [Recorder.Read] for the wider
// scopes.
func (s *Series) Window(now time.Time) Window {
	var t tally
	t.collect(s, now)
	return t.window()
}

// tally is the sum of slots, of one Series or several.
// It belongs to one goroutine, whereas the Series it reads may change meanwhile.
type tally struct {
	requests, inFlight int64
	errors             [errorClasses]int64
	tokens             [tokenKinds]int64
	latency            [latencyKinds]spread
}

// collect adds the window of a Series. Others may record into it meanwhile.
func (t *tally) collect(s *Series, now time.Time) {
	t.inFlight += max(s.inFlight.Load(), 0)
	r := s.ring.Load()
	if r == nil {
		return
	}
	cur := r.index(now)
	for i := range r.slots {
		p := r.slots[i].Load()
		if p == nil || !p.holds(cur) {
			continue
		}
		// Errors before requests, the reverse of End's order.
		for k := range p.errors {
			t.errors[k] += p.errors[k].Load()
		}
		t.requests += p.requests.Load()
		for k := range p.tokens {
			t.tokens[k] += p.tokens[k].Load()
		}
		for k := range p.latency {
			t.latency[k].collect(&p.latency[k])
		}
	}
}

// add adds another tally, such as that of another slot or Track.
func (t *tally) add(o *tally) {
	t.requests += o.requests
	t.inFlight += o.inFlight
	for k := range t.errors {
		t.errors[k] += o.errors[k]
	}
	for k := range t.tokens {
		t.tokens[k] += o.tokens[k]
	}
	for k := range t.latency {
		t.latency[k].add(&o.latency[k])
	}
}

// window makes rates of the counts. Without requests all rates are zero.
// A total of failures counts each failed request once, for a request has one
// class of error.
func (t *tally) window() Window {
	w := Window{
		Requests:       t.requests,
		InFlight:       t.inFlight,
		Upstream:       t.milliseconds(upstream),
		Gateway:        t.milliseconds(gateway),
		FirstToken:     t.milliseconds(firstToken),
		PerOutputToken: t.milliseconds(perOutputToken),
		Tokens: Tokens{
			ProviderInput: t.tokens[providerInput], ProviderOutput: t.tokens[providerOutput],
			EstimatedInput: t.tokens[estimatedInput], EstimatedOutput: t.tokens[estimatedOutput],
		},
		CostUSD: float64(t.tokens[cost]) / 1e9,
	}
	if t.requests == 0 {
		return w
	}
	var failed int64
	for _, n := range t.errors {
		failed += n
	}
	rate := func(n int64) float64 { return float64(n) / float64(t.requests) }
	w.Errors = Rates{
		Total:     rate(failed),
		Timeout:   rate(t.errors[TimedOut-1]),
		RateLimit: rate(t.errors[RateLimited-1]),
		Client:    rate(t.errors[ClientFault-1]),
		Server:    rate(t.errors[ServerFault-1]),
	}
	return w
}

// milliseconds is the average and the 95th percentile of a latency.
func (t *tally) milliseconds(kind int) Latency {
	s := &t.latency[kind]
	return Latency{
		Avg: s.avg() / float64(time.Millisecond),
		P95: s.p95() / float64(time.Millisecond),
	}
}

package faultwall

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Scenario is one of the sixteen of failoverbench, a public benchmark of
// gateways (github.com/failoverbench/failoverbench, methodology 0.1, profile
// "full"): its faults, timings, checks and verdicts, written anew. The gateway
// has the benchmark's baseline: two retries, timeouts of 30 s, one fallback.
type Scenario struct {
	ID, Title string
	// behaviour is the primary's, for a scenario that starts at a time.
	behaviour func(start time.Time) Behaviour
	// wantsError is set if the right end is an error.
	wantsError bool
	// sequence is set for twenty requests, one every four seconds.
	sequence bool
	// limit is the time after which a request counts as hung.
	limit  time.Duration
	checks []check
}

// BreaksLate reports whether the fault comes after the first content. Only
// stream_commit: complete can save such an answer.
func (s Scenario) BreaksLate() bool { return s.ID == "S08" || s.ID == "S09" || s.ID == "S14" }

// check is one measured property. A failed required check fails the scenario, a
// failed advisory check makes it partial, and an informational check is only
// reported.
type check struct {
	name          string
	advisory      bool
	informational bool
	ok            func(m *measured) bool
}

// measured holds the observations of both ends.
type measured struct {
	replies   []*Reply        // one, or those of a sequence
	sent      []time.Duration // when
	primary   []time.Duration // when each attempt arrived
	fallback  int
	prefilled int // requests that ask the fallback to go on with a half
	took      time.Duration
	alive     bool
	reply     *Reply // the last
	hung      bool
}

// The verdicts, from the best.
const (
	Pass    = "pass"    // the client got the whole answer, and all checks passed
	Partial = "partial" // the client got it, but an advisory check failed
	Safe    = "safe"    // the client got a clean error in time
	Fail    = "fail"    // a hang, a half taken for the whole, or a failed check
)

// Score is the verdict on a gateway in one scenario.
type Score struct {
	Verdict string
	// Failed names the failed checks.
	Failed []string
	// Primary and Fallback count the requests that arrived.
	Primary, Fallback int
	// Got is the client's last reply.
	Got string
	// Took is the time of the request, or of the whole sequence.
	Took time.Duration
}

const (
	benchPrimary  = "bench-primary"
	benchFallback = "bench-fallback"
	benchOutage   = time.Minute
	benchToken    = 15 * time.Millisecond
)

// benchText is sixty words.
func benchText() string {
	return strings.Repeat("Nobody doubts a bridge before the first storm has tried it. ", 5) + "Only then is it known."
}

// Scenarios are the sixteen, in their order.
func Scenarios() []Scenario {
	always := func(p Behaviour) func(time.Time) Behaviour { return func(time.Time) Behaviour { return p } }
	inTime := check{name: "no hang", ok: func(m *measured) bool { return !m.hung }}
	notHalf := check{name: "no half taken for the whole", ok: func(m *measured) bool { return !succeeded(m.reply) || complete(m.reply) }}
	bounded := check{name: "at most 6 attempts at the primary", ok: func(m *measured) bool { return len(m.primary) <= 6 }}
	onlyOnce := check{name: "one attempt at the primary", ok: func(m *measured) bool { return len(m.primary) == 1 }}
	alive := check{name: "alive after", ok: func(m *measured) bool { return m.alive }}
	atLeast := func(n int) check {
		return check{name: fmt.Sprintf("at least %d attempts at the primary", n), advisory: true, ok: func(m *measured) bool { return len(m.primary) >= n }}
	}
	within := func(d time.Duration, advisory bool) check {
		return check{name: fmt.Sprintf("within %v", d), advisory: advisory, ok: func(m *measured) bool { return !m.hung && m.took <= d }}
	}
	noHammer := func(n int, d time.Duration) check {
		return check{name: fmt.Sprintf("at most %d attempts in %v", n, d), ok: func(m *measured) bool { return m.attemptsWithin(d) <= n }}
	}
	usage := check{name: "usage reported", advisory: true, ok: func(m *measured) bool { return m.reply.Usage }}
	overloaded := benchError(503, "overloaded")
	return []Scenario{
		{ID: "S01", Title: "429 with Retry-After", limit: 20 * time.Second, behaviour: always(firstTime(benchError(429, "rate_limit_exceeded", "Retry-After", "2"))),
			checks: []check{atLeast(2), {name: "Retry-After honoured (gap of 1.8 s)", advisory: true, ok: func(m *measured) bool {
				return len(m.primary) > 1 && m.primary[1]-m.primary[0] >= 1800*time.Millisecond
			}}, noHammer(2, 1500*time.Millisecond)}},
		{ID: "S02", Title: "429 without Retry-After, persistent", limit: 40 * time.Second, behaviour: always(benchError(429, "rate_limit_exceeded")),
			checks: []check{noHammer(4, 3*time.Second), bounded, inTime}},
		{ID: "S03", Title: "500 once, then healthy", limit: 20 * time.Second, behaviour: always(firstTime(benchError(500, "server_error"))),
			checks: []check{inTime, atLeast(2)}},
		{ID: "S04", Title: "503 persistent", limit: 40 * time.Second, behaviour: always(overloaded), checks: []check{bounded, inTime}},
		{ID: "S05", Title: "TCP reset before headers", limit: 20 * time.Second, behaviour: always(firstTime(reset)), checks: []check{inTime}},
		{ID: "S06", Title: "No response at all", limit: 130 * time.Second, behaviour: always(silentFor(120 * time.Second)),
			checks: []check{within(100*time.Second, false), inTime,
				{name: "silent route not retried", advisory: true, ok: func(m *measured) bool { return len(m.primary) <= 1 }}}},
		{ID: "S07", Title: "Slow first token", limit: 60 * time.Second, behaviour: always(benchStream(benchFault{first: 20 * time.Second})),
			checks: []check{inTime, within(15*time.Second, true)}},
		{ID: "S08", Title: "Stream cut mid-answer", limit: 40 * time.Second, behaviour: always(benchStream(benchFault{cutAt: 40})),
			checks: []check{notHalf, inTime}},
		{ID: "S09", Title: "Stream stalls", limit: 70 * time.Second, behaviour: always(benchStream(benchFault{cutAt: 20, stall: 30 * time.Second})),
			checks: []check{within(45*time.Second, false), notHalf, alive, inTime}},
		{ID: "S10", Title: "Malformed chunk in the stream", limit: 30 * time.Second, behaviour: always(benchStream(benchFault{malformedAt: 10})),
			checks: []check{alive, notHalf, inTime, {name: "recovered in place", advisory: true, ok: func(m *measured) bool { return complete(m.reply) }}}},
		{ID: "S11", Title: "Stream ends without [DONE]", limit: 30 * time.Second, behaviour: always(benchStream(benchFault{noDone: true})),
			checks: []check{within(8*time.Second, false), usage}},
		{ID: "S12", Title: "Context length exceeded", limit: 20 * time.Second, behaviour: always(benchError(400, "context_length_exceeded")),
			checks: []check{onlyOnce, inTime}},
		{ID: "S13", Title: "Content-filter rejection", limit: 20 * time.Second, wantsError: true, behaviour: always(benchError(400, "content_policy_violation")),
			checks: []check{onlyOnce, inTime, {name: "fallback attempted", informational: true, ok: func(m *measured) bool { return m.fallback > 0 }}}},
		{ID: "S14", Title: "Fallback target rejects prefill", limit: 40 * time.Second, behaviour: always(benchStream(benchFault{cutAt: 40})),
			checks: []check{{name: "no masking by the fallback's refusal", ok: func(m *measured) bool { return succeeded(m.reply) || m.prefilled == 0 }}, notHalf}},
		{ID: "S15", Title: "Primary flaps: down, then healthy", limit: 30 * time.Second, sequence: true, behaviour: func(start time.Time) Behaviour {
			return func(t *Exchange) {
				if time.Since(start) < benchOutage {
					overloaded(t)
					return
				}
				benchStream(benchFault{})(t)
			}
		}, checks: []check{inTime, {name: "served during the outage", ok: servedInOutage},
			{name: "back within 30 s of recovery", ok: func(m *measured) bool {
				return slices.ContainsFunc(m.primary, func(at time.Duration) bool { return benchOutage <= at && at <= benchOutage+30*time.Second })
			}},
			{name: "no more attempts at the primary in the outage than requests", informational: true, ok: func(m *measured) bool {
				down := func(at time.Duration) bool { return at < benchOutage }
				return count(m.primary, down) <= count(m.sent, down)
			}}}},
		{ID: "S16", Title: "Fail-over accounting", limit: 40 * time.Second, behaviour: always(overloaded),
			checks: []check{{name: "fallback's model reported", ok: func(m *measured) bool { return m.fallback == 0 || m.reply.Model == benchFallback }}, usage, bounded}},
	}
}

// succeeded is the benchmark's notion of success: no error of any kind.
// Completeness is a check of its own.
func succeeded(r *Reply) bool { return r.Status == http.StatusOK && r.Err == nil && r.Code == "" }

func complete(r *Reply) bool { return r.Text == benchText() }

func servedInOutage(m *measured) bool {
	for i, at := range m.sent {
		if at < benchOutage && !succeeded(m.replies[i]) {
			return false
		}
	}
	return true
}

func count(times []time.Duration, f func(time.Duration) bool) (n int) {
	for _, t := range times {
		if f(t) {
			n++
		}
	}
	return n
}

func (m *measured) attemptsWithin(d time.Duration) int {
	return count(m.primary, func(at time.Duration) bool { return at-m.primary[0] < d })
}

// Run plays the scenario. holdWhole sets stream_commit: complete.
func (s Scenario) Run(ctx context.Context, network Network, holdWhole bool, open OpenFunc) (*Score, error) {
	l, at, err := network.listen("bench")
	if err != nil {
		return nil, err
	}
	start := time.Now()
	faulty := s.behaviour(start)
	wall := newRaw(l, ownerPrimary, time.Second, func(t *Exchange) {
		switch {
		case t.Body.Model == benchPrimary:
			faulty(t)
		case s.ID == "S14" && t.prefilled():
			benchError(400, "invalid_prefill")(t)
		default:
			benchStream(benchFault{})(t)
		}
	})
	wall.start()
	defer wall.Close()
	cfg := map[string]any{
		"providers": []any{map[string]any{
			"id": "bench", "base_url": "http://bench.internal", "api_keys": []map[string]string{{"value": primaryKey("1")}},
		}},
		"only_allow_configured_providers": true,
		"per_request_timeout":             "30s", "first_token_timeout": "10s", "max_retries": 2,
	}
	if at != "" {
		cfg["internal_endpoints"] = map[string]string{"bench.internal": at}
	}
	if holdWhole {
		cfg["stream_commit"] = "complete"
	}
	setup := Setup{Done: func([]byte) {}}
	if setup.Config, err = json.Marshal(map[string]any{"on_http_request": []any{map[string]any{"type": "ai-gateway", "config": cfg}}}); err != nil {
		return nil, err
	}
	if tr := network.transport(); tr != nil {
		defer tr.CloseIdleConnections()
		setup.Transport = tr
	}
	gateway, err := open(setup)
	if err != nil {
		return nil, err
	}
	url, client, closeServer, err := serve(network, gateway)
	if err != nil {
		return nil, err
	}
	defer closeServer()

	m := s.measure(ctx, call{client: client, url: url, format: chatFormat{}, models: []string{benchPrimary, benchFallback}, stream: true}, start)
	for _, a := range wall.Seen() {
		switch {
		case a.Model == benchPrimary:
			m.primary = append(m.primary, a.At.Sub(start))
		case a.Prefilled:
			m.prefilled++
			fallthrough
		default:
			m.fallback++
		}
	}
	probe := call{client: client, url: url, format: chatFormat{}, models: []string{benchFallback}}.do(ctx)
	m.alive = succeeded(probe) && complete(probe) && probe.Took <= 10*time.Second
	return s.score(m), nil
}

func (s Scenario) measure(ctx context.Context, c call, start time.Time) *measured {
	m := new(measured)
	times := 1
	if s.sequence {
		times = 20
	}
	for i := range times {
		next := time.NewTimer(time.Until(start.Add(time.Duration(i) * 4 * time.Second)))
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
		}
		m.sent = append(m.sent, time.Since(start))
		m.reply = c.do(ctx)
		m.replies = append(m.replies, m.reply)
		m.hung = m.hung || m.reply.Took > s.limit
	}
	m.took = m.reply.Took
	if s.sequence {
		m.took = time.Since(start)
	}
	return m
}

// score applies the benchmark's rules.
func (s Scenario) score(m *measured) *Score {
	out := &Score{Verdict: Pass, Primary: len(m.primary), Fallback: m.fallback, Got: m.reply.String(), Took: m.took}
	ok, whole := true, true
	for _, r := range m.replies {
		ok = ok && succeeded(r)
		whole = whole && complete(r)
	}
	required, advised := false, false
	for _, c := range s.checks {
		if c.ok(m) {
			continue
		}
		if !c.informational {
			out.Failed = append(out.Failed, c.name)
		}
		required = required || !c.advisory && !c.informational
		advised = advised || c.advisory
	}
	switch {
	case m.hung, required, ok && !whole && !s.wantsError:
		out.Verdict = Fail
	case s.wantsError && ok:
		out.Verdict = Partial
	case !s.wantsError && !ok:
		out.Verdict = Safe
	case advised:
		out.Verdict = Partial
	}
	return out
}

func (t *Exchange) prefilled() bool {
	n := len(t.Body.Messages)
	return n > 0 && t.Body.Messages[n-1].Role == "assistant"
}

func benchError(code int, word string, header ...string) Behaviour {
	return func(t *Exchange) {
		t.Whole(code, "application/json", t.Format.Error(code, word, "the benchmark says "+word), header...)
	}
}

// firstTime plays a fault for the first request of a scenario, and answers the
// others.
func firstTime(fault Behaviour) Behaviour { return onceThen(fault, benchStream(benchFault{})) }

func silentFor(d time.Duration) Behaviour { return func(t *Exchange) { t.Wait(d) } }

// benchFault is the defect of a stream. The zero value is a stream without
// defects.
type benchFault struct {
	first       time.Duration // before the first token
	cutAt       int           // the token at which it breaks off
	stall       time.Duration // before that
	malformedAt int
	noDone      bool
}

// benchStream answers with the sixty words, one after the other.
func benchStream(f benchFault) Behaviour {
	return func(t *Exchange) {
		model := t.Body.Model
		if !t.Body.Stream {
			t.Whole(http.StatusOK, "application/json", t.Format.Answer(model, benchText()))
			return
		}
		t.Start("text/event-stream")
		if !t.Wait(f.first) {
			return
		}
		t.Send(t.Format.Opening(model))
		for i, word := range strings.SplitAfter(benchText(), " ") {
			if f.cutAt > 0 && i == f.cutAt {
				t.Wait(f.stall)
				return
			}
			if f.malformedAt > 0 && i == f.malformedAt {
				t.Send("data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\": \n\n")
			}
			t.Send(t.Format.Piece(model, word))
			if !t.Wait(benchToken) {
				return
			}
		}
		t.Send(t.Format.Finish(model))
		if !f.noDone {
			t.Send(t.Format.End())
		}
		t.End()
	}
}

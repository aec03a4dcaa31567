package aigateway

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
)

// Backoff between retries of the same route, if the upstream does not name a wait:
// random up to a bound that doubles.
const (
	backoffBase = 500 * time.Millisecond
	backoffMax  = 8 * time.Second
)

// failover tries the candidates of a request until one answers. It belongs to the
// request's goroutine.
//
// Its parts share the trail: lineup, call and the summary at the end read what
// the others noted. A failover serves one request and is not used again.
type failover struct {
	s        *settings
	in       *inbound
	to       *client   // for the answer that is held to relay itself
	deadline time.Time // total_timeout
	plan     *plan
	lineup   lineup
	trail    trail
	call     call
}

// outcome is the end of a failover. The zero outcome is an answer relayed to its
// end.
//
// At most one of relay and made is set. A relayed error comes with err, for the Result
// and the log.
type outcome struct {
	err *Error
	// relay is the attempt whose error answer goes to the client unchanged. Nil
	// otherwise.
	relay *attempt
	// retryAfter replaces the Retry-After of the relayed answer, unless it is
	// negative.
	retryAfter time.Duration
	// made is an answer of the gateway's own; nil without one.
	made *upstreamAnswer
}

// start prepares to try the candidates of a plan.
//
// The deadline begins when the body was read: a slow client does not use up the
// time of its candidates.
func (f *failover) start(s *settings, in *inbound, to *client) {
	f.s, f.in, f.to = s, in, to
	f.deadline = in.start.Add(in.readTime + s.total)
	f.lineup = lineup{s: s, in: in, room: capacity{limiter: s.limiter, in: in, total: s.total, deadline: f.deadline}}
	f.call.outbound = outbound{s: s, in: in, trail: &f.trail}
	f.call.templates.in.Request, f.call.templates.secrets = &in.request, s.secrets
	f.call.templates.in.Secret = f.call.templates.secret
	f.call.deadline = f.deadline
	f.call.lineup = &f.lineup
}

// run tries the candidates in order until one answers. Candidates in cooldown come
// last, the soonest healthy one first. If all remaining candidates are at a limit,
// the request waits.
//
// Each round gives one candidate its turn. The number of rounds is bounded by
// the candidates, by max_attempts and by total_timeout, whichever ends first.
func (f *failover) run(p *plan) outcome {
	f.plan, f.lineup.candidates = p, p.candidates
	for {
		if out, over := f.over(); over {
			return out
		}
		next := f.lineup.take(&f.trail)
		if next == nil && f.in.ctx.Err() != nil {
			return outcome{err: f.in.gone()} // while it waited for room
		}
		if next == nil {
			f.trail.retract(len(p.candidates), time.Now(), f.s.health)
			return f.exhausted()
		}
		if out, done := f.try(next); done {
			return out
		}
	}
}

// rehearse gives all candidates their turn, in the order of a real request, and
// sends nothing.
//
// It serves Explain. Candidates at a limit come last, as they would in the
// queue.
func (f *failover) rehearse(p *plan) {
	now := time.Now()
	f.plan, f.lineup.candidates = p, p.candidates
	var full []*model
	for _, m := range stats.Order(p.candidates, true, func(m *model) stats.State { return f.lineup.cooldown(m, now, &f.trail) }) {
		keys, _, _ := f.lineup.keysInOrder(m, now, &f.trail)
		if f.lineup.room.limitOf(m, keys, now) != "" && f.lineup.inputTooLarge(m) == nil {
			full = append(full, m)
			continue
		}
		f.consider(m)
	}
	for _, m := range full {
		t := f.consider(m)
		t.limit = f.lineup.room.limitOf(m, t.keys, now)
	}
}

// over reports whether the request must end now, and returns its outcome.
//
// A client that left comes first: its request must not count as a failure of a
// provider.
func (f *failover) over() (outcome, bool) {
	switch {
	case f.in.ctx.Err() != nil:
		return outcome{err: f.in.gone()}, true
	case f.trail.spent() >= f.s.maxAttempts, !time.Now().Before(f.deadline):
		return f.exhausted(), true
	}
	return outcome{}, false
}

// try sends the request to one candidate, key by key. Keys at a limit are kept for
// a later turn.
//
// It returns done with the outcome of the request, or false if the next candidate is due.
func (f *failover) try(next *skipped) (outcome, bool) {
	defer f.lineup.release() // if nothing was sent
	m, t, keys := next.model, next.tried, next.keys
	if t == nil {
		if t = f.consider(m); t.err != nil {
			return outcome{}, false
		}
		keys = t.keys
	}
	if t.codec != nil && t.codec.Estimated {
		return f.estimate(t)
	}
	f.call.speak(t.codec)
	f.trail.current, f.lineup.room.later = t, nil
	for _, key := range keys {
		if !f.lineup.room.admit(m, key) {
			continue
		}
		step, out, done := f.route(m, key)
		if done {
			return out, true
		}
		if step == StepNextCandidate {
			return outcome{}, false
		}
	}
	f.lineup.room.postpone(t, &f.trail)
	return outcome{}, false
}

// consider gives a candidate its turn. It records the candidate with its keys in
// order, or with the reason for refusing it beforehand. Keys in cooldown come last.
func (f *failover) consider(m *model) *tried {
	now := time.Now()
	t := f.trail.turn(m, now)
	if t.err = f.lineup.inputTooLarge(m); t.err == nil {
		t.codec, t.err = f.s.codecFor(f.in, m, now)
	}
	if t.err == nil {
		t.keys, t.keyStates, t.err = f.lineup.keysInOrder(m, now, &f.trail)
	}
	if !f.lineup.probes(m) { // else others are kept away, but not this request
		t.cooldown = f.lineup.own(m, now)
	}
	return t
}

// route sends the request to one candidate with one key. It repeats the request if
// the policy retries, with the key's other form, or with a renewed secret.
//
// The order of the questions after a failure matters. The gateway's own doing comes
// first: usage that it asked for, a surface that it guessed, a form of the key. Then a
// dead key has its secret read anew, once. The policy is asked last.
func (f *failover) route(m *model, key *apiKey) (step Step, out outcome, done bool) {
	c := &f.call
	c.use(m, key, f.lineup.track(key))
	refreshed := false
	for retries := 0; ; {
		if out, over := f.over(); over {
			return 0, out, true
		}
		if !f.lineup.room.admit(m, key) {
			return StepNextKey, outcome{}, false
		}
		a := f.trail.begin()
		a.hold = f.lineup.room.takeOver()
		a.turn, a.keyTurn = f.lineup.hand(m, a.start), f.lineup.handKey(m, c.track, a.start)
		committed, failed := c.attempt(a, f.to)
		f.learn(m, committed || failed == nil)
		switch {
		case failed == nil:
			return 0, outcome{}, true
		case f.in.ctx.Err() != nil:
			return 0, outcome{err: f.in.gone()}, true
		case committed:
			e := errorf(CodeStreamBroken, "%s: %s", m.name(), failed.reason)
			e.Status = a.status // the client has got it
			return 0, outcome{err: e}, true
		}
		failed.Provider, failed.Model, failed.Retries, failed.MaxRetries = m.provider.id, m.id, retries, f.s.maxRetries
		if failed.usageRefused {
			f.trail.free++
			continue // once more without what the gateway added
		}
		if k := failed.instead; k != nil {
			f.trail.free++
			if f.translate(k); k.Estimated {
				out, done := f.estimate(f.trail.current)
				return StepNextCandidate, out, done
			}
			continue // once more, translated
		}
		if failed.otherForm {
			c.switchForm()
			continue // once more in the provider's other form
		}
		if failed.Cause == CauseDeadKey && !refreshed {
			refreshed = true
			// A hanging secret store is bounded like a hanging upstream.
			ctx, cancel := context.WithDeadline(f.in.ctx, earlier(time.Now().Add(m.timeout), f.deadline))
			changed := c.s.refreshed(ctx, a)
			cancel()
			if changed {
				c.track.Key.Renew() // the refusal of the old secret says nothing about the new one
				c.s.health.Changed(c.track)
				continue // once more with it
			}
		}
		switch step := f.s.policy.NextStep(failed.Failure); {
		case step == StepStop && failed.answer == nil:
			return 0, f.exhausted(), true
		case step == StepStop:
			return 0, f.relayed(a, -1), true
		case step != StepRetry:
			return step, outcome{}, false
		}
		if !f.wait(failed.RetryAfter, retries) {
			return StepNextKey, outcome{}, false
		}
		retries++
	}
}

// translate has the next attempt at the current candidate go through a codec: its
// provider does not speak the client's surface.
func (f *failover) translate(k *codec) {
	t := f.trail.current
	f.trail.note("%s does not speak %s", t.model.name(), k.client.name)
	t.codec = k
	f.call.speak(k)
	if k.Estimated {
		f.s.unspoken.Learn(t.model.route(), k.client.path, time.Now())
	}
}

// learn notes that a candidate does not speak the client's surface. Its answer in
// another format is the proof: at a wrong address nothing answers.
func (f *failover) learn(m *model, answered bool) {
	k, now := f.call.codec, time.Now()
	if answered && k != nil && m.provider.unproven[k.client] != nil && !f.s.unspoken.Knows(m.route(), k.client.path, now) {
		f.s.unspoken.Learn(m.route(), k.client.path, now)
	}
}

// wait sleeps before a retry: as long as the upstream asked for, otherwise at
// random under a growing bound. It returns false if the deadline would come first.
//
// "Full jitter" keeps the retries of many clients apart. asked is negative if
// the upstream named no wait.
func (f *failover) wait(asked time.Duration, retries int) bool {
	d := asked
	if d < 0 {
		d = rand.N(min(backoffBase<<retries, backoffMax) + 1)
	}
	if time.Until(f.deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	begin := time.Now()
	defer func() { f.trail.waited += time.Since(begin) }()
	select {
	case <-t.C:
		return true
	case <-f.in.ctx.Done():
		return true // the next look at the context ends the request
	}
}

// exhausted decides the outcome after the last attempt. The first rule that fits
// wins. An upstream's answer that the client's SDK understands comes before an
// error of the gateway's own.
//
// Attempts that the gateway repeated on its own account do not count. A client
// whose every attempt met a rate limit gets the shortest wait of all.
func (f *failover) exhausted() outcome {
	var n tally
	for _, a := range f.trail.attempts {
		if a.sent && a.failure != nil && !a.failure.again() {
			n.add(a)
		}
	}
	switch {
	case n.sent == 0:
		return outcome{err: f.untried()}
	case n.refused == n.sent:
		return outcome{err: f.ownKeyRefused()}
	case n.sent == 1 && n.answers == 1:
		return f.relayed(n.last, -1)
	case n.limited == n.sent:
		return f.relayed(n.lastOfFirst, n.retryAfter)
	case n.client == n.sent:
		return f.relayed(n.lastOfFirst, -1)
	case n.timedOut == n.sent, !time.Now().Before(f.deadline):
		return outcome{err: errorf(CodeRequestTimeout, "%s", f.text())}
	case n.unreachable == n.sent:
		return outcome{err: errorf(CodeUpstreamUnreachable, "%s", f.text())}
	}
	return outcome{err: errorf(CodeAllProvidersFailed, "%s", f.text())}
}

// text lists the tried candidates in one line.
func (f *failover) text() string { return f.trail.text(f.s.maxAttempts, len(f.lineup.candidates)) }

// tally counts failed attempts by the kind of failure.
type tally struct {
	sent, answers, limited, client int
	refused                        int // for the gateway's own key
	timedOut, unreachable          int
	last, lastOfFirst              *attempt // lastOfFirst: of the first candidate that was not refused for the gateway's own key
	retryAfter                     time.Duration
}

// add counts a failed attempt. An attempt may count under several names.
//
// The names decide about the client's error: see exhausted.
func (n *tally) add(a *attempt) {
	if n.sent++; n.sent == 1 {
		n.retryAfter = -1
	}
	n.last = a
	failed := a.failure
	switch failed.Kind {
	case FailureTimeout:
		n.timedOut++
	case FailureConnect:
		n.unreachable++
	}
	if failed.answer != nil {
		n.answers++
	}
	if failed.Cause == CauseDeadKey && a.ownKey { // also by an event that names no status
		n.refused++
		n.client++
		return
	}
	if failed.answer == nil {
		return
	}
	if failed.Status/100 == 4 {
		n.client++
	}
	if failed.Status == http.StatusTooManyRequests {
		n.limited++
		if failed.RetryAfter >= 0 && (n.retryAfter < 0 || failed.RetryAfter < n.retryAfter) {
			n.retryAfter = failed.RetryAfter
		}
	}
	if n.lastOfFirst == nil || a.tried == n.lastOfFirst.tried {
		n.lastOfFirst = a
	}
}

// ownKeyRefused is the error of a request if every provider refused the gateway's
// own key. The client's key is not at fault, and sending the request again does not
// help.
func (f *failover) ownKeyRefused() *Error {
	return errorf(CodeUpstreamAuthenticationFailed, "the provider refused the gateway's key")
}

// untried is the error of a request without a sent attempt.
//
// Candidates that were refused for the same code give the client that code.
// Different codes make one error of the gateway's.
func (f *failover) untried() *Error {
	if f.lineup.room.full != nil {
		return f.lineup.room.full
	}
	if !time.Now().Before(f.deadline) {
		return errorf(CodeRequestTimeout, "%s", f.text())
	}
	unresolved := len(f.trail.attempts) > 0
	for _, a := range f.trail.attempts {
		unresolved = unresolved && a.failure != nil && a.failure.Kind == FailureSecret
	}
	if unresolved {
		return errorf(CodeUpstreamAuthenticationFailed, "the gateway's key for the provider is not available")
	}
	var first *Error
	for _, t := range f.trail.tried {
		if t.err == nil || first != nil && t.err.Code != first.Code {
			return errorf(CodeAllProvidersFailed, "%s", f.text())
		}
		if first == nil {
			first = t.err
		}
	}
	if len(f.trail.tried) == 1 {
		return first
	}
	return errorf(first.Code, "%s", f.text())
}

// relayed is the outcome for an upstream's error that goes to the client unchanged.
// A retryAfter that is not negative replaces the upstream's.
func (f *failover) relayed(a *attempt, retryAfter time.Duration) outcome {
	if a.failure.answer == nil {
		return outcome{err: errorf(CodeAllProvidersFailed, "%s", f.text())}
	}
	e := errorf(CodeUpstreamError, "%s: %s", a.model.name(), a.failure.reason)
	e.Status = a.failure.answer.status
	return outcome{err: e, relay: a, retryAfter: retryAfter}
}

// estimate answers a count of tokens.
//
// It serves a provider without a surface for counts. A counter that fails costs
// the candidate its turn.
func (f *failover) estimate(t *tried) (outcome, bool) {
	n, err := f.s.counter.CountTokens(f.in.ctx, t.model.id, f.in.raw)
	if err != nil {
		t.err = errorf(CodeInputTooLarge, "the prompt's tokens cannot be counted")
		t.err.Err = err
		return outcome{}, false
	}
	f.in.tokens = n
	body, header := t.codec.Counted(n)
	return outcome{made: &upstreamAnswer{http.StatusOK, header, body}}, true
}

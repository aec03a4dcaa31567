package aigateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/relay"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// Backoff between retries of the same route, where the upstream does not say
// how long to wait: random up to a bound that doubles.
const (
	backoffBase = 500 * time.Millisecond
	backoffMax  = 8 * time.Second
)

// triedRecord is a candidate that had its turn.
type triedRecord struct {
	model *model
	at    time.Time
	rest  stats.State // its own, then
	keys  []*apiKey
	err   *Error // why it failed without an attempt
}

// restedRecord is a candidate that others came before, as it rests or is being
// probed, and that had no turn in the end.
type restedRecord struct {
	model *model
	at    time.Time
	rest  stats.State // its own, or of the keys that it would be called with
}

// keysRecord is what key selection came to for a candidate.
type keysRecord struct {
	model *model
	keys  []*apiKey
	err   *Error
}

// attemptRecord is one attempt, as the Result tells it.
type attemptRecord struct {
	model      *model
	candidate  int        // index in exchange.tried
	turn       stats.Turn // what the end is reported to
	start      time.Time
	sent       bool // whether the transport got it
	sentAt     time.Time
	url        string
	key        string // redacted
	keyID      string
	sentAs     string // the header of the key, and its scheme
	status     int
	header     http.Header
	body       []byte // of a failed answer, decoded, without secrets
	firstByte  time.Duration
	firstToken time.Duration
	total      time.Duration
	committed  bool
	relayed    bool // its error answer went to the client
	input      int64
	output     int64
	failure    *failure
	rest       time.Duration // that the failure led to
}

// keyless stands for the keys of a provider that is called without one.
var keyless = []*apiKey{nil}

// failover tries the candidates in order until one answers. Those that rest
// come last, the one that wakes first before the others. A nil error means that
// an answer was relayed, be it an upstream's error.
func (x *exchange) failover() *Error {
	for _, m := range x.plan.candidates {
		now := time.Now()
		if !x.begins(m, now) {
			x.rested = append(x.rested, restedRecord{m, now, x.rest(m, now)})
			continue
		}
		if done, err := x.try(m); done {
			return err
		}
	}
	now := time.Now()
	x.rested = stats.Order(x.rested, func(r restedRecord) stats.State { return x.rest(r.model, now) })
	for len(x.rested) > 0 {
		if done, err := x.spent(); done {
			return err
		}
		m := x.rested[0].model
		x.rested = x.rested[1:]
		if done, err := x.try(m); done {
			return err
		}
	}
	return x.exhausted()
}

// keys returns a candidate's keys in the order of their turn, chosen once a
// request.
func (x *exchange) keys(m *model) ([]*apiKey, *Error) {
	if len(m.provider.keys) == 0 || len(x.s.keyStrategies) == 0 {
		return m.provider.keys, nil
	}
	for i := range x.chosenKeys {
		if k := &x.chosenKeys[i]; k.model == m {
			return k.keys, k.err
		}
	}
	keys, notes, err := x.s.keysFor(x.ctx, m, &x.request)
	for _, n := range notes {
		x.note("%s", n)
	}
	x.chosenKeys = append(x.chosenKeys, keysRecord{m, keys, err})
	return keys, err
}

// begins reports whether a candidate may be tried now, and not after those that
// do not rest. One that is due for a probe is then probed by this request.
func (x *exchange) begins(m *model, now time.Time) bool {
	if keys, _ := x.keys(m); len(keys) > 0 && keysRest(keys, now).Phase.Last() {
		return false
	}
	turn, ok := m.track.Rest.Begin(now, m.provider.timeout)
	if ok {
		x.turn, x.turnOf = turn, m
	}
	return ok
}

// rest is what a candidate and its keys rest for: it wakes when it has woken
// itself, and one of the keys that it is called with has.
func (x *exchange) rest(m *model, now time.Time) stats.State {
	keys, _ := x.keys(m)
	return restOf(m, keys, now)
}

func restOf(m *model, keys []*apiKey, now time.Time) stats.State {
	own := m.track.Rest.State(now)
	if k := keysRest(keys, now); k.Phase.Last() && k.Until.After(own.Until) {
		return k
	}
	return own
}

// keysRest is the rest of the key that wakes first.
func keysRest(keys []*apiKey, now time.Time) stats.State {
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

// takeTurn returns the turn that an attempt at a candidate reports to.
func (x *exchange) takeTurn(m *model, now time.Time) stats.Turn {
	if x.turnOf == m {
		x.turnOf = nil
		return x.turn
	}
	turn, _ := m.track.Rest.Begin(now, m.provider.timeout)
	return turn
}

// try sends the request to one candidate, key by key.
func (x *exchange) try(m *model) (done bool, err *Error) {
	defer func() {
		if x.turnOf == m { // nothing was sent
			x.turn.Release()
			x.turnOf = nil
		}
	}()
	if done, err := x.spent(); done {
		return true, err
	}
	t := x.consider(m)
	if t.err != nil {
		return false, nil
	}
	keys := t.keys
	if len(keys) == 0 {
		keys = keyless
	}
	for _, key := range keys {
		step, done, err := x.route(m, key)
		if done {
			return true, err
		}
		if step == StepNextCandidate {
			break
		}
	}
	return false, nil
}

// consider gives a candidate its turn: it records it, with its keys in order
// or with what refuses it beforehand. Keys that rest come last.
func (x *exchange) consider(m *model) triedRecord {
	now := time.Now()
	t := triedRecord{model: m, at: now}
	if t.err = x.inputTooLarge(m); t.err == nil {
		if t.keys, t.err = x.keys(m); t.err == nil {
			t.keys = stats.Order(t.keys, func(k *apiKey) stats.State { return k.track.Rest.State(now) })
		}
	}
	if x.turnOf != m || !x.turn.Probe() { // else others are kept away, but not this request
		t.rest = m.track.Rest.State(now)
	}
	x.tried = append(x.tried, t)
	return t
}

// route sends the request to one candidate with one key, again where that may
// help.
func (x *exchange) route(m *model, key *apiKey) (step Step, done bool, err *Error) {
	refreshed := false
	for retries := 0; ; {
		if done, err := x.spent(); done {
			return 0, true, err
		}
		committed, f := x.attempt(m, key)
		switch {
		case f == nil:
			return 0, true, nil
		case x.ctx.Err() != nil:
			return 0, true, x.gone()
		case committed:
			e := errorf(CodeStreamBroken, "%s: %s", m.name(), f.reason)
			e.Status = x.attempts[len(x.attempts)-1].status // which the client has got
			return 0, true, e
		}
		f.Provider, f.Model, f.Retries, f.MaxRetries = m.provider.id, m.id, retries, x.s.maxRetries
		if f.Status == http.StatusUnauthorized && !refreshed {
			refreshed = true
			// A secret store that hangs is bounded like an upstream that does.
			ctx, cancel := context.WithDeadline(x.ctx, x.deadline)
			changed := x.refreshed(ctx)
			cancel()
			if changed {
				wake(m, key)
				continue // once more with the new secret
			}
		}
		switch step := x.s.policy.NextStep(f.Failure); {
		case step == StepStop && f.answer == nil:
			return 0, true, x.exhausted()
		case step == StepStop:
			return 0, true, x.relayAnswer(len(x.attempts)-1, -1)
		case step != StepRetry:
			return step, false, nil
		}
		if !x.wait(f.RetryAfter, retries) {
			return StepNextKey, false, nil
		}
		retries++
	}
}

// spent reports whether nothing more may be tried, and what that comes to.
func (x *exchange) spent() (done bool, err *Error) {
	switch {
	case x.ctx.Err() != nil:
		return true, x.gone()
	case x.sent() >= x.s.maxAttempts, !time.Now().Before(x.deadline):
		return true, x.exhausted()
	}
	return false, nil
}

// sent counts the attempts that made it to the transport. What fails before
// that costs nothing.
func (x *exchange) sent() int {
	n := 0
	for i := range x.attempts {
		if x.attempts[i].sent {
			n++
		}
	}
	return n
}

// gone is the error of a request that was ended from outside: its client has
// left, or the service that embeds the gateway had enough of it.
func (x *exchange) gone() *Error {
	message := "the client left before an answer was whole"
	cause := context.Cause(x.ctx)
	switch {
	case errors.Is(cause, context.DeadlineExceeded):
		message = "the service's own deadline for the request passed before an answer was whole"
	case !errors.Is(cause, context.Canceled):
		message = "the service ended the request before an answer was whole"
	}
	e := errorf(CodeClientGone, "%s", message)
	e.Err = cause
	return e
}

// wait sleeps before a retry: as long as the upstream asked for, else at random
// under a bound that grows. It returns false where the time is not there.
func (x *exchange) wait(asked time.Duration, retries int) bool {
	d := asked
	if d < 0 {
		d = rand.N(min(backoffBase<<retries, backoffMax) + 1)
	}
	if time.Until(x.deadline) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	begin := time.Now()
	defer func() { x.waited += time.Since(begin) }()
	select {
	case <-t.C:
		return true
	case <-x.ctx.Done():
		return true // the next look at the context ends the request
	}
}

// exhausted says what becomes of a request when nothing is left to try, by the
// first rule that fits: an answer that the client's SDK knows what to do with
// comes before an error of the gateway's own.
func (x *exchange) exhausted() *Error {
	var (
		sent                       []int
		answers, limited, client   int
		timedOut, unreachable      int
		firstAnswered, lastOfFirst = -1, -1
		retryAfter                 = time.Duration(math.MaxInt64)
	)
	for i := range x.attempts {
		a := &x.attempts[i]
		if !a.sent || a.failure == nil {
			continue
		}
		sent = append(sent, i)
		f := a.failure
		switch f.Kind {
		case FailureTimeout:
			timedOut++
		case FailureConnect:
			unreachable++
		}
		if f.answer == nil {
			continue
		}
		answers++
		if f.Status/100 == 4 {
			client++
		}
		if f.Status == http.StatusTooManyRequests {
			limited++
			if f.RetryAfter >= 0 {
				retryAfter = min(retryAfter, f.RetryAfter)
			}
		}
		if firstAnswered < 0 {
			firstAnswered = a.candidate
		}
		if a.candidate == firstAnswered {
			lastOfFirst = i
		}
	}
	switch n := len(sent); {
	case n == 0:
		return x.untried()
	case n == 1 && answers == 1:
		return x.relayAnswer(sent[0], -1)
	case limited == n:
		if retryAfter == math.MaxInt64 {
			retryAfter = -1
		}
		return x.relayAnswer(lastOfFirst, retryAfter)
	case client == n:
		return x.relayAnswer(lastOfFirst, -1)
	case timedOut == n, !time.Now().Before(x.deadline):
		return errorf(CodeRequestTimeout, "%s", x.trail())
	case unreachable == n:
		return errorf(CodeUpstreamUnreachable, "%s", x.trail())
	}
	return errorf(CodeAllProvidersFailed, "%s", x.trail())
}

// untried is the error of a request that nothing was sent for.
func (x *exchange) untried() *Error {
	if !time.Now().Before(x.deadline) {
		return errorf(CodeRequestTimeout, "%s", x.trail())
	}
	var first *Error
	for i := range x.tried {
		e := x.tried[i].err
		if e == nil || first != nil && e.Code != first.Code {
			return errorf(CodeAllProvidersFailed, "%s", x.trail())
		}
		if first == nil {
			first = e
		}
	}
	if len(x.tried) == 1 {
		return first
	}
	return errorf(first.Code, "%s", x.trail())
}

// trail says in one line what was tried, and why each failed.
func (x *exchange) trail() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no provider could answer, after %s", counted(x.sent(), "attempt"))
	if x.sent() >= x.s.maxAttempts && len(x.tried) < len(x.plan.candidates) {
		fmt.Fprintf(&b, " (max_attempts)")
	}
	sep := ": "
	for i := range x.tried {
		t := &x.tried[i]
		if t.err != nil {
			b.WriteString(sep + t.model.name() + ": " + t.err.Message)
			sep = "; "
		}
		for j := range x.attempts {
			if a := &x.attempts[j]; a.candidate == i && a.failure != nil {
				b.WriteString(sep + t.model.name() + ": " + a.failure.reason)
				sep = "; "
			}
		}
	}
	return b.String()
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// name is the candidate as a client could ask for it.
func (m *model) name() string { return m.provider.id + ":" + m.id }

// relayAnswer answers with an upstream's error as it was, less the gateway's
// own keys. A retryAfter that is not negative replaces the upstream's.
func (x *exchange) relayAnswer(i int, retryAfter time.Duration) *Error {
	a := &x.attempts[i]
	ans := a.failure.answer
	if ans == nil {
		return errorf(CodeAllProvidersFailed, "%s", x.trail())
	}
	e := errorf(CodeUpstreamError, "%s: %s", a.model.name(), a.failure.reason)
	e.Status = ans.status
	if x.continues() && a.failure.Kind == FailureStatus && !isContentRefusal(ans.status, a.failure.Code) {
		return e
	}
	a.relayed = true
	x.answered = true
	h := x.w.Header()
	relay.CopyResponseHeader(h, ans.header)
	h.Set("Content-Length", strconv.Itoa(len(ans.body)))
	if retryAfter >= 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(retryAfter.Seconds())), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(int64(math.Ceil(retryAfter.Seconds()))*1000, 10))
	}
	x.w.WriteHeader(ans.status)
	x.w.Write(ans.body) //nolint:errcheck // the client is gone: nobody is left to tell
	return e
}

// inputTooLarge refuses a prompt that is over max_input_tokens. Where the
// length in bytes decides, nothing is counted: no token is shorter than a byte.
func (x *exchange) inputTooLarge(m *model) *Error {
	limit := x.s.maxInput
	if limit == 0 || int64(len(x.raw)) <= limit {
		return nil
	}
	ctx, cancel := context.WithDeadline(x.ctx, x.deadline)
	defer cancel()
	n, err := x.s.counter.CountTokens(ctx, m.id, x.raw)
	if err != nil {
		e := errorf(CodeInputTooLarge, "the prompt's tokens cannot be counted")
		e.Err = err
		return e
	}
	x.estimated = n
	if n > limit {
		return errorf(CodeInputTooLarge, "the prompt has about %d tokens, and max_input_tokens is %d", n, limit)
	}
	return nil
}

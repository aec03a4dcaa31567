package aigateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
)

// Failure is what a [FailoverPolicy] decides about: an attempt that failed
// before anything of its answer went to the client.
type Failure struct {
	// Provider and Model are those of the candidate.
	Provider, Model string
	// Kind says what went wrong.
	Kind FailureKind
	// Status is the upstream's, where it gave an answer; else zero.
	Status int
	// Code is the upstream's own word for the error, where its body had one.
	Code string
	// RetryAfter is how long the upstream asked to be left alone. Negative
	// where it did not say.
	RetryAfter time.Duration
	// Retries counts the attempts that this model and key had before.
	Retries int
	// MaxRetries is the Config's.
	MaxRetries int
}

// FailureKind says in what way an attempt failed.
type FailureKind string

const (
	// FailureStatus: the upstream answered with a status that is no success.
	FailureStatus FailureKind = "status"
	// FailureSecret: a secret of the request could not be resolved.
	FailureSecret FailureKind = "secret"
	// FailureRequest: a configured value of the request could not be made.
	FailureRequest FailureKind = "request"
	// FailureConnect: no connection: DNS, TCP or TLS.
	FailureConnect FailureKind = "connect"
	// FailureNetwork: the connection broke before an answer.
	FailureNetwork FailureKind = "network"
	// FailureTimeout: silence past a timeout.
	FailureTimeout FailureKind = "timeout"
	// FailureAnswer: status 200, but the answer broke off, was empty, was no
	// answer of this surface, or held an error.
	FailureAnswer FailureKind = "answer"
)

// Step is what follows a failed attempt.
type Step uint8

const (
	// StepNextKey tries the candidate's next key, and after its last the next
	// candidate.
	StepNextKey Step = iota
	// StepNextCandidate tries the next candidate.
	StepNextCandidate
	// StepRetry tries the same key again, after Failure.RetryAfter where it is
	// known, else after a random wait that grows.
	StepRetry
	// StepStop tries nothing more: an upstream's answer is relayed as it was.
	StepStop
)

// FailoverPolicy decides what follows a failed attempt. It is asked after each
// one, from many goroutines at once, and must not block. It is not asked after a
// 401 to a secret that has changed in its store meanwhile: the new one is tried
// at once. What it cannot do is exceed the Config's max_attempts and
// total_timeout, go on after the client has gone, or once something of an answer
// has reached the client.
type FailoverPolicy interface {
	NextStep(f Failure) Step
}

// FailoverPolicyFunc is a function that is a [FailoverPolicy].
type FailoverPolicyFunc func(f Failure) Step

// NextStep calls f.
func (f FailoverPolicyFunc) NextStep(failure Failure) Step { return f(failure) }

// maxRetryAfter bounds the wait that an upstream may ask for: over that, the
// next key or candidate answers sooner.
const maxRetryAfter = 30 * time.Second

// DefaultFailoverPolicy is the policy of a gateway without one:
//
//   - A refusal for the prompt's content is relayed. It is not routed around.
//   - While MaxRetries allows, the same key is tried again after a 429 that says to
//     come back within 30 s, after a 5xx that does not say to come back later than
//     that, and after a connection that broke before an answer.
//   - After 400, 413, 415, 422 and other 4xx about the request, the next candidate
//     follows, because another key would be told the same. So it does if the
//     request could not be made from the config.
//   - After anything else, which includes 401, 402, 403, 404, 408, 409 and 429, the
//     next key follows, and then the next candidate.
//
// A policy does not decide about cooldowns, which change the order of later
// requests. A candidate cools down for 5 s after five failures in a row that are
// not the client's doing. Then one request at a time probes it, up to its first
// content. Each probe that fails doubles the cooldown, up to 15 s. A key cools down
// after a 429 that says when to come back until then, and after a 401 for as long
// as it says, else for 60 s. If no key was sent, the candidate does. A later
// success ends a cooldown. A candidate in cooldown is never refused, but tried
// after all others, whatever the strategies chose. See [TriedModel],
// [SkippedModel] and the field CooldownMS of [Attempt].
func DefaultFailoverPolicy() FailoverPolicy {
	return FailoverPolicyFunc(func(f Failure) Step {
		m := f.meaning()
		if m.transient && f.Retries < f.MaxRetries && f.RetryAfter <= maxRetryAfter &&
			(f.Status != http.StatusTooManyRequests || f.RetryAfter >= 0) {
			return StepRetry
		}
		return m.step
	})
}

// meaning is a row of the failure table.
type meaning struct {
	// step is what follows.
	step Step
	// transient is set if the same route may well answer the next time. A silent
	// upstream, and a stream that was cut while held, may not: nobody waits twice
	// for the same silence.
	transient bool
	// class says whose fault it was.
	class stats.Class
	// cools is how long the key cools down if the answer does not say. Zero: only
	// as long as the answer says.
	cools time.Duration
	// asked is set if the answer's own word counts for the cooldown of the key.
	asked bool
	// hint says where the operator should look. Nil: there is nothing to say.
	hint func(a *attempt, f *failure) string
}

// cooldown is how long the key cools down, as the answer asked for a wait or, if
// negative or zero, not.
func (m *meaning) cooldown(asked time.Duration) time.Duration {
	if m.asked && asked > 0 {
		return asked
	}
	return m.cools
}

// The failure table: it is the only place that knows what a failure means. A
// status without a row of its own has that of its class.
var (
	// failuresByKind holds the failures without an error status.
	failuresByKind = map[FailureKind]*meaning{
		FailureSecret:  {step: StepNextKey, class: stats.ServerFault},
		FailureRequest: {step: StepNextCandidate, class: stats.ClientFault},
		FailureConnect: {step: StepNextKey, class: stats.ServerFault, hint: hintConnect},
		FailureNetwork: {step: StepNextKey, class: stats.ServerFault, transient: true},
		FailureTimeout: {step: StepNextKey, class: stats.TimedOut, hint: hintTimeout},
		FailureAnswer:  {step: StepNextKey, class: stats.ServerFault, hint: hintStray},
	}
	// failuresByStatus holds the statuses that differ from their class.
	failuresByStatus = map[int]*meaning{
		http.StatusUnauthorized:     {step: StepNextKey, class: stats.ServerFault, cools: time.Minute, asked: true, hint: hintCredential},
		http.StatusPaymentRequired:  {step: StepNextKey, class: stats.ServerFault},
		http.StatusForbidden:        {step: StepNextKey, class: stats.ServerFault, hint: hintCredential},
		http.StatusNotFound:         {step: StepNextKey, class: stats.ServerFault, hint: hintModel},
		http.StatusMethodNotAllowed: {step: StepNextCandidate, class: stats.ClientFault, hint: hintAddress},
		http.StatusRequestTimeout:   {step: StepNextKey, class: stats.ServerFault},
		http.StatusConflict:         {step: StepNextKey, class: stats.ServerFault},
		http.StatusTooManyRequests:  {step: StepNextKey, class: stats.RateLimited, transient: true, asked: true},
	}
	failureClient  = &meaning{step: StepNextCandidate, class: stats.ClientFault}
	failureServer  = &meaning{step: StepNextKey, class: stats.ServerFault, transient: true}
	failureOther   = &meaning{step: StepNextKey, class: stats.ServerFault}
	failureRefusal = &meaning{step: StepStop, class: stats.ClientFault}
)

// meaning looks a failure up in the table.
func (f Failure) meaning() *meaning {
	if f.Kind != FailureStatus {
		return failuresByKind[f.Kind]
	}
	if isContentRefusal(f.Status, f.Code) {
		return failureRefusal
	}
	if m, ok := failuresByStatus[f.Status]; ok {
		return m
	}
	switch f.Status / 100 {
	case 4:
		return failureClient
	case 5, 6, 7, 8, 9:
		return failureServer
	}
	return failureOther
}

// isContentRefusal reports whether an upstream refused the prompt for what it
// says. OpenAI and Azure name it in the error's code.
func isContentRefusal(status int, code string) bool {
	if status != http.StatusBadRequest && status != http.StatusForbidden {
		return false
	}
	return isContentRefusalCode(code)
}

// isContentRefusalCode goes by the word alone, in whatever case it is written.
func isContentRefusalCode(code string) bool {
	switch strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(code)) {
	case "contentfilter", "contentpolicy", "contentpolicyviolation", "responsibleaipolicyviolation", "moderationblocked":
		return true
	}
	return false
}

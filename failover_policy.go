package aigateway

import (
	"net/http"
	"strings"
	"time"
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

// DefaultFailoverPolicy is what a gateway does unless it is told otherwise:
//
//   - a refusal for its content is relayed: it is not routed around;
//   - while MaxRetries allows, the same key again after a 429 that says to come
//     back within 30 s, after a 5xx that does not say to come back later than
//     that, and after a connection that broke before an answer;
//   - after 400, 413, 415, 422 and other 4xx that are about the request, the next
//     candidate, because another key would be told the same; likewise where the
//     request could not be made from the config;
//   - after anything else, which includes 401, 402, 403, 404, 408, 409 and 429,
//     the next key and then the next candidate.
//
// No policy decides about rests, which change the order of later requests. A
// candidate rests for 5 s after five failures in a row that are not the client's
// doing; those of the third kind above and refusals for content are. Then one
// request at a time probes it, up to its first content, and each probe that
// fails doubles the rest, up to 15 s. A key rests after a 429 that says when to
// come back until then, and after a 401 for as long as it says, else for 60 s;
// where no key was sent, the candidate does. A success since then ends a rest.
// What rests is never refused, but tried after everything else, whatever the
// strategies chose. See [TriedModel], [RestedModel] and the field RestMS of
// [Attempt].
func DefaultFailoverPolicy() FailoverPolicy { return FailoverPolicyFunc(defaultStep) }

func defaultStep(f Failure) Step {
	if f.Kind == FailureStatus && isContentRefusal(f.Status, f.Code) {
		return StepStop
	}
	if f.Retries < f.MaxRetries && isTransient(f) {
		return StepRetry
	}
	if f.Kind != FailureStatus {
		if f.Kind == FailureRequest {
			return StepNextCandidate
		}
		return StepNextKey
	}
	switch f.Status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict:
		return StepNextKey
	}
	if f.Status >= 400 && f.Status < 500 {
		return StepNextCandidate
	}
	return StepNextKey
}

// isTransient reports whether the same route may well answer the next time. A
// silent upstream, and a stream that was cut while held, may not: what was
// waited for once is not waited for again.
func isTransient(f Failure) bool {
	switch f.Kind {
	case FailureNetwork:
		return true
	case FailureStatus:
		if f.RetryAfter > maxRetryAfter {
			return false
		}
		return f.Status >= 500 || f.Status == http.StatusTooManyRequests && f.RetryAfter >= 0
	default:
		return false
	}
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

package aigateway

import "time"

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

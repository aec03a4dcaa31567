package aigateway

import "time"

// Failure is an attempt that failed before a part of its answer went to the client.
// A [FailoverPolicy] decides the next step.
type Failure struct {
	// Provider and Model are the candidate's ids.
	Provider, Model string
	// Kind classifies the failure by its place.
	Kind FailureKind
	// Cause classifies it by its meaning. It comes from the kind, the status and
	// the words of the upstream's error.
	Cause FailureCause
	// Status is the upstream's. Zero if it gave no answer.
	Status int
	// Code is the upstream's own word for the error. Empty if its body has no code.
	Code string
	// RetryAfter is the wait that the upstream asked for. Negative if it did not
	// ask.
	RetryAfter time.Duration
	// NoRetry is set if the upstream said x-should-retry: false.
	NoRetry bool
	// Retries counts the attempts that this model and key had before.
	Retries int
	// MaxRetries is the Config's.
	MaxRetries int
}

// FailureKind classifies a failed attempt by the place of its failure.
type FailureKind string

const (
	// FailureStatus: the upstream answered with a status that is not a success.
	FailureStatus FailureKind = "status"
	// FailureSecret: a secret of the request could not be resolved.
	FailureSecret FailureKind = "secret"
	// FailureRequest: a configured value of the request could not be made, or code
	// of the embedding service failed.
	FailureRequest FailureKind = "request"
	// FailureConnect: no connection: DNS, TCP or TLS.
	FailureConnect FailureKind = "connect"
	// FailureNetwork: the connection broke before an answer.
	FailureNetwork FailureKind = "network"
	// FailureTimeout: silence past a timeout.
	FailureTimeout FailureKind = "timeout"
	// FailureAnswer: status 200, but the answer broke off, was empty, held an
	// error, or was not an answer of this endpoint.
	FailureAnswer FailureKind = "answer"
)

// FailureCause classifies a failure by its meaning. Each cause has a row in the
// failure table, which decides the next step, and whose health it counts against.
type FailureCause string

const (
	// CauseSecret: a secret did not resolve. The next key may.
	CauseSecret FailureCause = "secret"
	// CauseRequest: the request could not be made from the config.
	CauseRequest FailureCause = "request"
	// CauseConnect: the provider could not be reached.
	CauseConnect FailureCause = "connect"
	// CauseNetwork: the connection broke.
	CauseNetwork FailureCause = "network"
	// CauseTimeout: the provider was silent for too long.
	CauseTimeout FailureCause = "timeout"
	// CauseAnswer: status 200, but the answer broke off, was empty, held an error, or
	// was not an answer of this endpoint.
	CauseAnswer FailureCause = "answer"
	// CauseServer: 5xx, 424 and 499.
	CauseServer FailureCause = "server"
	// CauseRedirect: 3xx, and statuses outside of HTTP's.
	CauseRedirect FailureCause = "redirect"
	// CauseDeadKey: no request with this key will succeed until somebody acts: 401,
	// 402, and the words for it under other statuses.
	CauseDeadKey FailureCause = "dead_key"
	// CauseScope: the key is good, but has no right to this model and endpoint.
	CauseScope FailureCause = "scope"
	// CauseForbidden: 403 without a word about the key.
	CauseForbidden FailureCause = "forbidden"
	// CauseRateLimit: too many requests or tokens of this key for this model.
	CauseRateLimit FailureCause = "rate_limit"
	// CauseQuota: too many of this key or account, for all models.
	CauseQuota FailureCause = "quota"
	// CauseModel: the provider does not know the model.
	CauseModel FailureCause = "model"
	// CauseEndpoint: nothing speaks this endpoint at the provider's address.
	CauseEndpoint FailureCause = "endpoint"
	// CauseNotFound: another thing is not known there, such as a file.
	CauseNotFound FailureCause = "not_found"
	// CauseConflict: 408, 409, and a 400 that a key of another organization may not get,
	// such as for reasoning that was encrypted for another one.
	CauseConflict FailureCause = "conflict"
	// CauseTooLarge: this request is too large for the model, or for the limit.
	CauseTooLarge FailureCause = "too_large"
	// CauseClient: another 4xx. The request is wrong.
	CauseClient FailureCause = "client"
	// CauseRefusal: the prompt or the answer was refused for its content.
	CauseRefusal FailureCause = "refusal"
)

// Step is the reaction to a failed attempt.
type Step uint8

const (
	// StepNextKey tries the candidate's next key, and after its last the next
	// candidate.
	StepNextKey Step = iota
	// StepNextCandidate tries the next candidate.
	StepNextCandidate
	// StepRetry tries the same key again: after Failure.RetryAfter if it is known,
	// otherwise after a random wait that grows.
	StepRetry
	// StepStop ends the request: an upstream's answer is relayed unchanged.
	StepStop
)

// FailoverPolicy decides the step after a failed attempt. It is called after each
// one, from many goroutines at once, and must not block. It is not called after a
// 401 if the secret has changed in its store: the new one is tried at once.
//
// It cannot exceed the Config's max_attempts and total_timeout. It cannot go on
// after the client has gone, or once a part of an answer has reached the client.
type FailoverPolicy interface {
	NextStep(f Failure) Step
}

// FailoverPolicyFunc makes a function a [FailoverPolicy].
type FailoverPolicyFunc func(f Failure) Step

// NextStep calls f.
func (f FailoverPolicyFunc) NextStep(failure Failure) Step { return f(failure) }

package aigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/aigateway-go/aigateway/internal/redact"
)

// Code names the cause of a failed request, for programs. An error body in the
// OpenAI format has it as error.code, and one in the Anthropic format as
// error.details.error_code.
type Code string

const (
	// CodeInvalidRequestBody: the body is neither JSON nor a form, or its model
	// fields are of the wrong type or repeated.
	CodeInvalidRequestBody Code = "invalid_request_body"
	// CodeRequestTooLarge: the body is over Config.MaxBodyBytes.
	CodeRequestTooLarge Code = "request_too_large"
	// CodeUnsupportedMediaType: the body has a Content-Encoding other than gzip,
	// deflate and zstd.
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	// CodeNotFound: the path does not end in a known surface.
	CodeNotFound Code = "not_found"
	// CodeMethodNotAllowed: the surface is called by another method.
	CodeMethodNotAllowed Code = "method_not_allowed"
	// CodeUpgradeRequired: the client asked for a WebSocket at an endpoint without one,
	// or called an endpoint that needs one without it.
	CodeUpgradeRequired Code = "upgrade_required"
	// CodeInvalidID: an id in the path could be read as another path.
	CodeInvalidID Code = "invalid_id"
	// CodeIDNotFound: the caller has no response, file, batch or other stored thing of
	// an id. The provider was not asked.
	CodeIDNotFound Code = "id_not_found"
	// CodeThreadNotFound: the caller has no message of an id, for its thread to go on.
	// Anthropic's SDKs send the whole conversation then.
	CodeThreadNotFound Code = "thread_not_found"
	// CodeProviderRequired: the request has neither a model nor a known id, and several
	// providers can serve it; or X-Aigateway-Provider names none.
	CodeProviderRequired Code = "provider_required"
	// CodeProviderConflict: the ids of the request and X-Aigateway-Provider lead to
	// different places.
	CodeProviderConflict Code = "provider_conflict"
	// CodeModelNotFound: GET models/{id} names a model that clients may not send.
	CodeModelNotFound Code = "model_not_found"

	// CodeNoAPIKey: the provider needs a key, but no key is configured or selected.
	CodeNoAPIKey Code = "no_api_key"
	// CodeNoMatchingModels: the client's names match no model that can serve this
	// request.
	CodeNoMatchingModels Code = "no_matching_models"
	// CodeProviderNotAllowed: only_allow_configured_providers left nothing.
	CodeProviderNotAllowed Code = "provider_not_allowed"
	// CodeModelNotAllowed: only_allow_configured_models left nothing.
	CodeModelNotAllowed Code = "model_not_allowed"
	// CodeModelSelectionFailed: a strategy of model_selection failed.
	CodeModelSelectionFailed Code = "model_selection_failed"
	// CodeModelSelectionEmpty: every strategy of model_selection came back empty.
	CodeModelSelectionEmpty Code = "model_selection_empty"
	// CodeAPIKeySelectionFailed: a strategy of api_key_selection failed.
	CodeAPIKeySelectionFailed Code = "api_key_selection_failed"
	// CodeInputTooLarge: every candidate refused the prompt for its tokens.
	CodeInputTooLarge Code = "input_too_large"
	// CodeNotTranslatable: no candidate speaks the client's format, and the request
	// cannot be translated, or not without a loss under translate: strict.
	CodeNotTranslatable Code = "not_translatable"
	// CodeThreadUnsupported: the same, for a request of messages with a thread. Anthropic's
	// SDKs go on without the thread then.
	CodeThreadUnsupported Code = "thread_unsupported_request"
	// CodeAtCapacity: every candidate is at a limit of the config, and room did not
	// come in time. The answer has a Retry-After.
	CodeAtCapacity Code = "at_capacity"

	// CodeNotAdmitted: Config.Admission refused the request, or an entry of
	// client_limits needs a key that the request lacks.
	CodeNotAdmitted Code = "not_admitted"
	// CodeClientLimitExceeded: a limit of client_limits is used up. The answer has a
	// Retry-After.
	CodeClientLimitExceeded Code = "client_limit_exceeded"

	// CodeUpstreamUnreachable: no attempt could connect.
	CodeUpstreamUnreachable Code = "upstream_unreachable"
	// CodeUpstreamAuthenticationFailed: every attempt was refused for the gateway's
	// own key.
	CodeUpstreamAuthenticationFailed Code = "upstream_authentication_failed"
	// CodeRequestTimeout: total_timeout is over, or every attempt timed out.
	CodeRequestTimeout Code = "request_timeout"
	// CodeAllProvidersFailed: every attempt failed, for different causes.
	CodeAllProvidersFailed Code = "all_providers_failed"

	// CodeUpstreamError: the only attempt, or the first candidate, got an error as
	// its answer. The error went to the client unchanged.
	CodeUpstreamError Code = "upstream_error"
	// CodeStreamBroken: a stream ended in an error after it had begun to reach the
	// client. If the upstream died, the client's connection was aborted. If the
	// upstream sent an error in the stream, the client got it unchanged.
	CodeStreamBroken Code = "stream_broken"
	// CodeInternal: code of the embedding service panicked: a hook, a policy, a
	// counter or a transport. The panic goes on to net/http.
	CodeInternal Code = "internal_error"
	// CodeClientGone: the client left before the answer was whole, or the service
	// that embeds the gateway ended the request.
	CodeClientGone Code = "client_gone"
)

// HTTPStatus is the status of an answer with this cause. CodeClientGone and
// CodeStreamBroken have 499, because no client reads it. The [Error] of a broken
// stream holds the status that the stream began with.
func (c Code) HTTPStatus() int {
	switch c {
	case CodeInvalidRequestBody, CodeNoAPIKey, CodeInvalidID, CodeProviderRequired, CodeProviderConflict, CodeThreadUnsupported:
		return http.StatusBadRequest
	case CodeRequestTooLarge, CodeInputTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeNotAdmitted:
		return http.StatusForbidden
	case CodeAtCapacity, CodeClientLimitExceeded:
		return http.StatusTooManyRequests
	case CodeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	case CodeNotFound, CodeModelNotFound, CodeIDNotFound, CodeThreadNotFound:
		return http.StatusNotFound
	case CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case CodeUpgradeRequired:
		return http.StatusUpgradeRequired
	case CodeNoMatchingModels, CodeProviderNotAllowed, CodeModelNotAllowed,
		CodeModelSelectionFailed, CodeModelSelectionEmpty, CodeAPIKeySelectionFailed, CodeNotTranslatable:
		return http.StatusUnprocessableEntity
	case CodeUpstreamUnreachable, CodeUpstreamAuthenticationFailed, CodeUpstreamError:
		return http.StatusBadGateway
	case CodeRequestTimeout:
		return http.StatusGatewayTimeout
	case CodeAllProvidersFailed:
		return http.StatusServiceUnavailable
	case CodeClientGone, CodeStreamBroken:
		return 499
	default:
		return http.StatusInternalServerError
	}
}

// Error is a request that failed. [Gateway.Explain] returns it, and the
// [Result] holds its code and message. Reach it with [errors.As].
type Error struct {
	// Code names the cause.
	Code Code
	// Status is the status of the answer: Code.HTTPStatus, or the upstream's own if
	// its answer was relayed.
	Status int
	// Message is written for the client. It holds no secret.
	Message string
	// Err is the cause, for the operator. It never reaches a client. It may be nil.
	Err error

	// RetryAfter is the wait that the client is told. Zero tells it nothing.
	RetryAfter time.Duration
	// NoRetry tells the SDKs not to send the request again by themselves.
	NoRetry bool
}

// Error returns the code and the message.
func (e *Error) Error() string { return "aigateway: " + string(e.Code) + ": " + e.Message }

// detail is the cause for the operator, if it says more than the message.
func (e *Error) detail() string {
	if e.Err == nil || errors.Is(e.Err, context.Canceled) {
		return ""
	}
	return redact.OneLine(e.Err.Error(), 1<<10)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// errorf makes an Error with the status of its code.
func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Status: code.HTTPStatus(), Message: fmt.Sprintf(format, args...)}
}

// errorType is the "type" of an error body. SDKs that do not sort errors by the
// status sort them by this type.
func errorType(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status == http.StatusGatewayTimeout:
		return "timeout_error"
	case status >= 500:
		return "api_error"
	default:
		return "invalid_request_error"
	}
}

// openaiError is an error body in the OpenAI format. All four fields of error are
// always present: openai-go cannot parse a body without them.
type openaiError struct {
	Type  string            `json:"type,omitempty"` // "error", in a stream of the responses surface alone
	Error openaiErrorDetail `json:"error"`
}

// openaiErrorDetail is the error object of an openaiError. Param is always null.
type openaiErrorDetail struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    Code    `json:"code"`
}

// anthropicError is an error body in the Anthropic format.
type anthropicError struct {
	Type      string               `json:"type"` // "error"
	Error     anthropicErrorDetail `json:"error"`
	RequestID string               `json:"request_id,omitempty"`
}

// anthropicErrorDetail is the error object of an anthropicError. The format has no
// field for a code, so details.error_code is the gateway's own.
type anthropicErrorDetail struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Details struct {
		ErrorCode Code `json:"error_code"`
	} `json:"details"`
}

// errorBody is the error in the client's format.
func errorBody(f format, e *Error, requestID string) []byte {
	var body any
	if f == formatAnthropic {
		b := anthropicError{Type: "error", RequestID: requestID}
		b.Error.Type, b.Error.Message = errorType(e.Status), e.Message
		b.Error.Details.ErrorCode = e.Code
		body = b
	} else {
		body = openaiError{Error: openaiErrorDetail{Message: e.Message, Type: errorType(e.Status), Code: e.Code}}
	}
	return mustJSON(body)
}

// errorEvent is the error as a server-sent event, for a stream that broke after it
// was committed. The Anthropic SDKs recognize an error only by the event's name.
// The SDKs of the responses surface recognize events by their type.
func errorEvent(s *surface, e *Error, requestID string) []byte {
	var data []byte
	switch {
	case s.format == formatAnthropic:
		data = errorBody(formatAnthropic, e, requestID)
	case s.name == surfaceResponses:
		data = mustJSON(openaiError{Type: "error",
			Error: openaiErrorDetail{Message: e.Message, Type: errorType(e.Status), Code: e.Code}})
	default:
		return append(append([]byte("data: "), errorBody(formatOpenAI, e, requestID)...), "\n\n"...)
	}
	return append(append([]byte("event: error\ndata: "), data...), "\n\n"...)
}

// mustJSON marshals one of the types above. Marshalling them cannot fail.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// complete is a copy of an error of the service's own code, for a client: with a status
// of an error, and with a message.
func (e *Error) complete() *Error {
	if e == nil {
		return errorf(CodeInternal, "the service's own code failed")
	}
	own := *e
	if own.Status < 400 || own.Status > 599 {
		own.Status = own.Code.HTTPStatus()
	}
	if own.Message == "" {
		own.Message = http.StatusText(own.Status)
	}
	return &own
}

// writeError answers with the error in the client's format. X-Should-Retry stops
// the SDK from sending a request again after the gateway has tried every candidate.
func writeError(w http.ResponseWriter, f format, e *Error, requestID string) {
	body := errorBody(f, e, requestID)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if f == formatAnthropic {
		h.Set("Request-Id", requestID)
	} else {
		h.Set("X-Request-Id", requestID)
	}
	if e.RetryAfter > 0 {
		setRetryAfter(h, e.RetryAfter)
	}
	if e.NoRetry {
		h.Set("X-Should-Retry", "false")
	}
	switch e.Code {
	case CodeAllProvidersFailed, CodeUpstreamUnreachable, CodeUpstreamAuthenticationFailed, CodeRequestTimeout:
		h.Set("X-Should-Retry", "false")
	}
	w.WriteHeader(e.Status)
	w.Write(body) //nolint:errcheck // the client is gone: nobody is left to tell
}

// setRetryAfter sets the headers that say when to send a request again. The unit is
// whole seconds, also in the header in milliseconds, so that all SDKs agree.
func setRetryAfter(h http.Header, d time.Duration) {
	s := retrySeconds(d)
	h.Set("Retry-After", strconv.FormatInt(s, 10))
	h.Set("Retry-After-Ms", strconv.FormatInt(s*1000, 10))
}

// retrySeconds is a Retry-After, rounded up to whole seconds.
func retrySeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }

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
	// FailureRequest: the request could not be made or sent. A configured value or code
	// of the embedding service failed, or the client's header is longer than the
	// provider takes over HTTP/2.
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
	// CauseRequest: the request could not be made or sent, and the provider is not to
	// blame. See FailureRequest.
	CauseRequest FailureCause = "request"
	// CauseConnect: the provider could not be reached.
	CauseConnect FailureCause = "connect"
	// CauseNetwork: the connection broke.
	CauseNetwork FailureCause = "network"
	// CauseTimeout: the provider was silent for too long.
	CauseTimeout FailureCause = "timeout"
	// CauseAnswer: status 200, but the answer broke off, was empty, was not an answer of
	// this endpoint, or held an error of the provider's own. An error whose words tell
	// of more, such as a rate limit, has the cause of its words.
	CauseAnswer FailureCause = "answer"
	// CauseServer: 5xx, 424 and 499, and the words for a failed server under 4xx.
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
	// CauseClient: another 4xx, and the words for a wrong request under 5xx.
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

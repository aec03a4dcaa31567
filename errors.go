package aigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
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
	return oneLine(e.Err.Error(), 1<<10)
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

// oneLine cuts an upstream's text to one line of at most n bytes, and an ellipsis.
func oneLine(s string, n int) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

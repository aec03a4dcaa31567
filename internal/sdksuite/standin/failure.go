package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// failure is an error answer.
type failure struct {
	status  int
	kind    string // the "type" of the body
	code    string // OpenAI alone
	message string
}

func badRequest(format string, args ...any) *failure {
	return &failure{status: 400, kind: "invalid_request_error", message: fmt.Sprintf(format, args...)}
}

func noModel(id string) *failure {
	return &failure{status: 404, kind: "not_found_error", code: "model_not_found", message: "the model '" + id + "' does not exist"}
}

// Statuses are the error answers for SDKs to tell apart: the model "…-standin-429"
// gets 429, and so on.
func Statuses() []int {
	return []int{400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503, 504, 529}
}

// statusKinds are the "type" of each status in the words of either API.
func statusKinds(a api) map[int]string {
	if a == anthropic {
		return map[int]string{400: "invalid_request_error", 401: "authentication_error", 402: "billing_error",
			403: "permission_error", 404: "not_found_error", 408: "timeout_error", 409: "conflict_error",
			413: "request_too_large", 422: "invalid_request_error", 429: "rate_limit_error", 500: "api_error",
			503: "api_error", 504: "timeout_error", 529: "overloaded_error"}
	}
	return map[int]string{400: "invalid_request_error", 401: "invalid_request_error", 402: "insufficient_quota",
		403: "request_forbidden", 404: "invalid_request_error", 408: "server_error", 409: "conflict_error",
		413: "invalid_request_error", 422: "invalid_request_error", 429: "requests", 500: "server_error",
		503: "server_error", 504: "server_error", 529: "server_error"}
}

// scenarioFailure is the error that the model's name asks for. Nil without one.
func (c *call) scenarioFailure() *failure {
	status, err := strconv.Atoi(c.scenario)
	if err != nil || !slices.Contains(Statuses(), status) {
		return nil
	}
	f := &failure{status: status, kind: statusKinds(c.api)[status], message: fmt.Sprintf("the stand-in was asked for %d", status)}
	if c.api == openai {
		f.code = fmt.Sprintf("standin_%d", status)
	}
	if status == 408 || status == 409 || status == 429 || status >= 500 {
		// The SDKs send these again on their own, after this wait.
		c.w.Header().Set("Retry-After-Ms", "1")
		c.w.Header().Set("Retry-After", "1")
	}
	return f
}

func (c *call) fail(f *failure) {
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(f.status)
	c.w.Write(f.body(c.api)) //nolint:errcheck // the client is gone
}

// body is the error as JSON. The numbers at its end must arrive unchanged.
func (f *failure) body(a api) []byte {
	if a == anthropic {
		return marshal(map[string]any{"type": "error", "request_id": "req_standin_1",
			"error": map[string]any{"type": f.kind, "message": f.message}})
	}
	var code any
	if f.code != "" {
		code = f.code
	}
	return marshal(map[string]any{"error": map[string]any{"message": f.message, "type": f.kind, "param": nil, "code": code,
		"vendor_number": json.Number("0.70")}})
}

// errorEvent is an error in the midst of a stream.
func (c *call) errorEvent() event {
	f := failure{status: http.StatusInternalServerError, kind: "server_error", code: "server_error", message: "the stand-in gave up"}
	if c.api == anthropic {
		f.kind = "overloaded_error"
		return event{name: "error", data: string(f.body(c.api))}
	}
	if c.r.URL.Path == "/v1/responses" {
		return event{name: "error", data: `{"type":"error","code":"server_error","message":"the stand-in gave up","param":null,"sequence_number":0}`}
	}
	return event{data: string(f.body(c.api))}
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // made of the literals above
	}
	return b
}

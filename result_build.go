package aigateway

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// maxErrorExcerpt bounds AttemptResponse.BodyOnError, in bytes.
const maxErrorExcerpt = 1 << 10

// requestID is the client's id of the request, if it sent a sane one, else a
// new one.
func requestID(h http.Header) string {
	if id := h.Get("X-Request-Id"); id != "" && len(id) <= 128 && isPlain(id) {
		return id
	}
	var b [12]byte
	rand.Read(b[:])
	return "req_" + hex.EncodeToString(b[:])
}

// beginAttempt starts the record of an attempt at the last candidate.
func (x *exchange) beginAttempt(m *model) *attemptRecord {
	x.attempts = append(x.attempts, attemptRecord{model: m, candidate: len(x.tried) - 1, start: time.Now()})
	x.meter, x.written = usage.Meter{}, usage.Written{}
	return &x.attempts[len(x.attempts)-1]
}

// result makes the Result of the request as it stands.
func (x *exchange) result(err *Error) *Result {
	res := &Result{
		Status:         StatusSuccess,
		RequestID:      x.id,
		Surface:        x.surface.name,
		Format:         string(x.surface.format),
		Client:         x.client(),
		ModelSelection: []StrategyResult{},
		ModelsTried:    []TriedModel{},
		Notes:          slices.Clone(x.notes),
	}
	if err != nil {
		res.Status = StatusError
		res.Error = &ResultError{Code: err.Code, Status: err.Status, Message: err.Message}
	}
	for _, r := range x.plan.runs {
		res.ModelSelection = append(res.ModelSelection, x.s.strategyResult(r))
	}
	now := time.Now()
	var upstream time.Duration
	for i := range x.tried {
		t := &x.tried[i]
		tried := TriedModel{
			Model: t.model.id, Provider: t.model.provider.id, Author: t.model.view.AuthorID, Known: t.model.view.Known, Listed: x.s.byView[t.model.view] != nil,
		}
		tried.RestingMS, tried.Probed = restingMS(t.rest.Resting(), t.at), t.rest.Phase == stats.Probing
		if t.err != nil {
			tried.Error = t.err.Message
		}
		for _, k := range t.keys {
			tried.APIKeySelection = append(tried.APIKeySelection, SelectedKey{ID: k.id, RestingMS: restingMS(k.track.Rest.State(now).Resting(), now)})
		}
		for j := range x.attempts {
			a := &x.attempts[j]
			if a.candidate != i {
				continue
			}
			tried.RequestsMade = append(tried.RequestsMade, x.publicAttempt(a))
			if a.committed && a.failure == nil {
				res.Success = &Success{
					ModelIndex: i, RequestIndex: len(tried.RequestsMade) - 1,
					Model: tried.Model, Provider: tried.Provider, Author: tried.Author,
				}
				res.InputTokens, res.OutputTokens = a.input, a.output
			}
			upstream += a.untilCommit(x.committedAt)
		}
		res.ModelsTried = append(res.ModelsTried, tried)
	}
	for _, r := range x.rested {
		res.Rested = append(res.Rested, RestedModel{
			Model: r.model.id, Provider: r.model.provider.id,
			RestingMS: restingMS(r.rest.Resting(), r.at), Probed: r.rest.Phase == stats.Probing,
		})
	}
	end := x.committedAt
	if end.IsZero() {
		end = time.Now()
	}
	res.GatewayLatencyMS = ms(max(0, end.Sub(x.start)-x.readTime-x.waited-upstream))
	return res
}

// restingMS is what is left of a rest at a time.
func restingMS(until, at time.Time) float64 {
	if until.IsZero() {
		return 0
	}
	return ms(max(0, until.Sub(at)))
}

// untilCommit is how long an attempt was waited for before its answer, if any,
// was committed.
func (a *attemptRecord) untilCommit(committedAt time.Time) time.Duration {
	if a.committed {
		return committedAt.Sub(a.start)
	}
	return a.total
}

func (s *settings) strategyResult(r strategyRun) StrategyResult {
	n := len(r.chosen)
	out := StrategyResult{
		ClientModel:                  r.name,
		CandidatesReturned:           n,
		CandidatesAfterAllowedFilter: n,
		CandidatesAfterClientFilter:  n,
		Notes:                        slices.Clone(r.notes),
	}
	if r.strategy >= 0 {
		out.Strategy = s.strategies[r.strategy].text
	}
	if r.err != nil {
		out.Error = r.err.Error()
	}
	for _, m := range r.chosen {
		out.ModelsToTry = append(out.ModelsToTry, m.name())
	}
	return out
}

// publicAttempt is the record of an attempt as hooks and Results show it.
func (x *exchange) publicAttempt(a *attemptRecord) Attempt {
	number := 0
	for i := range x.attempts {
		if &x.attempts[i] == a {
			number = i + 1
		}
	}
	out := Attempt{
		Provider:             a.model.provider.id,
		Model:                a.model.id,
		Number:               number,
		Status:               "success",
		UpstreamInputTokens:  a.input,
		UpstreamOutputTokens: a.output,
		Request:              AttemptRequest{URL: a.url, APIKey: a.key},
		UpstreamLatency: UpstreamLatency{
			TimeToFirstByteMS: ms(a.firstByte), TimeToFirstTokenMS: ms(a.firstToken), TotalMS: ms(a.total),
		},
	}
	if a.failure != nil {
		out.Status, out.Error, out.Kind = "failed", a.failure.full(), a.failure.Kind
		out.RestMS = ms(a.rest)
		if a.relayed {
			out.Status = "relayed"
		}
	}
	if a.status != 0 {
		out.Response = &AttemptResponse{StatusCode: a.status, Headers: x.publicHeader(a.header)}
		if a.failure != nil {
			out.Response.BodyOnError = excerpt(a.body)
		}
	}
	return out
}

// publicHeader is an answer's header without cookies and echoed secrets.
func (x *exchange) publicHeader(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, values := range h {
		if name == "Set-Cookie" || name == "Set-Cookie2" {
			continue
		}
		for _, v := range values {
			out[name] = append(out[name], string(x.scrub([]byte(v))))
		}
	}
	return out
}

func excerpt(body []byte) string {
	if len(body) > maxErrorExcerpt {
		body = body[:maxErrorExcerpt]
	}
	return strings.ToValidUTF8(string(body), "")
}

// endAttempt completes the record of an attempt.
func (x *exchange) endAttempt(a *attemptRecord, f *failure) {
	if f != nil {
		f.hint = a.hint(f)
	}
	a.failure = f
	a.total = time.Since(a.start)
	tokens := x.meter.Tokens()
	a.input, a.output = tokens.Input, tokens.Output
}

// client is the client's request, less what is secret.
func (x *exchange) client() ClientRequest {
	c := ClientRequest{
		Method: x.r.Method, Path: x.r.URL.Path, Headers: make(http.Header, len(x.r.Header)),
		Model: shown(x.sel.Model), Models: x.shownModels(), Stream: x.sel.Stream,
	}
	for name, values := range x.r.Header {
		for _, v := range values {
			if isCredentialHeader(name) || isSecretName(name) {
				v = redactText(v)
			}
			c.Headers[name] = append(c.Headers[name], v)
		}
	}
	q := x.query()
	for _, r := range x.plan.rejections {
		rejected := RejectedModel{Model: r.name, Reason: r.reason.String(), Message: r.message(x.s, q)}
		if r.provider != nil {
			rejected.Provider = r.provider.id
		}
		c.RejectedModels = append(c.RejectedModels, rejected)
	}
	return c
}

// shownModels are the names in models, each as it may be shown.
func (x *exchange) shownModels() []string {
	var names []string
	for _, name := range x.sel.Models {
		names = append(names, shown(name))
	}
	return names
}

// isSecretName reports whether a header of a name that the gateway does not
// know probably holds a secret.
func isSecretName(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"auth", "token", "secret", "key", "password", "cookie", "session", "signature", "credential", "jwt", "assertion"} {
		if strings.Contains(name, word) && name != "idempotency-key" {
			return true
		}
	}
	return false
}

// ms is a duration in milliseconds, to the microsecond.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

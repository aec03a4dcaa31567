package aigateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
)

// maxErrorExcerpt bounds AttemptResponse.BodyOnError, in bytes.
// Messages of providers fit in a few hundred bytes. A page of HTML from a proxy
// does not, and its start says enough.
const maxErrorExcerpt = 1 << 10

// result is the Result of the trail: everything but the selection.
//
// A candidate that was passed over and tried later stands only in ModelsTried. The
// caller adds the runs of the strategies.
func (t *trail) result(in *inbound, err *Error) *Result {
	sum := t.summarize(in)
	res := &Result{
		Status:           StatusSuccess,
		RequestID:        in.id,
		Surface:          in.surface.name,
		Format:           string(in.surface.format),
		Client:           in.shown(),
		ModelSelection:   []StrategyResult{},
		ModelsTried:      []TriedModel{},
		GatewayLatencyMS: ms(sum.gateway),
		QueuedMS:         ms(t.queued),
		Notes:            slices.Clone(t.notes),
	}
	if err != nil {
		res.Status = StatusError
		res.Error = &ResultError{Code: err.Code, Status: err.Status, Message: err.Message, Detail: err.detail()}
	}
	res.Translation = t.translated().public()
	for i, r := range t.tried {
		m := r.public()
		for _, a := range r.attempts {
			m.RequestsMade = append(m.RequestsMade, a.public())
			// A stream that broke after its beginning answered too, but not with
			// success.
			if a == sum.answered && a.failure == nil {
				res.Success = &Success{
					ModelIndex: i, RequestIndex: len(m.RequestsMade) - 1,
					Model: m.Model, Provider: m.Provider, Author: m.Author,
				}
				res.InputTokens, res.OutputTokens = a.input, a.output
			}
		}
		res.ModelsTried = append(res.ModelsTried, m)
	}
	total, cost := t.total()
	res.Usage, res.Cost = total, cost.public()
	for _, k := range t.skipped {
		if k.tried != nil {
			continue
		}
		res.Skipped = append(res.Skipped, SkippedModel{
			Model: k.model.id, Provider: k.model.provider.id,
			CooldownMS: left(k.cooldown.CooldownUntil(), k.at), Probed: k.cooldown.Phase == stats.Probing,
			Limit: k.limit.String(),
		})
	}
	return res
}

// public is a candidate in the form of the Result, without its attempts.
// A provider without keys has one stand-in key. It stands for requests without a key,
// and is left out.
func (r *tried) public() TriedModel {
	m := r.model
	out := TriedModel{
		Model: m.id, Provider: m.provider.id, Author: m.view.AuthorID, Known: m.view.Known, Unlisted: m.unlisted,
		CooldownMS: left(r.cooldown.CooldownUntil(), r.at), Probed: r.cooldown.Phase == stats.Probing, Limit: r.limit,
	}
	out.Translation = r.codec.public()
	if r.err != nil {
		out.Error = r.err.Message
	}
	for i, k := range r.keys {
		if !k.none {
			out.APIKeySelection = append(out.APIKeySelection, SelectedKey{ID: k.id, CooldownMS: left(r.keyStates[i].CooldownUntil(), r.at)})
		}
	}
	return out
}

// left is the remaining part of a cooldown, in milliseconds. The zero time is not a
// cooldown.
func left(until, at time.Time) float64 {
	if until.IsZero() {
		return 0
	}
	return ms(max(0, until.Sub(at)))
}

// ms is a duration in milliseconds, to the microsecond.
// Floats with three digits behind the point read well in logs, and JSON has no
// durations.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// seconds is a cooldown for people.
func seconds(d time.Duration) string {
	if d >= 2*time.Minute {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// public is an attempt in the form for hooks and Results. It shares nothing with
// the attempt.
//
// It must be called when the attempt is over: the figures change until then.
func (a *attempt) public() Attempt {
	out := Attempt{
		Provider:             a.model.provider.id,
		Model:                a.model.id,
		Number:               a.number,
		Status:               AttemptSucceeded,
		Resent:               a.resent,
		EndedSilent:          a.endedSilent,
		UpstreamInputTokens:  a.input,
		UpstreamOutputTokens: a.output,
		Request:              AttemptRequest{URL: a.url(), APIKey: a.key(), RemovedParams: slices.Clone(a.removed)},
		UpstreamLatency: UpstreamLatency{
			TimeToFirstByteMS: ms(a.firstByte), TimeToFirstTokenMS: ms(a.firstToken), TotalMS: ms(a.total),
		},
	}
	if a.used {
		used, cost := a.consumed()
		u := *used
		out.Usage, out.Cost = &u, cost.public()
	}
	if a.failure != nil {
		out.Status, out.Error, out.Kind = AttemptFailed, a.failure.full(), a.failure.Kind
		out.CooldownMS = ms(a.cooldown)
		out.StreamOptionsRefused = a.failure.usageRefused
		if a.relayed {
			out.Status = AttemptRelayed
		}
	}
	if a.status != 0 {
		out.Response = &AttemptResponse{StatusCode: a.status, RequestID: a.upstreamID(), Headers: a.publicHeader()}
		if a.failure != nil {
			out.Response.BodyOnError = excerpt(a.body)
		}
	}
	return out
}

// upstreamIDs are the headers by which upstreams tell their own id of a request.
// They are in canonical form, as net/http stores names. OpenAI sends
// X-Request-Id, Anthropic Request-Id, Azure Apim-Request-Id, AWS
// X-Amzn-Requestid.
var upstreamIDs = []string{"Request-Id", "X-Request-Id", "Apim-Request-Id", "X-Amzn-Requestid", "X-Ms-Request-Id"}

// upstreamID is the upstream's own id of the request, cut to a sensible length.
//
// The first header of the list that is there counts.
func (a *attempt) upstreamID() string {
	for _, name := range upstreamIDs {
		if v := a.header[name]; len(v) > 0 && v[0] != "" {
			return a.secrets.ScrubLine(v[0], 128)
		}
	}
	return ""
}

// publicHeader is the answer's header without cookies and echoed secrets.
// A cookie is a credential of the session with the provider.
func (a *attempt) publicHeader() http.Header {
	out := make(http.Header, len(a.header))
	for name, values := range a.header {
		if name == "Set-Cookie" || name == "Set-Cookie2" {
			continue
		}
		for _, v := range values {
			out[name] = append(out[name], a.secrets.ScrubText(v))
		}
	}
	return out
}

// excerpt is the start of a body, as valid UTF-8. Its secrets are already cut out.
// A rune that the cut splits is dropped.
func excerpt(body []byte) string {
	if len(body) > maxErrorExcerpt {
		body = body[:maxErrorExcerpt]
	}
	return strings.ToValidUTF8(string(body), "")
}

// describe adds the selection to a Result.
//
// Runs that failed have an error and no models. The text of a strategy is the
// config's.
func (p *plan) describe(res *Result, s *selector, q query) {
	for _, r := range p.rejections {
		res.Client.RejectedModels = append(res.Client.RejectedModels, r.public(s, q))
	}
	for _, r := range p.runs {
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
		res.ModelSelection = append(res.ModelSelection, out)
	}
}

// public is a rejection in the form of the Result.
func (r rejection) public(s *selector, q query) RejectedModel {
	out := RejectedModel{Model: r.name, Reason: r.reason.String(), Message: r.message(s, q)}
	if r.provider != nil {
		out.Provider = r.provider.id
	}
	return out
}

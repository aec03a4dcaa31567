package aigateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/debugpage"
	"github.com/aigateway-go/aigateway/internal/genai"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/redact"
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
	res.Translation = publicTranslation(t.translated())
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
	out.Translation = publicTranslation(r.codec)
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

// upstreamID is the upstream's own id of the request, cut to a sensible length.
func (a *attempt) upstreamID() string {
	if id := header.UpstreamID(a.header); id != "" {
		return a.secrets.ScrubLine(id, 128)
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

// logDebug is the level of a line with the whole Result.
// Building it costs more than the line itself. The caller asks the logger first.
const logDebug = slog.LevelDebug

// logLine is the line of one request. Attributes have the names of OpenTelemetry's
// semantic conventions for generative AI, if those have one. Provider and model are
// those of the last sent attempt.
//
// It holds no text of prompts or answers. Names of clients are cut to a sensible length.
type logLine []slog.Attr

// logLevel is info, and warn for a failed request.
// An answer from the second or third candidate is a success too, and stays at
// info: the failures stand in the line.
func logLevel(err *Error) slog.Level {
	if err != nil {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// newLogLine makes the line without the attributes of attempts. A nil err is a
// success.
func newLogLine(in *inbound, t *trail, err *Error) logLine {
	l := make(logLine, 0, 20)
	l = append(l,
		slog.String("request_id", in.id),
		slog.String("gen_ai.operation.name", genai.Operation(in.surface.name)),
		slog.String("aigateway.surface", in.surface.name),
		slog.Bool("gen_ai.request.stream", in.sel.Stream))
	if in.caller != "" {
		l = append(l, slog.String("aigateway.caller", shown(in.caller)))
	}
	l = append(l, in.labels...)
	if in.sel.Model != "" {
		l = append(l, slog.String("aigateway.request.model", shown(in.sel.Model)))
	}
	if len(in.sel.Models) > 0 {
		l = append(l, slog.Any("aigateway.request.models", shownNames(in.sel.Models)))
	}
	l = append(l,
		slog.Int("aigateway.attempts", t.sent),
		slog.Float64("duration_ms", ms(time.Since(in.start))))
	if t.queued > 0 {
		l = append(l, slog.Float64("aigateway.queued_ms", ms(t.queued)))
	}
	sum := t.summarize(in)
	// The last sent attempt stands for the request. The failures below name the
	// others.
	if sum.last != nil {
		l.addAttempt(sum.last)
	}
	if k := t.translated(); k != nil {
		l = append(l, slog.String("aigateway.translation", k.Header()))
	}
	l.addUsage(t)
	if err != nil {
		l = append(l,
			slog.String("error.type", string(err.Code)),
			slog.Int("http.response.status_code", err.Status),
			slog.String("error.message", err.Message))
		if detail := err.detail(); detail != "" {
			l = append(l, slog.String("aigateway.cause", detail))
		}
	}
	l.addSteps(sum.steps)
	return l
}

// addAttempt adds the attributes of the last sent attempt.
//
// The provider's name is the one of the conventions, where these know it.
func (l *logLine) addAttempt(a *attempt) {
	*l = append(*l,
		slog.String("gen_ai.provider.name", genai.Provider(a.model.provider.id)),
		slog.String("gen_ai.request.model", shown(a.model.id)))
	if a.status != 0 {
		*l = append(*l, slog.Int("aigateway.upstream.status_code", a.status))
	}
	if id := a.upstreamID(); id != "" {
		*l = append(*l, slog.String("aigateway.upstream.request_id", id))
	}
	if a.firstToken > 0 {
		*l = append(*l, slog.Float64("time_to_first_token_ms", ms(a.firstToken)))
	}
}

// addUsage adds the tokens and the cost of all attempts. Zeros are left out.
// A request with failover may have paid several providers. So the sum is over
// all attempts, whereas the names are those of the last.
func (l *logLine) addUsage(t *trail) {
	u, cost := t.total()
	if u == nil {
		return
	}
	for _, count := range [...]struct {
		name string
		n    int64
	}{
		{"gen_ai.usage.input_tokens", u.InputTokens},
		{"gen_ai.usage.output_tokens", u.OutputTokens},
		{"gen_ai.usage.cache_read.input_tokens", u.CachedInputTokens},
		{"gen_ai.usage.cache_creation.input_tokens", u.CacheWriteTokens},
		{"aigateway.usage.reasoning_tokens", u.ReasoningTokens},
	} {
		if count.n > 0 {
			*l = append(*l, slog.Int64(count.name, count.n))
		}
	}
	if u.Estimated {
		*l = append(*l, slog.Bool("aigateway.usage.estimated", true))
	}
	if cost.known {
		*l = append(*l, slog.Float64("aigateway.cost.usd", cost.USD.Float64()))
	}
}

// addSteps adds the reason of each failed attempt, with all details for the
// operator, and the cooldown of each skipped candidate.
// Three lists keep the kinds apart: what failed, what was passed over, and
// oddities of attempts with an answer.
func (l *logLine) addSteps(steps []step) {
	var failed, passed, notes []string
	for _, s := range steps {
		if a := s.attempt; a != nil && a.resent {
			notes = append(notes, a.model.name()+": sent once more, as its kept connection was closed")
		}
		if a := s.attempt; a != nil && a.endedSilent {
			notes = append(notes, a.model.name()+": ended by the gateway, as it was silent after its finish reason")
		}
		switch {
		case s.attempt != nil && s.attempt.failure != nil:
			failed = append(failed, s.attempt.model.name()+": "+s.attempt.failure.full())
		case s.skipped != nil:
			why := whySkipped(s.skipped)
			if until := s.skipped.cooldown.CooldownUntil(); s.skipped.limit == 0 && !until.IsZero() {
				why = "in cooldown for " + until.Sub(s.skipped.at).Round(100*time.Millisecond).String()
			}
			passed = append(passed, s.skipped.model.name()+": "+why)
		}
	}
	if len(failed) > 0 {
		*l = append(*l, slog.Any("aigateway.failures", failed))
	}
	if len(notes) > 0 {
		*l = append(*l, slog.Any("aigateway.notes", notes))
	}
	if len(passed) > 0 {
		*l = append(*l, slog.Any("aigateway.skipped", passed))
	}
}

// add appends the whole Result.
// It is for the level debug, and marshals by the Result's own tags.
func (l *logLine) add(res *Result) { *l = append(*l, slog.Any("aigateway.result", res)) }

// write uses a constant message, so that lines can be grouped by it.
func (l logLine) write(ctx context.Context, logger *slog.Logger, level slog.Level) {
	logger.LogAttrs(ctx, level, "request", l...)
}

// shownNames are the client's names, cut to a sensible length: a request can have a
// hundred names of a kilobyte each.
func shownNames(names []string) []string {
	const most = 8
	list := make([]string, 0, most+1)
	for _, name := range names[:min(len(names), most)] {
		list = append(list, shown(name))
	}
	if more := len(names) - most; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return list
}

// newDebugRecord is the debug page's record of a request.
//
// It runs once somebody has looked at the page, see [debugpage.History.Want].
// Texts from outside go through [debugpage.Name] and [debugpage.Text], and are
// cut there.
func newDebugRecord(in *inbound, t *trail, err *Error) *debugpage.Request {
	sum := t.summarize(in)
	// Everything here is bounded or copied: a record must not keep a request's
	// memory alive.
	r := &debugpage.Request{
		Time:       in.start,
		DurationMS: ms(time.Since(in.start)),
		GatewayMS:  ms(sum.gateway),
		ID:         debugpage.Name(in.id),
		Surface:    in.surface.name,
		Path:       debugpage.Text(in.r.URL.Path),
		Names:      []string{},
		Stream:     in.sel.Stream,
		OK:         err == nil,
		Attempts:   t.sent,
		Trail:      []debugpage.Step{},
	}
	if err != nil {
		r.Code, r.Status, r.Message = string(err.Code), err.Status, debugpage.Text(err.Message)
	}
	// An empty list of names in a body that was read means the client left the
	// choice to the gateway.
	names := in.query().names
	r.Auto = len(names) == 0 && in.understood(err)
	r.Ask(names)
	r.Caller = debugpage.Name(in.caller)
	for _, l := range in.labels {
		r.Labels = append(r.Labels, debugpage.Name(l.Key+"="+l.Value.String()))
	}
	u, cost := t.total()
	if u != nil {
		used := debugpage.Usage(*u)
		r.Usage = &used
	}
	if cost.known {
		r.Cost = &debugpage.Cost{USD: debugpage.Amount(cost.USD), Estimated: cost.Estimated, Source: string(cost.Source)}
	}
	for _, s := range sum.steps {
		r.Step(s.debug())
	}
	if k := t.translated(); k != nil {
		r.Note(k.Line())
	}
	if a := sum.answered; a != nil {
		r.Provider, r.Model = debugpage.Name(a.model.provider.id), debugpage.Name(a.model.id)
		r.InputTokens, r.OutputTokens = a.input, a.output
		// A broken stream shows the status that the client got.
		if err == nil || err.Code == CodeStreamBroken {
			r.Status = a.status
		}
	}
	return r
}

// enter adds what the attempts of a request cost to the ledger of the debug page.
//
// Every attempt with a use counts, failed ones included: the provider charges a
// stream that broke half-way.
func enter(ledger *debugpage.Ledger, r *debugpage.Request, t *trail) {
	labels := r.Labels
	if r.Caller != "" {
		labels = append(labels[:len(labels):len(labels)], "caller="+r.Caller)
	}
	for _, a := range t.attempts {
		if a.used {
			_, cost := a.consumed()
			ledger.Add(r.Time, debugpage.Entry{
				Provider: debugpage.Name(a.model.provider.id), Model: debugpage.Name(a.model.id), Labels: labels,
				USD: int64(cost.USD), Known: cost.known, Estimated: cost.Estimated,
			})
		}
	}
}

// understood reports whether the body could be read, so that the client's wish is
// known.
func (in *inbound) understood(err *Error) bool {
	if in.raw == nil {
		return false
	}
	return err == nil || err.Code != CodeInvalidRequestBody
}

// debug is a step in the form of the debug page.
func (s step) debug() debugpage.Step {
	switch {
	case s.skipped != nil:
		return debugpage.Step{
			Provider: debugpage.Name(s.skipped.model.provider.id), Model: debugpage.Name(s.skipped.model.id),
			Outcome: debugpage.Skipped, Reason: whySkipped(s.skipped),
		}
	case s.refused != nil:
		return debugpage.Step{
			Provider: debugpage.Name(s.refused.model.provider.id), Model: debugpage.Name(s.refused.model.id),
			Outcome: debugpage.NotSent, Reason: debugpage.Text(s.refused.err.Message),
		}
	}
	a := s.attempt
	out := debugpage.Step{
		Provider: debugpage.Name(a.model.provider.id), Model: debugpage.Name(a.model.id),
		Key: debugpage.Name(a.key()), KeyID: a.keyID,
		Outcome: debugpage.Succeeded, Status: a.status,
		FirstByteMS: ms(a.firstByte), FirstTokenMS: ms(a.firstToken), TotalMS: ms(a.total),
	}
	if a.failure != nil {
		out.Outcome, out.Kind, out.Reason, out.CooldownMS = debugpage.Failed, string(a.failure.Kind), debugpage.Text(a.failure.full()), ms(a.cooldown)
		if a.relayed {
			out.Outcome = debugpage.Relayed
		}
	}
	return out
}

// whySkipped is the reason of a skipped candidate, for people.
// The order matters: a candidate at its limit may also cool down, and the limit
// is what held this request back.
func whySkipped(k *skipped) string {
	if k.limit != 0 {
		return "at its limit " + k.limit.String()
	}
	if until := k.cooldown.CooldownUntil(); !until.IsZero() {
		return "in cooldown for " + seconds(until.Sub(k.at))
	}
	return "being probed"
}

// rememberPlan notes the names and elements left out by the selection and the
// attempts.
//
// Notes are grouped: a strategy over a hundred models may make the same one for
// each.
func rememberPlan(r *debugpage.Request, p *plan, remarks []string) {
	for _, rejected := range p.rejections {
		r.Reject(rejected.name, rejected.reason.String()) // the word, because the sentence looks for similar names
	}
	var notes []string
	for _, run := range p.runs {
		if run.err != nil {
			r.Note(run.err.Error())
		}
		notes = append(notes, run.notes...)
	}
	for _, n := range append(debugpage.Grouped(notes), debugpage.Grouped(remarks)...) {
		r.Note(n)
	}
}

// debugSettings is the part of the debug page that comes from the Config.
type debugSettings struct {
	ledger  *debugpage.Ledger
	history *debugpage.History // the gateway's
	config  json.RawMessage
	runtime debugpage.Runtime
}

// newDebugSettings notes the presentable part of a Config that New accepts. New
// calls it, because the Config may change later.
func newDebugSettings(history *debugpage.History, ledger *debugpage.Ledger, cfg Config) debugSettings {
	raw, err := plainJSON(shownConfig(cfg))
	if err != nil {
		raw = []byte("{}") // New refuses what does not marshal
	}
	return debugSettings{history: history, ledger: ledger, config: raw, runtime: debugpage.Runtime{
		Secrets:        shownType(cfg.Secrets, "EnvSecrets, by default"),
		Registry:       shownType(cfg.Registry, "BuiltinRegistry, by default"),
		URLPolicy:      shownType(cfg.URLPolicy, "StrictURLPolicy, by default"),
		Transport:      shownType(cfg.Transport, "the gateway's own"),
		FailoverPolicy: shownType(cfg.FailoverPolicy, "DefaultFailoverPolicy, by default"),
		TokenCounter:   shownType(cfg.TokenCounter, "an estimate, by default"),
		Hooks:          cfg.Hooks != nil, Logger: cfg.Logger != nil,
		Region: cfg.Region, Account: cfg.Account, MaxBodyBytes: given(cfg.MaxBodyBytes, bounds.Of("Config", "MaxBodyBytes").Number()),
	}}
}

// shownType is the type of a dependency. Its value may hold a secret, and is not
// shown.
func shownType(v any, none string) string {
	if v == nil {
		return none
	}
	return fmt.Sprintf("%T", v)
}

// shownConfig is a copy of a Config with its defaults, and without possible
// secrets. Templates redact themselves when they are marshaled. This function
// redacts the free-form parts.
// The given Config stays as it is: lists are cloned before their items change.
func shownConfig(cfg Config) Config {
	cfg = withDefaults(cfg)
	cfg.Headers, cfg.QueryParams, cfg.Body = redact.Keys(cfg.Headers), redact.Keys(cfg.QueryParams), redact.Object(cfg.Body)
	cfg.Providers = slices.Clone(cfg.Providers)
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		// A query may hold a key.
		if base, _, ok := strings.Cut(p.BaseURL, "?"); ok {
			p.BaseURL = base + "?…"
		}
		p.Headers, p.QueryParams, p.Body = redact.Keys(p.Headers), redact.Keys(p.QueryParams), redact.Object(p.Body)
		p.Metadata = redact.Object(p.Metadata)
		// People put a key into the scheme by mistake.
		if redact.LooksSecret(p.Auth.Scheme) {
			p.Auth.Scheme = "…"
		}
		p.Models = slices.Clone(p.Models)
		for j := range p.Models {
			p.Models[j].Metadata = redact.Object(p.Models[j].Metadata)
		}
	}
	return cfg
}

// configText is the config as YAML, for people.
// A document YAML cannot hold is shown as JSON.
func configText(config json.RawMessage) string {
	if text, ok := confdoc.YAML(config); ok {
		return text
	}
	return string(config)
}

// publicTranslation is a codec as the Result shows it.
func publicTranslation(k *codec) *Translation {
	if k == nil {
		return nil
	}
	return &Translation{
		Pair: k.Pair(), Lost: slices.Clone(k.Report.Lost), Dropped: slices.Clone(k.Report.Dropped), Estimated: k.Estimated,
	}
}

package aigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/debugpage"
	"github.com/aigateway-go/aigateway/internal/genai"
	"github.com/aigateway-go/aigateway/internal/redact"
)

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
		l = append(l, slog.String("aigateway.translation", k.header()))
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
	for _, name := range names {
		if len(r.Names) == debugpage.MaxNames {
			r.NamesOmitted++
			r.Omitted++
			continue
		}
		r.Names = append(r.Names, debugpage.Name(name))
	}
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
	rememberSteps(r, sum.steps)
	if k := t.translated(); k != nil {
		r.Notes = append(r.Notes, debugpage.Text(k.line()))
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

// rememberSteps notes the steps of the trail, up to the bounds of the page.
//
// Skipped candidates have a bound of their own. A hundred of them must not hide
// the attempts.
func rememberSteps(r *debugpage.Request, steps []step) {
	skipped := 0
	for _, s := range steps {
		if s.skipped != nil {
			skipped++
		}
		if len(r.Trail) == debugpage.MaxSteps || s.skipped != nil && skipped > debugpage.MaxSkipped {
			r.Omitted++
			continue
		}
		r.Trail = append(r.Trail, s.debug())
	}
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
		if len(r.Rejected) == debugpage.MaxNames {
			r.Omitted++
			continue
		}
		// The word, because the sentence looks for similar names.
		r.Rejected = append(r.Rejected, debugpage.Rejected{Model: debugpage.Name(rejected.name), Reason: rejected.reason.String()})
	}
	note := func(text string) {
		if len(r.Notes) == debugpage.MaxNotes {
			r.Omitted++
			return
		}
		r.Notes = append(r.Notes, debugpage.Text(text))
	}
	var notes []string
	for _, run := range p.runs {
		if run.err != nil {
			note(run.err.Error())
		}
		notes = append(notes, run.notes...)
	}
	for _, n := range append(debugpage.Grouped(notes), debugpage.Grouped(remarks)...) {
		note(n)
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
	cfg.Headers, cfg.QueryParams, cfg.Body = shownKeys(cfg.Headers), shownKeys(cfg.QueryParams), shownMap(cfg.Body)
	cfg.Providers = slices.Clone(cfg.Providers)
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		// A query may hold a key.
		if base, _, ok := strings.Cut(p.BaseURL, "?"); ok {
			p.BaseURL = base + "?…"
		}
		p.Headers, p.QueryParams, p.Body = shownKeys(p.Headers), shownKeys(p.QueryParams), shownMap(p.Body)
		p.Metadata = shownMap(p.Metadata)
		// People put a key into the scheme by mistake.
		if redact.LooksSecret(p.Auth.Scheme) {
			p.Auth.Scheme = "…"
		}
		p.Models = slices.Clone(p.Models)
		for j := range p.Models {
			p.Models[j].Metadata = shownMap(p.Models[j].Metadata)
		}
	}
	return cfg
}

// shownKey is the name of a header or a field. A name that is a credential, put
// into the wrong place, is redacted.
func shownKey(name string) string {
	if redact.IsKey(name) {
		return "…"
	}
	return name
}

// shownKeys redacts the names of headers and parameters. The values redact
// themselves.
func shownKeys(values map[string]Template) map[string]Template {
	out := maps.Clone(values)
	for name, v := range values {
		if shown := shownKey(name); shown != name {
			delete(out, name)
			out[shown] = v
		}
	}
	return out
}

// shownMap redacts possible secrets in a value of any shape.
func shownMap(m map[string]any) map[string]any {
	if len(m) == 0 {
		return nil
	}
	// A Go program may have put any type into the map. JSON has only a few.
	raw, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	var copied map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	// A float64 would change large numbers.
	d.UseNumber()
	if err := d.Decode(&copied); err != nil {
		return nil
	}
	return shownValue(copied, false).(map[string]any)
}

// shownValue is v, redacted. Values under secret-sounding names are redacted,
// except for numbers and booleans: they are more often limits and switches, such as
// max_tokens.
// Secret is inherited: everything under a name such as "credentials" is
// redacted, however deep.
func shownValue(v any, secret bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, child := range v {
			out[shownKey(name)] = shownValue(child, secret || redact.IsSecretName(name))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = shownValue(child, secret)
		}
		return out
	case string:
		switch {
		case strings.Contains(v, "${"):
			// Template shows the expressions, and hides the text around them.
			return Template(v)
		case v != "" && (secret || redact.HasSecret(v)):
			return "…"
		}
		return v
	default:
		return v
	}
}

// configText is the config as YAML, for people.
// A document YAML cannot hold is shown as JSON.
func configText(config json.RawMessage) string {
	if text, ok := confdoc.YAML(config); ok {
		return text
	}
	return string(config)
}

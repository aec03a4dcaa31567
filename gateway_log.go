package aigateway

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aigateway-go/aigateway/internal/genai"
)

// logDebug is the level of a line with the whole Result.
const logDebug = slog.LevelDebug

// logLine is the line of one request. Attributes have the names of OpenTelemetry's
// semantic conventions for generative AI, if those have one. Provider and model are
// those of the last sent attempt.
type logLine []slog.Attr

// logLevel is info, and warn for a failed request.
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
	sum := t.summarize(in)
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
		*l = append(*l, slog.Float64("aigateway.cost.usd", cost.USD.Float()))
	}
}

// addSteps adds the reason of each failed attempt, with all details for the
// operator, and the cooldown of each skipped candidate.
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
func (l *logLine) add(res *Result) { *l = append(*l, slog.Any("aigateway.result", res)) }

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

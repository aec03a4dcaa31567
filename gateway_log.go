package aigateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aigateway-go/aigateway/internal/genai"
)

// log writes the request's line. Where OpenTelemetry's semantic conventions for
// generative AI have a name for something, the attribute goes by it; provider and
// model are those of the last attempt that was sent. At level debug the line holds the whole
// Result.
func (x *exchange) log(err *Error) {
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
	}
	if !x.s.logger.Enabled(x.ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 20)
	attrs = append(attrs,
		slog.String("request_id", x.id),
		slog.String("gen_ai.operation.name", genai.Operation(x.surface.name)),
		slog.String("aigateway.surface", x.surface.name),
		slog.Bool("gen_ai.request.stream", x.sel.Stream))
	if x.sel.Model != "" {
		attrs = append(attrs, slog.String("aigateway.request.model", shown(x.sel.Model)))
	}
	if len(x.sel.Models) > 0 {
		attrs = append(attrs, slog.Any("aigateway.request.models", shownNames(x.sel.Models)))
	}
	attrs = append(attrs,
		slog.Int("aigateway.attempts", x.sent()),
		slog.Float64("duration_ms", ms(time.Since(x.start))))
	if a := x.lastSent(); a != nil {
		attrs = append(attrs,
			slog.String("gen_ai.provider.name", genai.Provider(a.model.provider.id)),
			slog.String("gen_ai.request.model", shown(a.model.id)))
		if a.status != 0 {
			attrs = append(attrs, slog.Int("aigateway.upstream.status_code", a.status))
		}
		if a.firstToken > 0 {
			attrs = append(attrs, slog.Float64("time_to_first_token_ms", ms(a.firstToken)))
		}
		if a.input > 0 {
			attrs = append(attrs, slog.Int64("gen_ai.usage.input_tokens", a.input))
		}
		if a.output > 0 {
			attrs = append(attrs, slog.Int64("gen_ai.usage.output_tokens", a.output))
		}
	}
	if err != nil {
		attrs = append(attrs,
			slog.String("error.type", string(err.Code)),
			slog.Int("http.response.status_code", err.Status),
			slog.String("error.message", err.Message))
		if err.Code == CodeClientGone && err.Err != nil && !errors.Is(err.Err, context.Canceled) {
			attrs = append(attrs, slog.String("aigateway.cause", err.Err.Error()))
		}
	}
	if failed := x.failures(); len(failed) > 0 {
		attrs = append(attrs, slog.Any("aigateway.failures", failed))
	}
	if len(x.rested) > 0 {
		attrs = append(attrs, slog.Any("aigateway.rested", x.restedNames()))
	}
	if x.s.logger.Enabled(x.ctx, slog.LevelDebug) {
		attrs = append(attrs, slog.Any("aigateway.result", x.result(err)))
	}
	x.s.logger.LogAttrs(x.ctx, level, "request", attrs...)
}

// lastSent is the last attempt that called a provider; nil where there was none.
func (x *exchange) lastSent() *attemptRecord {
	for i := len(x.attempts) - 1; i >= 0; i-- {
		if x.attempts[i].sent {
			return &x.attempts[i]
		}
	}
	return nil
}

// failures says of each attempt that failed why, with what only the operator
// may know.
func (x *exchange) failures() []string {
	var list []string
	for i := range x.attempts {
		if a := &x.attempts[i]; a.failure != nil {
			list = append(list, a.model.name()+": "+a.failure.full())
		}
	}
	return list
}

// restedNames says of each candidate that others came before for how long it is
// still to be left alone.
func (x *exchange) restedNames() []string {
	var list []string
	for _, r := range x.rested {
		why := "being probed"
		if until := r.rest.Resting(); !until.IsZero() {
			why = "rests for " + until.Sub(r.at).Round(100*time.Millisecond).String()
		}
		list = append(list, r.model.name()+": "+why)
	}
	return list
}

// shownNames are the names that a client asked for, as far as they are worth a
// log's while: one request can have a hundred of a kilobyte each.
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

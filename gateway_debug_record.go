package aigateway

import (
	"time"

	"github.com/aigateway-go/aigateway/internal/debugpage"
)

// remember notes the request for the debug page, where there is one.
func (x *exchange) remember(err *Error) {
	history := x.s.debug.history
	if !history.Wanted() {
		return
	}
	r := &debugpage.Request{
		Time:       x.start,
		DurationMS: ms(time.Since(x.start)),
		ID:         debugpage.Name(x.id),
		Surface:    x.surface.name,
		Path:       debugpage.Text(x.r.URL.Path),
		Names:      []string{},
		Stream:     x.sel.Stream,
		OK:         err == nil,
		Trail:      []debugpage.Step{},
	}
	if err != nil {
		r.Code, r.Status, r.Message = string(err.Code), err.Status, debugpage.Text(err.Message)
	}
	for _, name := range x.query().names {
		if len(r.Names) == debugpage.MaxNames {
			r.Omitted++
			continue
		}
		r.Names = append(r.Names, debugpage.Name(name))
	}
	x.rememberTrail(r)
	for _, rejected := range x.plan.rejections {
		if len(r.Rejected) == debugpage.MaxNames {
			r.Omitted++
			continue
		}
		// The word and not the sentence, which looks for similar names.
		r.Rejected = append(r.Rejected, debugpage.Rejected{Model: debugpage.Name(rejected.name), Reason: rejected.reason.String()})
	}
	note := func(text string) {
		if len(r.Notes) == debugpage.MaxNotes {
			r.Omitted++
			return
		}
		r.Notes = append(r.Notes, debugpage.Text(text))
	}
	for _, run := range x.plan.runs {
		if run.err != nil {
			note(run.err.Error())
		}
		for _, n := range run.notes {
			note(n)
		}
	}
	for _, n := range x.notes {
		note(n)
	}
	history.Add(r)
}

// rememberTrail notes the attempts in their order, and the candidates that
// failed without one in their place.
func (x *exchange) rememberTrail(r *debugpage.Request) {
	step := func(s debugpage.Step) {
		if len(r.Trail) == debugpage.MaxSteps {
			r.Omitted++
			return
		}
		r.Trail = append(r.Trail, s)
	}
	var upstream time.Duration
	next := 0
	for i := range x.tried {
		t := &x.tried[i]
		for ; next < len(x.attempts) && x.attempts[next].candidate == i; next++ {
			a := &x.attempts[next]
			upstream += a.untilCommit(x.committedAt)
			s := debugpage.Step{
				Provider: debugpage.Name(a.model.provider.id), Model: debugpage.Name(a.model.id), Key: debugpage.Name(a.key),
				Outcome: "success", Status: a.status,
				FirstByteMS: ms(a.firstByte), FirstTokenMS: ms(a.firstToken), TotalMS: ms(a.total),
			}
			switch {
			case a.failure != nil:
				s.Outcome, s.Kind, s.Reason, s.RestMS = "failed", string(a.failure.Kind), debugpage.Text(a.failure.full()), ms(a.rest)
				if a.relayed {
					s.Outcome = "relayed"
				}
			case a.committed:
				r.Provider, r.Model = s.Provider, s.Model
				r.InputTokens, r.OutputTokens, r.Status = a.input, a.output, a.status
			}
			step(s)
		}
		if t.err != nil {
			step(debugpage.Step{
				Provider: debugpage.Name(t.model.provider.id), Model: debugpage.Name(t.model.id),
				Outcome: "not_sent", Reason: debugpage.Text(t.err.Message),
			})
		}
	}
	end := x.committedAt
	if end.IsZero() {
		end = time.Now()
	}
	r.GatewayMS = ms(max(0, end.Sub(x.start)-x.readTime-x.waited-upstream))
}

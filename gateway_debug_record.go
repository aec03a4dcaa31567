package aigateway

import (
	"slices"
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
		Attempts:   x.sent(),
		Trail:      []debugpage.Step{},
	}
	if err != nil {
		r.Code, r.Status, r.Message = string(err.Code), err.Status, debugpage.Text(err.Message)
	}
	names := x.query().names
	r.Auto = len(names) == 0 && x.understood(err)
	for _, name := range names {
		if len(r.Names) == debugpage.MaxNames {
			r.NamesOmitted++
			r.Omitted++
			continue
		}
		r.Names = append(r.Names, debugpage.Name(name))
	}
	x.rememberTrail(r, err)
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
	var notes []string
	for _, run := range x.plan.runs {
		if run.err != nil {
			note(run.err.Error())
		}
		notes = append(notes, run.notes...)
	}
	for _, n := range append(debugpage.Grouped(notes), debugpage.Grouped(x.notes)...) {
		note(n)
	}
	history.Add(r)
}

// understood reports whether the body could be read, so that it is known what the
// client asked for.
func (x *exchange) understood(err *Error) bool {
	if x.raw == nil {
		return false
	}
	return err == nil || err.Code != CodeInvalidRequestBody || len(x.tried) > 0
}

// rememberTrail notes the attempts in their order, and the candidates that
// failed without one, or that others came before, in their place.
func (x *exchange) rememberTrail(r *debugpage.Request, err *Error) {
	step := func(s debugpage.Step) {
		if len(r.Trail) == debugpage.MaxSteps {
			r.Omitted++
			return
		}
		r.Trail = append(r.Trail, s)
	}
	passed := 0
	passOver := func(p restedRecord) {
		if passed++; passed > debugpage.MaxPassedOver {
			r.Omitted++
			return
		}
		step(debugpage.Step{
			Provider: debugpage.Name(p.model.provider.id), Model: debugpage.Name(p.model.id),
			Outcome: debugpage.PassedOver, Reason: whyPassedOver(p),
		})
	}
	var upstream time.Duration
	rested := x.restedInOrder()
	next := 0
	for i := range x.tried {
		t := &x.tried[i]
		for len(rested) > 0 && x.before(rested[0], t) {
			passOver(rested[0])
			rested = rested[1:]
		}
		for ; next < len(x.attempts) && x.attempts[next].candidate == i; next++ {
			a := &x.attempts[next]
			upstream += a.untilCommit(x.committedAt)
			s := debugpage.Step{
				Provider: debugpage.Name(a.model.provider.id), Model: debugpage.Name(a.model.id),
				Key: debugpage.Name(a.key), KeyID: a.keyID,
				Outcome: debugpage.Succeeded, Status: a.status,
				FirstByteMS: ms(a.firstByte), FirstTokenMS: ms(a.firstToken), TotalMS: ms(a.total),
			}
			if a.failure != nil {
				s.Outcome, s.Kind, s.Reason, s.RestMS = debugpage.Failed, string(a.failure.Kind), debugpage.Text(a.failure.full()), ms(a.rest)
				if a.relayed {
					s.Outcome = debugpage.Relayed
				}
			}
			if a.committed {
				r.Provider, r.Model = s.Provider, s.Model
				r.InputTokens, r.OutputTokens = a.input, a.output
				if err == nil || err.Code == CodeStreamBroken {
					r.Status = a.status
				}
			}
			step(s)
		}
		if t.err != nil {
			step(debugpage.Step{
				Provider: debugpage.Name(t.model.provider.id), Model: debugpage.Name(t.model.id),
				Outcome: debugpage.NotSent, Reason: debugpage.Text(t.err.Message),
			})
		}
	}
	for _, p := range rested {
		passOver(p)
	}
	end := x.committedAt
	if end.IsZero() {
		end = time.Now()
	}
	r.GatewayMS = ms(max(0, end.Sub(x.start)-x.readTime-x.waited-upstream))
}

// restedInOrder are the candidates that others came before, in the order in which
// they would have had their turn. After all others had theirs, x.rested is in that
// of their waking.
func (x *exchange) restedInOrder() []restedRecord {
	list := slices.Clone(x.rested)
	slices.SortFunc(list, func(a, b restedRecord) int { return x.place(a.model) - x.place(b.model) })
	return list
}

func (x *exchange) place(m *model) int { return slices.Index(x.plan.candidates, m) }

// before reports whether a candidate was passed over before another was tried.
func (x *exchange) before(p restedRecord, t *triedRecord) bool {
	if p.at.Equal(t.at) { // a clock may be coarse, and that of tests stands still
		return x.place(p.model) < x.place(t.model)
	}
	return p.at.Before(t.at)
}

func whyPassedOver(p restedRecord) string {
	if until := p.rest.Resting(); !until.IsZero() {
		return "rests for " + seconds(until.Sub(p.at))
	}
	return "being probed"
}

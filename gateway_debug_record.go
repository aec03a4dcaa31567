package aigateway

import (
	"time"

	"github.com/aigateway-go/aigateway/internal/debugpage"
)

// newDebugRecord is the debug page's record of a request.
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
		Key: debugpage.Name(a.key), KeyID: a.keyID,
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

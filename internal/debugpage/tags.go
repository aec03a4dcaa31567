package debugpage

import (
	"fmt"
	"strings"
)

// tag is a word or two on a colour: good, warn, bad, or empty for no colour. Only a
// state that needs no attention is green.
type tag struct{ Class, Text string }

// storeTag is the state of a fleet's store.
// Without its store each replica goes on by itself.
func storeTag(f *Fleet) tag {
	if f.Store.State == "up" {
		return tag{"good", "store up"}
	}
	return tag{"bad", "store down"}
}

// healthTag is the state of a model or a key.
// The order goes from the worst to the best. A candidate due for a probe needs a
// request to find out more.
func healthTag(h Health, l Load) tag {
	switch {
	case h.State == InCooldown && h.OfKeys:
		return tag{"bad", "its keys in cooldown, " + milliseconds(h.CooldownMS)}
	case h.State == InCooldown:
		return tag{"bad", "cooldown " + milliseconds(h.CooldownMS)}
	case h.State == Probing:
		return tag{"warn", "being probed"}
	case h.State == Due:
		return tag{"warn", "due for a probe"}
	case h.Failures > 0:
		return tag{"warn", fmt.Sprintf("healthy, %d failed", h.Failures)}
	}
	return healthyTag(l)
}

// healthyTag is the state of a model or key outside of a cooldown. All its requests
// may fail nevertheless, in a way that causes no cooldown.
func healthyTag(l Load) tag {
	if l.Requests > 0 && l.ErrorRate.Total >= 1 {
		return tag{"warn", "healthy, all failed"}
	}
	return tag{"good", "healthy"}
}

// providerTag is the state of a provider. If all its keys are in cooldown it is
// theirs, otherwise its models'.
//
// A disabled provider has no colour: it needs no attention. The largest group of
// models comes with the total, further ones with their number.
func providerTag(p Provider) tag {
	keys := fmt.Sprintf("%d of %d keys in cooldown", p.KeysInCooldown, p.Keys)
	if p.Disabled {
		return tag{"", "disabled"}
	}
	if p.Keys > 0 && p.KeysInCooldown == p.Keys {
		return tag{"bad", keys}
	}
	var states []string
	for _, s := range []struct {
		n    int
		what string
	}{{p.ModelsInCooldown, "in cooldown"}, {p.ModelsProbing, "being probed"}, {p.ModelsDue, "due for a probe"}} {
		switch {
		case s.n == 0:
		case len(states) == 0:
			states = append(states, fmt.Sprintf("%d of %d models %s", s.n, p.Models, s.what))
		default:
			states = append(states, fmt.Sprintf("%d %s", s.n, s.what))
		}
	}
	switch {
	case len(states) > 0 && p.ModelsInCooldown == p.Models:
		return tag{"bad", states[0]}
	case len(states) > 0:
		return tag{"warn", strings.Join(states, ", ")}
	case p.KeysInCooldown > 0:
		return tag{"warn", keys}
	}
	return healthyTag(p.Load)
}

// requestTag is the outcome of a request.
// Without a status the code stands by itself. Skipped candidates have no colour: one
// of the others answered.
func requestTag(r *Request) tag {
	skipped := r.Skipped()
	switch {
	case !r.OK && r.Status != 0:
		return tag{"bad", fmt.Sprintf("%d %s", r.Status, r.Code)}
	case !r.OK:
		return tag{"bad", r.Code}
	case r.FailedOver():
		return tag{"warn", "failed over"}
	case skipped > 0:
		return tag{"", fmt.Sprintf("ok, %d skipped", skipped)}
	}
	return tag{"good", "ok"}
}

// stepTag is the outcome of a step.
// A step without an answer has no status.
func stepTag(s Step) tag {
	t := tag{"bad", strings.ReplaceAll(s.Outcome, "_", " ")}
	switch s.Outcome {
	case Succeeded:
		t.Class = "good"
	case Skipped:
		t.Class = ""
	}
	if s.Status != 0 {
		t.Text += fmt.Sprintf("\u00a0%d", s.Status)
	}
	return t
}

package aigateway

import (
	"slices"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/pins"
)

// pin remembers the model and the key behind an answer for a key of sticky(). The
// first of an order needs no pin. A spill-over by a bound or a limit leaves the
// pins unchanged: the cache is still at the preferred one.
func (f *failover) pin() {
	s, now := f.s.selector, time.Now()
	if !s.uses.Sticky {
		return
	}
	served := f.trail.attempts[len(f.trail.attempts)-1]
	m, key := served.model, served.usedKey
	if r := f.plan.affinityOf(m); r != nil && !r.affinity.Spilled && !f.spilled(r, m) {
		keep(s.pins, now, modelPin(f.in.owner, r.affinity.Key, r.name), modelPlace(r.affinity, m), m.pin())
	}
	if c := f.lineup.choice(m); c != nil && c.affinity != nil && !c.affinity.Spilled {
		keep(s.pins, now, keyPin(f.in.owner, c.affinity.Key, m.provider), keyPlace(c.affinity, key), key.pin())
	}
}

// affinityOf returns the run of sticky() that placed a candidate, nil without one.
func (p *plan) affinityOf(m *model) *strategyRun {
	for i := range p.runs {
		if r := &p.runs[i]; r.affinity != nil && slices.Contains(r.chosen, m) {
			return r
		}
	}
	return nil
}

// spilled reports whether a limit kept a candidate back that stands before the one
// that served.
func (f *failover) spilled(r *strategyRun, served *model) bool {
	for _, m := range r.chosen {
		if m == served || len(f.trail.limited) == 0 {
			return false
		}
		if f.trail.passedOver(m) {
			return true
		}
	}
	return false
}

// keep sets a pin. It drops the pin if the first of the order serves again.
func keep(t *pinTable, now time.Time, at pins.Key, p expr.Place, served pinned) {
	if p == expr.PlaceFirst {
		t.Drop(at)
		return
	}
	t.Set(now, at, served)
}

// affinity says for the Result how sticky() placed the answering model, or its key.
// If every candidate failed, it is about the first. Nil without sticky().
func (f *failover) affinity(p *plan) *Affinity {
	var m *model
	var key *apiKey
	switch n := len(f.trail.attempts); {
	case n > 0:
		m, key = f.trail.attempts[n-1].model, f.trail.attempts[n-1].usedKey
	case len(f.trail.tried) > 0:
		m = f.trail.tried[0].model
		if keys := f.trail.tried[0].keys; len(keys) > 0 {
			key = keys[0]
		}
	default:
		return nil
	}
	if r := p.affinityOf(m); r != nil {
		return &Affinity{Source: r.affinity.Source, Place: string(modelPlace(r.affinity, m))}
	}
	if c := f.lineup.choice(m); c != nil && c.affinity != nil {
		return &Affinity{Source: c.affinity.Source, Place: string(keyPlace(c.affinity, key))}
	}
	return nil
}

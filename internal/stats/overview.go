package stats

import "time"

// Overview is a candidate's health for its operator.
type Overview struct {
	// Everybody is the State for callers without failures of their own.
	Everybody State

	// Callers counts the callers for whom the candidate is not healthy, and
	// Until is the end of the last of their cooldowns, be it past.
	Callers int
	Until   time.Time

	// Surfaces lists the surfaces in trouble for everybody.
	Surfaces []SurfaceState
}

// SurfaceState is the State of a surface for callers without failures of their own.
type SurfaceState struct {
	Surface Surface
	State
}

// Overview returns what all callers see, and changes nothing.
func (h *CandidateHealth) Overview(now time.Time) Overview {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return Overview{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	o := Overview{Everybody: t.all.everybody(now)}
	for _, e := range t.all.callers.entries {
		if own := &e.value; own.open {
			o.Callers++
			if own.until.After(o.Until) {
				o.Until = own.until
			}
		}
	}
	for i, c := range t.surfaces {
		if c == nil {
			continue
		}
		if s := c.everybody(now); s.Phase != Healthy {
			o.Surfaces = append(o.Surfaces, SurfaceState{Surface(i), s})
		}
	}
	return o
}

// everybody is the state for a caller without blame of its own.
// The prober's complement stands for a caller who is surely another one.
func (c *circuit) everybody(now time.Time) State {
	phase, until := c.shared.state(now, ^c.shared.prober)
	return State{Phase: phase, Until: until, Failures: len(c.row)}
}

// Part is the State of a part of a key.
type Part struct {
	Breadth Breadth
	Model   *Track  // nil for the whole key
	Surface Surface // of ThisModelAndSurface
	State
}

// Parts returns the parts of the key in trouble: first the whole key, then others
// in any order.
func (h *KeyHealth) Parts(now time.Time) []Part {
	t := h.trouble.Load()
	if t == nil || t.well.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Part
	add := func(e *refused, p Part) {
		if p.Phase, p.Until = e.state(now, ^e.prober); p.Phase != Healthy {
			list = append(list, p)
		}
	}
	add(&t.whole, Part{})
	for at, e := range t.scopes.entries {
		if at.surface == 0 {
			add(&e.value, Part{Breadth: ThisModel, Model: at.model})
		} else {
			add(&e.value, Part{Breadth: ThisModelAndSurface, Model: at.model, Surface: Surface(at.surface - 1)})
		}
	}
	return list
}

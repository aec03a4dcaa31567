package stats

import (
	"slices"
	"time"
)

// Phase says whether requests may go to a candidate or use a key.
type Phase uint8

const (
	// Healthy: any number of requests may go.
	Healthy Phase = iota
	// Due: the cooldown is over. One request may go, as the probe.
	Due
	// Probing: a probe is under way. Other candidates come first.
	Probing
	// CoolingDown: other candidates come first.
	CoolingDown
)

// Last reports whether other candidates come first for every request.
func (p Phase) Last() bool { return p >= Probing }

// String is the word for the phase on the debug page.
func (p Phase) String() string {
	switch p {
	case Healthy:
		return "healthy"
	case Due:
		return "due for a probe"
	case Probing:
		return "being probed"
	default:
		return "in cooldown"
	}
}

// State describes the health of a candidate or a key for one request. The zero
// State is healthy.
type State struct {
	Phase Phase

	// Until is the end of the cooldown. While a probe is under way it is the
	// end of the probe's lease. It is zero in other phases.
	Until time.Time

	// Failures counts failures in a row since the last success. Failed probes
	// do not count. It is zero for keys.
	Failures int
}

// CooldownUntil returns the end of a cooldown. It is zero outside of one.
func (s State) CooldownUntil() time.Time {
	if s.Phase != CoolingDown {
		return time.Time{}
	}
	return s.Until
}

// And returns the State of a request in need of both s and o: the later one
// decides. Failures are those of s.
func (s State) And(o State) State {
	if s.readyBefore(o) {
		s.Phase, s.Until = o.Phase, o.Until
	}
	return s
}

// FirstReady returns the first State to be ready, and of equals the first in the
// list. It is healthy for an empty list.
func FirstReady(states ...State) State {
	if len(states) == 0 {
		return State{}
	}
	first := states[0]
	for _, s := range states[1:] {
		if s.readyBefore(first) {
			first = s
		}
	}
	return first
}

// readyBefore reports whether s comes before o. Of two items to try last, the one
// ready first does.
func (s State) readyBefore(o State) bool {
	if s.Phase.Last() && o.Phase.Last() {
		return s.Until.Before(o.Until)
	}
	return s.Phase < o.Phase && (o.Phase.Last() || s.Phase == Healthy)
}

// Order returns items in the order of their attempts. Healthy items stay in
// place. The first due item stays in place too, if mayProbe allows the request its
// one probe. All others come after them: due items, then cooldowns by their ends.
// Order asks for each state once and does not change items. It returns items itself
// if nothing moves.
//
// A caller may instead try items one by one, put off each refusal of
// [CandidateHealth.Begin], and call Order on these with mayProbe false.
func Order[S ~[]E, E any](items S, mayProbe bool, state func(E) State) S {
	type later struct {
		item  E
		ready time.Time
	}
	var (
		ordered S
		last    []later
	)
	for i, item := range items {
		s := state(item)
		switch {
		case s.Phase == Due && mayProbe:
			mayProbe = false
			fallthrough
		case s.Phase == Healthy:
			if last != nil {
				ordered = append(ordered, item)
			}
			continue
		}
		if last == nil {
			ordered = append(make(S, 0, len(items)), items[:i]...)
		}
		last = append(last, later{item, s.Until})
	}
	if last == nil {
		return items
	}
	slices.SortStableFunc(last, func(a, b later) int { return a.ready.Compare(b.ready) })
	for _, l := range last {
		ordered = append(ordered, l.item)
	}
	return ordered
}

// A caller waits a little after failed and fruitless probes, so others get one.
const (
	wastedProbes = 3 // in a row, by one caller
	graceParts   = 5 // of the cooldown
	longestGrace = time.Second
)

// breaker is the cooldown of one scope. The lock of its owner guards it. The zero
// breaker is healthy.
type breaker struct {
	open  bool      // no success has ended the last cooldown
	began time.Time // the last cooldown
	until time.Time // the end of the longest cooldown, even if past

	// The probe is a ticket of the owner; zero means no probe. It
	// counts as lost after its lease.
	probe uint64
	lease time.Time

	// The caller of the last probe gets the next one not before held.
	prober uint64
	held   time.Time
	wasted uint8 // probes in a row of this caller without a verdict

	// In a fleet a probe needs leave: see Probe.
	leave  time.Time // until when a request may take it
	wanted bool      // a request would have been the probe
}

// stateIn is state for a request of a fleet. Without leave another replica may be
// probing, which looks alike.
func (b *breaker) stateIn(now time.Time, r Request) (Phase, time.Time) {
	phase, until := b.state(now, r.Caller)
	if phase == Due && r.Fleet && !now.Before(b.leave) {
		b.wanted = true
		return Probing, now
	}
	return phase, until
}

// state returns the phase for a caller, and the end of the phase. The end is zero
// if the phase has no known end.
func (b *breaker) state(now time.Time, caller uint64) (Phase, time.Time) {
	switch {
	case !b.open:
		return Healthy, time.Time{}
	case now.Before(b.until):
		return CoolingDown, b.until
	case b.probe != 0 && now.Before(b.lease):
		return Probing, b.lease
	case caller == b.prober && now.Before(b.held):
		return CoolingDown, b.held
	}
	return Due, time.Time{}
}

// take gives the probe to a request of caller.
func (b *breaker) take(ticket, caller uint64, now time.Time, lease time.Duration) {
	if b.prober != caller {
		b.prober, b.wasted = caller, 0
	}
	b.probe, b.lease, b.leave = ticket, now.Add(lease), time.Time{}
	// After a lost probe a caller does not take the next one at once.
	b.held = b.lease.Add(b.grace())
}

// cool begins a cooldown, or prolongs the one under way. The longest wins.
func (b *breaker) cool(now, until time.Time) {
	if b.until.Before(until) {
		b.until = until
	}
	b.open, b.began = true, now
}

// answers frees the place of a probe whose answer has begun.
func (b *breaker) answers(ticket uint64) {
	if b.probe == ticket {
		b.probe, b.held, b.wasted = 0, time.Time{}, 0
	}
}

// waste frees the place of a probe without a verdict.
func (b *breaker) waste(ticket uint64, now time.Time) {
	if b.probe != ticket || ticket == 0 {
		return
	}
	b.probe, b.held = 0, time.Time{}
	if b.wasted++; b.wasted >= wastedProbes {
		b.wasted, b.held = 0, now.Add(b.grace())
	}
}

// grace is the extra wait of the last prober, as a part of the cooldown.
func (b *breaker) grace() time.Duration {
	return min(max(b.until.Sub(b.began)/graceParts, 0), longestGrace)
}

// hold makes the caller of a failed probe wait longer than others for the next.
func (b *breaker) hold() { b.held = b.until.Add(b.grace()) }

// endedBy reports whether the success of a request from then ends the cooldown. Earlier requests say nothing about it.
func (b *breaker) endedBy(began time.Time) bool { return b.open && !began.Before(b.began) }

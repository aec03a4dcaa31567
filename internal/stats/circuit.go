package stats

import (
	"slices"
	"time"
)

// keptFor is the time after a cooldown or a failure without a new request. After it
// the trouble is forgotten. Otherwise the rest of an old trouble would cost every
// healthy request a lock.
const keptFor = windowLength

// circuit is the state of one candidate, or of one surface of it.
// The lock of its owner guards it, see trouble.
type circuit struct {
	shared  streak
	row     []failed // in a row, the latest last
	several bool     // whether at least two callers led to the shared cooldown
	callers table[uint64, streak]
	pruned  time.Time
	last    time.Time // failure

	// Of a cooldown that several callers led to: the ticket of the failure that began
	// it, and a suspect's failed probe that no other caller has confirmed yet.
	first    uint64
	unproven failed
}

// streak is a breaker for failures in a row, of everybody or of one caller.
type streak struct {
	breaker
	length time.Duration // of the last cooldown; zero while closed
	needs  int           // failures in a row for the first cooldown
	probes int           // failed, since the first cooldown

	// The last failed probe, and the length of the cooldown before it.
	verdict uint64
	before  time.Duration

	// The end of the cooldown before it was held; zero if it was not.
	earned time.Time

	// Only in a caller's streak: its failures in a row, and the time of the last.
	own  []uint64 // tickets
	last time.Time
	// Its failures during the shared cooldown, its requests under way since then, and
	// the end of its wait for the next probe after one that failed.
	during int
	under  int
	away   time.Time
}

// failed is one failure in a row.
type failed struct {
	ticket     uint64
	caller     uint64
	unprovoked bool
}

// state combines the cooldown for all callers and the caller's own.
func (c *circuit) state(now time.Time, r Request) State {
	caller := r.Caller
	phase, until := c.shared.stateIn(now, r)
	if phase == Due && c.suspect(caller) {
		if wait := c.wait(caller); now.Before(wait) {
			phase, until = CoolingDown, wait
		}
	}
	s := State{Phase: phase, Until: until, Failures: len(c.row)}
	if own := c.own(caller); own != nil {
		phase, until = own.state(now, ^caller)
		s = s.And(State{Phase: phase, Until: until})
		s.Failures = max(s.Failures, len(own.own))
	}
	return s
}

// suspect reports whether a caller may fail for reasons of its own, while several
// callers led to the cooldown for everybody: it has a cooldown of its own, or more
// failures and requests under way since then than the others. Its probes must not keep
// others away.
func (c *circuit) suspect(caller uint64) bool {
	if !c.shared.open || !c.several {
		return false
	}
	own := c.own(caller)
	return own != nil && (own.open || own.load() >= c.shared.needs && c.worst(own))
}

// load counts failures and requests under way, of the shared cooldown.
func (s *streak) load() int { return s.during + s.under }

// begun counts a request that did not wait for the end of the shared cooldown.
func (c *circuit) begun(now time.Time, t *Turn, latest uint64) bool {
	if c == nil || !c.shared.open || !c.several {
		return false
	}
	c.remember(now, t.request.Caller, latest).under++
	t.blamed, t.blamedIn = c, c.first
	return true
}

// ends takes a request from those under way.
// A count from an earlier cooldown is gone already.
func (c *circuit) ends(t *Turn) {
	own := c.own(t.request.Caller)
	if own == nil || t.blamedIn != c.first || own.under == 0 {
		return
	}
	own.under--
	c.dropBlank(t.request.Caller)
}

// dropBlank forgets a caller of whom nothing is left to remember.
func (c *circuit) dropBlank(caller uint64) {
	if own := c.own(caller); own != nil && !own.open && len(own.own) == 0 && own.load() == 0 && own.away.IsZero() {
		c.callers.remove(caller)
	}
}

// worst reports whether no other caller has as many of them.
// It walks over the callers, of whom there are at most mostCallers.
func (c *circuit) worst(own *streak) bool {
	for _, e := range c.callers.entries {
		if s := &e.value; s != own && s.load() >= own.load() {
			return false
		}
	}
	return true
}

// take gives a ticket the probe of the cooldown for everybody. A suspect's keeps others
// away for a moment, and the suspect itself for the lease.
func (c *circuit) take(ticket, caller uint64, now time.Time, lease time.Duration) {
	if c.suspect(caller) {
		c.own(caller).away = now.Add(lease)
		lease = min(lease, longestGrace)
	}
	c.shared.take(ticket, caller, now, lease)
}

// frees lets a suspect probe again whose probe has shown nothing, or has its answer.
func (c *circuit) frees(t *Turn) {
	if own := c.own(t.request.Caller); own != nil && c.shared.probe == t.ticket {
		own.away = time.Time{}
	}
}

// wait returns the time from which on a suspect may probe. Others go first.
func (c *circuit) wait(caller uint64) time.Time {
	wait := c.shared.until.Add(c.shared.grace())
	if own := c.own(caller); own != nil && own.away.After(wait) {
		wait = own.away
	}
	return wait
}

// unblame forgets what came during an earlier cooldown for everybody.
func (c *circuit) unblame() {
	c.first, c.unproven = 0, failed{}
	for _, e := range c.callers.entries {
		e.value.during, e.value.under, e.value.away = 0, 0, time.Time{}
	}
}

// judge takes the failed probe of the shared cooldown for a verdict. The word of a
// suspect needs that of another caller: until then the suspect alone waits.
func (c *circuit) judge(now time.Time, t *Turn, f Failure, suspect bool) Cooldown {
	caller := t.request.Caller
	if suspect && !f.Unprovoked && (c.unproven.ticket == 0 || c.unproven.caller == caller) {
		c.unproven = failed{ticket: t.ticket, caller: caller}
		c.shared.probe, c.shared.held = 0, time.Time{}
		length := min(2*c.shared.length, f.Rules.Longest)
		if own := c.own(caller); own != nil {
			own.away = now.Add(length)
		}
		return Cooldown{Length: length}
	}
	c.unproven = failed{}
	c.shared.extend(now, t.ticket, f.Rules)
	if c.several && !f.Unprovoked {
		c.shared.hold()
	}
	return Cooldown{c.shared.length, true}
}

// own returns the streak of a caller, or nil.
func (c *circuit) own(caller uint64) *streak {
	if e := c.callers.entries[caller]; e != nil {
		return &e.value
	}
	return nil
}

// succeed returns whether nothing is left to remember.
// A request from before the cooldown ends nothing: it gives its probe back, if
// it has one.
func (c *circuit) succeed(now time.Time, t *Turn) bool {
	switch {
	case c.shared.endedBy(t.began):
		c.shared, c.row, c.several = streak{}, nil, false
		c.unblame()
		// The callers' failures were part of it.
		for caller, e := range c.callers.entries {
			if !e.value.open {
				c.callers.remove(caller)
			}
		}
	case !c.shared.open:
		c.row = nil
	default:
		c.shared.waste(t.ticket, now)
	}
	if own := c.own(t.request.Caller); own != nil && (!own.open || own.endedBy(t.began)) {
		c.callers.remove(t.request.Caller)
	}
	if len(c.callers.entries) > 0 && now.Sub(c.pruned) >= slotLength {
		c.pruned = now
		for caller, e := range c.callers.entries {
			if now.Sub(e.value.until) >= keptFor && now.Sub(e.value.last) >= keptFor {
				c.callers.remove(caller)
			}
		}
	}
	return !c.shared.open && len(c.row) == 0 && len(c.callers.entries) == 0
}

// forgotten reports whether a surface has not been asked for in long.
func (c *circuit) forgotten(now time.Time) bool {
	return now.Sub(c.last) >= keptFor && now.Sub(c.shared.until) >= keptFor
}

// Cooldown is the consequence of a failure. Zero: the failure had none.
type Cooldown struct {
	Length time.Duration

	// Everybody: for all callers, not only for this one.
	Everybody bool
}

// fail counts a failure, and begins or prolongs a cooldown if it is earned. It
// returns that cooldown.
//
// During everybody's cooldown only the failure of a probe is a verdict.
// Otherwise a failure counts twice: in the caller's own row, and in everybody's.
// A caller with a cooldown of its own adds to everybody's row only what cannot be
// provoked.
func (c *circuit) fail(now time.Time, t *Turn, f Failure, probe uint64, early bool) (begun Cooldown) {
	c.last = now
	own := c.own(t.request.Caller)
	if c.shared.open {
		if own != nil {
			own.waste(probe, now)
		}
		suspect := c.suspect(t.request.Caller)
		if c.several && !f.Unprovoked {
			c.remember(now, t.request.Caller, t.ticket).during++
			t.blamed, t.blamedIn = c, c.first
		}
		if c.shared.judges(probe, early, t.began) {
			begun = c.judge(now, t, f, suspect)
		}
		return begun
	}
	if own != nil && own.open {
		if own.judges(probe, early, t.began) {
			own.extend(now, t.ticket, f.Rules)
			begun.Length = own.length
		}
		if !f.Unprovoked {
			own.last = now
			return begun
		}
	}
	if !f.Unprovoked {
		own = c.remember(now, t.request.Caller, t.ticket)
		if own.own = append(own.own, t.ticket); len(own.own) >= f.Rules.Failures {
			own.begin(now, f.Rules)
			begun.Length = own.length
		}
	}
	if len(c.row) == maxRow {
		c.row = append(c.row[:0], c.row[1:]...)
	}
	c.row = append(c.row, failed{t.ticket, t.request.Caller, f.Unprovoked})
	if len(c.row) >= f.Rules.Failures && !c.oneCaller() {
		c.several = c.callersInRow() >= 2
		c.unblame()
		c.first = t.ticket
		c.shared.begin(now, f.Rules)
		begun = Cooldown{c.shared.length, true}
	}
	return begun
}

// remember returns the streak of a caller, a new one at its first failure. The callers
// with the lowest latest tickets are forgotten first.
func (c *circuit) remember(now time.Time, caller, latest uint64) *streak {
	e := c.callers.entries[caller]
	if e == nil {
		e = &entry[streak]{caller: caller}
		c.callers.add(caller, e, limits{mostCallers, mostCallers}, func(o *entry[streak]) bool {
			return now.Before(o.value.until)
		})
	}
	e.used.Store(int64(latest))
	e.value.last = now
	return &e.value
}

// oneCaller reports whether one caller may be the reason for the whole row.
func (c *circuit) oneCaller() bool {
	for _, f := range c.row {
		if f.unprovoked {
			return false
		}
	}
	return c.callersInRow() < 2
}

// callersInRow counts the callers of provoked failures, up to two.
// Two are enough for every question asked of it.
func (c *circuit) callersInRow() int {
	var first *failed
	for i := range c.row {
		switch f := &c.row[i]; {
		case f.unprovoked:
		case first == nil:
			first = f
		case f.caller != first.caller:
			return 2
		}
	}
	if first == nil {
		return 0
	}
	return 1
}

// begin starts the first cooldown of a streak.
func (s *streak) begin(now time.Time, r Rules) {
	s.length, s.needs, s.probes = r.First, r.Failures, 0
	s.cool(now, now.Add(s.length))
}

// judges reports whether the failure of a request is one of a probe. An early
// probe let others go when its answer began.
func (s *streak) judges(probe uint64, early bool, began time.Time) bool {
	return probe != 0 && s.open && (probe == s.probe || early && !began.Before(s.began))
}

// extend doubles the cooldown after a failed probe, up to the longest. verdict is
// the ticket of the failure, to take it back by.
func (s *streak) extend(now time.Time, verdict uint64, r Rules) {
	s.verdict, s.before = verdict, s.length
	s.length = min(2*s.length, r.Longest)
	s.probes++
	s.probe, s.held, s.wasted, s.earned = 0, time.Time{}, 0, time.Time{}
	s.cool(now, now.Add(s.length))
}

// retract takes back the failure of a turn, and the cooldown that it alone has
// earned.
func (c *circuit) retract(now time.Time, t *Turn) {
	c.row = slices.DeleteFunc(c.row, func(f failed) bool { return f.ticket == t.ticket })
	c.shared.retract(now, t.ticket, len(c.row) >= c.shared.needs && !c.oneCaller())
	own := c.own(t.request.Caller)
	if own == nil {
		return
	}
	if c.unproven.ticket == t.ticket {
		c.unproven, own.away = failed{}, now.Add(c.shared.grace())
	}
	if t.blamed == c && t.blamedIn == c.first && own.during > 0 {
		own.during--
	}
	own.own = slices.DeleteFunc(own.own, func(ticket uint64) bool { return ticket == t.ticket })
	own.retract(now, t.ticket, len(own.own) >= own.needs)
	c.dropBlank(t.request.Caller)
}

// retract takes back what the failure with a ticket did. Earned says whether
// the remaining failures lead to a cooldown as well.
// A verdict taken back gives the length before it back, and ends the cooldown
// now.
func (s *streak) retract(now time.Time, ticket uint64, earned bool) {
	if !s.open {
		return
	}
	if s.verdict == ticket {
		s.length, s.verdict = s.before, 0
		s.probes--
		s.held = now.Add(s.grace())
		s.until = now
	}
	if s.probes == 0 && !earned {
		*s = streak{own: s.own, last: s.last, during: s.during, under: s.under, away: s.away}
	}
}

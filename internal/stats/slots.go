package stats

import "time"

// What a reader of slots has to know of their number and length.
const (
	SlotCount  = slotCount
	SlotLength = slotLength
)

// Slot is what was measured in one slot of the window. The requests are those
// that ended in it.
type Slot struct {
	// Failed is never more than Requests.
	Requests, Failed int64

	// Tokens as the provider reported them.
	InputTokens, OutputTokens int64

	// Latency is the mean of Outcome.Upstream. Zero where none was measured.
	Latency time.Duration
}

// Slots returns the slots of the window, the oldest first, for a chart: the last
// one is the slot of now, which is not over. Several Series are added up. As each
// counts its slots from its own first record, what happened at one time may then
// be a slot apart.
func Slots(now time.Time, series ...*Series) [SlotCount]Slot {
	var out [SlotCount]Slot
	var latency [SlotCount]struct{ sum, count int64 }
	for _, s := range series {
		r := s.ring.Load()
		if r == nil {
			continue
		}
		cur := r.index(now)
		for i := range r.slots {
			p := r.slots[i].Load()
			if p == nil || !p.holds(cur) {
				continue
			}
			// What was recorded after the reader looked at the clock counts as now.
			at := min(SlotCount-1-int(cur-p.index), SlotCount-1)
			failed := int64(0)
			for k := range p.errors { // before requests, the reverse of End's order
				failed += p.errors[k].Load()
			}
			out[at].Failed += failed
			out[at].Requests += p.requests.Load()
			out[at].InputTokens += p.tokens[providerInput].Load()
			out[at].OutputTokens += p.tokens[providerOutput].Load()
			var l spread
			l.collect(&p.latency[upstream])
			latency[at].sum += l.sum
			latency[at].count += l.count
		}
	}
	for i, l := range latency {
		if l.count > 0 {
			out[i].Latency = time.Duration(l.sum / l.count)
		}
	}
	return out
}

// Sum returns what was measured in several Series, as if it had been one.
func Sum(now time.Time, series ...*Series) Window {
	var t tally
	for _, s := range series {
		t.collect(s, now)
	}
	return t.window()
}

// Idle reports whether nothing is under way and nothing ended in the window.
func (s *Series) Idle(now time.Time) bool { return s.idle(now) }

// Named is a Track with the names that it was asked for by.
type Named struct {
	Provider, Name string
	*Track
}

// Guests returns the Tracks of names that clients made up (see
// [Recorder.Passing]) and that were used within the window, in no order.
func (r *Recorder) Guests(now time.Time) []Named {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var list []Named
	for id, p := range r.passing {
		if !p.idle(now) {
			list = append(list, Named{id.provider, id.name, p.Track})
		}
	}
	return list
}

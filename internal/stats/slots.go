package stats

import "time"

// The number and length of slots, for their readers.
const (
	SlotCount  = slotCount
	SlotLength = slotLength
)

// Slot holds the numbers of one slot of the window. It counts requests at their
// end.
type Slot struct {
	// Failed is never more than Requests.
	Requests, Failed int64

	// Tokens as the provider reported them.
	InputTokens, OutputTokens int64

	// Latency is the mean of Outcome.Upstream. Zero: not measured.
	Latency time.Duration
}

// Slots returns the slots of the window for a chart, the oldest first. The last
// one is the slot of now, and not over yet. Several Series are added up. Each
// counts its slots from its own first record, so records of one time may be a slot
// apart.
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
			// A record from after the reader's look at the clock counts as now.
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

// Sum returns the window of several Series, as if they were one.
func Sum(now time.Time, series ...*Series) Window {
	var t tally
	for _, s := range series {
		t.collect(s, now)
	}
	return t.window()
}

// Idle reports whether no request is under way or ended in the window.
func (s *Series) Idle(now time.Time) bool { return s.idle(now) }

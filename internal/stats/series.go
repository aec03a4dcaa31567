package stats

import (
	"sync/atomic"
	"time"
)

// A window is cut into slots, and slides by one slot at a time: it covers the
// slot of now and the nine before, so a record counts for 4:30 to 5:00 minutes.
const (
	slotCount    = 10
	slotLength   = 30 * time.Second
	windowLength = slotCount * slotLength
)

const (
	longest    = 24 * time.Hour // a longer latency is a mistake, and counts as this
	mostTokens = 1 << 40        // of one request; more is a mistake, or malice
)

// Class is how a request ended.
type Class uint8

const (
	// Answered: with an answer.
	Answered Class = iota
	// TimedOut: a limit of time was over before the answer was.
	TimedOut
	// RateLimited: the upstream had enough of us, 429.
	RateLimited
	// ClientFault: the client left, or was told that its request is wrong.
	ClientFault
	// ServerFault: any other failure, be it an answer or the lack of one.
	ServerFault

	errorClasses = int(ServerFault) // the classes but for Answered
)

// Outcome is what was measured of one request that has ended. What is zero was
// not measured, and is no part of an average: a provider that fails within a
// millisecond is no fast provider, so a failed request should leave the
// latencies zero that its failure says nothing about.
type Outcome struct {
	Class Class

	// Upstream is from sending the request to the end of the answer, Gateway what
	// the gateway itself added.
	Upstream, Gateway time.Duration

	// FirstToken is from sending the request to the first content, and
	// PerOutputToken what each token took from then on.
	FirstToken, PerOutputToken time.Duration

	// Tokens as the provider reported them, and as estimated beforehand.
	ProviderInput, ProviderOutput   int64
	EstimatedInput, EstimatedOutput int64
}

// Series is what one gateway measured of one model or one API key. The zero
// Series is ready for use and takes two words; the first record adds 120 bytes, and
// each slot with a record in it 2 KB, of which there are ten at most. Its
// methods may be called from many goroutines at once. It must not be copied.
type Series struct {
	inFlight atomic.Int64
	ring     atomic.Pointer[ring]
}

// ring holds the slots of the window. Its time starts with its first record, so
// that slots are counted on the monotonic clock.
type ring struct {
	start time.Time
	slots [slotCount]atomic.Pointer[slot]
}

// slot is what was recorded in one slot of time. It is never emptied: its
// successor takes its place in the ring, so that there is no moment in which a
// record could be lost or counted twice, and a reader who holds on to it reads
// old numbers, not mixed ones.
type slot struct {
	index    int64 // since the start of the ring
	requests atomic.Int64
	errors   [errorClasses]atomic.Int64
	tokens   [tokenKinds]atomic.Int64
	latency  [latencyKinds]histogram
}

// Begin notes that a request is under way. Each Begin needs one End.
func (s *Series) Begin() { s.inFlight.Add(1) }

// End notes that a request, begun by Begin, has ended at now, and how.
func (s *Series) End(now time.Time, o Outcome) {
	s.inFlight.Add(-1)
	at := s.slot(now)
	// The request comes before its error: nobody may see more errors than
	// requests. See tally.collect.
	at.requests.Add(1)
	if o.Class != Answered {
		at.errors[min(int(o.Class), errorClasses)-1].Add(1)
	}
	at.count(providerInput, o.ProviderInput)
	at.count(providerOutput, o.ProviderOutput)
	at.count(estimatedInput, o.EstimatedInput)
	at.count(estimatedOutput, o.EstimatedOutput)
	at.time(upstream, o.Upstream)
	at.time(gateway, o.Gateway)
	at.time(firstToken, o.FirstToken)
	at.time(perOutputToken, o.PerOutputToken)
}

// slot returns the slot of now, in place of the one that it pushes out.
func (s *Series) slot(now time.Time) *slot {
	r := s.ring.Load()
	if r == nil {
		r = &ring{start: now}
		if !s.ring.CompareAndSwap(nil, r) {
			r = s.ring.Load()
		}
	}
	// Another first record may have begun the ring a moment after now.
	i := max(r.index(now), 0)
	at := &r.slots[i%slotCount]
	for {
		old := at.Load()
		if old != nil && old.index >= i {
			return old
		}
		fresh := &slot{index: i}
		if at.CompareAndSwap(old, fresh) {
			return fresh
		}
	}
}

func (r *ring) index(now time.Time) int64 { return int64(now.Sub(r.start) / slotLength) }

// holds reports whether a slot is part of the window that ends with the slot
// cur. One slot ahead is taken too: it was recorded after the reader had looked
// at the clock.
func (p *slot) holds(cur int64) bool { return p.index > cur-slotCount && p.index <= cur+1 }

func (p *slot) count(kind int, n int64) {
	if n > 0 {
		p.tokens[kind].Add(min(n, mostTokens))
	}
}

func (p *slot) time(kind int, d time.Duration) {
	if d > 0 {
		p.latency[kind].record(int64(min(d, longest)))
	}
}

// idle reports whether nothing is under way and the window is empty.
func (s *Series) idle(now time.Time) bool {
	if s.inFlight.Load() != 0 {
		return false
	}
	r := s.ring.Load()
	if r == nil {
		return true
	}
	cur := r.index(now)
	for i := range r.slots {
		if p := r.slots[i].Load(); p != nil && p.holds(cur) {
			return false
		}
	}
	return true
}

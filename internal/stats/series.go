package stats

import (
	"sync/atomic"
	"time"
)

// A window has ten slots and slides by one slot at a time. It covers the slot of
// now and the nine before, so a record counts for 4:30 to 5:00 minutes.
const (
	slotCount    = 10
	slotLength   = 30 * time.Second
	windowLength = slotCount * slotLength
)

const (
	longest    = 24 * time.Hour // a longer latency is a mistake and counts as this
	mostTokens = 1 << 40        // of one request; a larger number is a mistake or malice
)

// Class is how a request ended.
type Class uint8

const (
	// Answered: with an answer.
	Answered Class = iota
	// TimedOut: a limit of time was over before the answer.
	TimedOut
	// RateLimited: the upstream's 429.
	RateLimited
	// ClientFault: the client left, or its request is wrong.
	ClientFault
	// ServerFault: any other failure, with or without an answer.
	ServerFault

	errorClasses = int(ServerFault) // all classes after Answered
)

// Outcome holds the measurements of one finished request. Zero means not measured,
// and does not enter an average. A provider that fails within a
// millisecond is not fast, so a failed request should leave such latencies zero.
type Outcome struct {
	Class Class

	// Upstream is from sending the request to the end of the answer. Gateway is
	// the gateway's own time.
	Upstream, Gateway time.Duration

	// FirstToken is from sending the request to the first content.
	// PerOutputToken is the time of each token after it.
	FirstToken, PerOutputToken time.Duration

	// Tokens as the provider reported them, and as the gateway estimated them.
	ProviderInput, ProviderOutput   int64
	EstimatedInput, EstimatedOutput int64

	// Cost is in 10⁻⁹ USD, as far as it is known.
	Cost int64
}

// Series holds the measurements of one gateway for one model or API key. The zero
// Series is ready for use and takes three words. The first record adds 120 bytes,
// and each of at most ten slots with records 2 KB. Its methods may be called from
// many goroutines at once. It must not be copied.
type Series struct {
	inFlight atomic.Int64
	answered atomic.Int64 // the latest answer, in nanoseconds since the ring's start plus one
	ring     atomic.Pointer[ring]
}

// ring holds the slots of the window. Its time starts with its first record, so
// slots count on the monotonic clock.
type ring struct {
	start time.Time
	slots [slotCount]atomic.Pointer[slot]
}

// slot holds the records of one slot of time. It is never emptied: its successor
// takes its place in the ring. So a record is counted exactly once,
// and a reader of an old slot reads old numbers, not mixed ones.
type slot struct {
	index    int64 // since the start of the ring
	requests atomic.Int64
	errors   [errorClasses]atomic.Int64
	tokens   [tokenKinds]atomic.Int64
	latency  [latencyKinds]histogram
}

// Begin notes a request under way. Each Begin needs one End.
func (s *Series) Begin() { s.inFlight.Add(1) }

// End notes how a request ended at now. Begin came before it.
func (s *Series) End(now time.Time, o Outcome) {
	s.inFlight.Add(-1)
	at := s.slot(now)
	// The request comes before its error: a reader must not see more errors than
	// requests. See tally.collect.
	at.requests.Add(1)
	if o.Class == Answered {
		s.answered.Store(max(int64(now.Sub(s.ring.Load().start)), 0) + 1)
	} else {
		at.errors[min(int(o.Class), errorClasses)-1].Add(1)
	}
	at.count(providerInput, o.ProviderInput)
	at.count(providerOutput, o.ProviderOutput)
	at.count(estimatedInput, o.EstimatedInput)
	at.count(estimatedOutput, o.EstimatedOutput)
	at.count(cost, o.Cost)
	at.time(upstream, o.Upstream)
	at.time(gateway, o.Gateway)
	at.time(firstToken, o.FirstToken)
	at.time(perOutputToken, o.PerOutputToken)
}

// slot returns the slot of now. A new one replaces the oldest.
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

// holds reports whether a slot is part of the window up to the slot cur. The next slot counts too: it began after the reader's look at the clock.
func (p *slot) holds(cur int64) bool { return p.index > cur-slotCount && p.index <= cur+1 }

// count adds tokens or money. A single count is bounded, so that sums do not overflow.
func (p *slot) count(kind int, n int64) {
	if n > 0 {
		p.tokens[kind].Add(min(n, mostTokens))
	}
}

// time records a latency, if there is one.
func (p *slot) time(kind int, d time.Duration) {
	if d > 0 {
		p.latency[kind].record(int64(min(d, longest)))
	}
}

// AnsweredWithin reports whether the latest answer ended at most d before now.
// Simultaneous records may be out of order by their overlap.
func (s *Series) AnsweredWithin(now time.Time, d time.Duration) bool {
	latest := s.answered.Load()
	if latest == 0 {
		return false
	}
	return now.Sub(s.ring.Load().start)-time.Duration(latest-1) <= d
}

// InFlight returns the number of requests under way.
func (s *Series) InFlight() int64 { return max(s.inFlight.Load(), 0) }

// idle reports whether no request is under way and the window is empty.
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

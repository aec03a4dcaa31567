package stats

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// A histogram counts nanoseconds in buckets of a quarter of an octave, from 2^12 ns
// (4 µs) to 2^40 ns (18 minutes). One bucket each holds smaller and larger values.
// A percentile is off by 8.7 % at most (see estimate). The sum, the least and the
// greatest value are exact.
const (
	lowestOctave  = 12
	highestOctave = 40
	perOctave     = 4
	bucketCount   = (highestOctave-lowestOctave)*perOctave + 2
)

// The quarters of an octave begin at 1, 2^¼, 2^½ and 2^¾, here as fractions of 64
// bits with the first bit set.
const (
	quarter1 = 0x9837f0518db8a970
	quarter2 = 0xb504f333f9de6485
	quarter3 = 0xd744fccad69d6af5
)

// histogram is written by many goroutines at once. Once its range is wide enough, a
// record costs two atomic loads and two atomic additions.
type histogram struct {
	// low and high are zero until the first record, and set before it is counted.
	// A reader of a count so sees a range, and reads only the buckets in it.
	low, high atomic.Int64
	sum       atomic.Int64

	// 32 bits last for 143 million records a second in the life of a slot.
	counts [bucketCount]atomic.Uint32
}

// record counts a value of at least 1.
func (h *histogram) record(ns int64) {
	for old := h.low.Load(); old == 0 || ns < old; old = h.low.Load() {
		if h.low.CompareAndSwap(old, ns) {
			break
		}
	}
	for old := h.high.Load(); ns > old; old = h.high.Load() {
		if h.high.CompareAndSwap(old, ns) {
			break
		}
	}
	h.sum.Add(ns)
	h.counts[bucket(ns)].Add(1)
}

// bucket returns the bucket of a value of at least 1.
func bucket(ns int64) int {
	octave := bits.Len64(uint64(ns)) - 1
	if octave < lowestOctave {
		return 0
	}
	if octave >= highestOctave {
		return bucketCount - 1
	}
	i := 1 + (octave-lowestOctave)*perOctave
	switch fraction := uint64(ns) << (63 - octave); {
	case fraction >= quarter3:
		return i + 3
	case fraction >= quarter2:
		return i + 2
	case fraction >= quarter1:
		return i + 1
	}
	return i
}

// estimate returns the least wrong nanoseconds for a bucket. For values
// between a and ga, 2ga/(1+g) is off by (g-1)/(g+1) at most: 8.65 % for g = 2^¼.
// The outer buckets have one end only. The caller bounds them by its range.
func estimate(bucket int) float64 {
	switch bucket {
	case 0:
		return 1 << lowestOctave
	case bucketCount - 1:
		return 1 << highestOctave
	}
	g := math.Exp2(1. / perOctave)
	return math.Exp2(lowestOctave+float64(bucket-1)/perOctave) * 2 * g / (1 + g)
}

// spread is a reader's sum of histograms.
type spread struct {
	low, high, sum, count int64
	counts                [bucketCount]int64
}

// collect adds a histogram. Others may record into it meanwhile. The order of the
// loads is the reverse of record's: high before low, as a high implies a low, and
// counts before their sum. An average may be too high by a record in progress, and
// is cut to the range.
func (s *spread) collect(h *histogram) {
	high := h.high.Load()
	if high == 0 {
		return
	}
	low := h.low.Load()
	count := int64(0)
	for i := bucket(low); i <= bucket(high); i++ {
		n := int64(h.counts[i].Load())
		s.counts[i] += n
		count += n
	}
	if count == 0 {
		return
	}
	s.count += count
	s.sum += h.sum.Load()
	s.widen(low, high)
}

// add adds the sum of another reader.
func (s *spread) add(o *spread) {
	if o.count == 0 {
		return
	}
	for i := bucket(o.low); i <= bucket(o.high); i++ {
		s.counts[i] += o.counts[i]
	}
	s.count += o.count
	s.sum += o.sum
	s.widen(o.low, o.high)
}

// widen takes the range of another histogram in. A low of zero means none so far.
func (s *spread) widen(low, high int64) {
	if s.low == 0 || low < s.low {
		s.low = low
	}
	s.high = max(s.high, high)
}

// clamp holds an estimate to the range of real values. It is exact if all
// values are equal.
func (s *spread) clamp(ns float64) float64 {
	return min(max(ns, float64(s.low)), float64(s.high))
}

// avg is zero without records, as is p95.
func (s *spread) avg() float64 {
	if s.count == 0 {
		return 0
	}
	return s.clamp(float64(s.sum) / float64(s.count))
}

// p95 is the nearest rank: 95 % of all values do not exceed it.
func (s *spread) p95() float64 {
	rank := (s.count*95 + 99) / 100
	if rank == s.count {
		return float64(s.high) // of fewer than twenty values the greatest, exactly
	}
	seen := int64(0)
	for i := bucket(s.low); ; i++ {
		if seen += s.counts[i]; seen >= rank {
			return s.clamp(estimate(i))
		}
	}
}

package limit

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// bucketTime is the time from an empty bucket to a full one.
const bucketTime = time.Minute

// bucket is a token bucket of n a minute with a burst of n, in one atomic word:
// the time of its being full. The zero bucket is full. The level may be negative.
type bucket struct{ fullAt atomic.Int64 } // in nanoseconds of the owner's clock

// take takes k out. If too little is left it returns false and the time of enough.
// A k above n goes when the bucket is full.
func (b *bucket) take(now, n, k int64) (at int64, ok bool) {
	cost := price(k, n)
	for {
		full := b.fullAt.Load()
		if at := readyAt(full, cost); at > now {
			return at, false
		}
		if b.fullAt.CompareAndSwap(full, max(full, now)+cost) {
			return now, true
		}
	}
}

// ready returns the time of enough for k, be it past.
func (b *bucket) ready(n, k int64) int64 { return readyAt(b.fullAt.Load(), price(k, n)) }

func readyAt(full, cost int64) int64 { return full - max(int64(bucketTime)-cost, 0) }

// add gives k back. A negative k takes it, even below zero.
func (b *bucket) add(now, n, k int64) {
	for {
		full := b.fullAt.Load()
		if b.fullAt.CompareAndSwap(full, min(max(full, now)-price(k, n), now+mostDebt)) {
			return
		}
	}
}

// left returns the number of tokens, be it negative.
// The number is rounded down.
func (b *bucket) left(now, n int64) int64 {
	missing := max(b.fullAt.Load()-now, 0)
	hi, lo := bits.Mul64(uint64(missing), uint64(n))
	taken, rest := bits.Div64(hi, lo, uint64(bucketTime)) // n is at most maxRate
	if rest > 0 {
		taken++
	}
	return n - int64(taken)
}

// Bounds of numbers from outside. A larger limit a minute counts as
// maxRate, more tokens of one request as maxTokens. A bucket is back to its level
// of zero after mostDebt at the latest.
const (
	maxRate   = 1 << 33
	maxTokens = 1 << 30
	mostDebt  = int64(24 * time.Hour)
)

// price returns the nanoseconds of k in a bucket of n a minute.
func price(k, n int64) int64 {
	if k < 0 {
		return -price(-k, n)
	}
	if k <= math.MaxInt64/int64(bucketTime) {
		return min(k*int64(bucketTime)/n, mostDebt)
	}
	hi, lo := bits.Mul64(uint64(k), uint64(bucketTime))
	if hi >= uint64(n) {
		return mostDebt // the quotient exceeds 64 bits
	}
	ns, _ := bits.Div64(hi, lo, uint64(n))
	return min(int64(min(ns, math.MaxInt64)), mostDebt)
}

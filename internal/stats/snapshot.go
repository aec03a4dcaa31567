package stats

import (
	"sync/atomic"
	"time"
)

// Snapshot keeps an expensive value, and renews it when it is asked for and old. One caller pays. Others get the old value meanwhile, and do not
// wait for a lock. Only the first value may be made by several callers at once.
//
// Goroutines share the value and must not change it.
type Snapshot[T any] struct {
	interval time.Duration
	make     func(now time.Time) T
	value    atomic.Pointer[dated[T]]
	making   atomic.Bool
}

// dated is a value with the time at which it was made.
type dated[T any] struct {
	value T
	at    time.Time
}

// NewSnapshot returns a Snapshot of the value of f. After the first value f is
// called at most once per interval.
func NewSnapshot[T any](interval time.Duration, f func(now time.Time) T) *Snapshot[T] {
	return &Snapshot[T]{interval: interval, make: f}
}

// Get returns a value made within the interval before now, or the old one while
// another caller renews it.
func (s *Snapshot[T]) Get(now time.Time) T {
	old := s.value.Load()
	// The age is negative if this caller looked at the clock before the maker of
	// the value.
	if old != nil && now.Sub(old.at) < s.interval {
		return old.value
	}
	if !s.making.CompareAndSwap(false, true) {
		if old != nil {
			return old.value
		}
		return s.make(now)
	}
	defer s.making.Store(false) // also when f panics
	// Another caller may have finished between the look and the claim.
	if latest := s.value.Load(); latest != old {
		return latest.value
	}
	fresh := &dated[T]{s.make(now), now}
	s.value.Store(fresh)
	return fresh.value
}

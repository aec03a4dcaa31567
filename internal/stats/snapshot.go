package stats

import (
	"sync/atomic"
	"time"
)

// Snapshot keeps a value that costs something to make, and makes it anew when it
// is asked for and old. One caller pays; those who ask meanwhile get the old
// value, and nobody waits for a lock. The first value alone may be made by
// several callers at once, as there is no old one yet.
//
// Who gets a value from several goroutines must not change it.
type Snapshot[T any] struct {
	interval time.Duration
	make     func(now time.Time) T
	value    atomic.Pointer[dated[T]]
	making   atomic.Bool
}

type dated[T any] struct {
	value T
	at    time.Time
}

// NewSnapshot returns a Snapshot of what f makes, which is asked for at most
// once per interval, after the first time.
func NewSnapshot[T any](interval time.Duration, f func(now time.Time) T) *Snapshot[T] {
	return &Snapshot[T]{interval: interval, make: f}
}

// Get returns a value that was made within the interval before now, or the one
// that is being replaced.
func (s *Snapshot[T]) Get(now time.Time) T {
	old := s.value.Load()
	// An age below zero belongs to a caller who looked at the clock before the one
	// who made the value.
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
	// Another caller may have been done between the look and the claim.
	if latest := s.value.Load(); latest != old {
		return latest.value
	}
	fresh := &dated[T]{s.make(now), now}
	s.value.Store(fresh)
	return fresh.value
}

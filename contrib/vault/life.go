package gatewayvault

import "time"

// life is how long a token or a lease is good. The zero life has no end.
type life struct {
	began, ends time.Time
	full        time.Duration // as granted first
	renewable   bool
	retry       time.Time // no renewal before
}

// newLife is the life of a grant of just now.
func newLife(now time.Time, seconds int, renewable bool) life {
	if seconds <= 0 {
		return life{}
	}
	d := time.Duration(seconds) * time.Second
	return life{began: now, ends: now.Add(d), full: d, renewable: renewable}
}

// renewed is the life after a renewal. Near the greatest age allowed, the
// renewals become shorter: then enough is false.
func (l life) renewed(now time.Time, seconds int, renewable bool) (next life, enough bool) {
	next = newLife(now, seconds, renewable)
	if next.ends.IsZero() {
		return next, true
	}
	next.full = l.full
	return next, next.ends.Sub(now) >= l.full/2
}

func (l life) ended(now time.Time) bool { return !l.ends.IsZero() && !now.Before(l.ends) }

// due reports whether half of the life is over.
func (l life) due(now time.Time) bool {
	return !l.ends.IsZero() && !now.Before(l.began.Add(l.ends.Sub(l.began)/2)) && !now.Before(l.retry)
}

// postpone puts the next renewal off, by a tenth of the life up to ten seconds.
func (l *life) postpone(now time.Time) { l.retry = now.Add(min(l.full/10, 10*time.Second)) }

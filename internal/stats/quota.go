package stats

import (
	"sync/atomic"
	"time"
)

// unknownReset is for how long an allowance is believed that came without a
// reset. Most limits are by the minute. It has to end at some time: a key that a
// strategy avoids because nothing remains is not used, so nobody would learn that
// it has recovered.
const unknownReset = time.Minute

// staleLimit is for how long after its reset a limit is believed that nobody has
// spoken of since. Limits change with plans, not by the minute.
const staleLimit = time.Hour

// Quota is what a provider last said about the limits of a key. The zero Quota
// knows nothing. Its methods may be called from many goroutines at once, take no
// lock and do not allocate. Of two answers that come at the same moment the
// numbers may be mixed, until the next answer.
type Quota struct{ requests, tokens quota }

// Allowance is what a provider allows, of requests or of tokens. The zero
// Allowance is unknown.
type Allowance struct {
	Limit, Remaining Count

	// Reset is when Remaining starts anew. Zero is unknown.
	Reset time.Time
}

// Count is a number that may be unknown.
type Count struct {
	N     int64
	Known bool
}

// SetRequests notes what an answer said about requests at now. An answer that
// said nothing changes nothing. What came without a reset holds for a minute.
func (q *Quota) SetRequests(now time.Time, a Allowance) { q.requests.set(now, a) }

// SetTokens is like SetRequests, about tokens.
func (q *Quota) SetTokens(now time.Time, a Allowance) { q.tokens.set(now, a) }

// Requests returns what is known about requests. From its reset on, all that the
// limit allows remains; to take it for unknown would put a key that has just been
// filled up behind one that is nearly empty.
func (q *Quota) Requests(now time.Time) Allowance { return q.requests.get(now) }

// Tokens is like Requests, about tokens.
func (q *Quota) Tokens(now time.Time) Allowance { return q.tokens.get(now) }

// quota is an Allowance in atomics.
type quota struct {
	limit, remaining atomic.Int64 // plus one: zero is unknown

	// until is the reset in Unix milliseconds. Resets are told by the wall clock,
	// some of them as dates that nanoseconds could not hold.
	until atomic.Int64
	// told is set where the provider said when the reset is.
	told atomic.Bool
}

func (q *quota) set(now time.Time, a Allowance) {
	if !a.Limit.Known && !a.Remaining.Known {
		return
	}
	// One that is over when it is told comes of a clock that differs, or of a date
	// that was cut down to the second.
	told := a.Reset.After(now)
	if !told {
		a.Reset = now.Add(unknownReset)
	}
	q.limit.Store(a.Limit.encode())
	q.remaining.Store(a.Remaining.encode())
	q.told.Store(told)
	q.until.Store(a.Reset.UnixMilli())
}

func (q *quota) get(now time.Time) Allowance {
	// Until comes first: new numbers with an old reset are forgotten too soon,
	// old numbers with a new reset would live too long.
	until := q.until.Load()
	limit, over := decode(q.limit.Load()), now.UnixMilli()-until
	switch {
	case until == 0:
		return Allowance{}
	case over < 0:
		a := Allowance{Limit: limit, Remaining: decode(q.remaining.Load())}
		if q.told.Load() {
			a.Reset = time.UnixMilli(until)
		}
		return a
	case q.told.Load() && limit.Known && over < staleLimit.Milliseconds():
		return Allowance{Limit: limit, Remaining: limit}
	}
	return Allowance{}
}

func (c Count) encode() int64 {
	if !c.Known {
		return 0
	}
	return min(max(c.N, 0), 1<<62) + 1
}

func decode(n int64) Count {
	if n == 0 {
		return Count{}
	}
	return Count{N: n - 1, Known: true}
}

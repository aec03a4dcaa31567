package stats

import (
	"sync/atomic"
	"time"
)

// unknownReset is the life of an allowance without a reset. Most limits are by the
// minute. It has to end: a strategy avoids a key with nothing left, so no answer
// would tell of its recovery.
const unknownReset = time.Minute

// staleLimit is the life of a limit after its reset, without a new word. Limits
// change with plans, not by the minute.
const staleLimit = time.Hour

// Quota holds a provider's last word about the limits of a key. The zero Quota is
// unknown. Its methods may be called from many goroutines at once, take no lock
// and do not allocate. The numbers of two simultaneous answers may be mixed until
// the next answer.
type Quota struct {
	requests, tokens quota
	at               atomic.Int64 // of the latest word, in Unix milliseconds
	told             atomic.Bool  // that word was given to Word
}

// Allowance is a provider's limit of requests or tokens. The zero Allowance is
// unknown.
type Allowance struct {
	Limit, Remaining Count

	// Reset is when Remaining starts anew. Zero means unknown.
	Reset time.Time
}

// Count is a number, perhaps unknown.
type Count struct {
	N     int64
	Known bool
}

// SetRequests notes the word of an answer about requests at now. An unknown
// Allowance changes nothing. One without a reset holds for a minute.
func (q *Quota) SetRequests(now time.Time, a Allowance) { q.set(&q.requests, now, a) }

// SetTokens is like SetRequests, about tokens.
func (q *Quota) SetTokens(now time.Time, a Allowance) { q.set(&q.tokens, now, a) }

// set notes a word that says something. It is news for the other replicas.
func (q *Quota) set(of *quota, now time.Time, a Allowance) {
	if of.set(now, a) {
		q.at.Store(now.UnixMilli())
		q.told.Store(false)
	}
}

// Word is an Allowance as replicas tell each other about it. Counts are one higher;
// zero is unknown. Until is the end in Unix milliseconds, named by the provider if
// Told.
type Word struct {
	Limit, Remaining, Until int64
	Told                    bool
}

// New reports whether there is a word that [Quota.Word] has not given.
func (q *Quota) New() bool { return q.at.Load() != 0 && !q.told.Load() }

// Word returns the latest words and their time in Unix milliseconds.
func (q *Quota) Word() (at int64, requests, tokens Word) {
	q.told.Store(true)
	return q.at.Load(), q.requests.word(), q.tokens.word()
}

// Learn takes the words of another replica over, unless there is a new one here.
func (q *Quota) Learn(requests, tokens Word) {
	if !q.New() {
		q.requests.learn(requests)
		q.tokens.learn(tokens)
	}
}

// word returns the numbers as they are stored: one higher, and zero if unknown.
func (q *quota) word() Word {
	return Word{q.limit.Load(), q.remaining.Load(), q.until.Load(), q.told.Load()}
}

// learn takes over the word of another replica. A reader in between may see half of
// it, which is no worse than the word being old.
func (q *quota) learn(w Word) {
	q.limit.Store(w.Limit)
	q.remaining.Store(w.Remaining)
	q.told.Store(w.Told)
	q.until.Store(w.Until)
}

// Requests returns the allowance of requests. From its reset on the whole limit
// remains. Unknown would put a full key behind a nearly empty one.
func (q *Quota) Requests(now time.Time) Allowance { return q.requests.get(now) }

// Tokens is like Requests, about tokens.
func (q *Quota) Tokens(now time.Time) Allowance { return q.tokens.get(now) }

// quota is an Allowance in atomics.
type quota struct {
	limit, remaining atomic.Int64 // plus one: zero is unknown

	// until is the reset in Unix milliseconds. Resets follow the wall clock, and
	// some dates exceed what nanoseconds can hold.
	until atomic.Int64
	// told is set if the provider named the reset.
	told atomic.Bool
}

// set takes a provider's numbers, and returns whether there are any. Without a reset
// they hold for a fixed time.
func (q *quota) set(now time.Time, a Allowance) bool {
	if !a.Limit.Known && !a.Remaining.Known {
		return false
	}
	// A reset in the past comes from another clock, or from a date without
	// fractions of a second.
	told := a.Reset.After(now)
	if !told {
		a.Reset = now.Add(unknownReset)
	}
	q.limit.Store(a.Limit.encode())
	q.remaining.Store(a.Remaining.encode())
	q.told.Store(told)
	q.until.Store(a.Reset.UnixMilli())
	return true
}

// get returns the numbers as far as they hold. After a named reset the limit counts
// as unused for a while.
func (q *quota) get(now time.Time) Allowance {
	// Until comes first. New numbers with an old reset are forgotten too soon; old
	// numbers with a new reset would live too long.
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

// encode fits a Count into one atomic value: zero is unknown, and known counts are
// one higher.
func (c Count) encode() int64 {
	if !c.Known {
		return 0
	}
	return min(max(c.N, 0), 1<<62) + 1
}

// decode is the inverse of encode.
func decode(n int64) Count {
	if n == 0 {
		return Count{}
	}
	return Count{N: n - 1, Known: true}
}

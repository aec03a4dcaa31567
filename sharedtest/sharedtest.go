// Package sharedtest tests implementations of [aigateway.Shared], and holds one in
// memory.
//
// A test of an implementation calls [Run] with a function that opens a client of an
// empty store. [Memory] is an implementation for tests of programs with replicas: it
// can fail, be slow and lose its state.
package sharedtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

// Run tests an implementation. open returns a client of an empty store each time,
// such as one with a prefix of its own. The tests take about three seconds of real time;
// the store may be up to 100 ms late.
func Run(t *testing.T, open func() aigateway.Shared) {
	for name, test := range map[string]func(*testing.T, aigateway.Shared){
		"records are read back": recordsAreReadBack, "the greatest rank stays": theGreatestRankStays,
		"records end": recordsEnd, "changes since a cursor": changesSinceACursor,
		"another history": anotherHistory, "many records": manyRecords, "the store's time": theStoresTime,
		"a bucket": aBucket, "a bucket in debt": aBucketInDebt, "a bucket fills": aBucketFills,
		"a large take": aLargeTake, "a budget": aBudget, "a budget ends": aBudgetEnds,
		"a lease": aLease, "a lease ends": aLeaseEnds, "all or nothing": allOrNothing,
		"takes at once": takesAtOnce, "an ended context": anEndedContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, open()) })
	}
}

const (
	key1, key2 = "c/0123456789abcdef:1_2-3", "q/2"
	never      = time.Hour
	soon       = 300 * time.Millisecond
	tolerance  = 100 * time.Millisecond
)

// record is a record that does not end during the tests.
func record(key, value string, rank int64) aigateway.SharedRecord {
	return aigateway.SharedRecord{Key: key, Value: []byte(value), Rank: rank, TTL: never}
}

// exchange asks for all parts of an answer.
func exchange(t *testing.T, s aigateway.Shared, after aigateway.SharedCursor, put ...aigateway.SharedRecord) (map[string]string, aigateway.SharedCursor) {
	t.Helper()
	values := map[string]string{}
	for {
		c, err := s.Exchange(context.Background(), put, after)
		require.NoError(t, err)
		for _, r := range c.Records {
			assert.Positive(t, r.TTL, r.Key)
			values[r.Key] = string(r.Value)
		}
		if after = c.Cursor; !c.More {
			return values, c.Cursor
		}
		put = nil
	}
}

// An answer has the records that its own call put, with any bytes, and their rest of
// life.
func recordsAreReadBack(t *testing.T, s aigateway.Shared) {
	values, _ := exchange(t, s, aigateway.SharedCursor{})
	require.Empty(t, values)
	binary := "\x00\xff\r\n\"%s "
	values, _ = exchange(t, s, aigateway.SharedCursor{}, record(key1, binary, 1), record(key2, "", 1<<62))
	assert.Equal(t, map[string]string{key1: binary, key2: ""}, values, "also those that the call wrote")
	c, err := s.Exchange(context.Background(), nil, aigateway.SharedCursor{})
	require.NoError(t, err)
	for _, r := range c.Records {
		assert.InDelta(t, never, r.TTL, float64(5*time.Second))
		assert.Equal(t, map[string]int64{key1: 1, key2: 1 << 62}[r.Key], r.Rank)
	}
}

// A record of an equal or smaller rank is left out, and is not a change. Ranks use all
// 63 bits.
func theGreatestRankStays(t *testing.T, s aigateway.Shared) {
	_, at := exchange(t, s, aigateway.SharedCursor{}, record(key1, "five", 5))
	values, at := exchange(t, s, at, record(key1, "four", 4), record(key1, "another five", 5), record(key2, "one", 1))
	assert.Equal(t, map[string]string{key2: "one"}, values, "a record that is left out is not a change")
	values, _ = exchange(t, s, at, record(key1, "six", 6), record(key1, "seven", 7))
	assert.Equal(t, map[string]string{key1: "seven"}, values)
	large := int64(1) << 60 // a float cannot tell these apart
	_, at = exchange(t, s, aigateway.SharedCursor{}, record("l", "a", large))
	values, at = exchange(t, s, at, record("l", "b", large+1))
	assert.Equal(t, map[string]string{"l": "b"}, values)
	values, _ = exchange(t, s, at, record("l", "c", large))
	assert.Empty(t, values)
}

// A record is gone after its TTL, and its rank with it.
func recordsEnd(t *testing.T, s aigateway.Shared) {
	short := record(key1, "short", 9)
	short.TTL = soon
	values, _ := exchange(t, s, aigateway.SharedCursor{}, short, record(key2, "long", 1))
	require.Len(t, values, 2)
	wait(soon + tolerance)
	values, _ = exchange(t, s, aigateway.SharedCursor{})
	assert.Equal(t, map[string]string{key2: "long"}, values)
	values, _ = exchange(t, s, aigateway.SharedCursor{}, record(key1, "anew", 1))
	assert.Equal(t, "anew", values[key1], "the rank of an ended record is forgotten")
}

// A cursor stays good for others after a later one was given. Two changes of one key
// are one change.
func changesSinceACursor(t *testing.T, s aigateway.Shared) {
	_, first := exchange(t, s, aigateway.SharedCursor{}, record(key1, "a", 1))
	values, second := exchange(t, s, first)
	require.Empty(t, values)
	_, third := exchange(t, s, second, record(key2, "b", 1))
	values, _ = exchange(t, s, first)
	assert.Equal(t, map[string]string{key2: "b"}, values, "an old cursor is good for others")
	exchange(t, s, third, record(key1, "c", 2))
	exchange(t, s, third, record(key1, "d", 3))
	values, _ = exchange(t, s, third)
	assert.Equal(t, map[string]string{key1: "d"}, values)
}

// A cursor of another epoch gets all records, and the present epoch.
func anotherHistory(t *testing.T, s aigateway.Shared) {
	_, at := exchange(t, s, aigateway.SharedCursor{}, record(key1, "a", 1))
	require.NotEmpty(t, at.Epoch)
	values, again := exchange(t, s, aigateway.SharedCursor{Epoch: "another", Seq: 1 << 40}, record(key2, "b", 1))
	assert.Equal(t, map[string]string{key1: "a", key2: "b"}, values)
	assert.Equal(t, at.Epoch, again.Epoch)
}

// 2,000 records, and a value of 64 KiB.
func manyRecords(t *testing.T, s aigateway.Shared) {
	const n = 2000
	put := make([]aigateway.SharedRecord, n)
	for i := range put {
		put[i] = record(fmt.Sprintf("k/%d", i), fmt.Sprintf("%0512d", i), 1)
	}
	values, at := exchange(t, s, aigateway.SharedCursor{}, put...)
	assert.Len(t, values, n)
	large := record("large", string(make([]byte, 64<<10)), 1)
	values, _ = exchange(t, s, at, large)
	assert.Equal(t, map[string]string{"large": string(large.Value)}, values)
}

// The time of the store goes on at the pace of this process's.
func theStoresTime(t *testing.T, s aigateway.Shared) {
	first, err := s.Exchange(context.Background(), nil, aigateway.SharedCursor{})
	require.NoError(t, err)
	begin := time.Now()
	wait(soon)
	second, err := s.Exchange(context.Background(), nil, first.Cursor)
	require.NoError(t, err)
	assert.InDelta(t, time.Since(begin), second.Now.Sub(first.Now), float64(tolerance))
}

// take takes, without an error.
func take(t *testing.T, s aigateway.Shared, takes ...aigateway.SharedTake) aigateway.SharedTaken {
	t.Helper()
	taken, err := s.Take(context.Background(), takes)
	require.NoError(t, err)
	require.Len(t, taken.Left, len(takes))
	return taken
}

// bucket takes from a bucket that is full again after per.
func bucket(amount, limit int64, per time.Duration) aigateway.SharedTake {
	return aigateway.SharedTake{Key: "b/1", Kind: aigateway.SharedBucket, Amount: amount, Limit: limit, Per: per}
}

// A refusal names the time until there is enough. What is given back does not overflow.
func aBucket(t *testing.T, s aigateway.Shared) {
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{7}}, take(t, s, bucket(3, 10, never)))
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{0}}, take(t, s, bucket(7, 10, never)))
	full := take(t, s, bucket(5, 10, never))
	assert.False(t, full.OK)
	assert.Equal(t, []int64{0}, full.Left)
	assert.InDelta(t, never/2, full.Wait, float64(10*time.Second))
	assert.False(t, take(t, s, bucket(0, 10, never)).OK, "zero asks for more than nothing")
	assert.Equal(t, []int64{2}, take(t, s, bucket(-2, 10, never)).Left)
	assert.True(t, take(t, s, bucket(0, 10, never)).OK)
	assert.Equal(t, []int64{10}, take(t, s, bucket(-100, 10, never)).Left, "not more than full")
}

// A take that settles goes below zero, and the debt counts for the next wait.
func aBucketInDebt(t *testing.T, s aigateway.Shared) {
	debt := bucket(15, 10, never)
	debt.Settle = true
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{-5}}, take(t, s, debt))
	full := take(t, s, bucket(0, 10, never))
	assert.False(t, full.OK)
	assert.InDelta(t, never*6/10, full.Wait, float64(10*time.Second))
}

// A bucket fills evenly.
func aBucketFills(t *testing.T, s aigateway.Shared) {
	require.True(t, take(t, s, bucket(100, 100, 10*soon)).OK)
	require.False(t, take(t, s, bucket(20, 100, 10*soon)).OK)
	wait(2*soon + tolerance)
	assert.True(t, take(t, s, bucket(20, 100, 10*soon)).OK)
}

// More than the whole limit passes when the bucket is full, and leaves a debt.
func aLargeTake(t *testing.T, s aigateway.Shared) {
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{-10}}, take(t, s, bucket(20, 10, never)), "a full bucket lets it pass")
	assert.False(t, take(t, s, bucket(20, 10, never)).OK)
}

// budget takes from a budget of 5,000 USD, in units of 10⁻¹² USD.
func budget(amount int64) aigateway.SharedTake {
	return aigateway.SharedTake{Key: "m/1", Kind: aigateway.SharedBudget, Amount: amount, Limit: 5_000_000_000_000_000, TTL: never}
}

// A budget counts exactly, and is at zero at least.
func aBudget(t *testing.T, s aigateway.Shared) {
	limit := budget(0).Limit
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{limit}}, take(t, s, budget(0)))
	assert.Equal(t, []int64{1}, take(t, s, budget(limit-1)).Left)
	assert.True(t, take(t, s, budget(0)).OK)
	full := take(t, s, budget(2))
	assert.False(t, full.OK)
	assert.InDelta(t, never, full.Wait, float64(10*time.Second))
	settle := budget(11)
	settle.Settle = true
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{-10}}, take(t, s, settle))
	assert.False(t, take(t, s, budget(0)).OK)
	assert.Equal(t, []int64{limit}, take(t, s, budget(-2*limit)).Left, "not below zero")
}

// A budget ends TTL after its first take, however often it is used.
func aBudgetEnds(t *testing.T, s aigateway.Shared) {
	b := budget(budget(0).Limit)
	b.TTL = soon
	require.True(t, take(t, s, b).OK)
	require.False(t, take(t, s, b).OK)
	wait(soon + tolerance)
	assert.True(t, take(t, s, b).OK, "a later call does not make it live longer")
}

// lease takes a part of a lease for its owner.
func lease(owner string, amount, limit int64) aigateway.SharedTake {
	return aigateway.SharedTake{Key: "l/1", Kind: aigateway.SharedLease, Owner: owner, Amount: amount, Limit: limit, TTL: never}
}

// The owners share the limit. Zero renews and is never refused.
func aLease(t *testing.T, s aigateway.Shared) {
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{1}}, take(t, s, lease("ann", 2, 3)))
	assert.Equal(t, aigateway.SharedTaken{Left: []int64{1}}, take(t, s, lease("bob", 2, 3)))
	assert.True(t, take(t, s, lease("bob", 1, 3)).OK)
	assert.False(t, take(t, s, lease("ann", 1, 3)).OK)
	assert.True(t, take(t, s, lease("ann", 0, 3)).OK, "renewed, be it full")
	assert.Equal(t, []int64{1}, take(t, s, lease("ann", -1, 3)).Left)
	assert.Equal(t, []int64{2}, take(t, s, lease("ann", -5, 3)).Left, "not below zero")
	settle := lease("ann", 7, 3)
	settle.Settle = true
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{-5}}, take(t, s, settle))
	settle.Amount = 0
	assert.Equal(t, []int64{2}, take(t, s, settle).Left)
}

// An owner's part ends TTL after its latest take. A part that ended cannot be given back.
func aLeaseEnds(t *testing.T, s aigateway.Shared) {
	short := lease("ann", 1, 1)
	short.TTL = 2 * soon
	require.True(t, take(t, s, short).OK)
	wait(soon)
	short.Amount = 0
	require.True(t, take(t, s, short).OK)
	wait(soon + tolerance)
	require.False(t, take(t, s, lease("bob", 1, 1)).OK, "ann has renewed")
	wait(soon)
	assert.True(t, take(t, s, lease("bob", 1, 1)).OK)
	assert.Equal(t, []int64{0}, take(t, s, lease("ann", -1, 1)).Left, "ann has nothing left to give back")
}

// A refused take among several leaves all accounts as they were, and Full is its index.
func allOrNothing(t *testing.T, s aigateway.Shared) {
	require.True(t, take(t, s, budget(budget(0).Limit)).OK)
	all := take(t, s, bucket(3, 10, never), lease("ann", 1, 3), budget(1))
	assert.False(t, all.OK)
	assert.Equal(t, 2, all.Full)
	assert.Equal(t, []int64{10, 3, 0}, all.Left)
	all = take(t, s, bucket(3, 10, never), lease("ann", 1, 3))
	assert.Equal(t, aigateway.SharedTaken{OK: true, Left: []int64{7, 2}}, all)
}

// Takes from several goroutines do not let more than the limit through.
func takesAtOnce(t *testing.T, s aigateway.Shared) {
	const limit = 50
	var passed atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 2 * limit / 8 {
				taken, err := s.Take(context.Background(), []aigateway.SharedTake{bucket(1, limit, 24*never), lease(fmt.Sprint("owner-", i), 1, limit)})
				if assert.NoError(t, err) && taken.OK {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, limit, passed.Load())
}

// A context that has ended is an error at once.
func anEndedContext(t *testing.T, s aigateway.Shared) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Exchange(ctx, nil, aigateway.SharedCursor{})
	require.Error(t, err)
	_, err = s.Take(ctx, []aigateway.SharedTake{budget(1)})
	require.Error(t, err)
}

// wait passes time, real or that of a bubble.
func wait(d time.Duration) { <-time.After(d) }

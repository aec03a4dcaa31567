package limit

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const usd = 1_000_000_000_000

func key(n int) (k Key) {
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

func TestAllowance(t *testing.T) {
	start := time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)
	type step struct {
		after         time.Duration // since the start
		tokens, money int64         // settled at once
		over          Measure       // measures: admitted
		reset         time.Duration // from the start
	}
	const ok = measures
	for name, tt := range map[string]struct {
		allowance Allowance
		steps     []step
	}{
		"no limits": {Allowance{}, []step{{0, 1 << 40, 1 << 60, ok, 0}, {0, 1 << 40, 1 << 60, ok, 0}}},
		"requests":  {Allowance{RequestsPerMinute: 2}, []step{{0, 0, 0, ok, 0}, {0, 0, 0, ok, 0}, {0, 0, 0, Requests, secs(30)}, {secs(30), 0, 0, ok, 0}}},
		"tokens: the request that crosses completes": {Allowance{TokensPerMinute: 600}, []step{
			{0, 599, 0, ok, 0}, {0, 1200, 0, ok, 0}, {0, 0, 0, Tokens, secs(120)}, {secs(119), 0, 0, Tokens, secs(120)}, {secs(120), 1, 0, ok, 0},
		}},
		"a day": {Allowance{PerDay: 5 * usd}, []step{
			{0, 0, 5*usd - 1, ok, 0}, {0, 0, 7 * usd, ok, 0}, {secs(1), 0, 0, Day, time.Hour}, {time.Hour, 0, 5 * usd, ok, 0}, {time.Hour, 0, 0, Day, 25 * time.Hour},
		}},
		"a month": {Allowance{PerMonth: usd, PerDay: 2 * usd}, []step{
			{0, 0, usd, ok, 0}, {0, 0, 0, Month, time.Hour}, {time.Hour, 0, usd, ok, 0}, {26 * time.Hour, 0, 0, Month, (31*24 + 1) * time.Hour},
		}},
		"the longest counts": {Allowance{RequestsPerMinute: 1, PerDay: usd}, []step{{0, 0, usd, ok, 0}, {0, 0, 0, Day, time.Hour}}},
		"money has no end":   {Allowance{PerDay: 1<<63 - 1}, []step{{0, 0, 1<<63 - 1, ok, 0}, {0, 0, 1, Day, time.Hour}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClients(start)
			e := c.Entry("e", tt.allowance)
			claims := []Claim{{e, key(1)}}
			for i, s := range tt.steps {
				now := start.Add(s.after)
				a, x := c.Admit(now, claims)
				if s.over == ok {
					require.Nil(t, x, "step %d", i)
					a.Settle(now, s.tokens, s.money)
					a.Settle(now, s.tokens, s.money) // once counts
				} else {
					require.NotNil(t, x, "step %d", i)
					assert.Equal(t, s.over, x.Measure)
					assert.InDelta(t, s.reset, x.Reset.Sub(start), 10)
					_, x = c.Admit(now, []Claim{{e, key(2)}})
					assert.Nil(t, x, "another key has its own")
				}
			}
		})
	}
	var none *Admitted
	none.Settle(start, 1, 1)
	a, x := NewClients(start).Admit(start, nil)
	assert.Nil(t, a)
	assert.Nil(t, x)
}

func TestAllEntriesBeforeAnyIsSpent(t *testing.T) {
	c := NewClients(began)
	wide, narrow := c.Entry("wide", Allowance{RequestsPerMinute: 10}), c.Entry("narrow", Allowance{RequestsPerMinute: 1})
	claims := []Claim{{wide, key(1)}, {narrow, key(2)}}
	_, x := c.Admit(began, claims)
	require.Nil(t, x)
	_, x = c.Admit(began, claims)
	assert.Equal(t, &Exceeded{Claim: 1, Measure: Requests, Reset: at(secs(60))}, x)
	assert.EqualValues(t, 9, c.Nearest(began, claims[:1]).Requests.Remaining, "a refused request costs nothing")
}

func TestNames(t *testing.T) {
	var names []string
	for m := range measures {
		names = append(names, m.String())
	}
	for k := InFlight; k <= Queue; k++ {
		names = append(names, k.String())
	}
	assert.Equal(t, []string{
		"requests_per_minute", "tokens_per_minute", "usd_per_day", "usd_per_month",
		"in_flight", "requests_per_minute", "tokens_per_minute", "queue",
	}, names)
}

func TestNearest(t *testing.T) {
	c := NewClients(began)
	a, b := c.Entry("a", Allowance{RequestsPerMinute: 10, TokensPerMinute: 600}), c.Entry("b", Allowance{RequestsPerMinute: 4})
	money := c.Entry("money", Allowance{PerDay: 1})
	claims := []Claim{{a, key(1)}, {b, key(1)}, {money, key(1)}}
	assert.Equal(t, Standing{Left{10, 10, 0}, Left{600, 600, 0}}, c.Nearest(began, claims[:1]))
	admitted, _ := c.Admit(began, claims)
	assert.Equal(t, Standing{Requests: Left{4, 3, secs(15)}}, c.Nearest(began, claims))
	admitted.Settle(began, 900, 0)
	assert.Equal(t, Standing{Left{10, 9, secs(6)}, Left{600, 0, secs(90)}}, c.Nearest(began, claims))
	assert.Zero(t, c.Nearest(began, nil))
	admitted, _ = c.Admit(began, claims[1:])
	admitted.Settle(began, 0, 1)
	assert.Zero(t, c.Nearest(began, claims), "the budget is used up")
	assert.NotZero(t, c.Nearest(at(24*time.Hour), claims), "until tomorrow")
}

func TestEntriesSurviveReload(t *testing.T) {
	c := NewClients(began)
	e := c.Entry("e", Allowance{RequestsPerMinute: 1})
	_, x := c.Admit(began, []Claim{{e, key(1)}})
	require.Nil(t, x)
	assert.Same(t, e, c.Entry("e", Allowance{RequestsPerMinute: 1, PerDay: 1}))
	_, x = c.Admit(began, []Claim{{e, key(1)}})
	assert.NotNil(t, x)
}

// A key with spending in its period is never forgotten. If all have spent, new keys
// share one account.
func TestKeysAreBounded(t *testing.T) {
	c := NewClients(began)
	e := c.Entry("e", Allowance{PerDay: usd})
	spend := func(k int, now time.Time, money int64) bool {
		a, x := c.Admit(now, []Claim{{e, key(k)}})
		if x == nil {
			a.Settle(now, 0, money)
		}
		return x == nil
	}
	for k := range maxKeys {
		if !spend(k, began, usd) {
			require.Fail(t, "refused", "key %d", k)
		}
	}
	assert.True(t, spend(maxKeys, began, usd), "the overflow's budget")
	assert.False(t, spend(maxKeys+1, began, 1), "is shared")
	assert.False(t, spend(0, began, 1), "the first is remembered")
	assert.Len(t, e.accounts, maxKeys)

	next := at(24 * time.Hour)
	assert.True(t, spend(maxKeys+2, next, usd), "the next day all are idle")
	assert.Less(t, len(e.accounts), maxKeys)
	assert.False(t, spend(maxKeys+2, next, 1))
}

func TestIdleKeysMakeRoom(t *testing.T) {
	c := NewClients(began)
	e := c.Entry("e", Allowance{RequestsPerMinute: 1, PerDay: usd})
	open, x := c.Admit(began, []Claim{{e, key(-1)}})
	require.Nil(t, x)
	spent, _ := c.Admit(began, []Claim{{e, key(-2)}})
	spent.Settle(began, 0, usd)
	for k := range 2 * maxKeys {
		now := at(time.Duration(k) * 10 * time.Millisecond)
		a, x := c.Admit(now, []Claim{{e, key(k)}})
		a.Settle(now, 0, 0)
		if x != nil || len(e.accounts) > maxKeys {
			require.Fail(t, "no room", "key %d", k)
		}
	}
	assert.Zero(t, e.overflow.requests.fullAt.Load(), "there was always room")
	open.Settle(at(time.Hour), 0, usd)
	for _, k := range []int{-1, -2} {
		_, x = c.Admit(at(time.Hour), []Claim{{e, key(k)}})
		require.NotNil(t, x, "key %d", k)
		assert.Equal(t, Day, x.Measure)
	}
}

func TestClientsConcurrently(t *testing.T) {
	c := NewClients(began)
	e, f := c.Entry("e", Allowance{RequestsPerMinute: 500}), c.Entry("f", Allowance{TokensPerMinute: 1 << 30, PerDay: usd, PerMonth: usd})
	var wg sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	for i := range 64 {
		wg.Go(func() {
			for range 100 {
				claims := []Claim{{e, key(0)}, {f, key(i % 4)}}
				a, x := c.Admit(began, claims)
				if x == nil {
					mu.Lock()
					admitted++
					mu.Unlock()
				}
				a.Settle(began, 10, 10)
				c.Nearest(began, claims)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 500, admitted)
	spent := int64(0)
	for i := range 4 {
		a := f.accounts[key(i)]
		spent += a.day.spent
		assert.Zero(t, a.open)
	}
	assert.EqualValues(t, 5000, spent)
}

func BenchmarkAdmit(b *testing.B) {
	for _, keys := range []int{1, maxKeys, 4 * maxKeys} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			c := NewClients(began)
			e := c.Entry("e", Allowance{RequestsPerMinute: 1 << 30, PerDay: 1 << 60})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				claims := [...]Claim{{e, key(i % keys)}}
				a, x := c.Admit(at(time.Duration(i)*time.Microsecond), claims[:])
				if x != nil {
					b.Fatal(x)
				}
				a.Settle(at(time.Duration(i)*time.Microsecond), 10, int64(i&1))
			}
		})
	}
}

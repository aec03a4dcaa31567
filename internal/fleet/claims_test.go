package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/limit"
)

// accounts is a store that notes what is taken, and answers as it is told.
type accounts struct {
	*memory
	taken  []Take
	answer Taken
}

func (a *accounts) Take(_ context.Context, takes []Take) (Taken, error) {
	a.taken = append(a.taken, takes...)
	return a.answer, nil
}

// TestClaims takes a request at once, and settles its tokens and its money at its end.
func TestClaims(t *testing.T) {
	now := time.Date(2026, 12, 31, 22, 0, 0, 0, time.UTC)
	all := &limit.Allowance{RequestsPerMinute: 5, TokensPerMinute: 100, PerDay: 7, PerMonth: 9, Exact: true}
	one := &limit.Allowance{TokensPerMinute: 50, Exact: true}
	begin := func(t *testing.T, answer Taken) (*Limits, *accounts, *Claims) {
		store := &accounts{memory: newMemory(), answer: answer}
		f := New(store, NewSums([]byte("secret")), time.Now())
		require.NoError(t, f.Exchange(t.Context()))
		var c Claims
		c.Add(all, limit.Key{1})
		c.Add(one, limit.Key{2})
		return &Limits{fleet: f}, store, &c
	}
	type account struct {
		key            string
		amount, limit  int64
		settle, budget bool
	}
	list := func(takes []Take) (out []account) {
		for _, take := range takes {
			out = append(out, account{take.Key[:2] + take.Key[2+32:], take.Amount, take.Limit, take.Settle, take.Kind == Budget})
		}
		return out
	}
	t.Run("passes", func(t *testing.T) {
		l, store, c := begin(t, Taken{OK: true})
		_, _, ok := c.Take(t.Context(), l, now)
		assert.True(t, ok)
		day := "x//dtqxpc0"
		month := "x//mtqxpc0"
		assert.Equal(t, []account{{"x//r", 1, 5, false, false}, {"x//t", 0, 100, false, false}, {day, 0, 7, false, true}, {month, 0, 9, false, true},
			{"x//t", 0, 50, false, false}}, list(store.taken))
		assert.Equal(t, 2*time.Hour, store.taken[2].TTL, "a budget ends with its day")
		c.Settle(l, now, 30, 4)
		assert.Equal(t, []account{{"x//t", 30, 100, true, false}, {day, 4, 7, true, true}, {month, 4, 9, true, true}, {"x//t", 30, 50, true, false}}, list(l.settles))
		c.Settle(l, now, 30, 4)
		assert.Len(t, l.settles, 4, "once")
	})
	t.Run("refused", func(t *testing.T) {
		l, _, c := begin(t, Taken{Full: 2, Wait: time.Minute})
		over, reset, ok := c.Take(t.Context(), l, now)
		assert.False(t, ok)
		assert.Equal(t, limit.Day, over)
		assert.Equal(t, now.Add(time.Minute), reset)
	})
	t.Run("given back", func(t *testing.T) {
		l, _, c := begin(t, Taken{OK: true})
		c.Take(t.Context(), l, now)
		c.GiveBack(l, now)
		assert.Equal(t, []account{{"x//r", -1, 5, true, false}}, list(l.settles))
	})
	t.Run("without the store", func(t *testing.T) {
		l, _, c := begin(t, Taken{})
		_, _, ok := c.Take(t.Context(), nil, now)
		assert.True(t, ok, "it passes")
		c.Settle(l, now, 0, 0)
		assert.Equal(t, []account{{"x//r", 1, 5, true, false}}, list(l.settles), "and is charged whole")
		l, _, c = begin(t, Taken{})
		c.Take(t.Context(), nil, now)
		c.GiveBack(l, now)
		assert.Empty(t, l.settles, "nothing was taken")
	})
	t.Run("no limits", func(t *testing.T) {
		l, store, _ := begin(t, Taken{})
		var c Claims
		_, _, ok := c.Take(t.Context(), l, now)
		assert.True(t, ok)
		assert.Empty(t, store.taken)
	})
}

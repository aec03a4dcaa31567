package stats

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func known(n int64) Count { return Count{N: n, Known: true} }

func TestQuota(t *testing.T) {
	reset := at(10 * time.Second).Truncate(time.Millisecond)
	tests := map[string]struct {
		set  []Allowance // at 0
		now  time.Duration
		want Allowance
	}{
		"nothing yet":     {},
		"known":           {set: []Allowance{{known(100), known(7), reset}}, want: Allowance{known(100), known(7), reset}},
		"zero remains":    {set: []Allowance{{known(100), known(0), reset}}, want: Allowance{known(100), known(0), reset}},
		"no limit":        {set: []Allowance{{Count{}, known(7), reset}}, want: Allowance{Count{}, known(7), reset}},
		"before reset":    {set: []Allowance{{known(100), known(7), reset}}, now: 9 * time.Second, want: Allowance{known(100), known(7), reset}},
		"reset":           {set: []Allowance{{known(100), known(7), reset}}, now: 10 * time.Second, want: Allowance{Limit: known(100), Remaining: known(100)}},
		"reset, no limit": {set: []Allowance{{Count{}, known(7), reset}}, now: 10 * time.Second},
		"long ago":        {set: []Allowance{{known(100), known(7), reset}}, now: time.Hour + 10*time.Second},
		"reset by now":    {set: []Allowance{{known(100), known(7), at(-time.Second)}}, want: Allowance{Limit: known(100), Remaining: known(7)}},
		"the last wins":   {set: []Allowance{{known(100), known(7), reset}, {Count{}, known(6), reset}}, want: Allowance{Count{}, known(6), reset}},
		"silence":         {set: []Allowance{{known(100), known(7), reset}, {Reset: at(time.Hour)}}, want: Allowance{known(100), known(7), reset}},
		"far away":        {set: []Allowance{{known(1), known(1), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}}, now: time.Hour, want: Allowance{known(1), known(1), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"nonsense":        {set: []Allowance{{known(-1), known(math.MaxInt64), reset}}, want: Allowance{known(0), known(1 << 62), reset}},
		"no reset":        {set: []Allowance{{Limit: known(5)}}, now: time.Minute - time.Second, want: Allowance{Limit: known(5)}},
		"no reset, gone":  {set: []Allowance{{Limit: known(5)}}, now: time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			same := func(want, got Allowance) {
				assert.True(t, want.Reset.Equal(got.Reset), "%s, not %s", got.Reset, want.Reset)
				got.Reset = want.Reset
				assert.Equal(t, want, got)
			}
			var requests, tokens Quota
			for _, a := range tt.set {
				requests.SetRequests(at(0), a)
				tokens.SetTokens(at(0), a)
			}
			same(tt.want, requests.Requests(at(tt.now)))
			same(tt.want, tokens.Tokens(at(tt.now)))
			assert.Zero(t, requests.Tokens(at(0)), "each has its own")
			assert.Zero(t, tokens.Requests(at(0)), "each has its own")
		})
	}
}

func TestQuotaConcurrently(t *testing.T) {
	var q Quota
	var wg sync.WaitGroup
	for i := range int64(64) {
		wg.Go(func() {
			q.SetTokens(at(0), Allowance{known(i), known(i), at(time.Minute)})
			a := q.Tokens(at(0))
			assert.True(t, a.Limit.Known && a.Limit.N < 64 && a.Remaining.Known && a.Remaining.N < 64)
		})
	}
	wg.Wait()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		q.SetRequests(began, Allowance{Limit: known(1)})
		q.Requests(began)
	}))
}

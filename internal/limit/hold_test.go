package limit

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var began = time.Date(2026, 5, 4, 3, 2, 1, 7, time.UTC)

func at(d time.Duration) time.Time { return began.Add(d) }

func secs(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func route(tokens int64, gates ...*Gate) Route {
	r := Route{Tokens: tokens}
	copy(r.Gates[:], gates)
	return r
}

func to(tokens int64, gates ...*Gate) *Route {
	r := route(tokens, gates...)
	return &r
}

func TestBucket(t *testing.T) {
	type op struct {
		at   float64 // seconds
		take int64   // negative: give back
		ok   bool
		left int64 // after it
	}
	for name, tt := range map[string]struct {
		n   int64
		ops []op
	}{
		"burst of n":       {3, []op{{0, 1, true, 2}, {0, 1, true, 1}, {0, 1, true, 0}, {0, 1, false, 0}, {19.9, 1, false, 0}, {20, 1, true, 0}, {60, 1, true, 1}}},
		"never above n":    {3, []op{{3600, 0, true, 3}, {3600, 3, true, 0}, {3660, 3, true, 0}}},
		"all at once":      {1000, []op{{0, 600, true, 400}, {0, 600, false, 400}, {12, 600, true, 0}}},
		"given back":       {1000, []op{{0, 600, true, 400}, {0, -500, true, 900}, {0, -500, true, 1000}, {0, 1000, true, 0}}},
		"below zero":       {1000, []op{{0, 1000, true, 0}, {60, -(-500), true, 500}}},
		"above n":          {1000, []op{{0, 1, true, 999}, {0, 3000, false, 999}, {0.06, 3000, true, -2000}, {120, 1, false, -1}, {121, 1, true, 14}}},
		"more than a half": {7, []op{{0, 4, true, 3}, {0, 4, false, 3}, {8.6, 4, true, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bucket
			for i, op := range tt.ops {
				now := int64(secs(op.at))
				if op.take < 0 {
					b.add(now, tt.n, -op.take)
				} else {
					ready, ok := b.take(now, tt.n, op.take)
					require.Equal(t, op.ok, ok, "op %d", i)
					if !ok {
						assert.Greater(t, ready, now)
						assert.Equal(t, ready, b.ready(tt.n, op.take))
					}
				}
				assert.Equal(t, op.left, b.left(now, tt.n), "op %d", i)
			}
		})
	}
	var b bucket
	b.add(0, 1, -maxTokens)
	b.add(0, 1, -maxTokens)
	_, ok := b.take(mostDebt+int64(secs(60)), 1, 1)
	assert.True(t, ok, "no debt is for ever")
	b = bucket{}
	_, ok = b.take(0, maxRate, maxTokens)
	assert.True(t, ok)
}

func TestAllOrNothing(t *testing.T) {
	l := NewLimiter(began)
	provider := l.Gate("p", began, Limits{InFlight: 2, RequestsPerMinute: 10, TokensPerMinute: 1000})
	for name, tt := range map[string]struct {
		limits Limits
		taken  Route
		kind   Kind
	}{
		"in flight": {Limits{InFlight: 1}, route(0), InFlight},
		"requests":  {Limits{RequestsPerMinute: 1}, route(0), RequestsPerMinute},
		"tokens":    {Limits{TokensPerMinute: 100}, route(50), TokensPerMinute},
	} {
		t.Run(name, func(t *testing.T) {
			model := l.Gate(name, began, tt.limits)
			tt.taken.Gates[0] = model
			hold, full := l.Try(began, &tt.taken)
			require.Zero(t, full.Kind)
			_, full = l.Try(began, to(100, provider, model, nil))
			assert.Equal(t, tt.kind, full.Kind)
			assert.Same(t, model, full.Gate)
			assert.Equal(t, tt.kind == InFlight, full.Ready.IsZero(), "buckets open by themselves")
			requests, tokens := provider.Left(began)
			assert.EqualValues(t, 10, requests)
			assert.EqualValues(t, 1000, tokens)
			assert.Zero(t, provider.InFlight())
			hold.Release(began, 0)
			assert.Zero(t, model.InFlight())
		})
	}
}

// What looked free may be gone a moment later: then nothing is taken either.
func TestTakenMeanwhile(t *testing.T) {
	l := NewLimiter(began)
	g := l.Gate("g", began, Limits{InFlight: 5, RequestsPerMinute: 5, TokensPerMinute: 10})
	once := l.Gate("once", began, Limits{InFlight: 1})
	kind, _ := g.take(0, 5)
	require.Zero(t, kind)
	kind, _ = g.take(0, 6)
	assert.Equal(t, TokensPerMinute, kind)
	requests, tokens := g.Left(began)
	assert.Equal(t, []int64{4, 5, 1}, []int64{requests, tokens, g.InFlight()})

	hold, full := l.Try(began, to(1, g, once, once)) // the second time it is full
	assert.Equal(t, Full{Gate: once, Kind: InFlight}, full)
	requests, tokens = g.Left(began)
	assert.Equal(t, []int64{4, 5, 1, 0}, []int64{requests, tokens, g.InFlight(), once.InFlight()})
	hold.Release(began, 0)
	assert.EqualValues(t, 1, g.InFlight(), "it held nothing")
}

func TestRelease(t *testing.T) {
	for name, tt := range map[string]struct {
		used, left int64
	}{
		"as estimated": {100, 900},
		"less":         {40, 960},
		"nothing":      {0, 1000},
		"more":         {1500, -500},
		"unknown":      {-1, 900},
		"absurd":       {1 << 62, -24*60*1000 + 1000},
	} {
		t.Run(name, func(t *testing.T) {
			l := NewLimiter(began)
			g := l.Gate("g", began, Limits{InFlight: 1, TokensPerMinute: 1000})
			hold, full := l.Try(began, to(100, g))
			require.Zero(t, full)
			assert.EqualValues(t, 1, g.InFlight())
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { hold.Release(began, tt.used) })
			}
			wg.Wait()
			hold.Cancel(began)
			_, tokens := g.Left(began)
			assert.Equal(t, tt.left, tokens)
			assert.Zero(t, g.InFlight(), "released once")
		})
	}
	new(Hold).Release(began, 1)
	new(Hold).Cancel(began)
}

func TestCancel(t *testing.T) {
	l := NewLimiter(began)
	g := l.Gate("g", began, Limits{RequestsPerMinute: 1, TokensPerMinute: 10})
	hold, _ := l.Try(began, to(10, g))
	hold.Cancel(began)
	_, full := l.Try(began, to(10, g))
	assert.Zero(t, full, "nothing was sent")
}

func TestGatesSurviveReload(t *testing.T) {
	l := NewLimiter(began)
	g := l.Gate("g", began, Limits{})
	hold, full := l.Try(began, to(5, g))
	require.Zero(t, full)
	assert.Same(t, g, l.Gate("g", began, Limits{InFlight: 1}))
	_, full = l.Try(began, to(5, g))
	assert.Equal(t, Full{Gate: g, Kind: InFlight}, full, "requests in flight count from before")
	l.Gate("g", began, Limits{InFlight: 2})
	_, full = l.Try(began, to(5, g))
	assert.Zero(t, full)
	l.Keep(func(name string) bool { return name == "other" })
	assert.NotSame(t, g, l.Gate("g", began, Limits{}))
	hold.Release(began, 0)
	assert.EqualValues(t, 1, g.InFlight())
}

// However many take at once, a limit is never exceeded.
func TestLimitsConcurrently(t *testing.T) {
	l := NewLimiter(began)
	g := l.Gate("g", began, Limits{InFlight: 5, RequestsPerMinute: 100, TokensPerMinute: 10_000})
	m := l.Gate("m", began, Limits{InFlight: 3})
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 100 {
				hold, full := l.Try(began, to(10, g, m))
				if full.Kind == 0 {
					assert.LessOrEqual(t, m.InFlight(), int64(3))
				}
				hold.Release(began, 5)
			}
		})
	}
	wg.Wait()
	assert.Zero(t, g.InFlight())
	assert.Zero(t, m.InFlight())
	requests, tokens := g.Left(began)
	assert.GreaterOrEqual(t, requests, int64(0))
	assert.Equal(t, 10_000-5*(100-requests), tokens)
}

func BenchmarkTry(b *testing.B) {
	l := NewLimiter(began)
	lim := Limits{InFlight: 1000, RequestsPerMinute: 1 << 30, TokensPerMinute: 1 << 33}
	p, m, k := l.Gate("p", began, lim), l.Gate("m", began, lim), l.Gate("k", began, lim)
	now := time.Now()
	for name, r := range map[string]Route{
		"none": {}, "one": route(100, l.Gate("o", began, Limits{InFlight: 100})), "three full": route(100, p, m, k),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hold, full := l.Try(now, &r)
				if full.Kind != 0 {
					b.Fatal(full.Kind)
				}
				hold.Cancel(now)
			}
		})
	}
}

// Peek sees the limits that Try would, and takes nothing.
func TestPeek(t *testing.T) {
	now := time.Now()
	l := NewLimiter(now)
	a, b := l.Gate("a", now, Limits{InFlight: 1}), l.Gate("b", now, Limits{RequestsPerMinute: 1})
	r := route(0, a, b)
	for range 3 {
		assert.Zero(t, l.Peek(now, &r))
	}
	h, full := l.Try(now, &r)
	assert.Zero(t, full)
	assert.Equal(t, Full{Gate: a, Kind: InFlight}, l.Peek(now, &r))
	h.Release(now, 0)
	assert.Equal(t, Full{Gate: b, Kind: RequestsPerMinute, Ready: now.Add(time.Minute)}, l.Peek(now, &r))
	assert.Zero(t, a.InFlight())
}

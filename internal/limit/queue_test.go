package limit

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waits is a test of requests that wait, in a bubble of virtual time.
type waits struct {
	*Limiter
	t     *testing.T
	began time.Time

	mu     sync.Mutex
	served []string
}

func inBubble(t *testing.T, f func(t *testing.T, w *waits)) {
	synctest.Test(t, func(t *testing.T) {
		f(t, &waits{Limiter: NewLimiter(time.Now()), t: t, began: time.Now()})
	})
}

func (w *waits) gate(name string, lim Limits) *Gate { return w.Gate(name, time.Now(), lim) }

func (w *waits) mustTry(r Route) *Hold {
	w.t.Helper()
	h, full := w.Try(time.Now(), &r)
	require.Zero(w.t, full.Kind)
	return &h
}

// start has a request wait in a goroutine, and returns once it does. It notes its
// name when it was served, and holds its place for a time.
func (w *waits) start(name string, caller uint64, hold time.Duration, routes ...Route) {
	go func() {
		_, h, err := w.Wait(context.Background(), caller, routes)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.served = append(w.served, name)
		w.mu.Unlock()
		time.AfterFunc(hold, func() { h.Release(time.Now(), -1) })
	}()
	synctest.Wait()
}

func (w *waits) elapsed() time.Duration { return time.Since(w.began) }

func TestWaitForASlot(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		g := w.gate("g", Limits{InFlight: 1, Wait: time.Minute})
		held := w.mustTry(route(0, g))
		time.AfterFunc(secs(3), func() { held.Release(time.Now(), 0) })
		i, h, err := w.Wait(t.Context(), 1, []Route{route(0, g)})
		require.NoError(t, err)
		assert.Equal(t, secs(3), w.elapsed())
		assert.Zero(t, i)
		assert.EqualValues(t, 1, g.InFlight())
		h.Release(time.Now(), 0)
		h.Release(time.Now(), 0)
		assert.Zero(t, g.InFlight())
		assert.Zero(t, g.Waiting())
		assert.False(t, g.stopped.Load())
	})
}

func TestWaitForABucket(t *testing.T) {
	for name, tt := range map[string]struct {
		limits Limits
		first  int64
		tokens int64
		want   time.Duration
	}{
		"requests":            {Limits{RequestsPerMinute: 1}, 0, 0, secs(60)},
		"tokens":              {Limits{TokensPerMinute: 600}, 600, 100, secs(10)},
		"more than there are": {Limits{TokensPerMinute: 600}, 100, 10_000, secs(10)},
		"both":                {Limits{RequestsPerMinute: 1, TokensPerMinute: 600}, 600, 600, secs(60)},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *waits) {
				tt.limits.Wait = time.Hour
				g := w.gate("g", tt.limits)
				w.mustTry(route(tt.first, g))
				_, _, err := w.Wait(t.Context(), 1, []Route{route(tt.tokens, g)})
				require.NoError(t, err)
				assert.InDelta(t, tt.want, w.elapsed(), 10)
			})
		})
	}
}

func TestWaitEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		g := w.gate("g", Limits{InFlight: 1, Wait: secs(2)})
		never := w.gate("never", Limits{InFlight: 1})
		bucket := w.gate("bucket", Limits{RequestsPerMinute: 1, Wait: secs(5)})
		for _, g := range []*Gate{g, never, bucket} {
			w.mustTry(route(0, g))
		}
		wait := func(gates ...*Gate) error {
			w.began = time.Now()
			var routes []Route
			for _, g := range gates {
				routes = append(routes, route(0, g))
			}
			_, _, err := w.Wait(t.Context(), 1, routes)
			return err
		}
		var full *FullError
		require.ErrorAs(t, wait(never), &full)
		assert.Zero(t, w.elapsed())
		assert.Equal(t, FullError{Full: Full{never, InFlight, time.Time{}}}, *full)
		assert.EqualError(t, full, "in_flight is reached")

		require.ErrorAs(t, wait(never, g), &full)
		assert.Equal(t, secs(2), w.elapsed())

		require.ErrorAs(t, wait(g, bucket), &full)
		assert.Equal(t, secs(5), w.elapsed(), "each up to its own wait")
		assert.Equal(t, RequestsPerMinute, full.Kind)
		assert.InDelta(t, secs(60-2-5), time.Until(full.Ready), 10, "what opens first")
		for _, g := range []*Gate{g, never, bucket} {
			assert.Zero(t, g.Waiting())
		}
	})
}

func TestWaitIsCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		g := w.gate("g", Limits{InFlight: 1, Wait: time.Minute})
		held := w.mustTry(route(0, g))
		left := errors.New("left")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(secs(1), func() { cancel(left) })
		_, _, err := w.Wait(ctx, 1, []Route{route(0, g)})
		require.ErrorIs(t, err, left)
		assert.Equal(t, secs(1), w.elapsed())
		assert.Zero(t, g.Waiting(), "its place is free at once")
		held.Release(time.Now(), 0)
		w.mustTry(route(0, g))
	})
}

func TestFirstRouteThatFrees(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		a, b := w.gate("a", Limits{InFlight: 1, Wait: time.Minute}), w.gate("b", Limits{InFlight: 1, Wait: time.Minute})
		heldA, heldB := w.mustTry(route(0, a)), w.mustTry(route(0, b))
		time.AfterFunc(secs(2), func() { heldB.Release(time.Now(), 0) })
		i, h, err := w.Wait(t.Context(), 1, []Route{route(0, a), route(0, b)})
		require.NoError(t, err)
		assert.Equal(t, 1, i)
		assert.Equal(t, secs(2), w.elapsed())
		assert.Zero(t, a.Waiting(), "it waits no more at the other")
		h.Release(time.Now(), 0)
		heldA.Release(time.Now(), 0)
		i, _, err = w.Wait(t.Context(), 1, []Route{route(0, a), route(0, b)})
		require.NoError(t, err)
		assert.Zero(t, i, "no wait where there is room")
		i, _, err = w.Wait(t.Context(), 1, []Route{route(0)})
		require.NoError(t, err)
		assert.Zero(t, i, "nor without limits")
	})
}

// A request holds no gate while it waits for another, and does not keep others from
// free gates.
func TestWaitHoldsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		provider := w.gate("p", Limits{InFlight: 2, Wait: time.Minute})
		full, free := w.gate("m", Limits{InFlight: 1, Wait: time.Minute}), w.gate("n", Limits{InFlight: 9})
		held := w.mustTry(route(0, full))
		w.start("full", 1, time.Hour, route(0, provider, full))
		assert.Zero(t, provider.InFlight())
		one := w.mustTry(route(0, provider, free))
		two := w.mustTry(route(0, provider, free))

		// Now the provider is full too. The model's slot does not help.
		held.Release(time.Now(), 0)
		synctest.Wait()
		assert.Empty(t, w.served)
		assert.Zero(t, full.InFlight())
		_, refused := w.Try(time.Now(), to(0, provider, free))
		assert.Equal(t, Full{Gate: provider, Kind: Queue}, refused, "now it waits for the provider")
		one.Release(time.Now(), 0)
		synctest.Wait()
		assert.Equal(t, []string{"full"}, w.served)
		two.Release(time.Now(), 0)
	})
}

// A small request does not overtake an earlier large one.
func TestNoOvertaking(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		g := w.gate("g", Limits{TokensPerMinute: 600, Wait: time.Hour})
		w.mustTry(route(600, g))
		w.start("large", 1, 0, route(600, g))
		<-time.After(secs(30))
		_, full := w.Try(time.Now(), to(1, g))
		assert.Equal(t, Full{Gate: g, Kind: Queue}, full)
		w.start("small", 2, 0, route(1, g))
		<-time.After(secs(31))
		synctest.Wait()
		assert.Equal(t, []string{"large", "small"}, w.served)
		assert.Zero(t, g.Waiting())
	})
}

// Callers are served in turn, and the requests of one as they come.
func TestCallersInTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		g := w.gate("g", Limits{InFlight: 1, Wait: time.Hour})
		held := w.mustTry(route(0, g))
		for _, name := range []string{"a1", "a2", "a3", "a4"} {
			w.start(name, 1, secs(1), route(0, g))
		}
		for _, name := range []string{"b1", "b2"} {
			w.start(name, 2, secs(1), route(0, g))
		}
		w.start("c1", 3, secs(1), route(0, g))
		held.Release(time.Now(), 0)
		<-time.After(secs(60))
		synctest.Wait()
		assert.Equal(t, []string{"a1", "b1", "c1", "a2", "b2", "a3", "a4"}, w.served)
	})
}

func TestQueueIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		g := w.gate("g", Limits{InFlight: 1, Wait: secs(1)})
		w.mustTry(route(0, g))
		for range maxWaitingCaller {
			go w.Wait(context.Background(), 1, []Route{route(0, g)})
		}
		synctest.Wait()
		assert.Equal(t, maxWaitingCaller, g.Waiting())
		var full *FullError
		_, _, err := w.Wait(t.Context(), 1, []Route{route(0, g)})
		require.ErrorAs(t, err, &full)
		assert.True(t, full.QueueFull)
		assert.EqualError(t, full, "in_flight is reached, and its queue is full")
		assert.Zero(t, w.elapsed(), "one caller has at most half")
		for i := range maxWaiting {
			go w.Wait(context.Background(), uint64(10+i), []Route{route(0, g)})
		}
		synctest.Wait()
		assert.Equal(t, maxWaiting, g.Waiting())
		<-time.After(secs(2))
		synctest.Wait()
		assert.Zero(t, g.Waiting())
	})
}

// A request with many routes through one gate counts once in its queue.
func TestRoutesThroughOneGate(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		provider := w.gate("p", Limits{InFlight: 1, Wait: time.Minute})
		held := w.mustTry(route(0, provider))
		var routes []Route
		for _, name := range []string{"1", "2", "3", "4"} {
			routes = append(routes, route(0, provider, w.gate(name, Limits{InFlight: 1, Wait: secs(5)})))
		}
		key := w.mustTry(route(0, routes[0].Gates[1]))
		w.start("a", 1, time.Second, routes...)
		w.start("b", 1, time.Second, routes...)
		assert.Equal(t, 2, provider.Waiting())
		assert.Equal(t, 2, routes[3].Gates[1].Waiting())
		<-time.After(secs(6)) // one route is given up
		synctest.Wait()
		assert.Equal(t, 2, provider.Waiting())
		assert.Zero(t, routes[0].Gates[1].Waiting())
		held.Release(time.Now(), 0)
		key.Release(time.Now(), 0)
		<-time.After(secs(10))
		synctest.Wait()
		assert.Equal(t, []string{"a", "b"}, w.served)
		for _, r := range routes {
			assert.Zero(t, r.Gates[0].Waiting()+r.Gates[1].Waiting())
		}
	})
}

func TestReloadServesTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		g := w.gate("g", Limits{InFlight: 1, Wait: time.Hour})
		w.mustTry(route(0, g))
		w.start("a", 1, 0, route(0, g))
		w.gate("g", Limits{InFlight: 2})
		synctest.Wait()
		assert.Equal(t, []string{"a"}, w.served)
	})
}

// Clients leave, upstreams end and queues run over at random: no slot is lost.
func TestSoak(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waits) {
		gates := []*Gate{
			w.gate("p", Limits{InFlight: 8, Wait: secs(2)}),
			w.gate("q", Limits{InFlight: 3, TokensPerMinute: 60_000, Wait: secs(5)}),
			w.gate("m", Limits{InFlight: 2, RequestsPerMinute: 600, Wait: secs(1)}),
			w.gate("n", Limits{TokensPerMinute: 100_000, Wait: secs(3)}),
			w.gate("k", Limits{InFlight: 5}),
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		served, refused, left := 0, 0, 0
		for i := range 64 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				for range 60 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.Int64N(int64(secs(6)))))
					tokens := r.Int64N(4000)
					var routes []Route
					for range 1 + r.IntN(3) {
						routes = append(routes, route(tokens, gates[r.IntN(2)], gates[2+r.IntN(2)], gates[4]))
					}
					_, h, err := w.Wait(ctx, uint64(i%8), routes)
					for _, g := range gates {
						if lim := g.limits.Load().InFlight; lim > 0 && g.InFlight() > lim {
							t.Error("more in flight than the limit")
						}
					}
					var full *FullError
					mu.Lock()
					switch {
					case err == nil:
						served++
					case errors.As(err, &full):
						refused++
					default:
						left++
					}
					mu.Unlock()
					<-time.After(time.Duration(r.Int64N(int64(secs(.5)))))
					if r.IntN(10) == 0 {
						h.Cancel(time.Now())
					}
					h.Release(time.Now(), r.Int64N(8000)-1)
					cancel()
				}
			})
		}
		wg.Wait()
		assert.Positive(t, served)
		assert.Positive(t, refused)
		assert.Positive(t, left)
		for _, g := range gates {
			assert.Zero(t, g.InFlight())
			assert.Zero(t, g.Waiting())
			assert.Zero(t, g.queue.n)
			assert.Empty(t, g.queue.lines)
			assert.False(t, g.stopped.Load())
		}
		<-time.After(time.Hour)
		for _, g := range gates {
			_, full := w.Try(time.Now(), to(100, g))
			assert.Zero(t, full.Kind, "all is free again")
		}
	})
}

func BenchmarkWait(b *testing.B) {
	now := time.Now()
	l := NewLimiter(now)
	g := l.Gate("g", now, Limits{InFlight: 1, Wait: time.Minute})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, h, err := l.Wait(b.Context(), 1, []Route{route(0, g)})
			if err != nil {
				b.Error(err)
			}
			h.Release(now, 0)
		}
	})
}

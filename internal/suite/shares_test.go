package suite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/sharedtest"
)

// The shares of a limit that is not exact, in virtual time: replicas come and go, their
// exchanges with the store are late, and a client's requests reach them unevenly.

// shares is a fleet whose clients have one limit.
type shares struct {
	t     *testing.T
	limit aigateway.ClientLimit
	store *sharedtest.Store
	wait  func() time.Duration // of each call of the store
	list  []*sharing
	ended sync.WaitGroup
}

// sharing is one replica.
type sharing struct {
	*aigateway.Gateway
	stop context.CancelFunc
}

func newShares(t *testing.T, n int, limit aigateway.ClientLimit, wait func() time.Duration) *shares {
	limit.Key = "req.headers['x-tenant'][0]"
	s := &shares{t: t, limit: limit, store: sharedtest.Memory(), wait: wait}
	t.Cleanup(func() {
		for _, r := range s.list {
			r.stop()
		}
		s.ended.Wait()
	})
	for range n {
		s.join()
	}
	s.pass(time.Second)
	return s
}

// join starts one replica more.
func (s *shares) join() {
	price := 1.0
	g, err := aigateway.New(aigateway.Config{
		Registry: aigateway.NoRegistry(),
		Providers: []aigateway.Provider{{
			ID: "p", BaseURL: "https://p.example.com/v1", APIKeys: []aigateway.APIKey{{Value: "sk-of-the-provider"}},
			Models: []aigateway.Model{{ID: "m", Pricing: &aigateway.Pricing{Input: &price, Output: &price}}},
		}},
		Transport:    gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(100)},
		ClientLimits: []aigateway.ClientLimit{s.limit},
		Shared:       s, SharedSecret: []byte("0123456789abcdef0123456789abcdef"),
	})
	require.NoError(s.t, err)
	ctx, stop := context.WithCancel(context.Background())
	s.list = append(s.list, &sharing{g, stop})
	s.ended.Go(func() { _ = g.Run(ctx) })
}

// leave ends a replica. The others are not told.
func (s *shares) leave(i int) {
	s.list[i].stop()
	s.list = slices.Delete(s.list, i, i+1)
}

// pass lets time go by.
func (s *shares) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Exchange implements aigateway.Shared. Half of the wait comes before the call.
func (s *shares) Exchange(ctx context.Context, put []aigateway.SharedRecord, after aigateway.SharedCursor) (c aigateway.SharedChanges, err error) {
	d := s.wait()
	if err = sleep(ctx, d/2); err == nil {
		c, err = s.store.Exchange(ctx, put, after)
	}
	if late := sleep(ctx, d-d/2); late != nil {
		return aigateway.SharedChanges{}, late
	}
	return c, err
}

// Take implements aigateway.Shared.
func (s *shares) Take(ctx context.Context, takes []aigateway.SharedTake) (aigateway.SharedTaken, error) {
	return s.store.Take(ctx, takes)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask sends a request of the client to a replica, and reports whether it passed.
func (s *shares) ask(i int) bool {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`))
	r.Header.Set("X-Tenant", "t")
	w := httptest.NewRecorder()
	s.list[i].ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		require.Equal(s.t, http.StatusTooManyRequests, w.Code, w.Body.String())
	}
	return w.Code == http.StatusOK
}

// lateness draws the waits of the store, from many goroutines.
func lateness(seed uint64, most time.Duration) func() time.Duration {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if most == 0 || random.IntN(3) > 0 {
			return time.Millisecond
		}
		return time.Duration(random.Int64N(int64(most)))
	}
}

// tenant is a client whose requests reach the replicas unevenly: now all one, now several.
// Its rate changes, and replicas come and go.
type tenant struct {
	*shares
	random  *rand.Rand
	rates   []float64 // requests a second
	own     float64   // the client's own limit a minute, and its burst; 0 is none
	moves   bool      // replicas come and go
	weights []float64

	sent, refused int
	early         int // refusals with half of its own limit left
}

// perMinute is the limit of the tenants here.
const perMinute = 600

// send sends requests for a while.
func (c *tenant) send(d time.Duration) {
	begin := time.Now()
	last, change, level, rate := begin, begin, c.own, 0.0
	for time.Since(begin) < d {
		if now := time.Now(); !now.Before(change) {
			change = now.Add(time.Duration(c.random.Int64N(int64(5 * time.Second))))
			rate = c.change()
		}
		<-time.After(time.Duration(c.random.ExpFloat64() / rate * float64(time.Second)))
		now := time.Now()
		level = min(level+c.own*now.Sub(last).Minutes(), c.own)
		last = now
		if c.own > 0 && level < 1 {
			continue
		}
		level--
		if c.sent++; !c.ask(c.pick()) {
			if c.refused++; level > c.own/2 {
				c.early++
			}
		}
	}
}

// change draws where the requests go from now on, who is there, and a rate.
func (c *tenant) change() float64 {
	c.weights = c.weights[:0]
	for range 16 {
		c.weights = append(c.weights, float64(c.random.IntN(3)*c.random.IntN(5))+0.05)
	}
	if c.random.IntN(5) == 0 {
		clear(c.weights[1:]) // all to one
	}
	if c.moves && c.random.IntN(3) == 0 {
		if len(c.list) < 2 || len(c.list) < 9 && c.random.IntN(2) == 0 {
			c.join()
		} else {
			c.leave(c.random.IntN(len(c.list)))
		}
	}
	return c.rates[c.random.IntN(len(c.rates))]
}

// pick draws the replica of one request.
func (c *tenant) pick() int {
	sum := 0.0
	for i := range c.list {
		sum += c.weights[i]
	}
	at := c.random.Float64() * sum
	for i := range c.list {
		if at -= c.weights[i]; at <= 0 {
			return i
		}
	}
	return len(c.list) - 1
}

// A client within nine tenths of its limit is not refused, wherever its requests go,
// while exchanges are late or fail, and while replicas come, go and die. With little left
// the shares are small, and few requests beside a burst at one replica are refused. A
// replica that has just come, or that others have just died around, may refuse a burst
// earlier: its share grows with its next exchange.
func TestClientsWithinTheirLimitPass(t *testing.T) {
	for seed := range uint64(21) {
		n := 2 + int(seed%7)
		late := []time.Duration{0, 200 * time.Millisecond, 900 * time.Millisecond, 3 * time.Second, 10 * time.Second}[seed%5]
		moves := seed%3 > 0
		t.Run(fmt.Sprintf("%d/%d replicas, late by %s, moves %t", seed, n, late, moves), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShares(t, n, aigateway.ClientLimit{RequestsPerMinute: perMinute}, lateness(seed, late))
				c := &tenant{shares: s, random: rand.New(rand.NewPCG(seed, 2)), rates: []float64{1, 9, 9, 25}, own: 0.9 * perMinute, moves: moves}
				c.send(90 * time.Second)
				const burst = 25 // the requests of a second, at the highest rate
				if assert.LessOrEqual(t, c.early, burst, "of %d", c.sent); !moves {
					assert.Zero(t, c.early, "of %d", c.sent)
				}
				assert.LessOrEqual(t, c.refused, c.sent/50+burst, "of %d", c.sent)
			})
		})
	}
}

// A client at twice its limit gets the limit, a tenth more at most, and the refill.
func TestClientsAboveTheirLimitGetIt(t *testing.T) {
	for seed := range uint64(14) {
		n := 2 + int(seed%7)
		late := []time.Duration{0, 200 * time.Millisecond, 900 * time.Millisecond}[seed%3]
		t.Run(fmt.Sprintf("%d/%d replicas, late by %s", seed, n, late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShares(t, n, aigateway.ClientLimit{RequestsPerMinute: perMinute}, lateness(seed, late))
				c := &tenant{shares: s, random: rand.New(rand.NewPCG(seed, 2)), rates: []float64{2 * perMinute / 60}}
				begin := time.Now()
				c.send(90 * time.Second)
				passed, refill := float64(c.sent-c.refused), perMinute*time.Since(begin).Minutes()
				assert.LessOrEqual(t, passed, 1.1*perMinute+refill+1, "of %d", c.sent)
				assert.GreaterOrEqual(t, passed, 0.9*perMinute+0.9*refill, "of %d", c.sent)
			})
		})
	}
}

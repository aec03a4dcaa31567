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

func newShares(t *testing.T, n int, limit aigateway.ClientLimit) *shares {
	limit.Key = "req.headers['x-tenant'][0]"
	s := &shares{t: t, limit: limit, store: sharedtest.Memory(), wait: func() time.Duration { return 0 }}
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

// leave ends a replica. Nobody says so to the others.
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

func TestShares(t *testing.T) {
	const perMinute = 600
	for seed := range uint64(60) {
		for _, over := range []bool{false, true} {
			random := rand.New(rand.NewPCG(seed, 2))
			n := 2 + int(seed%7)
			late := []time.Duration{0, 200 * time.Millisecond, 900 * time.Millisecond, 3 * time.Second}[seed%4]
			if over {
				late = min(late, 900*time.Millisecond)
			}
			moves := seed%3 > 0 && !over
			t.Run(fmt.Sprintf("%d over=%v n=%d late=%s moves=%v", seed, over, n, late, moves), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newShares(t, n, aigateway.ClientLimit{RequestsPerMinute: perMinute})
					s.wait = lateness(seed, late)
					weights := make([]float64, 16)
					begin := time.Now()
					var passed, sent, refused int
					level := 0.9 * perMinute // of the client's own bucket
					last := begin
					rate, until := 0.0, begin
					first := ""
					for time.Since(begin) < 90*time.Second {
						if now := time.Now(); !now.Before(until) {
							until = now.Add(time.Duration(random.Int64N(int64(5*time.Second))))
							rate = []float64{1, 9, 9, 25}[random.IntN(4)]
							if over {
								rate = 20
							}
							for i := range weights {
								weights[i] = float64(random.IntN(3)*random.IntN(5)) + 0.05
								if seed%5 == 0 && i > 0 {
									weights[i] = 0
								}
							}
							if moves && random.IntN(3) == 0 {
								if len(s.list) < 9 && random.IntN(2) == 0 {
									s.join()
								} else if len(s.list) > 1 {
									s.leave(random.IntN(len(s.list)))
								}
							}
						}
						<-time.After(time.Duration(random.ExpFloat64() / rate * float64(time.Second)))
						now := time.Now()
						level = min(level+0.9*perMinute*now.Sub(last).Minutes(), 0.9*perMinute)
						last = now
						if !over {
							if level < 1 {
								continue
							}
							level--
						}
						sum := 0.0
						for i := range s.list {
							sum += weights[i]
						}
						at, pick := random.Float64()*sum, 0
						for at -= weights[0]; at > 0 && pick < len(s.list)-1; at -= weights[pick] {
							pick++
						}
						sent++
						if s.ask(pick) {
							passed++
						} else {
							refused++
							if first == "" {
								first = fmt.Sprintf("at %s level %.0f", now.Sub(begin), level)
							}
						}
					}
					if !over {
						assert.Zero(t, refused, "of %d: %s", sent, first)
						return
					}
					refill := float64(perMinute) * time.Since(begin).Minutes()
					assert.LessOrEqual(t, float64(passed), 1.1*perMinute+refill+1)
					assert.GreaterOrEqual(t, float64(passed), 0.8*(perMinute+refill), "of %d", sent)
				})
			})
		}
	}
}

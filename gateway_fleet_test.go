package aigateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

// slow counts the requests to a host, which take a while.
type slow struct {
	mu              sync.Mutex
	now, most, done int
}

func (s *slow) takes(d time.Duration) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		s.mu.Lock()
		s.now++
		s.most = max(s.most, s.now)
		s.mu.Unlock()
		<-time.After(d)
		s.mu.Lock()
		s.now--
		s.done++
		s.mu.Unlock()
		return upstreamAnswer(r, 200, okAnswer)
	}
}

// slots is a fleet with an exact limit in flight at provider a.
func slots(t *testing.T, n int, l aigateway.Limits, providers ...string) (*replicas, *slow) {
	cfg := fleetConfig(append([]string{"a"}, providers...)...)
	l.Exact = true
	cfg.Providers[0].Limits = l
	f, s := startReplicas(t, n, cfg, eachCaller), new(slow)
	f.set("a", s.takes(time.Second))
	return f, s
}

// flood sends requests to replicas at once, and counts those that passed.
func (f *replicas) flood(each int, replicas ...int) *sync.WaitGroup {
	all := new(sync.WaitGroup)
	for _, i := range replicas {
		for range each {
			all.Go(func() { f.ask(i) })
		}
	}
	return all
}

func TestExactSlotsAreThoseOfTheFleet(t *testing.T) {
	eight := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for name, row := range map[string]struct {
		limit    int64
		replicas []int // that get requests, of eight
		each     int
		within   time.Duration // of the time without a loss
	}{
		"more than replicas":  {limit: 20, replicas: eight, each: 20, within: 500 * time.Millisecond},
		"fewer than replicas": {limit: 3, replicas: eight, each: 6, within: time.Second},
		"one at a time":       {limit: 1, replicas: eight, each: 2, within: time.Second},
		"one replica":         {limit: 20, replicas: []int{5}, each: 160, within: 500 * time.Millisecond},
		"three replicas":      {limit: 20, replicas: []int{1, 4, 5}, each: 60, within: 500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, s := slots(t, 8, aigateway.Limits{InFlight: row.limit, Wait: "60s"})
				begin := time.Now()
				f.flood(row.each, row.replicas...).Wait()
				total := row.each * len(row.replicas)
				best := time.Duration((int64(total)+row.limit-1)/row.limit) * time.Second
				t.Log(time.Since(begin), "of", best)
				assert.EqualValues(t, row.limit, s.most)
				assert.Equal(t, total, s.done)
				assert.LessOrEqual(t, time.Since(begin), best+row.within)
				f.settle()
				f.flood(int(row.limit), 3).Wait() // all slots have come back
				assert.EqualValues(t, row.limit, s.most)
				f.private()
			})
		})
	}
}

// A replica with a long queue does not keep all slots for itself.
func TestExactSlotsGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := slots(t, 2, aigateway.Limits{InFlight: 4, Wait: "60s"})
		busy := f.flood(80, 0)
		f.pass(3500 * time.Millisecond)
		begin := time.Now()
		f.flood(8, 1).Wait()
		assert.LessOrEqual(t, time.Since(begin), 6*time.Second)
		busy.Wait()
		assert.Equal(t, 4, s.most)
	})
}

// A full limit is passed over, as that of one process.
func TestExactSlotsAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := slots(t, 3, aigateway.Limits{InFlight: 2}, "b")
		all := f.flood(2, 0)
		f.pass(100 * time.Millisecond)
		begin := time.Now()
		require.Equal(t, 200, f.ask(1).Code)
		assert.Zero(t, time.Since(begin))
		assert.Equal(t, "b", f.served())
		all.Wait()
		f.pass(100 * time.Millisecond)
		require.Equal(t, 200, f.ask(1).Code)
		assert.Equal(t, 3, s.done)
	})
}

func TestExactSlotsWithoutWaitAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := slots(t, 3, aigateway.Limits{InFlight: 2})
		all := f.flood(2, 0)
		f.pass(100 * time.Millisecond)
		w := f.ask(1)
		assert.Equal(t, 429, w.Code)
		assert.Contains(t, w.Body.String(), "at_capacity")
		all.Wait()
	})
}

// A request needs the slots of its provider and of its model.
func TestExactSlotsOfTwoLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fleetConfig("a")
		cfg.Providers[0].Limits = aigateway.Limits{InFlight: 9, Exact: true, Wait: "60s"}
		cfg.Providers[0].Models[0].Limits = aigateway.Limits{InFlight: 4, Exact: true, Wait: "60s"}
		cfg.Providers[0].APIKeys[0].Limits = aigateway.Limits{InFlight: 5, Exact: true, Wait: "60s"}
		f, s := startReplicas(t, 3, cfg, eachCaller), new(slow)
		f.set("a", s.takes(time.Second))
		begin := time.Now()
		f.flood(8, 0, 1, 2).Wait()
		assert.Equal(t, 4, s.most)
		assert.Equal(t, 24, s.done)
		assert.LessOrEqual(t, time.Since(begin), 8*time.Second)
	})
}

func TestThePageShowsTheSlotsOfTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fleetConfig("a")
		cfg.Providers[0].Limits = aigateway.Limits{InFlight: 9, Exact: true}
		cfg.Providers[0].Models[0].Limits = aigateway.Limits{InFlight: 8, Exact: true}
		cfg.Providers[0].APIKeys[0].Limits = aigateway.Limits{InFlight: 7}
		f := startReplicas(t, 3, cfg, eachCaller)
		f.set("a", new(slow).takes(10*time.Second))
		type limits struct {
			InFlight int  `json:"in_flight"`
			InFleet  *int `json:"in_flight_fleet"`
		}
		shown := func(i int) (list []limits) {
			var page struct {
				Providers, Models, Keys []struct {
					Load struct{ Limits limits }
				}
			}
			w := httptest.NewRecorder()
			f.gateways[i].DebugHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?format=json", nil))
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page), w.Body.String())
			return []limits{page.Providers[0].Load.Limits, page.Models[0].Load.Limits, page.Keys[0].Load.Limits}
		}
		all := f.flood(2, 0, 1)
		f.pass(2 * time.Second)
		four, zero := 4, 0
		assert.Equal(t, []limits{{2, &four}, {2, &four}, {2, nil}}, shown(0))
		assert.Equal(t, []limits{{0, &four}, {0, &four}, {0, nil}}, shown(2))
		all.Wait()
		f.pass(2 * time.Second)
		assert.Equal(t, []limits{{0, &zero}, {0, &zero}, {0, nil}}, shown(2))
	})
}

func TestSlotsOfADeadReplicaAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := slots(t, 3, aigateway.Limits{InFlight: 3})
		f.set("a", new(slow).takes(time.Hour))
		f.flood(3, 0)
		f.pass(6 * time.Second)
		require.Equal(t, 429, f.ask(1).Code, "they are renewed")
		f.stops[0]()
		f.set("a", nil)
		f.pass(5 * time.Second)
		assert.Equal(t, 200, f.ask(1).Code)
		f.pass(time.Hour)
	})
}

func TestSlotsWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := slots(t, 3, aigateway.Limits{InFlight: 2})
		f.store.Delay(time.Hour)
		begin := time.Now()
		f.flood(3, 0, 1, 2).Wait()
		assert.LessOrEqual(t, time.Since(begin), 1100*time.Millisecond)
		assert.Equal(t, 6, s.done, "each replica has the whole limit")
		for range 30 {
			s.done, begin = 0, time.Now()
			f.flood(2, 0, 1, 2).Wait()
			assert.Equal(t, time.Second, time.Since(begin), "no request waits meanwhile")
			assert.Equal(t, 6, s.done)
			f.pass(37 * time.Millisecond)
		}
		f.store.Delay(0)
		f.pass(3 * time.Second)
		s.most = 0
		f.flood(2, 0, 1, 2).Wait()
		assert.Equal(t, 2, s.most)
	})
}

// An emptied store learns of the requests under way.
func TestSlotsOfAnEmptiedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := slots(t, 3, aigateway.Limits{InFlight: 2})
		f.set("a", new(slow).takes(time.Minute))
		all := f.flood(2, 0)
		f.pass(time.Second)
		f.store.Empty()
		f.pass(2 * time.Second)
		assert.Equal(t, 429, f.ask(1).Code)
		all.Wait()
	})
}

func TestSlotsOfReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := slots(t, 2, aigateway.Limits{InFlight: 2})
		load := func(l aigateway.Limits) {
			for i := range f.gateways {
				cfg := fleetConfig("a")
				cfg.Providers[0].Limits, cfg.Transport = l, f
				require.NoError(t, f.gateways[i].Reload(cfg))
			}
			f.settle()
			s.most = 0
		}
		for _, row := range []struct {
			limits aigateway.Limits
			most   int
		}{
			{aigateway.Limits{InFlight: 2}, 4},
			{aigateway.Limits{InFlight: 3, Exact: true}, 3},
			{aigateway.Limits{}, 10},
			{aigateway.Limits{InFlight: 1, Exact: true}, 1},
		} {
			load(row.limits)
			f.flood(5, 0, 1).Wait()
			assert.Equal(t, row.most, s.most, fmt.Sprint(row.limits))
		}
	})
}

// Other limits do not ask the store.
func TestOnlyExactSlotsAskTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fleetConfig("a")
		cfg.Providers[0].Limits = aigateway.Limits{InFlight: 2}
		f := startReplicas(t, 2, cfg, nil)
		f.flood(10, 0, 1).Wait()
		f.settle()
		assert.Zero(t, f.store.Counts().Takes)
	})
}

func TestExactNeedsALimitInFlight(t *testing.T) {
	cfg := fleetConfig("a")
	cfg.Providers[0].Limits = aigateway.Limits{RequestsPerMinute: 5, Exact: true}
	_, err := aigateway.New(cfg)
	var ce *aigateway.ConfigError
	require.ErrorAs(t, err, &ce)
	assert.Equal(t, "providers[0].limits.exact", ce.Path)
	cfg.Providers[0].Limits = aigateway.Limits{InFlight: 5, Exact: true}
	_, err = aigateway.New(cfg) // without a store every limit is exact
	require.NoError(t, err)
}

// older writes records as versions did that knew nothing of several callers.
type older struct{ aigateway.Shared }

func (o older) Exchange(ctx context.Context, put []aigateway.SharedRecord, after aigateway.SharedCursor) (aigateway.SharedChanges, error) {
	for i := range put {
		put[i].Value = bytes.ReplaceAll(put[i].Value, []byte(`,"e":true`), nil)
	}
	return o.Shared.Exchange(ctx, put, after)
}

// A caller whose requests fail for reasons of its own is a suspect at each replica, also
// at one that has only learnt of the cooldown: its failed probe keeps no other request away.
func TestASuspectOfALearntCooldown(t *testing.T) {
	for name, row := range map[string]struct {
		old, probes bool
	}{"learnt": {false, true}, "of an older replica": {true, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := startReplicas(t, 2, fleetConfig("a", "b"), func(i int, cfg *aigateway.Config) {
					eachCaller(i, cfg)
					if i == 0 && row.old {
						cfg.Shared = older{cfg.Shared}
					}
				})
				f.set("a", failing(503))
				f.coolDown(0)
				f.settle()
				cleo := func() {
					r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(strings.Replace(fleetBody, `"m"`, `"a:m"`, 1)))
					r.Header.Set("X-Caller", "cleo")
					w := httptest.NewRecorder()
					f.gateways[1].ServeHTTP(w, r)
					assert.Equal(t, 503, w.Code)
				}
				for range 8 {
					cleo()
				}
				f.pass(time.Minute)
				for range 3 { // asks for the leave to probe, and probes
					cleo()
					f.settle()
				}
				f.set("a", nil)
				f.taken()
				f.ask(1, "X-Caller", "ann")
				f.settle()
				f.ask(1, "X-Caller", "ann")
				assert.Equal(t, row.probes, f.taken() > 0)
			})
		})
	}
}

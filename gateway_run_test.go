package aigateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/sharedtest"
)

func TestRunEndsWithItsContextAndMayRunAgain(t *testing.T) {
	for name, cfg := range map[string]aigateway.Config{
		"alone": {}, "in a fleet": {Shared: sharedtest.Memory(), SharedSecret: []byte("secret")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				for range 2 {
					ctx, cancel := context.WithCancelCause(t.Context())
					ended := make(chan error)
					go func() { ended <- g.Run(ctx) }()
					synctest.Wait()
					assert.ErrorContains(t, g.Run(ctx), "already running")
					time.AfterFunc(10*time.Second, func() { cancel(errors.New("enough")) })
					assert.EqualError(t, <-ended, "enough")
				}
			})
		})
	}
}

func TestSharedNeedsASecret(t *testing.T) {
	_, err := aigateway.New(aigateway.Config{Shared: sharedtest.Memory()})
	var ce *aigateway.ConfigError
	require.ErrorAs(t, err, &ce)
	assert.Equal(t, "SharedSecret", ce.Path)
}

const (
	fleetKey  = "sk-CANARY-key"
	okAnswer  = `{"choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":20}}`
	fleetBody = `{"model":"m","messages":[{"role":"user","content":"CANARY-prompt"}]}`
)

// replicas are gateways with one store, between clients and scripted providers.
type replicas struct {
	t        testing.TB
	store    *sharedtest.Store
	gateways []*aigateway.Gateway
	stops    []context.CancelFunc
	ended    sync.WaitGroup

	mu      sync.Mutex
	answers map[string]func(*http.Request) *http.Response // by host; else it answers
	calls   map[string]int
}

func fleetConfig(providers ...string) aigateway.Config {
	var cfg aigateway.Config
	for _, p := range providers {
		cfg.Providers = append(cfg.Providers, aigateway.Provider{
			ID: p, BaseURL: "https://" + p + ".example.com/v1", Models: []aigateway.Model{{ID: "m"}},
			APIKeys: []aigateway.APIKey{{Value: fleetKey}},
		})
	}
	return cfg
}

// startReplicas starts n gateways of one config in a fleet, and runs them.
func startReplicas(t testing.TB, n int, cfg aigateway.Config, edit func(i int, cfg *aigateway.Config)) *replicas {
	f := &replicas{t: t, store: sharedtest.Memory(), answers: map[string]func(*http.Request) *http.Response{}, calls: map[string]int{}}
	cfg.Transport = f
	for i := range n {
		cfg := cfg
		cfg.Shared, cfg.SharedSecret, cfg.ReplicaName = f.store, []byte("0123456789abcdef0123456789abcdef"), fmt.Sprint("replica-", i)
		if edit != nil {
			edit(i, &cfg)
		}
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		f.gateways = append(f.gateways, g)
		f.stops = append(f.stops, nil)
		f.run(i)
	}
	t.Cleanup(func() {
		for _, stop := range f.stops {
			stop()
		}
		f.ended.Wait()
	})
	f.settle()
	return f
}

// run has a replica run.
func (f *replicas) run(i int) {
	ctx, stop := context.WithCancel(context.Background())
	f.stops[i] = stop
	g := f.gateways[i]
	f.ended.Go(func() { _ = g.Run(ctx) })
}

// pass lets time go by.
func (f *replicas) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// settle lets all replicas exchange what they know.
func (f *replicas) settle() { f.pass(time.Second) }

// RoundTrip implements http.RoundTripper.
func (f *replicas) RoundTrip(r *http.Request) (*http.Response, error) {
	host := strings.TrimSuffix(r.URL.Host, ".example.com")
	f.mu.Lock()
	if r.Method == http.MethodPost {
		f.calls[host]++
	}
	answer := f.answers[host]
	f.mu.Unlock()
	if r.Body != nil {
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	if answer == nil {
		return upstreamAnswer(r, 200, okAnswer), nil
	}
	return answer(r), nil
}

func upstreamAnswer(r *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r, ProtoMajor: 1, ProtoMinor: 1}
}

func failing(status int, header ...string) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		return upstreamAnswer(r, status, `{"error":{"message":"no"}}`, header...)
	}
}

func (f *replicas) set(host string, answer func(*http.Request) *http.Response) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[host] = answer
}

// taken returns the requests to provider a since the last look.
func (f *replicas) taken() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.calls["a"]
	f.calls["a"] = 0
	return n
}

// ask sends a request to a replica.
func (f *replicas) ask(i int, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(fleetBody))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.gateways[i].ServeHTTP(w, r)
	return w
}

// coolDown has replica i cool provider a down, for everybody.
func (f *replicas) coolDown(i int) {
	for c := range 6 {
		require.Equal(f.t, 200, f.ask(i, "X-Caller", fmt.Sprint(c)).Code)
	}
	f.taken()
	require.Equal(f.t, 200, f.ask(i).Code)
	require.Zero(f.t, f.taken(), "replica %d still asks it", i)
}

// eachCaller tells callers apart: cooldowns need several.
func eachCaller(_ int, cfg *aigateway.Config) {
	cfg.Caller = func(r *http.Request) string { return r.Header.Get("X-Caller") }
}

func TestFleetSharesCooldowns(t *testing.T) {
	for _, n := range []int{3, 8} {
		for name, status := range map[string]int{"of a candidate": 503, "of a key": 429, "of a dead key": 401} {
			t.Run(fmt.Sprint(name, " among ", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := startReplicas(t, n, fleetConfig("a", "b"), eachCaller)
					f.set("a", failing(status))
					f.coolDown(0)
					f.pass(500 * time.Millisecond)
					for i := range n {
						require.Equal(t, 200, f.ask(i).Code)
						assert.Zero(t, f.taken(), "replica %d", i)
					}
				})
			})
		}
	}
}

// Replicas with different secrets share nothing. Each says so once.
func TestAReplicaWithAnotherSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs [3]bytes.Buffer
		f := startReplicas(t, 3, fleetConfig("a"), func(i int, cfg *aigateway.Config) {
			cfg.Logger = slog.New(slog.NewJSONHandler(&logs[i], nil))
			if i == 2 {
				cfg.SharedSecret = []byte("fedcba9876543210fedcba9876543210")
			}
		})
		f.pass(10 * time.Second)
		for i := range 3 {
			replicas := f.gateways[i].Fleet().Replicas
			require.Len(t, replicas, 3)
			strangers := 0
			for j, r := range replicas {
				other := (i == 2) != (j == 2)
				assert.Equal(t, other, r.OtherSecret, "%d sees %d", i, j)
				assert.Equal(t, other, f.page(i).Fleet.Replicas[j].OtherSecret)
				if other {
					strangers++
					assert.Contains(t, logs[i].String(), `"aigateway.replica.other":"replica-`+strconv.Itoa(j)+`"`)
				}
			}
			assert.Equal(t, strangers, strings.Count(logs[i].String(), "another SharedSecret"))
		}
	})
}

func TestFleetSharesTheEndOfACooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startReplicas(t, 3, fleetConfig("a", "b"), eachCaller)
		f.set("a", failing(503))
		f.coolDown(0)
		f.pass(time.Minute)
		f.set("a", nil)
		f.ask(1) // asks for the leave to probe
		f.settle()
		require.Zero(t, f.taken(), "the first request after a cooldown is not the probe")
		f.ask(1)
		require.Equal(t, 1, f.taken())
		f.settle()
		for i := range f.gateways {
			f.ask(i)
			assert.Equal(t, 1, f.taken(), "replica %d", i)
		}
		f.set("a", failing(503)) // the next cooldown is shared as the first
		f.coolDown(2)
		f.settle()
		f.ask(0)
		assert.Zero(t, f.taken())
	})
}

func TestFleetProbesOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startReplicas(t, 8, fleetConfig("a", "b"), eachCaller)
		f.set("a", failing(503))
		f.coolDown(0)
		f.pass(time.Minute)
		var mu sync.Mutex
		under, most, probes := 0, 0, 0
		f.set("a", func(r *http.Request) *http.Response {
			mu.Lock()
			under++
			probes++
			most = max(most, under)
			mu.Unlock()
			<-time.After(3 * time.Second)
			mu.Lock()
			under--
			mu.Unlock()
			return failing(503)(r)
		})
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for range 600 { // a minute
					assert.Equal(t, 200, f.ask(i).Code)
					<-time.After(100 * time.Millisecond)
				}
			})
		}
		all.Wait()
		assert.Equal(t, 1, most)
		assert.GreaterOrEqual(t, probes, 2)
	})
}

func TestAKilledProberLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startReplicas(t, 2, fleetConfig("a", "b"), eachCaller)
		f.set("a", failing(503))
		f.coolDown(0)
		f.pass(time.Minute)
		f.ask(0) // its leave comes
		f.pass(300 * time.Millisecond)
		f.stops[0]()
		f.set("a", nil)
		f.pass(6 * time.Second)
		f.ask(1)
		f.settle()
		f.taken()
		f.ask(1)
		assert.Equal(t, 1, f.taken())
	})
}

func TestFleetSharesQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fleetConfig("a")
		cfg.Providers[0].APIKeys = []aigateway.APIKey{{Value: "k1"}, {Value: "k2"}}
		cfg.APIKeySelection.Strategy = []string{`ai.keys.filter(k, k.quota.remaining_requests == null || k.quota.remaining_requests > 5)`}
		var used string
		f := startReplicas(t, 3, cfg, nil)
		f.set("a", func(r *http.Request) *http.Response {
			used = r.Header.Get("Authorization")
			return upstreamAnswer(r, 200, okAnswer, "x-ratelimit-limit-requests", "100", "x-ratelimit-remaining-requests", "2", "x-ratelimit-reset-requests", "30s")
		})
		f.ask(0)
		require.Equal(t, "Bearer k1", used)
		f.settle()
		f.ask(1)
		assert.Equal(t, "Bearer k2", used)
	})
}

// page is the debug page of a replica, as JSON.
func (f *replicas) page(i int) (state struct {
	Fleet struct {
		Name  string
		Store struct {
			State, Error string
			Since        time.Time
		}
		SnapshotAgeMs int64 `json:"snapshot_age_ms"`
		Replicas      []struct {
			Name        string
			LastSeenMs  int64 `json:"last_seen_ms"`
			InFlight    int64 `json:"in_flight"`
			Requests    int64
			OtherSecret bool `json:"other_secret"`
		}
	}
},
) {
	r := httptest.NewRequest(http.MethodGet, "/?format=json", nil)
	w := httptest.NewRecorder()
	f.gateways[i].DebugHandler().ServeHTTP(w, r)
	require.Equal(f.t, 200, w.Code)
	require.NoError(f.t, json.Unmarshal(w.Body.Bytes(), &state))
	return state
}

func TestFleetMergesMeasurements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fleetConfig("a", "b")
		cfg.ModelSelection.Strategy = []string{
			`ai.models.filter(m, m.provider_id == 'a' && m.metrics.global.request_count == 30 && m.metrics.endpoint.request_count == 10 && m.metrics.region.request_count == 20 && m.metrics.account.request_count == 10 && m.metrics.global.latency.upstream_ms_p95 > 90.0)`,
			`ai.models.filter(m, m.provider_id == 'b')`,
		}
		regions := []string{"eu", "eu", "us"}
		load := cfg
		f := startReplicas(t, 3, cfg, func(i int, cfg *aigateway.Config) { cfg.Region = regions[i]; cfg.ModelSelection.Strategy = nil })
		f.set("a", func(r *http.Request) *http.Response {
			<-time.After(100 * time.Millisecond)
			return upstreamAnswer(r, 200, okAnswer)
		})
		for i := range 30 {
			f.ask(i % 3)
		}
		f.pass(2 * time.Second)
		for i := range 1 {
			load.Transport, load.Region = f, regions[i]
			require.NoError(t, f.gateways[i].Reload(load))
			f.taken()
			f.ask(i)
			assert.Equal(t, 1, f.taken())
		}
		f.stops[2]() // a dead replica's counts stay
		f.pass(30 * time.Second)
		load.ModelSelection.Strategy = []string{
			`ai.models.filter(m, m.provider_id == 'a' && m.metrics.global.request_count == 31)`, `ai.models.filter(m, m.provider_id == 'b')`,
		}
		require.NoError(t, f.gateways[1].Reload(load))
		f.ask(1)
		assert.Equal(t, 1, f.taken())
	})
}

func TestRequestsInFlightOfADeadReplicaAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startReplicas(t, 3, fleetConfig("a"), nil)
		release := make(chan struct{})
		defer close(release)
		f.set("a", func(r *http.Request) *http.Response {
			<-release
			return upstreamAnswer(r, 200, okAnswer)
		})
		for range 5 {
			go f.ask(0)
		}
		f.settle()
		fleet := f.page(1).Fleet
		require.Len(t, fleet.Replicas, 3)
		assert.Equal(t, "replica-0", fleet.Replicas[0].Name)
		assert.EqualValues(t, 5, fleet.Replicas[0].InFlight)
		assert.Equal(t, "replica-1", fleet.Name)
		assert.Equal(t, "up", fleet.Store.State)
		assert.Less(t, fleet.SnapshotAgeMs, int64(300))
		f.stops[0]()
		f.pass(5 * time.Second)
		assert.Len(t, f.page(1).Fleet.Replicas, 2)
	})
}

func TestFleetSharesPins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fleetConfig("a", "b", "c")
		cfg.ModelSelection.Strategy = []string{`ai.models.sticky(req.headers['x-session-id'][0])`}
		f := startReplicas(t, 3, cfg, eachCaller)
		session := []string{"X-Session-Id", "CANARY-session"}
		f.ask(0, session...)
		first := f.served()
		f.set(first, failing(503))
		f.ask(0, session...)
		second := f.served()
		require.NotEqual(t, first, second)
		f.set(first, nil)
		f.settle()
		for i := range 3 {
			f.ask(i, session...)
			assert.Equal(t, second, f.served(), "replica %d", i)
		}
		f.private()
	})
}

// served returns the provider of the latest request, and forgets all calls.
func (f *replicas) served() (host string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h, n := range f.calls {
		if n > 0 && (f.answers[h] == nil) {
			host = h
		}
	}
	clear(f.calls)
	return host
}

// private checks that the store holds no text of clients, and no key.
func (f *replicas) private() {
	dump := f.store.Dump()
	require.NotEmpty(f.t, dump)
	for _, text := range dump {
		for _, word := range []string{"CANARY", fleetKey, "0123456789abcdef0123", "example.com"} {
			assert.NotContains(f.t, text, word)
		}
	}
}

func TestTheStoreKeepsNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := clientLimited(aigateway.ClientLimit{RequestsPerMinute: 1000, Exact: true})
		cfg.ClientLimits = append(cfg.ClientLimits, aigateway.ClientLimit{RequestsPerMinute: 1000, USDPerDay: 5})
		f := startReplicas(t, 3, cfg, func(_ int, cfg *aigateway.Config) {
			cfg.Caller = func(*http.Request) string { return "CANARY-caller" }
		})
		for _, status := range []int{200, 429, 503, 401} {
			f.set("a", failing(status, "x-ratelimit-limit-requests", "100", "x-ratelimit-remaining-requests", "2"))
			for i := range 12 {
				f.ask(i%3, "X-Tenant", "CANARY-tenant")
			}
			f.settle()
			f.private()
		}
	})
}

func TestFaultsOfTheStore(t *testing.T) {
	for name, fault := range map[string]func(*sharedtest.Store){
		"down": func(s *sharedtest.Store) { s.Fail(errors.New("connection refused")) },
		"hung": func(s *sharedtest.Store) { s.Delay(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				f := startReplicas(t, 3, fleetConfig("a", "b"), func(i int, cfg *aigateway.Config) {
					eachCaller(i, cfg)
					if i == 0 {
						cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
					}
				})
				fault(f.store)
				f.pass(10 * time.Second)
				begin := time.Now()
				for i := range 3 {
					require.Equal(t, 200, f.ask(i).Code)
				}
				assert.Zero(t, time.Since(begin), "no request waits")
				assert.Equal(t, 1, strings.Count(log.String(), "is away"), log.String())
				assert.Equal(t, "down", f.page(0).Fleet.Store.State)
				assert.NotEmpty(t, f.page(0).Fleet.Store.Error)
				// Both sides learn meanwhile.
				f.set("a", failing(503))
				f.coolDown(0)
				f.store.Fail(nil)
				f.store.Delay(0)
				f.store.Empty()
				f.pass(2 * time.Second)
				for i := range 3 {
					require.Equal(t, 200, f.ask(i).Code)
					assert.Zero(t, f.taken(), "replica %d", i)
				}
				assert.Equal(t, 1, strings.Count(log.String(), "is back"))
				assert.Equal(t, "up", f.page(0).Fleet.Store.State)
			})
		})
	}
}

func TestAnEmptiedStoreIsFilledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := startReplicas(t, 3, fleetConfig("a", "b"), eachCaller)
		f.set("a", failing(429, "Retry-After", "60"))
		f.coolDown(0)
		f.settle()
		f.stops[0]() // who learnt it is dead
		f.store.Empty()
		f.pass(2 * time.Second)
		// A new replica knows it only by the store.
		cfg := fleetConfig("a", "b")
		cfg.Transport, cfg.Shared, cfg.SharedSecret = f, f.store, []byte("0123456789abcdef0123456789abcdef")
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		f.gateways, f.stops = append(f.gateways, g), append(f.stops, nil)
		f.run(3)
		f.pass(time.Second)
		require.Equal(t, 200, f.ask(3).Code)
		assert.Zero(t, f.taken())
	})
}

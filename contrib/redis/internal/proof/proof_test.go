package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{})
	code := m.Run()
	removePrograms()
	os.Exit(code)
}

// prove runs a scenario in its short form, with the replicas under the race detector if
// the tests are. A busy machine may be slow, so bounds of time have some slack.
func prove(t *testing.T, scenario func(context.Context, *options) error, o options) (printed string) {
	t.Helper()
	var out bytes.Buffer
	o.out, o.slack = &out, 3
	err := scenario(t.Context(), &o)
	t.Log(out.String())
	require.NoError(t, err)
	return out.String()
}

func TestPropagation(t *testing.T) { prove(t, propagation, options{trials: 40}) }

func TestChaos(t *testing.T) { prove(t, chaos, options{length: 20 * time.Second, rate: 100, seed: 1}) }

func TestProbes(t *testing.T) {
	t.Parallel()
	prove(t, probes, options{length: 20 * time.Second})
}

func TestRestart(t *testing.T) {
	t.Parallel()
	prove(t, restart, options{rate: 50})
}

func TestInFlight(t *testing.T) {
	t.Parallel()
	prove(t, inFlight, options{})
}

func TestLimits(t *testing.T) { prove(t, limits, options{}) }

func TestSlots(t *testing.T) { prove(t, slots, options{}) }

func TestSimulate(t *testing.T) {
	t.Parallel()
	printed := prove(t, simulate, options{replicas: 5, length: 3 * time.Second})
	require.Contains(t, printed, "5 replicas, 2 requests a second each")
	require.Regexp(t, `news at another replica: .*, of [1-9]\d*; .*, 0 failed`, printed)
}

func TestPrivacy(t *testing.T) {
	t.Parallel()
	prove(t, privacy, options{})
}

func TestSoak(t *testing.T) { prove(t, soak, options{length: 6 * time.Second}) }

// Only growth from the middle third to the last is a fault: at the beginning all grows.
func TestLevel(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		length time.Duration
		heap   func(i int) float64 // in MiB
		open   func(i int) float64
		want   string
	}{
		"level":             {3 * longestLife, func(int) float64 { return 20 }, func(int) float64 { return 40 }, ""},
		"only at the start": {3 * longestLife, func(i int) float64 { return float64(min(i, 30)) }, func(i int) float64 { return float64(min(i, 30)) }, ""},
		"noise":             {3 * longestLife, func(i int) float64 { return float64(20 + i%3) }, func(i int) float64 { return float64(40 + i%5) }, ""},
		"a leak":            {3 * longestLife, func(i int) float64 { return 20 + float64(i)/10 }, func(int) float64 { return 40 }, "heap of replica 2"},
		"open connections":  {3 * longestLife, func(int) float64 { return 20 }, func(i int) float64 { return float64(i) }, "connections to the provider"},
		"a short leak":      {time.Minute, func(i int) float64 { return float64(i) }, func(int) float64 { return 40 }, ""},
		"short, and open":   {time.Minute, func(int) float64 { return 20 }, func(i int) float64 { return float64(i) }, "connections to the provider"},
	} {
		t.Run(name, func(t *testing.T) {
			var list []soakSample
			for i := range 90 {
				list = append(list, soakSample{
					heap: []float64{20 << 20, tt.heap(i) * (1 << 20)}, goroutines: []float64{20, 20}, clients: []float64{5, 5},
					upstream: tt.open(i), store: 6, keys: 4000, memory: 3 << 20,
				})
			}
			err := level(&options{out: io.Discard, length: tt.length}, list)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
	require.Error(t, level(&options{out: io.Discard}, nil))
}

func TestUsage(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), nil, nil), "chaos")
	require.ErrorContains(t, run(t.Context(), []string{"nothing"}, nil), "chaos")
	require.Error(t, run(t.Context(), []string{"chaos", "-unknown"}, nil))
}

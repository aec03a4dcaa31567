package main

import (
	"bytes"
	"context"
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
	removeProgram()
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

func TestUsage(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), nil, nil), "chaos")
	require.ErrorContains(t, run(t.Context(), []string{"nothing"}, nil), "chaos")
	require.Error(t, run(t.Context(), []string{"chaos", "-unknown"}, nil))
}

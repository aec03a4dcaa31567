package aigateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// Every fault that a provider or the network can bring, over real sockets: what
// must come of it is in the table of gatewaytest.Faults. Those that hang on a
// timeout are played in the next test, where no busy machine can miss it.
func TestFaultWall(t *testing.T) {
	const pace, slack = time.Second, 20 * time.Second
	before := runtime.NumGoroutine()
	type played struct {
		out *gatewaytest.Outcome
		err error
	}
	cases := gatewaytest.Cases()
	ends := make([]chan played, len(cases))
	places := make(chan struct{}, 40) // most of them wait for something
	for i, c := range cases {
		if c.Timed() {
			continue
		}
		ends[i] = make(chan played, 1)
		go func() {
			places <- struct{}{}
			defer func() { <-places }()
			out, err := c.Run(t.Context(), gatewaytest.Loopback(), pace, faultGateway)
			ends[i] <- played{out, err}
		}()
	}
	for i, c := range cases {
		if c.Timed() {
			continue
		}
		t.Run(faultName(c), func(t *testing.T) {
			end := <-ends[i]
			require.NoError(t, end.err)
			faultCheck(t, c, end.out, pace, slack)
		})
	}
	faultSettled(t, before)
}

// The faults of an upstream that is silent, or too slow, in virtual time.
func TestFaultWallTimed(t *testing.T) {
	const pace, slack = 5 * time.Second, 3 * time.Second
	for _, c := range gatewaytest.Cases() {
		if !c.Timed() {
			continue
		}
		t.Run(faultName(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out, err := c.Run(t.Context(), gatewaytest.InMemory(), pace, faultGateway)
				require.NoError(t, err)
				faultCheck(t, c, out, pace, slack)
			})
		})
	}
}

func faultName(c gatewaytest.Case) string {
	if c.Alone {
		return c.Name + "/" + c.Format.Name() + "/alone"
	}
	return c.Name + "/" + c.Format.Name() + "/with a fallback"
}

func faultCheck(t *testing.T, c gatewaytest.Case, out *gatewaytest.Outcome, pace, slack time.Duration) {
	t.Helper()
	for _, problem := range c.Problems(out, pace, slack) {
		t.Error(problem)
	}
	if t.Failed() {
		t.Logf("the client got %s after %v; the Result is %s", out.Reply, out.Reply.Took, out.Told.Raw)
	}
}

// faultGateway makes the gateway of a wall.
func faultGateway(setup gatewaytest.Setup) (http.Handler, error) {
	cfg, err := aigateway.ParseConfig(setup.Config)
	if err != nil {
		return nil, err
	}
	if setup.Secret != nil {
		cfg.Secrets = aigateway.SecretResolverFunc(func(ctx context.Context, _, _ string) (string, error) { return setup.Secret(ctx) })
	}
	if setup.Transport != nil {
		cfg.Transport = setup.Transport
	}
	cfg.Registry = aigateway.NoRegistry() // which is compiled sooner
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) {
		data, err := json.Marshal(res)
		if err != nil {
			data = []byte(err.Error())
		}
		setup.Done(data)
	}}
	return aigateway.New(cfg)
}

// faultSettled waits until no more goroutines run than before: those of the
// idle connections end a moment after the upstreams have closed them.
func faultSettled(t *testing.T, before int) {
	t.Helper()
	timeout := time.NewTimer(5 * time.Second)
	defer timeout.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-look.C:
		case <-timeout.C:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, and %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// The sixteen scenarios of failoverbench at their real durations, in virtual
// time: all pass where a whole answer matters more than an early first token,
// and otherwise a stream that breaks after its first content ends in an error.
func TestFaultBench(t *testing.T) {
	for _, s := range gatewaytest.Scenarios() {
		for name, holdWhole := range map[string]bool{"complete": true, "first content": false} {
			t.Run(s.ID+" "+s.Title+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					score, err := s.Run(t.Context(), gatewaytest.InMemory(), holdWhole, faultGateway)
					require.NoError(t, err)
					want := gatewaytest.Pass
					if !holdWhole && s.BreaksLate() {
						want = gatewaytest.Safe
					}
					assert.Equal(t, want, score.Verdict, "%+v", score)
					assert.Empty(t, score.Failed)
				})
			})
		}
	}
}

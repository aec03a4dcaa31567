package suite_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/faultwall"
)

// TestFaultWall plays every fault over real sockets, and compares the outcome
// with the table of faultwall.Faults. Cases with a timeout or a pause run in
// TestFaultWallTimed.
//
// The wall is full of secrets, and its failing providers repeat them. No output
// of a gateway may contain a secret.
func TestFaultWall(t *testing.T) {
	const pace, slack = time.Second, 20 * time.Second
	before := runtime.NumGoroutine()
	type played struct {
		faultWall
		out *faultwall.Outcome
		err error
	}
	cases := faultwall.Cases()
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
			var end played
			end.out, end.err = c.Run(t.Context(), faultwall.Loopback(), pace, end.open)
			ends[i] <- end
		}()
	}
	for i, c := range cases {
		if c.Timed() {
			continue
		}
		t.Run(faultName(c), func(t *testing.T) {
			end := <-ends[i]
			require.NoError(t, end.err)
			end.check(t, c, end.out, pace, slack)
		})
	}
	gatewaytest.Settled(t, before)
}

// TestFaultWallTimed plays the faults of silent and slow upstreams in virtual
// time.
func TestFaultWallTimed(t *testing.T) {
	const pace, slack = 5 * time.Second, 3 * time.Second
	for _, c := range faultwall.Cases() {
		if !c.Timed() {
			continue
		}
		t.Run(faultName(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var wall faultWall
				out, err := c.Run(t.Context(), faultwall.InMemory(), pace, wall.open)
				require.NoError(t, err)
				wall.check(t, c, out, pace, slack)
			})
		})
	}
}

func faultName(c faultwall.Case) string {
	if c.Alone {
		return c.Name + "/" + c.Format.Name() + "/alone"
	}
	return c.Name + "/" + c.Format.Name() + "/with a fallback"
}

// faultWall is a gateway in front of the wall, with all of its outputs.
type faultWall struct {
	seen    *leakWatch
	gateway *aigateway.Gateway
	page    http.Handler
}

// check compares the outcome of a case with the wanted one, and looks for the
// wall's secrets.
func (w *faultWall) check(t *testing.T, c faultwall.Case, out *faultwall.Outcome, pace, slack time.Duration) {
	t.Helper()
	w.checkSecrets(t)
	for _, problem := range c.Problems(out, pace, slack) {
		t.Error(problem)
	}
	if t.Failed() {
		t.Logf("the client got %s after %v; the Result is %s", out.Reply, out.Reply.Took, out.Report.Raw)
	}
}

func (w *faultWall) checkSecrets(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"", "?format=json"} {
		rec := httptest.NewRecorder()
		w.page.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+kind, nil))
		require.Equal(t, http.StatusOK, rec.Code)
		require.Contains(t, rec.Body.String(), `internal`, "the page knows of the providers")
		w.seen.Write(rec.Body.Bytes())
	}
	w.seen.see("Gateway", w.gateway)
	w.seen.checkFor(t, "a secret of the wall", faultwall.SecretMark)
}

// open makes the gateway, with every observer turned on.
func (w *faultWall) open(setup faultwall.Setup) (http.Handler, error) {
	w.seen = new(leakWatch)
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
	cfg.Logger, cfg.FailoverPolicy, cfg.Hooks = w.seen.logger(), w.seen.policy(), w.seen.hooks()
	done := cfg.Hooks.RequestDone
	cfg.Hooks.RequestDone = func(ctx context.Context, res *aigateway.Result) {
		done(ctx, res)
		data, err := json.Marshal(res)
		if err != nil {
			data = []byte(err.Error())
		}
		setup.Done(data)
	}
	if w.gateway, err = aigateway.New(cfg); err != nil {
		return nil, err
	}
	w.page = w.gateway.DebugHandler()
	return w.gateway, nil
}

// TestFaultBench plays the sixteen scenarios of failoverbench at their real
// durations, in virtual time. All pass under stream_commit: complete. Under
// first_content a stream that breaks after its first content ends in a clean
// error.
func TestFaultBench(t *testing.T) {
	for _, s := range faultwall.Scenarios() {
		for name, holdWhole := range map[string]bool{"complete": true, "first content": false} {
			t.Run(s.ID+" "+s.Title+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var wall faultWall
					score, err := s.Run(t.Context(), faultwall.InMemory(), holdWhole, wall.open)
					require.NoError(t, err)
					wall.checkSecrets(t)
					want := faultwall.Pass
					if !holdWhole && s.BreaksLate() {
						want = faultwall.Safe
					}
					assert.Equal(t, want, score.Verdict, "%+v", score)
					assert.Empty(t, score.Failed)
				})
			})
		}
	}
}

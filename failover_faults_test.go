package aigateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// Every fault that a provider or the network can bring, over real sockets: what
// must come of it is in the table of gatewaytest.Faults. They wait much and
// work little, so that all of them are under way at once.
func TestFaultWall(t *testing.T) {
	const pace = 300 * time.Millisecond
	before := runtime.NumGoroutine()
	type played struct {
		out *gatewaytest.Outcome
		err error
	}
	cases := gatewaytest.Cases()
	ends := make([]chan played, len(cases))
	places := make(chan struct{}, 24)
	for i, c := range cases {
		ends[i] = make(chan played, 1)
		go func() {
			places <- struct{}{}
			defer func() { <-places }()
			out, err := c.Run(t.Context(), pace, faultGateway)
			ends[i] <- played{out, err}
		}()
	}
	for i, c := range cases {
		name := c.Name + "/" + c.Format.Name() + "/saved"
		if c.Alone {
			name = c.Name + "/" + c.Format.Name() + "/alone"
		}
		t.Run(name, func(t *testing.T) {
			end := <-ends[i]
			require.NoError(t, end.err)
			assert.Empty(t, c.Problems(end.out, pace), "the client got %s after %v, and the Result says %+v", end.out.Reply, end.out.Reply.Took, end.out.Told)
		})
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before }, 5*time.Second, 5*time.Millisecond,
		"goroutines are left over: %d before", before)
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
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) {
		data, err := json.Marshal(res)
		if err != nil {
			data = []byte(err.Error())
		}
		setup.Done(data)
	}}
	return aigateway.New(cfg)
}

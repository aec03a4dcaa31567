package suite_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// panicAdmission is an Admission of a function.
type panicAdmission func() func(*aigateway.Result)

func (f panicAdmission) Admit(context.Context, *aigateway.ClientRequest) (func(*aigateway.Result), error) {
	return f(), nil
}

// TestPanicsAreTold: a panic of the service's own code goes on to net/http. The hook and
// the log tell of the request all the same, once, and its room is free again.
func TestPanicsAreTold(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*aigateway.Config)
		told aigateway.ResultStatus
	}{
		"RequestStart": {func(c *aigateway.Config) {
			c.Hooks.RequestStart = func(context.Context, aigateway.ClientRequest) context.Context { panic("own") }
		}, aigateway.StatusError},
		"AttemptStart": {func(c *aigateway.Config) {
			c.Hooks.AttemptStart = func(context.Context, aigateway.Attempt) context.Context { panic("own") }
		}, aigateway.StatusError},
		"Caller": {func(c *aigateway.Config) { c.Caller = func(*http.Request) string { panic("own") } }, aigateway.StatusError},
		"Labels": {func(c *aigateway.Config) { c.Labels = func(*http.Request) []slog.Attr { panic("own") } }, aigateway.StatusError},
		"Admit": {func(c *aigateway.Config) {
			c.Admission = panicAdmission(func() func(*aigateway.Result) { panic("own") })
		}, aigateway.StatusError},
		"done": {func(c *aigateway.Config) {
			c.Admission = panicAdmission(func() func(*aigateway.Result) { return func(*aigateway.Result) { panic("own") } })
		}, aigateway.StatusSuccess},
	} {
		t.Run(name, func(t *testing.T) {
			var told []aigateway.ResultStatus
			var log bytes.Buffer
			cfg := testbed.Config(1, "a")
			cfg.Providers[0].Limits = aigateway.Limits{InFlight: 1}
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { told = append(told, res.Status) }}
			cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				gatewaytest.Chat("a")(w, r)
				return w.Result(), nil
			})
			tt.edit(&cfg)
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			for n := 1; n <= 2; n++ {
				w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest))
				assert.PanicsWithValue(t, "own", func() { g.ServeHTTP(w, r) })
				require.Len(t, told, n)
				assert.Equal(t, tt.told, told[n-1])
				assert.Equal(t, n, strings.Count(log.String(), "msg=request"))
			}
		})
	}
}

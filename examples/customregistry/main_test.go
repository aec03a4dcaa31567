package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// machine serves the models of a list, and says its name.
func machine(name, models string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			gatewaytest.JSON(http.StatusOK, `{"object":"list","data":[`+models+`]}`)(w, r)
			return
		}
		gatewaytest.Chat("from "+name)(w, r)
	}
}

func open(t *testing.T, machines map[string]string) (*aigateway.Gateway, aigateway.Config, error) {
	t.Helper()
	cfg, err := aigateway.LoadConfig("gateway.yaml")
	require.NoError(t, err)
	for host := range cfg.InternalEndpoints {
		require.Contains(t, machines, host)
	}
	cfg.InternalEndpoints = machines
	cfg.Registry = fleet(machines)
	gateway, err := aigateway.New(cfg)
	return gateway, cfg, err
}

func ask(t *testing.T, gateway http.Handler, method, path, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	answer, err := io.ReadAll(w.Body)
	require.NoError(t, err)
	return w.Code, string(answer)
}

func TestFleet(t *testing.T) {
	const llama, qwen = `{"id":"llama3","max_model_len":8192}`, `{"id":"Qwen/Qwen3-8B"}`
	a := gatewaytest.NewUpstream(t, machine("a", llama))
	b := gatewaytest.NewUpstream(t,
		machine("b", llama+","+qwen), machine("b", llama+","+qwen), // when it is asked first, and for an answer
		machine("b", qwen))
	gateway, cfg, err := open(t, map[string]string{"rack-a.internal": a.URL, "rack-b.internal": b.URL})
	require.NoError(t, err)

	_, list := ask(t, gateway, http.MethodGet, "/v1/models", "")
	assert.Contains(t, list, `"llama3"`)
	assert.Contains(t, list, `"Qwen/Qwen3-8B"`)
	_, answer := ask(t, gateway, http.MethodPost, "/v1/chat/completions", `{"model":"Qwen/Qwen3-8B"}`)
	assert.Contains(t, answer, "from b")

	// What has changed is known after the next Reload.
	require.NoError(t, gateway.Reload(cfg))
	for range 4 {
		_, answer = ask(t, gateway, http.MethodPost, "/v1/chat/completions", `{"model":"llama3"}`)
		assert.Contains(t, answer, "from a")
	}
}

func TestMachinesThatAreDown(t *testing.T) {
	a := gatewaytest.NewUpstream(t, machine("a", `{"id":"llama3"}`))
	b := gatewaytest.NewUpstream(t, gatewaytest.JSON(http.StatusServiceUnavailable, "{}"))
	gateway, _, err := open(t, map[string]string{"rack-a.internal": a.URL, "rack-b.internal": b.URL})
	require.NoError(t, err)
	status, _ := ask(t, gateway, http.MethodPost, "/v1/chat/completions", `{"model":"llama3"}`)
	assert.Equal(t, http.StatusOK, status)

	_, _, err = open(t, map[string]string{"rack-a.internal": b.URL, "rack-b.internal": b.URL})
	assert.ErrorContains(t, err, "none of 2 machines answers")
}

func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		cfg := aigateway.Config{Registry: aigateway.ProviderRegistryFunc(func(context.Context) ([]aigateway.Provider, error) {
			asked++
			return nil, nil
		})}
		gateway, err := aigateway.New(cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute+time.Second)
		defer cancel()
		keep(ctx, gateway, cfg, time.Minute)
		assert.Equal(t, 4, asked)
	})
}

// Package testbed sets up gateways for tests: in a synctest bubble between a
// client and scripted providers, or on a loopback socket.
//
// It imports the root package, whose own tests use it from package
// aigateway_test.
package testbed

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// The bodies of most chat requests.
const (
	ChatRequest   = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
	StreamRequest = `{"model":"m","stream":true,"messages":[]}`
)

// Hosts are the handlers of the providers, by the first label of their hosts.
type Hosts map[string]http.HandlerFunc

// Unreachable are the errors of the transport, by the first label of the host.
type Unreachable map[string]error

// Config returns a config with the model "m" at each provider. Provider "a" is
// at a.internal; its keys have the routes a1, a2 and so on.
func Config(keys int, providers ...string) aigateway.Config {
	cfg := aigateway.Config{Registry: aigateway.NoRegistry()}
	for _, id := range providers {
		p := aigateway.Provider{
			ID: id, BaseURL: "http://" + id + ".internal", Models: []aigateway.Model{{ID: "m"}},
			SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}},
		}
		for i := range keys {
			p.APIKeys = append(p.APIKeys, aigateway.APIKey{Value: aigateway.Template(fmt.Sprintf("sk-%s%d-0123456789abcdef", id, i+1))})
		}
		cfg.Providers = append(cfg.Providers, p)
	}
	return cfg
}

// Start starts a gateway and its providers in the test's bubble.
func Start(t testing.TB, cfg aigateway.Config, hosts Hosts, unreachable Unreachable) *gatewaytest.Harness {
	t.Helper()
	harness := gatewaytest.NewHarness(t)
	for name, h := range hosts {
		if unreachable[name] != nil {
			harness.Unreachable(name, unreachable[name])
			continue
		}
		harness.Host(name, h)
	}
	cfg.Transport = harness
	harness.ServeGateway(newGateway(t, cfg))
	return harness
}

// EachCaller is a Config.Caller that names another caller for each request. What
// then fails for all requests does not fail for one caller alone.
func EachCaller() func(*http.Request) string {
	var asked atomic.Int64
	return func(*http.Request) string { return strconv.FormatInt(asked.Add(1), 10) }
}

// Ask sends ChatRequest.
func Ask(harness *gatewaytest.Harness) gatewaytest.Answer {
	return harness.Post("/v1/chat/completions", ChatRequest)
}

// AskStream sends StreamRequest.
func AskStream(harness *gatewaytest.Harness) gatewaytest.Answer {
	return harness.Post("/v1/chat/completions", StreamRequest)
}

// Serve serves a gateway on a loopback socket until the test ends, and returns
// its URL.
func Serve(t testing.TB, cfg aigateway.Config) string {
	t.Helper()
	server := httptest.NewServer(newGateway(t, cfg))
	t.Cleanup(server.Close)
	return server.URL
}

// ServeAt serves a gateway like Serve. Provider "a" is at the upstream's URL.
func ServeAt(t testing.TB, upstream string, cfg aigateway.Config) string {
	t.Helper()
	cfg.InternalEndpoints = map[string]string{"a.internal": upstream}
	return Serve(t, cfg)
}

func newGateway(t testing.TB, cfg aigateway.Config) *aigateway.Gateway {
	t.Helper()
	g, err := aigateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Explain asks a gateway for the plan of a request of team "alpha".
func Explain(g *aigateway.Gateway, path, body string) (*aigateway.Result, error) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("X-Team", "alpha")
	return g.Explain(r)
}

// Tried lists the models of a Result in their order, as "provider:model".
func Tried(res *aigateway.Result) []string {
	var tried []string
	for _, m := range res.ModelsTried {
		tried = append(tried, m.Provider+":"+m.Model)
	}
	return tried
}

// Code returns the code of a request's error. It is empty for every other error
// and for nil.
func Code(err error) aigateway.Code {
	var e *aigateway.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

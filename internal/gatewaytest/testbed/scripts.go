package testbed

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// Scripts is a gateway in a bubble whose providers answer by key: each route
// has a script of its own. A route without a script answers well.
type Scripts struct {
	*gatewaytest.Harness
	Gateway *aigateway.Gateway

	mu     sync.Mutex
	script map[string][]http.HandlerFunc
	result *aigateway.Result
	starts int // requests
	latest int // the request that result is of, counted from 1
}

// startKey is the key of a request's number in its context.
type startKey struct{}

// Step waits, sends ChatRequest, and names the routes of its attempts. As an
// alias of an unnamed struct it can be written without field names.
type Step = struct {
	Wait   time.Duration
	Routes string
}

// NewScripts starts the gateway. It replaces the Hooks and the Transport of the
// config. If the config does not name callers, each request has a caller of its
// own: failures in a row then are those of several callers.
func NewScripts(t testing.TB, cfg aigateway.Config) *Scripts {
	t.Helper()
	s := &Scripts{Harness: gatewaytest.NewHarness(t), script: map[string][]http.HandlerFunc{}}
	for _, p := range cfg.Providers {
		s.Host(p.ID, http.HandlerFunc(s.answer))
	}
	cfg.Transport = s.Harness
	cfg.Hooks = s.Hooks()
	if cfg.Caller == nil && cfg.CallerExpr == "" {
		cfg.Caller = EachCaller()
	}
	s.Gateway = newGateway(t, cfg)
	s.ServeGateway(s.Gateway)
	return s
}

// Hooks returns hooks to keep the latest Result, for a config to reload.
func (s *Scripts) Hooks() *aigateway.Hooks {
	return &aigateway.Hooks{
		RequestStart: func(ctx context.Context, _ aigateway.ClientRequest) context.Context {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.starts++
			return context.WithValue(ctx, startKey{}, s.starts)
		},
		RequestDone: func(ctx context.Context, res *aigateway.Result) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if n, _ := ctx.Value(startKey{}).(int); n >= s.latest {
				s.result, s.latest = res, n
			}
		},
	}
}

func (s *Scripts) answer(w http.ResponseWriter, r *http.Request) {
	route, _, _ := strings.Cut(r.Host, ".")
	if _, key, ok := strings.Cut(r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"), "-"); ok {
		route, _, _ = strings.Cut(key, "-")
	}
	s.mu.Lock()
	next := gatewaytest.Fitting("from " + route)
	if h := s.script[route]; len(h) > 0 {
		next = h[0]
		s.script[route] = h[min(1, len(h)-1):]
	}
	s.mu.Unlock()
	next(w, r)
}

// Set replaces the script of a route. The last handler answers all further
// requests.
func (s *Scripts) Set(route string, script ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[route] = script
}

// Result returns the Result of the request that began last, of those that have ended.
// Two requests may end at one moment, in any order.
func (s *Scripts) Result() *aigateway.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.result
}

// Walk takes the steps, and compares the routes of each.
func (s *Scripts) Walk(t testing.TB, steps []Step) {
	t.Helper()
	for i, step := range steps {
		gatewaytest.Pass(step.Wait)
		Ask(s.Harness)
		if got, want := s.Routes(), strings.Fields(step.Routes); !slices.Equal(got, want) {
			t.Fatalf("step %d went to %q, want %q", i+1, got, want)
		}
	}
}

// CoolDown has provider "a" fail by its first key until the candidate cools
// down.
func (s *Scripts) CoolDown() {
	s.Set("a1", gatewaytest.KeyError(http.StatusInternalServerError, ""))
	for n := 0; n < 5; {
		Ask(s.Harness)
		for _, route := range s.Routes() {
			if route[0] == 'a' {
				n++
			}
		}
	}
}

// Send sends ChatRequest to the gateway's handler, without a connection. The
// header is given as names and values in turn.
func (s *Scripts) Send(header ...string) *httptest.ResponseRecorder {
	return s.SendBody(ChatRequest, header...)
}

// SendBody sends another chat request like Send.
func (s *Scripts) SendBody(body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.Gateway.ServeHTTP(w, r)
	return w
}

// KeepResult keeps the Result of the latest request.
func KeepResult(res **aigateway.Result) *aigateway.Hooks {
	return &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { *res = r }}
}

package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
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
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// leavingPhase is a moment at which a client leaves: a second after its request.
type leavingPhase struct {
	name   string
	path   string // of chat if empty
	body   string // ChatRequest if empty
	half   bool   // the client leaves before its body is whole
	script http.HandlerFunc
	change func(*aigateway.Config)
	// kind is that of the attempt; empty without one.
	kind aigateway.FailureKind
	once bool // one client leaves, and not twelve
	// sent is set if provider a was asked.
	sent bool
}

// slowSecret is a store that needs 1.5 seconds.
type slowSecret struct{}

func (slowSecret) ResolveSecret(context.Context, string, string) (string, error) {
	gatewaytest.Pass(1500 * time.Millisecond)
	return "sk-a1-0123456789abcdef", nil
}

func leavingPhases() []leavingPhase {
	unfinished := func(status int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			gatewaytest.Send(w, `{"error":`)
			<-r.Context().Done()
		}
	}
	long := `{"choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("y", 2<<20)
	chatOnly := func(c *aigateway.Config) {
		for i := range c.Providers {
			c.Providers[i].Translate = aigateway.TranslateOn
			c.Providers[i].SupportedAPISurfaces = []aigateway.APISurface{{Format: "openai", Surface: "chat-completions"}}
		}
	}
	return []leavingPhase{
		{name: "while it sends its body", body: `{"model":"m",`, half: true},
		{name: "while a secret is read", once: true, script: gatewaytest.Chat("hi"), kind: aigateway.FailureNetwork, change: func(c *aigateway.Config) {
			c.Providers[0].APIKeys[0].Value, c.Secrets = "${secrets.get('v', 'n')}", slowSecret{}
		}},
		{name: "before the header", script: gatewaytest.Silence, kind: aigateway.FailureNetwork, sent: true},
		{name: "while its large body goes out", body: `{"model":"m","messages":["` + strings.Repeat("x", 1<<20) + `"]}`, script: gatewaytest.Silence, kind: aigateway.FailureNetwork, sent: true},
		{name: "before the first content", body: testbed.StreamRequest, script: gatewaytest.Steps(gatewaytest.ChatRole, time.Hour), kind: aigateway.FailureAnswer, sent: true},
		{name: "behind the first content", body: testbed.StreamRequest, script: gatewaytest.Steps(gatewaytest.ChatRole, gatewaytest.ChatDelta("a"), time.Hour), kind: aigateway.FailureNetwork, sent: true},
		{name: "in a translated stream", path: "/v1/messages", body: `{"model":"m","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"x"}]}`, change: chatOnly,
			script: gatewaytest.Steps(gatewaytest.ChatRole, gatewaytest.ChatDelta("a"), time.Hour), kind: aigateway.FailureNetwork, sent: true},
		{name: "in a held answer", script: gatewaytest.Partial(`{"choices":[`), kind: aigateway.FailureAnswer, sent: true},
		{name: "in a long answer", script: gatewaytest.Partial(long), kind: aigateway.FailureNetwork, sent: true},
		{name: "in a sound", path: "/v1/audio/speech", body: `{"model":"m","input":"x"}`, script: gatewaytest.Paused("audio/mpeg", 0, true, []string{"so", "und"}), kind: aigateway.FailureNetwork, sent: true},
		{name: "in a 500", script: unfinished(500), kind: aigateway.FailureStatus, sent: true},
		{name: "in a 401", script: unfinished(401), kind: aigateway.FailureStatus, sent: true},
		{name: "in a 429", script: unfinished(429, "Retry-After", "3600"), kind: aigateway.FailureStatus, sent: true},
	}
}

// TestLeaving has twelve clients leave in each phase of a request. The Result, the log and
// the page tell of it, nothing stays in flight, and the provider is asked as before.
func TestLeaving(t *testing.T) {
	for _, p := range leavingPhases() {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newLeavingBench(t, p)
				n := 12
				if p.once {
					n = 1
				}
				for range n {
					b.leave(t)
				}
				gatewaytest.Pass(2 * time.Second) // for the secret
				b.check(t, n)
			})
		})
	}
}

// leavingLoad is what the page says of the load.
type leavingLoad struct {
	InFlight  int                               `json:"in_flight"`
	ErrorRate struct{ Timeout, Server float64 } `json:"error_rate"`
	Limits    struct {
		InFlight int `json:"in_flight"`
		Waiting  int
	}
}

type leavingBench struct {
	leavingPhase
	network *gatewaytest.Network
	gateway *aigateway.Gateway
	log     bytes.Buffer // written at the end of requests
	done    <-chan *aigateway.Result
	well    bool // the provider answers
	asked   []string
}

func newLeavingBench(t *testing.T, p leavingPhase) *leavingBench {
	t.Helper()
	b := &leavingBench{leavingPhase: p, network: gatewaytest.NewNetwork()}
	for _, name := range []string{"a", "b"} {
		b.network.Serve(t, name+".internal", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // a server notices only then that its client leaves
			b.asked = append(b.asked, name)
			if b.well {
				gatewaytest.Chat("hi")(w, r)
				return
			}
			b.script(w, r)
		}))
	}
	cfg := testbed.Config(1, "a", "b")
	cfg.Providers[0].Limits.InFlight = 1
	cfg.Caller = testbed.EachCaller()
	cfg.Transport = b.network.Transport(t)
	cfg.Logger = slog.New(slog.NewTextHandler(&b.log, nil))
	if p.change != nil {
		p.change(&cfg)
	}
	b.done = results(&cfg)
	var err error
	b.gateway, err = aigateway.New(cfg)
	require.NoError(t, err)
	b.network.Serve(t, "gateway.internal", b.gateway)
	return b
}

// leave sends a request, and leaves a second later.
func (b *leavingBench) leave(t *testing.T) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	path, body := b.path, b.body
	if path == "" {
		path = "/v1/chat/completions"
	}
	if body == "" {
		body = testbed.ChatRequest
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway.internal"+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	rest, client := io.Pipe()
	if b.half {
		r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(body), rest)), -1
	}
	transport := b.network.Transport(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return
		}
		context.AfterFunc(ctx, func() { resp.Body.Close() })
		io.Copy(io.Discard, resp.Body)
	}()
	gatewaytest.Pass(time.Second)
	leave()
	client.CloseWithError(errors.New("left"))
	<-ended
	gatewaytest.Pass(time.Millisecond)
	synctest.Wait()

	res := <-b.done
	assert.Equal(t, aigateway.StatusError, res.Status)
	require.NotNil(t, res.Error)
	assert.Equal(t, aigateway.CodeClientGone, res.Error.Code)
	assert.Nil(t, res.Success)
	if b.kind == "" {
		assert.Empty(t, res.ModelsTried)
		return
	}
	require.Len(t, res.ModelsTried, 1)
	require.Len(t, res.ModelsTried[0].RequestsMade, 1)
	a := res.ModelsTried[0].RequestsMade[0]
	assert.Equal(t, aigateway.AttemptFailed, a.Status)
	assert.Equal(t, b.kind, a.Kind)
	assert.Contains(t, a.Error, "the client is gone")
	assert.NotContains(t, a.Error, "timeout")
}

// check looks at the log and the page, and sends a request that is answered.
func (b *leavingBench) check(t *testing.T, left int) {
	t.Helper()
	assert.Equal(t, left, strings.Count(b.log.String(), "error.type=client_gone"))
	assert.Equal(t, left, strings.Count(b.log.String(), "\n"), "one line a request")
	page := httptest.NewRecorder()
	b.gateway.DebugHandler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?format=json", nil))
	var shown struct {
		Total     leavingLoad
		Providers []struct {
			Load             leavingLoad
			ModelsInCooldown int `json:"models_in_cooldown"`
			ModelsProbing    int `json:"models_probing"`
			KeysInCooldown   int `json:"keys_in_cooldown"`
		}
	}
	require.NoError(t, json.Unmarshal(page.Body.Bytes(), &shown))
	assert.Zero(t, shown.Total)
	for _, p := range shown.Providers {
		assert.Zero(t, p.Load)
		assert.Zero(t, p.ModelsInCooldown+p.ModelsProbing+p.KeysInCooldown)
	}
	want := 0
	if b.sent {
		want = left
	}
	assert.Len(t, b.asked, want)
	b.well, b.asked = true, nil
	w := httptest.NewRecorder()
	b.gateway.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest)))
	assert.Equal(t, http.StatusOK, w.Code, w.Body)
	assert.Equal(t, []string{"a"}, b.asked)
}

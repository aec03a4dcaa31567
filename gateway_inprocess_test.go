package aigateway_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inProcess makes a gateway with the provider "a" at an upstream.
func inProcess(t *testing.T, cfg aigateway.Config, upstream http.HandlerFunc) (*aigateway.Gateway, *gatewaytest.Upstream) {
	t.Helper()
	up := gatewaytest.NewUpstream(t, upstream)
	cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g, up
}

func ask(ctx context.Context, t *testing.T, g *aigateway.Gateway, body string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.example.com/v1/chat/completions", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	return g.Client().Do(r)
}

func TestInProcessCall(t *testing.T) {
	g, up := inProcess(t, testbed.Config(1, "a"), gatewaytest.Chat("hello"))
	ctx := aigateway.WithResult(t.Context())
	resp, err := ask(ctx, t, g, testbed.ChatRequest)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, "200 OK", resp.Status)
	assert.Contains(t, string(body), "hello")
	assert.EqualValues(t, len(body), resp.ContentLength)
	assert.Equal(t, "a:m", resp.Header.Get("X-Aigateway-Model"))
	assert.Equal(t, "Bearer sk-a1-0123456789abcdef", up.Last().Header.Get("Authorization"))

	res, ok := aigateway.ResultFromContext(resp.Request.Context())
	require.True(t, ok)
	assert.Equal(t, aigateway.StatusSuccess, res.Status)
	assert.Equal(t, "a", res.Success.Provider)
	again, ok := aigateway.ResultFromContext(ctx)
	require.True(t, ok)
	assert.Same(t, res, again, "WithResult has it too")
}

// Contexts, hooks and the service's functions see the caller's own values.
func TestInProcessContextValues(t *testing.T) {
	type key struct{}
	var hooked, admitted atomic.Value
	cfg := testbed.Config(1, "a")
	cfg.Caller = func(r *http.Request) string { s, _ := r.Context().Value(key{}).(string); return s }
	cfg.RequestID = func(r *http.Request) string { s, _ := r.Context().Value(key{}).(string); return "id-" + s }
	cfg.Labels = func(r *http.Request) []slog.Attr { return []slog.Attr{slog.Any("of", r.Context().Value(key{}))} }
	cfg.Admission = aigateway.AdmissionFunc(func(ctx context.Context, _ *aigateway.ClientRequest) (func(*aigateway.Result), error) {
		admitted.Store(ctx.Value(key{}))
		return nil, nil
	})
	cfg.Hooks = &aigateway.Hooks{RequestStart: func(ctx context.Context, _ aigateway.ClientRequest) context.Context {
		hooked.Store(ctx.Value(key{}))
		return nil
	}}
	g, _ := inProcess(t, cfg, gatewaytest.Chat("hello"))
	resp, err := ask(context.WithValue(t.Context(), key{}, "batch"), t, g, testbed.ChatRequest)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	res, ok := aigateway.ResultFromContext(resp.Request.Context())
	require.True(t, ok)
	assert.Equal(t, "batch", res.Client.Caller)
	assert.Equal(t, "id-batch", res.RequestID)
	assert.Equal(t, map[string]string{"of": "batch"}, res.Client.Labels)
	assert.Equal(t, "batch", hooked.Load())
	assert.Equal(t, "batch", admitted.Load())
}

// A refusal is an answer, as over a socket.
func TestInProcessRefusals(t *testing.T) {
	g, up := inProcess(t, testbed.Config(1, "a"), gatewaytest.Chat("hello"))
	resp, err := ask(t.Context(), t, g, `{"model":"unheard-of"}`)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
	assert.Contains(t, string(body), "no_matching_models")
	res, ok := aigateway.ResultFromContext(resp.Request.Context())
	require.True(t, ok)
	assert.Equal(t, aigateway.CodeNoMatchingModels, res.Error.Code)
	assert.Zero(t, up.Count())

	resp, err = g.Client().Get("https://api.example.com/v1/models")
	require.NoError(t, err)
	body, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Contains(t, string(body), `"m"`)

	resp, err = g.Client().Get("https://api.example.com/elsewhere")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
}

// Each event arrives on its own: the upstream sends the next one only when the
// caller has read the one before.
func TestInProcessStream(t *testing.T) {
	next := make(chan struct{})
	g, _ := inProcess(t, testbed.Config(1, "a"), func(w http.ResponseWriter, _ *http.Request) {
		gatewaytest.StartStream(w)
		for _, word := range []string{"one", "two", "three"} {
			gatewaytest.Send(w, gatewaytest.ChatDelta(word))
			<-next
		}
		gatewaytest.Send(w, gatewaytest.ChatStop+gatewaytest.ChatDone)
	})
	resp, err := ask(t.Context(), t, g, testbed.StreamRequest)
	require.NoError(t, err)
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for _, word := range []string{"one", "two", "three"} {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, line, word)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		next <- struct{}{}
	}
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	assert.Equal(t, gatewaytest.ChatStop+gatewaytest.ChatDone, string(rest))
	res, ok := aigateway.ResultFromContext(resp.Request.Context())
	require.True(t, ok)
	assert.Equal(t, aigateway.StatusSuccess, res.Status)
}

func TestInProcessBrokenStream(t *testing.T) {
	g, _ := inProcess(t, testbed.Config(1, "a"), func(w http.ResponseWriter, _ *http.Request) {
		gatewaytest.StartStream(w)
		gatewaytest.Send(w, gatewaytest.ChatDelta("half"))
		panic(http.ErrAbortHandler)
	})
	resp, err := ask(t.Context(), t, g, testbed.StreamRequest)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	assert.Equal(t, io.ErrUnexpectedEOF, err)
	assert.Contains(t, string(body), "half")
	assert.Contains(t, string(body), `"code":"stream_broken"`, "the error event comes before the end")
	res, ok := aigateway.ResultFromContext(resp.Request.Context())
	require.True(t, ok)
	assert.Equal(t, aigateway.CodeStreamBroken, res.Error.Code)
}

// A panic of the service's own code breaks the call, and goes to the log.
func TestInProcessPanic(t *testing.T) {
	var log strings.Builder
	cfg := testbed.Config(1, "a")
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	cfg.Hooks = &aigateway.Hooks{AttemptStart: func(context.Context, aigateway.Attempt) context.Context { panic("a bug of ours") }}
	g, _ := inProcess(t, cfg, gatewaytest.Chat("hello"))
	_, err := ask(t.Context(), t, g, testbed.ChatRequest)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Contains(t, log.String(), "a bug of ours")
}

// The context's error reaches the caller before and within an answer, and the
// upstream's request ends.
func TestInProcessCancel(t *testing.T) {
	for _, row := range []struct {
		name   string
		stream bool
	}{{"before the answer", false}, {"within it", true}} {
		t.Run(row.name, func(t *testing.T) {
			ended := make(chan struct{})
			began := make(chan struct{})
			g, _ := inProcess(t, testbed.Config(1, "a"), func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				if row.stream {
					gatewaytest.StartStream(w)
					gatewaytest.Send(w, gatewaytest.ChatDelta("half"))
				}
				close(began)
				<-r.Context().Done()
			})
			ctx, cancel := context.WithCancel(t.Context())
			if !row.stream {
				go func() { <-began; cancel() }()
				_, err := ask(ctx, t, g, testbed.ChatRequest)
				require.ErrorIs(t, err, context.Canceled)
				<-ended
				return
			}
			resp, err := ask(ctx, t, g, testbed.StreamRequest)
			require.NoError(t, err)
			defer resp.Body.Close()
			_, err = io.ReadFull(resp.Body, make([]byte, 10))
			require.NoError(t, err)
			cancel()
			_, err = io.ReadAll(resp.Body)
			require.ErrorIs(t, err, context.Canceled)
			<-ended
		})
	}
}

// An answer in a coding that the caller did not ask for is decoded, as net/http does.
func TestInProcessUnasked(t *testing.T) {
	g, _ := inProcess(t, testbed.Config(1, "a"), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, `{"choices":[{"message":{"content":"packed"}}]}`)
		z.Close()
	})
	resp, err := ask(t.Context(), t, g, testbed.ChatRequest)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), "packed")
	assert.True(t, resp.Uncompressed)
}

// A body that fails is the caller's own error, and nothing is sent.
func TestInProcessBody(t *testing.T) {
	g, up := inProcess(t, testbed.Config(1, "a"), gatewaytest.Chat("hello"))
	failed := errors.New("the file is gone")
	r, err := http.NewRequest(http.MethodPost, "https://api.example.com/v1/chat/completions", io.MultiReader(strings.NewReader(`{"model":`), failingReader{failed}))
	require.NoError(t, err)
	_, err = g.Client().Do(r)
	require.ErrorIs(t, err, failed)

	r, err = http.NewRequest(http.MethodPost, "https://api.example.com/v1/chat/completions", io.MultiReader(strings.NewReader(testbed.ChatRequest)))
	require.NoError(t, err)
	r.ContentLength = 1000
	_, err = g.Client().Do(r)
	require.ErrorContains(t, err, "ContentLength is 1000")
	assert.Zero(t, up.Count())
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// The cost follows a stream as a trailer.
func TestInProcessTrailer(t *testing.T) {
	cfg := testbed.Config(1, "a")
	cfg.ResponseHeaders = []aigateway.ResponseHeader{aigateway.HeaderCost}
	one := 1.0
	cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: &one, Output: &one}
	g, _ := inProcess(t, cfg, gatewaytest.Stream(gatewaytest.ChatDelta("hi"), gatewaytest.ChatStop,
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000000,\"completion_tokens\":0}}\n\n", gatewaytest.ChatDone))
	resp, err := ask(t.Context(), t, g, testbed.StreamRequest)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "1", resp.Trailer.Get("X-Aigateway-Cost"))
}

// Whatever ends a call, nothing of it is left: 64 callers break, cancel and close.
func TestInProcessLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	var running atomic.Int64
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Add(-1)
		body, _ := io.ReadAll(r.Body)
		gatewaytest.StartStream(w)
		gatewaytest.Send(w, gatewaytest.ChatDelta("half"))
		if strings.Contains(string(body), "break") {
			panic(http.ErrAbortHandler)
		}
		for { // more than the pipe holds
			if _, err := io.WriteString(w, gatewaytest.ChatDelta(strings.Repeat("x", 4<<10))); err != nil || r.Context().Err() != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}))
	up.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	transport := gatewaytest.BareProxyTransport()
	cfg := testbed.Config(1, "a")
	cfg.Providers[0].BaseURL = up.URL
	cfg.URLPolicy = aigateway.LoopbackURLPolicy()
	cfg.Transport = transport
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	client := g.Client()

	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for round := range 3 {
				way := []string{"break", "cancel", "close"}[(i+round)%3]
				ctx, cancel := context.WithCancel(context.Background())
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway/v1/chat/completions",
					strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"`+way+`"}]}`))
				if !assert.NoError(t, err) {
					cancel()
					return
				}
				resp, err := client.Do(r)
				if !assert.NoError(t, err) {
					cancel()
					return
				}
				switch way {
				case "break":
					_, err = io.Copy(io.Discard, resp.Body)
					assert.Equal(t, io.ErrUnexpectedEOF, err)
				case "cancel":
					cancel()
					_, err = io.Copy(io.Discard, resp.Body)
					assert.ErrorIs(t, err, context.Canceled)
				}
				assert.NoError(t, resp.Body.Close())
				cancel()
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return running.Load() == 0 }, 20*time.Second, 5*time.Millisecond, "upstream requests are left")
	transport.CloseIdleConnections()
	up.Close()
	gatewaytest.Settled(t, before)
}

package suite_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// largePrompt is a body that a call in process lends to the gateway.
func largePrompt(stream bool) []byte {
	if stream {
		return gatewaytest.ChatStreamBody("m", 256<<10)
	}
	return gatewaytest.ChatBody("m", 256<<10)
}

// lender is a gateway in front of an upstream, for calls in process.
func lender(t *testing.T, cfg aigateway.Config, upstream http.HandlerFunc) *aigateway.Gateway {
	up := gatewaytest.NewUpstream(t, upstream)
	cfg.InternalEndpoints = map[string]string{"a.internal": up.URL, "b.internal": up.URL}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g
}

// lend makes a call. The body is overwritten as soon as its owner may do so.
func lend(ctx context.Context, t *testing.T, g *aigateway.Gateway, stream bool, read func(io.Reader)) (*aigateway.Result, error) {
	t.Helper()
	body := largePrompt(stream)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway/v1/chat/completions", bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	resp, err := g.Client().Do(r)
	if err != nil {
		scribble(body)
		return nil, err
	}
	read(resp.Body)
	require.NoError(t, resp.Body.Close())
	scribble(body)
	res, _ := aigateway.ResultFromContext(resp.Request.Context())
	return res, nil
}

// scribble writes over a body. The race detector does not see a clear.
func scribble(body []byte) {
	for i := range body {
		body[i] = 'x'
	}
}

// readAll reads an answer to its end. The tests look at the Result, so an error is not
// told.
func readAll(r io.Reader) { io.Copy(io.Discard, r) }

// A large body that lies in memory is sent from there.
func TestInProcessBodyIsNotCopied(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		gatewaytest.Chat("hello")(w, r)
	}))
	defer up.Close()
	cfg := testbed.Config(1, "a")
	cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	body := largePrompt(false)
	call := func() {
		resp, err := g.Client().Post("http://gateway/v1/chat/completions", "application/json", bytes.NewReader(body))
		require.NoError(t, err)
		readAll(resp.Body)
		require.NoError(t, resp.Body.Close())
	}
	call()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const calls = 10
	for range calls {
		call()
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, (after.TotalAlloc-before.TotalAlloc)/calls, uint64(len(body))/2, "bytes allocated by a call")
}

// The upstream gets a lent body whole, from each attempt, and its owner may change it
// after the call.
func TestInProcessLentBody(t *testing.T) {
	want := largePrompt(false)
	tries := 0
	g := lender(t, testbed.Config(1, "a", "b"), func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), "attempt %d", tries)
		if tries++; tries == 1 {
			http.Error(w, `{"error":{"message":"overloaded"}}`, http.StatusServiceUnavailable)
			return
		}
		gatewaytest.Chat("hello")(w, r)
	})
	res, err := lend(t.Context(), t, g, false, readAll)
	require.NoError(t, err)
	require.NotNil(t, res)
	assert.Equal(t, aigateway.StatusSuccess, res.Status)
	assert.Equal(t, 2, tries)
}

// A Result that is made after the call has the tokens of the prompt as it was.
func TestInProcessLentBodyInTheResult(t *testing.T) {
	silent := func(w http.ResponseWriter, r *http.Request) { // it tells no usage
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"`+strings.Repeat("word ", 30)+`"},"finish_reason":"stop"}]}`)
	}
	g := lender(t, testbed.Config(1, "a"), silent)
	ctx := aigateway.WithResult(t.Context())
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/chat/completions", bytes.NewReader(largePrompt(false))))
	over, ok := aigateway.ResultFromContext(ctx)
	require.True(t, ok)
	res, err := lend(t.Context(), t, g, false, readAll)
	require.NoError(t, err)
	require.NotNil(t, res)
	require.NotNil(t, res.Usage)
	assert.Positive(t, res.Usage.InputTokens)
	assert.Equal(t, over.Usage.InputTokens, res.Usage.InputTokens)
}

// Who closes an answer early, or cancels its call, may change the body at once. Run it
// with the race detector.
func TestInProcessLentBodyOfLeavers(t *testing.T) {
	began := make(chan struct{}, 1)
	g := lender(t, testbed.Config(1, "a"), func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !bytes.Contains(body, []byte(`"stream":true`)) {
			began <- struct{}{}
			<-r.Context().Done()
			return
		}
		gatewaytest.StartStream(w)
		for r.Context().Err() == nil {
			gatewaytest.Send(w, gatewaytest.ChatDelta("word"))
		}
	})
	for range 10 {
		_, err := lend(t.Context(), t, g, true, func(body io.Reader) {
			_, err := io.ReadFull(body, make([]byte, 100))
			assert.NoError(t, err)
		})
		require.NoError(t, err)

		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("the user has left")
		go func() { <-began; cancel(cause) }()
		_, err = lend(ctx, t, g, false, readAll)
		require.ErrorIs(t, err, cause)
	}
}

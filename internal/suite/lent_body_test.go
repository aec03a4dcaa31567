package suite_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sender is a transport that goes on to send after its answer, as HTTP allows: it reads
// the rest of each body when told.
type sender struct {
	answer func(r *http.Request) (*http.Response, error)
	free   chan struct{} // the call is over, and the body has been used again
	late   sync.WaitGroup
	mu     sync.Mutex
	sent   []byte
}

func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	front := make([]byte, 1<<10)
	if _, err := io.ReadFull(r.Body, front); err != nil {
		return nil, err
	}
	again, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	for _, body := range []io.Reader{struct{ io.Reader }{r.Body}, again} {
		s.late.Go(func() {
			<-s.free
			var rest bytes.Buffer
			io.Copy(&rest, body)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sent = append(s.sent, rest.Bytes()...)
		})
	}
	return s.answer(r)
}

// told is an answer of a transport.
func told(status int, kind, body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {kind}}, ContentLength: -1,
			Body: io.NopCloser(strings.NewReader(body)), Request: r, ProtoMajor: 1, ProtoMinor: 1,
		}, nil
	}
}

// panicking is a log handler of the service that fails.
type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool { return true }
func (panicking) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "without a socket") {
		return nil
	}
	panic("the service's own code")
}

// A transport that still sends a request after its end sends nothing of what the owner of
// a lent body writes into it.
func TestInProcessLentBodyOfALateSender(t *testing.T) {
	whole := `{"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`
	event := `data: {"choices":[{"delta":{"content":"hello"}}]}` + "\n\n"
	waits := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, context.Cause(r.Context())
	}
	for name, tc := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		edit   func(*aigateway.Config)
		leaves bool
		fails  bool
	}{
		"an early answer":        {answer: told(200, "application/json", whole)},
		"an early refusal":       {answer: told(400, "application/json", `{"error":{"message":"no"}}`)},
		"early refusals of all":  {answer: told(503, "application/json", `{"error":{"message":"no"}}`)},
		"an early stream":        {answer: told(200, "text/event-stream", event+"data: [DONE]\n\n")},
		"a stream that breaks":   {answer: told(200, "text/event-stream", event), fails: true},
		"a connection that ends": {answer: func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }},
		"a caller that leaves":   {answer: waits, leaves: true},
		"a hook that panics": {answer: told(200, "application/json", whole), fails: true, edit: func(c *aigateway.Config) {
			c.Hooks = &aigateway.Hooks{AttemptDone: func(context.Context, aigateway.Attempt) { panic("the service's own code") }}
		}},
		"a logger that panics": {answer: told(503, "application/json", "no"), edit: func(c *aigateway.Config) {
			c.Logger = slog.New(panicking{slog.DiscardHandler})
		}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			cause := errors.New("the user has left")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s := &sender{answer: tc.answer, free: make(chan struct{})}
			if tc.leaves {
				s.answer = func(r *http.Request) (*http.Response, error) { cancel(cause); return tc.answer(r) }
			}
			cfg := testbed.Config(1, "a", "b")
			cfg.Transport = s
			if tc.edit != nil {
				tc.edit(&cfg)
			}
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			body := largePrompt(strings.Contains(name, "stream"))
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway/v1/chat/completions", bytes.NewReader(body))
			require.NoError(t, err)
			resp, err := g.Client().Do(r)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				require.NoError(t, resp.Body.Close())
			}
			assert.Equal(t, tc.leaves || tc.fails, err != nil, "%v", err)
			for i := range body {
				body[i] = '\x01' // it never stands in JSON
			}
			close(s.free)
			s.late.Wait()
			assert.Equal(t, -1, bytes.IndexByte(s.sent, '\x01'), "the provider got bytes of the owner's next use")
		})
	}
}

// A socket is written to from where a body lies. It is closed before the body goes back.
// Run it with the race detector.
func TestInProcessLentBodyOfAnEarlyAnswer(t *testing.T) {
	whole := gatewaytest.Chat("hello")
	g := lender(t, testbed.Config(1, "a"), func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		whole(w, r)
		http.NewResponseController(w).Flush()
		body, _ := io.ReadAll(r.Body)
		assert.Equal(t, -1, bytes.IndexByte(body, '\x01'))
	})
	for range 3 {
		body := bytes.Repeat([]byte(" "), 16<<20)
		copy(body, gatewaytest.ChatBody("m", 100))
		resp, err := g.Client().Post("http://gateway/v1/chat/completions", "application/json", bytes.NewReader(body))
		require.NoError(t, err)
		readAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		for i := range body {
			body[i] = '\x01'
		}
	}
}

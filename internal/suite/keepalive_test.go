package suite_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
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
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

const (
	keepAlive     = ": keep-alive\n\n"
	keepAlivePing = "event: ping\ndata: {\"type\": \"ping\"}\n\n"
)

// keepaliveConfig has a keepalive of a second.
func keepaliveConfig(providers ...string) aigateway.Config {
	cfg := testbed.Config(1, providers...)
	cfg.StreamKeepalive = "1s"
	return cfg
}

// withHeader is an answer with a header of its own.
func withHeader(name, value string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(name, value)
		h(w, r)
	}
}

// TestKeepaliveLargeJSON: JSON over the hold is relayed with its first write. No
// keepalive may begin an event stream between the hold and that write. If the JSON
// breaks before, the keepalive goes on for the next candidate.
func TestKeepaliveLargeJSON(t *testing.T) {
	whole := `{"choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("x", 1<<20) + `"},"finish_reason":"stop"}]}`
	// The front is over the hold. The gateway keeps it back until more comes.
	front, rest := whole[:1<<20+1], whole[1<<20+1:]
	answer := gatewaytest.ChatDelta("the answer") + gatewaytest.ChatStop + gatewaytest.ChatDone
	paused := func(end string, abort bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			gatewaytest.Send(w, front)
			fieldLate(2500*time.Millisecond, func(http.ResponseWriter, *http.Request) {})(w, r)
			if abort {
				panic(http.ErrAbortHandler)
			}
			gatewaytest.Send(w, end)
		}
	}
	t.Run("whole", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := testbed.NewScripts(t, keepaliveConfig("a"))
			s.Set("a1", paused(rest, false))
			got := testbed.AskStream(s.Harness)
			require.NoError(t, got.Err)
			assert.Equal(t, "application/json", got.Header.Get("Content-Type"))
			assert.Equal(t, whole, got.Body)
		})
	})
	t.Run("broken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := testbed.NewScripts(t, keepaliveConfig("a", "b"))
			s.Set("a1", paused("", true))
			s.Set("b1", fieldLate(1300*time.Millisecond, gatewaytest.Stream(answer)))
			got := testbed.AskStream(s.Harness)
			require.NoError(t, got.Err)
			assert.Equal(t, "text/event-stream", got.Header.Get("Content-Type"))
			assert.Equal(t, keepAlive+answer, got.Body)
		})
	})
}

// TestKeepaliveByteOrderMark: a mark is one only at the start of a stream. Behind a
// comment it would become part of a field's name, and hide the first event.
func TestKeepaliveByteOrderMark(t *testing.T) {
	whole := gatewaytest.ChatDelta("the answer") + gatewaytest.ChatStop + gatewaytest.ChatDone
	for name, tt := range map[string]struct {
		upstream http.HandlerFunc
		want     string
	}{
		"at once":  {gatewaytest.Stream("\ufeff" + whole), "\ufeff" + whole},
		"late":     {fieldLate(1500*time.Millisecond, gatewaytest.Stream("\ufeff"+whole)), keepAlive + whole},
		"alone":    {fieldLate(1500*time.Millisecond, gatewaytest.Steps("\ufeff", 100*time.Millisecond, whole)), keepAlive + whole},
		"in parts": {fieldLate(1500*time.Millisecond, gatewaytest.Steps("\xef", 100*time.Millisecond, "\xbb\xbf"+whole)), keepAlive + whole},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, keepaliveConfig("a"))
				s.Set("a1", tt.upstream)
				got := testbed.AskStream(s.Harness)
				require.NoError(t, got.Err)
				assert.Equal(t, tt.want, got.Body)
			})
		})
	}
}

// TestKeepaliveIdentity: identity is not a content coding, and a stream under it is
// a plain one.
func TestKeepaliveIdentity(t *testing.T) {
	first, rest := gatewaytest.ChatDelta("the "), gatewaytest.ChatDelta("answer")+gatewaytest.ChatStop+gatewaytest.ChatDone
	for _, coding := range []string{"identity", "Identity", "identity, identity"} {
		t.Run(coding, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, keepaliveConfig("a"))
				s.Set("a1", withHeader("Content-Encoding", coding, gatewaytest.Steps(first, 1500*time.Millisecond, rest)))
				got := testbed.AskStream(s.Harness)
				require.NoError(t, got.Err)
				assert.Equal(t, first+keepAlive+rest, got.Body)
				s.Set("a1", fieldLate(1500*time.Millisecond, withHeader("Content-Encoding", coding, gatewaytest.Stream(first+rest))))
				got = testbed.AskStream(s.Harness)
				require.NoError(t, got.Err)
				assert.Equal(t, keepAlive+first+rest, got.Body)
			})
		})
	}
}

// TestKeepaliveBoundaries: comments stand only between events, wherever the
// upstream's writes part the stream. A blank line may come in a write of its own.
func TestKeepaliveBoundaries(t *testing.T) {
	const pause = 1500 * time.Millisecond
	for name, tt := range map[string]struct {
		end     string // of lines
		at      int    // bytes of the first event's end that come before the pause
		comment bool
	}{
		"LF, whole":                {"\n", 2, true},
		"LF, without a blank line": {"\n", 1, false},
		"LF, within the line":      {"\n", 0, false},
		"CRLF, whole":              {"\r\n", 4, true},
		"CRLF, within the blank":   {"\r\n", 3, false},
		"CRLF, without a blank":    {"\r\n", 2, false},
		"CRLF, within the end":     {"\r\n", 1, false},
		"CR, whole":                {"\r", 2, true},
		"CR, without a blank line": {"\r", 1, false},
	} {
		for _, alone := range []bool{false, true} { // the bytes of the end each in a write of its own
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					first := strings.ReplaceAll(gatewaytest.ChatDelta("the "), "\n", tt.end)
					rest := strings.ReplaceAll(gatewaytest.ChatDelta("answer")+gatewaytest.ChatStop+gatewaytest.ChatDone, "\n", tt.end)
					opening := strings.ReplaceAll(gatewaytest.ChatDelta("so: "), "\n", tt.end)
					text := strings.TrimRight(first, "\r\n")
					end := first[len(text):]
					steps := []any{opening, 10 * time.Millisecond, text}
					if alone {
						for i := range tt.at {
							steps = append(steps, 10*time.Millisecond, end[i:i+1])
						}
					} else {
						steps[2] = text + end[:tt.at]
					}
					steps = append(steps, pause, end[tt.at:]+rest)
					s := testbed.NewScripts(t, keepaliveConfig("a"))
					s.Set("a1", gatewaytest.Steps(steps...))
					got := testbed.AskStream(s.Harness)
					require.NoError(t, got.Err)
					want := opening + first + rest
					if tt.comment {
						want = opening + first + keepAlive + rest
					}
					assert.Equal(t, want, got.Body)
				})
			})
		}
	}
}

// TestKeepaliveRecovered: a middleware may recover from a panic of the service's own
// code. A stream that a keepalive has begun then ends with an error event.
func TestKeepaliveRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := keepaliveConfig("a")
		s := testbed.NewScripts(t, cfg)
		cfg.Transport = s.Harness
		cfg.Hooks = &aigateway.Hooks{AttemptDone: func(context.Context, aigateway.Attempt) { panic("a bug") }}
		require.NoError(t, s.Gateway.Reload(cfg))
		s.Set("a1", fieldLate(1500*time.Millisecond, gatewaytest.Error(500, "", "no")))
		s.ServeGateway(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { recover() }()
			s.Gateway.ServeHTTP(w, r)
		}))
		got := testbed.AskStream(s.Harness)
		assert.Contains(t, got.Body, keepAlive)
		assert.Contains(t, got.Body, `"internal_error"`)
	})
}

// TestKeepaliveInProcess: the caller of a RoundTripper gets the same comments as one
// behind a socket.
func TestKeepaliveInProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := gatewaytest.ChatDelta("the answer") + gatewaytest.ChatStop + gatewaytest.ChatDone
		cfg := keepaliveConfig("a")
		s := testbed.NewScripts(t, cfg)
		s.Set("a1", fieldLate(2500*time.Millisecond, gatewaytest.Steps(whole[:30], 1200*time.Millisecond, whole[30:])))
		client := &http.Client{Transport: s.Gateway.RoundTripper()}
		resp, err := client.Post("http://gateway/v1/chat/completions", "application/json", strings.NewReader(testbed.StreamRequest))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, strings.Repeat(keepAlive, 3)+whole, string(body))
	})
}

// brokenWriter panics with the first write of a stream.
type brokenWriter struct{ http.ResponseWriter }

func (w brokenWriter) Write(p []byte) (int, error) {
	if strings.HasPrefix(string(p), ":") {
		panic("a bug")
	}
	return w.ResponseWriter.Write(p)
}

// TestKeepaliveBrokenWriter: a panic of the service's own writer is the request's,
// not that of a goroutine without a recover.
func TestKeepaliveBrokenWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testbed.NewScripts(t, keepaliveConfig("a"))
		s.Set("a1", fieldLate(1500*time.Millisecond, gatewaytest.Stream(gatewaytest.ChatDelta("x")+gatewaytest.ChatDone)))
		var recovered any
		w := brokenWriter{httptest.NewRecorder()}
		func() {
			defer func() { recovered = recover() }()
			s.Gateway.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.StreamRequest)))
		}()
		assert.Equal(t, "a bug", recovered)
	})
}

// TestKeepaliveTrailers: the cost follows a stream that a keepalive has begun, over
// HTTP/1.1 and HTTP/2.
func TestKeepaliveTrailers(t *testing.T) {
	whole := gatewaytest.ChatDelta("the answer") + gatewaytest.ChatStop +
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\n" + gatewaytest.ChatDone
	for _, protocol := range []int{1, 2} {
		for name, complete := range map[string]bool{"first content": false, "complete": true} {
			t.Run(name, func(t *testing.T) {
				begun := make(chan struct{})
				upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					select {
					case <-begun:
					case <-r.Context().Done():
						return
					}
					gatewaytest.Stream(whole)(w, r)
				}))
				defer upstream.Close()
				price := 1.0
				cfg := keepaliveConfig("a")
				cfg.ResponseHeaders = []aigateway.ResponseHeader{aigateway.HeaderCost}
				cfg.InternalEndpoints = map[string]string{"a.internal": upstream.URL}
				cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: &price, Output: &price}
				if complete {
					cfg.StreamCommit = aigateway.StreamCommitComplete
				}
				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				server := httptest.NewUnstartedServer(g)
				server.EnableHTTP2 = protocol == 2
				server.StartTLS()
				defer server.Close()
				transport := server.Client().Transport.(*http.Transport)
				transport.TLSClientConfig = &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
				transport.ForceAttemptHTTP2 = protocol == 2
				resp, err := server.Client().Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(testbed.StreamRequest))
				require.NoError(t, err)
				defer resp.Body.Close()
				require.Equal(t, protocol, resp.ProtoMajor)
				r := bufio.NewReader(resp.Body)
				line, err := r.ReadString('\n')
				require.NoError(t, err)
				assert.Equal(t, ": keep-alive\n", line)
				close(begun)
				body, err := io.ReadAll(r)
				require.NoError(t, err)
				assert.True(t, bytes.HasSuffix(body, []byte(gatewaytest.ChatDone)), "%s", body)
				assert.Equal(t, "0.000015", resp.Trailer.Get("X-Aigateway-Cost"))
			})
		}
	}
}

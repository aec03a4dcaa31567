package suite_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// upstreamConns serves connections one after the other. The function gets the
// number of the connection, from 1.
func upstreamConns(t *testing.T, serve func(n int, c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(n, c, bufio.NewReader(c))
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// upstreamRead reads one request, and reports whether one came.
func upstreamRead(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

var upstreamAnswer = func() string {
	body := gatewaytest.LeastAnswer("chat/completions", "hi", "")
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}()

// A provider may close a kept connection just as the next request goes out on
// it. The request is sent again on another connection, and the attempt does not
// fail. It fails if the connection was new, or if an answer had begun.
func TestKeptConnectionClosed(t *testing.T) {
	tests := []struct {
		name   string
		second func(c net.Conn) // what becomes of the second request on the first connection
		want   int
		conns  int32
	}{
		{"closed", func(net.Conn) {}, 200, 2},
		{"reset", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }, 200, 2},
		{"an answer that breaks off", func(c net.Conn) { io.WriteString(c, upstreamAnswer[:len(upstreamAnswer)-3]) }, 503, 1},
		{"a header that breaks off", func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200") }, 503, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var conns atomic.Int32
			url := upstreamConns(t, func(n int, c net.Conn, r *bufio.Reader) {
				conns.Add(1)
				for i := 1; upstreamRead(r); i++ {
					if n == 1 && i == 2 {
						tt.second(c)
						return
					}
					io.WriteString(c, upstreamAnswer)
				}
			})
			cfg := testbed.Config(0, "a")
			var result *aigateway.Result
			cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { result = r }}
			cfg.InternalEndpoints = map[string]string{"a.internal": url}
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			for _, want := range []int{200, tt.want} {
				w := httptest.NewRecorder()
				g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest)))
				assert.Equal(t, want, w.Code, w.Body)
			}
			assert.Equal(t, tt.conns, conns.Load())
			require.Len(t, result.ModelsTried[0].RequestsMade, 1)
			assert.Equal(t, tt.want == 200, result.ModelsTried[0].RequestsMade[0].Resent)
		})
	}
	t.Run("the first request", func(t *testing.T) {
		var conns atomic.Int32
		url := upstreamConns(t, func(_ int, _ net.Conn, r *bufio.Reader) {
			conns.Add(1)
			upstreamRead(r)
		})
		resp, _ := requestPost(t, testbed.ServeAt(t, url, testbed.Config(0, "a"))+"/v1/chat/completions", nil, testbed.StreamRequest)
		assert.Equal(t, 503, resp.StatusCode)
		assert.Equal(t, int32(1), conns.Load())
	})
}

// A request is not sent again silently after the upstream began to work on it,
// even on a kept connection.
func TestNotSentAgain(t *testing.T) {
	t.Run("a timeout of the Transport's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			harness := gatewaytest.NewHarness(t)
			harness.Host("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; asked > 1 {
					gatewaytest.Silence(w, r)
				}
				gatewaytest.Chat("")(w, r)
			}))
			cfg := testbed.Config(0, "a")
			cfg.Transport = headerTimeout{harness}
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			harness.ServeGateway(g)
			assert.Equal(t, 200, testbed.Ask(harness).Status)
			got := testbed.Ask(harness)
			assert.Equal(t, 503, got.Status)
			assert.Equal(t, time.Second, got.Took)
			assert.Equal(t, 2, asked)
		})
	})
	t.Run("after a minute of work", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			harness := testbed.Start(t, testbed.Config(0, "a"), testbed.Hosts{"a": func(w http.ResponseWriter, r *http.Request) {
				if asked++; asked > 1 {
					<-time.After(time.Minute)
					panic(http.ErrAbortHandler)
				}
				gatewaytest.Chat("")(w, r)
			}}, nil)
			assert.Equal(t, 200, testbed.Ask(harness).Status)
			got := testbed.Ask(harness)
			assert.Equal(t, 503, got.Status)
			assert.Equal(t, time.Minute, got.Took)
			assert.Equal(t, 2, asked)
		})
	})
	t.Run("a stream of HTTP/2 that is reset", func(t *testing.T) {
		var asked atomic.Int32
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) > 1 {
				panic(http.ErrAbortHandler)
			}
			gatewaytest.Chat("")(w, r)
		}))
		up.EnableHTTP2 = true
		up.StartTLS()
		defer up.Close()
		cfg := testbed.Config(0, "a")
		cfg.Providers[0].BaseURL, cfg.Transport = "https://example.com", up.Client().Transport
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		for _, want := range []int{200, 503} {
			w := httptest.NewRecorder()
			g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest)))
			assert.Equal(t, want, w.Code, w.Body)
		}
		assert.Equal(t, int32(2), asked.Load())
	})
	t.Run("a connection of HTTP/2 that a stream is on", func(t *testing.T) {
		var asked atomic.Int32
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked.Add(1) == 1 {
				gatewaytest.StartStream(w)
				gatewaytest.Send(w, gatewaytest.ChatDelta("hi"))
				<-r.Context().Done()
				return
			}
			r.Context().Value(cloudConn{}).(*tls.Conn).NetConn().Close()
		}))
		up.EnableHTTP2 = true
		up.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, cloudConn{}, c) }
		up.StartTLS()
		defer up.Close()
		cfg := testbed.Config(0, "a")
		cfg.Providers[0].BaseURL, cfg.Transport = "https://example.com", up.Client().Transport
		gateway := testbed.Serve(t, cfg)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway+"/v1/chat/completions", strings.NewReader(testbed.StreamRequest))
		require.NoError(t, err)
		stream, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer stream.Body.Close()
		resp, _ := requestPost(t, gateway+"/v1/chat/completions", nil, testbed.ChatRequest)
		assert.Equal(t, 503, resp.StatusCode)
		assert.Equal(t, int32(2), asked.Load())
	})
}

// headerTimeout gives up after a second, as a Transport of the user's own may.
type headerTimeout struct{ http.RoundTripper }

func (tr headerTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	timer := time.AfterFunc(time.Second, cancel)
	resp, err := tr.RoundTripper.RoundTrip(r.WithContext(ctx))
	if !timer.Stop() {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	}
	return resp, err
}

// An invalid status is a failed attempt, without a panic.
func TestOddStatus(t *testing.T) {
	for _, status := range []string{"000", "042", "099", "999"} {
		url := upstreamConns(t, func(_ int, c net.Conn, r *bufio.Reader) {
			upstreamRead(r)
			fmt.Fprintf(c, "HTTP/1.1 %s Odd\r\nContent-Length: 2\r\n\r\n{}", status)
		})
		resp, _ := requestPost(t, testbed.ServeAt(t, url, testbed.Config(0, "a"))+"/v1/chat/completions", nil, testbed.StreamRequest)
		want := 503
		if status == "999" {
			want = 999
		}
		assert.Equal(t, want, resp.StatusCode)
	}
}

// A refusal of the prompt's content is recognised in every shape, and is not
// routed around.
func TestContentRefusals(t *testing.T) {
	for _, body := range []string{
		`{"error":{"code":"content_filter","message":"m"}}`,
		`{"error":{"code":"content_filter","message":["a","b"]}}`,
		`{"error":{"code":"content_filter","message":"m","type":7}}`,
		`{"error":{"code":"content_filter","message":"m","innererror":"x"}}`,
		`{"error":{"code":"content_filter","message":"m"},"message":{"a":1}}`,
		`{"error":{"code":"400","type":"content_filter","message":"m"}}`,
		`{"error":{"code":"BadRequest","message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}`,
		`{"code":"content_filter","message":"m"}`,
		`[{"error":{"code":"content_filter","message":"m"}}]`,
		`{"error":{"code":"contentFilter","message":"m"}}`,
	} {
		t.Run(body, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := testbed.Start(t, testbed.Config(0, "a", "b"), testbed.Hosts{"a": gatewaytest.JSON(400, body), "b": gatewaytest.Chat("")}, nil)
				got := testbed.Ask(harness)
				assert.Equal(t, 400, got.Status)
				assert.Equal(t, body, got.Body)
				assert.Equal(t, []string{"a"}, harness.Routes())
			})
		})
	}
}

// The message of an upstream's error is read in every known shape.
func TestUpstreamsWords(t *testing.T) {
	const chat, responses = "/v1/chat/completions", "/v1/responses"
	for _, tt := range []struct {
		path string
		a    http.HandlerFunc
		want string
	}{
		{chat, gatewaytest.JSON(503, `{"error":{"message":"boom"}}`), "503 Service Unavailable: boom"},
		{chat, gatewaytest.JSON(503, `{"error":"boom"}`), "503 Service Unavailable: boom"},
		{chat, gatewaytest.JSON(503, `{"message":"boom"}`), "503 Service Unavailable: boom"},
		{chat, gatewaytest.JSON(503, `{"detail":"boom"}`), "503 Service Unavailable: boom"},
		{chat, gatewaytest.JSON(422, `{"detail":[{"loc":["body"],"msg":"boom"},{"msg":"bang"}]}`), "422 Unprocessable Entity: boom; bang"},
		{chat, gatewaytest.JSON(503, `[{"error":{"code":503,"message":"boom","status":"UNAVAILABLE"}}]`), "503 Service Unavailable: boom"},
		{chat, gatewaytest.JSON(503, `{"error":{"message":["boom","bang"]}}`), "503 Service Unavailable: boom; bang"},
		{chat, gatewaytest.JSON(503, `{"error":{}}`), "503 Service Unavailable"},
		{chat, gatewaytest.JSON(503, `[]`), "503 Service Unavailable"},
		{chat, gatewaytest.JSON(200, `{"error":{"message":"boom"}}`), "status 200 with an error: boom"},
		{chat, gatewaytest.JSON(200, `{"error":{"a":1}}`), "status 200 with an error"},
		{responses, gatewaytest.Stream("event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"boom\"}}}\n\n"),
			"the stream began with an error: boom"},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := testbed.Config(0, "a")
			var reason string
			cfg.Hooks = &aigateway.Hooks{AttemptDone: func(_ context.Context, a aigateway.Attempt) { reason, _, _ = strings.Cut(a.Error, " (") }}
			testbed.Start(t, cfg, testbed.Hosts{"a": tt.a}, nil).Post(tt.path, testbed.StreamRequest)
			assert.Equal(t, tt.want, reason)
		})
	}
}

// The client is told of no address, however deep the network's errors nest.
func TestNoAddressInErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := &net.TCPAddr{IP: net.IPv4(10, 9, 8, 7), Port: 8000}
		nested := &net.OpError{Op: "readfrom", Net: "tcp", Addr: at, Err: &net.OpError{Op: "write", Net: "tcp", Addr: at, Err: net.ErrClosed}}
		harness := testbed.Start(t, testbed.Config(0, "a"), testbed.Hosts{"a": nil}, testbed.Unreachable{"a": nested})
		got := testbed.Ask(harness)
		assert.Equal(t, 503, got.Status)
		assert.NotContains(t, got.Body, "10.9.8.7")
	})
}

// A stream is recognised by its content if its type is vague.
func TestStreamUnderVagueType(t *testing.T) {
	stream := gatewaytest.ChatDelta("x") + gatewaytest.ChatStop + gatewaytest.ChatDone
	whole := gatewaytest.LeastAnswer("chat/completions", "hi", "")
	for _, kind := range []string{"", "text/plain; charset=utf-8", "application/octet-stream"} {
		for _, tt := range []struct {
			body string
			want int
		}{
			{stream, 200}, {": hello\n\n" + stream, 200}, {"\ufeff" + stream, 200}, {"event: x\n" + stream, 200},
			{"\n\n" + stream, 200}, {whole, 200}, {"database is down", 503}, {"", 503}, {gatewaytest.ChatDelta("x"), 0},
		} {
			synctest.Test(t, func(t *testing.T) {
				harness := testbed.Start(t, testbed.Config(0, "a"), testbed.Hosts{"a": func(w http.ResponseWriter, _ *http.Request) {
					w.Header()["Content-Type"] = nil
					if kind != "" {
						w.Header().Set("Content-Type", kind)
					}
					io.WriteString(w, tt.body)
				}}, nil)
				got := harness.Post("/v1/chat/completions", testbed.StreamRequest)
				if tt.want == 0 {
					require.Error(t, got.Err, "a half stream under %q", kind)
					return
				}
				require.NoError(t, got.Err)
				assert.Equal(t, tt.want, got.Status, "%q under %q: %s", tt.body, kind, got.Body)
				if tt.want == 200 {
					assert.Equal(t, tt.body, got.Body)
					want := "text/event-stream"
					if tt.body == whole {
						want = kind // as the provider said, or did not
					}
					assert.Equal(t, want, got.Header.Get("Content-Type"))
				}
			})
		}
	}
}

// vLLM streams transcriptions in chunks like those of a chat.
func TestTranscriptionOfVLLM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chunk := func(members string) string {
			return `data: {"id":"trsc-1","object":"transcription.chunk","choices":[{` + members + `}]}` + "\n\n"
		}
		var steps []any
		for range 10 {
			steps = append(steps, chunk(`"delta":{"content":"word "}`), time.Second)
		}
		cfg := testbed.Config(0, "a")
		cfg.FirstTokenTimeout = "5s"
		harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Steps(append(steps, chunk(`"delta":{"content":""},"finish_reason":"stop"`), gatewaytest.ChatDone)...)}, nil)
		part := "--b\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n"
		got := harness.Post("/v1/audio/transcriptions", fmt.Sprintf(part, "model", "m")+fmt.Sprintf(part, "stream", "true")+"--b--\r\n", "Content-Type", "multipart/form-data; boundary=b")
		require.NoError(t, got.Err)
		assert.Equal(t, 10, strings.Count(got.Body, "word"))
		assert.True(t, strings.HasSuffix(got.Body, gatewaytest.ChatDone))
	})
}

// total_timeout bounds a counter of tokens as well.
func TestTotalTimeoutOfCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(0, "a")
		cfg.TotalTimeout, cfg.MaxInputTokens = "5s", 1
		cfg.TokenCounter = aigateway.TokenCounterFunc(func(ctx context.Context, _ string, _ []byte) (int64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		got := testbed.Ask(testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.Chat("")}, nil))
		assert.Equal(t, 5*time.Second, got.Took)
		assert.Equal(t, 504, got.Status, got.Body)
	})
}

// cutShort is an error that breaks off within its body.
func cutShort(status int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "500")
		w.WriteHeader(status)
		gatewaytest.Send(w, `{"error":{"message":"half of`)
		panic(http.ErrAbortHandler)
	}
}

// TestErrorCutShort: a 4xx whose body breaks off tells its status and its wait all the
// same. The body is the gateway's own then.
func TestErrorCutShort(t *testing.T) {
	for name, tt := range map[string]struct {
		providers  []string
		a, b       http.HandlerFunc
		status     int
		retryAfter string
		cooldown   float64 // of a's key, in milliseconds
	}{
		"a request to be mended":       {[]string{"a"}, cutShort(400, ""), nil, 400, "", 0},
		"a validation error":           {[]string{"a"}, cutShort(422, ""), nil, 422, "", 0},
		"a wait":                       {[]string{"a"}, cutShort(429, "120"), nil, 429, "120", 120_000},
		"refused by both":              {[]string{"a", "b"}, cutShort(400, ""), gatewaytest.KeyError(400, "bad"), 400, "", 0},
		"waits at both":                {[]string{"a", "b"}, cutShort(429, "120"), gatewaytest.RateLimited("7"), 429, "7", 120_000},
		"the gateway's own key":        {[]string{"a"}, cutShort(401, ""), nil, 502, "", 60_000},
		"a failure of the provider":    {[]string{"a"}, cutShort(500, ""), nil, 503, "", 0},
		"a failure after a bad choice": {[]string{"a", "b"}, cutShort(400, ""), cutShort(500, ""), 503, "", 0},
	} {
		for path, member := range map[string]string{"/v1/chat/completions": `{"error":{"message":"`, "/v1/messages": `{"type":"error","error":{"type":"`} {
			t.Run(name+path, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testbed.NewScripts(t, testbed.Config(1, tt.providers...))
					s.Set("a1", tt.a)
					s.Set("b1", tt.b)
					got := s.Post(path, testbed.ChatRequest)
					require.NoError(t, got.Err)
					assert.Equal(t, tt.status, got.Status, got.Body)
					assert.Equal(t, tt.retryAfter, got.Header.Get("Retry-After"))
					assert.Contains(t, got.Body, member)
					assert.NotContains(t, got.Body, "half of")
					assert.Equal(t, tt.cooldown, s.Result().ModelsTried[0].RequestsMade[0].CooldownMS)
				})
			})
		}
	}
}

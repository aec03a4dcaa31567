package suite_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// marks returns the mark of a request, such as ~m12~, and whether it is the only one. A
// mark stands in all that belongs to one request. A cut text may end within one.
func marks(text []byte) (own string, alone bool) {
	from := bytes.Index(text, []byte("~m"))
	if from < 0 {
		return "", true
	}
	size := bytes.IndexByte(text[from+2:], '~')
	if size < 0 {
		return "", true
	}
	own = string(text[from : from+2+size+1])
	rest := bytes.ReplaceAll(text, []byte(own), nil)
	at := bytes.Index(rest, []byte("~m"))
	return own, at < 0 || strings.HasPrefix(own, string(rest[at:]))
}

// The ways in which a provider answers a request with its mark.
var markedAnswers = []func(w http.ResponseWriter, r *http.Request, mark string, stream bool){
	func(w http.ResponseWriter, r *http.Request, mark string, stream bool) { // whole
		if stream {
			gatewaytest.StartStream(w)
			for range 20 {
				gatewaytest.Send(w, gatewaytest.ChatDelta(mark))
			}
			gatewaytest.Send(w, gatewaytest.ChatEvents(2)[0]+"data: [DONE]\n\n")
			return
		}
		gatewaytest.Chat(mark)(w, r)
	},
	func(w http.ResponseWriter, r *http.Request, mark string, stream bool) { // long
		long := strings.Repeat(mark, 30<<10)
		if stream {
			gatewaytest.StartStream(w)
			gatewaytest.Send(w, gatewaytest.ChatDelta(mark)+gatewaytest.ChatDelta(long)+gatewaytest.ChatEvents(2)[0]+"data: [DONE]\n\n")
			return
		}
		gatewaytest.Chat(long)(w, r)
	},
	func(w http.ResponseWriter, _ *http.Request, mark string, stream bool) { // compressed
		answer := gatewaytest.LeastAnswer("chat/completions", mark, "")
		w.Header().Set("Content-Type", "application/json")
		if stream {
			w.Header().Set("Content-Type", "text/event-stream")
			answer = strings.Repeat(gatewaytest.ChatDelta(mark), 30) + gatewaytest.ChatEvents(2)[0] + "data: [DONE]\n\n"
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, answer)
		z.Close()
	},
	func(w http.ResponseWriter, _ *http.Request, mark string, _ bool) { // broken behind its first words
		gatewaytest.StartStream(w)
		gatewaytest.Send(w, gatewaytest.ChatDelta(mark)+"data: {\"choices\":[{\"delta\":{\"content\":\""+mark)
		panic(http.ErrAbortHandler)
	},
	func(w http.ResponseWriter, _ *http.Request, mark string, _ bool) { // held, and failed over
		gatewaytest.StartStream(w)
		gatewaytest.Send(w, strings.Repeat(": "+mark+"\n\n", 2000)+"data: {\"error\":{\"message\":\""+mark+"\"}}\n\n")
	},
	func(w http.ResponseWriter, r *http.Request, mark string, _ bool) { // refused
		gatewaytest.Error(http.StatusServiceUnavailable, "overloaded", mark)(w, r)
	},
	func(w http.ResponseWriter, r *http.Request, mark string, stream bool) { // until the client leaves
		if stream {
			gatewaytest.StartStream(w)
			for range 50 {
				if r.Context().Err() != nil {
					return
				}
				gatewaytest.Send(w, gatewaytest.ChatDelta(mark))
			}
		}
	},
}

// markedProvider answers each request with its own mark, in a way by chance. Bodies with
// two marks are a fault. It answers before it has read a body at times.
func markedProvider(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		front := make([]byte, 2<<10)
		n, _ := io.ReadFull(r.Body, front)
		own, _ := marks(front[:n])
		early := rand.N(3) == 0
		rest := func() {
			body, _ := io.ReadAll(r.Body)
			first, alone := marks(append(front[:n:n], body...))
			assert.True(t, alone, "a provider got the bodies of two requests")
			assert.Equal(t, own, first)
			assert.Equal(t, -1, bytes.IndexByte(body, '\x01'), "a provider got bytes of no request")
		}
		if early {
			defer rest()
		} else {
			rest()
		}
		stream := bytes.Contains(front[:n], []byte(`"stream":true`))
		markedAnswers[rand.IntN(len(markedAnswers))](w, r, own, stream)
	}
}

// Requests that share the memory of earlier ones never see their bytes: neither clients
// nor providers, however either ends. Run it with the race detector.
func TestMemoryOfRequestsIsNotShared(t *testing.T) {
	up := httptest.NewUnstartedServer(markedProvider(t))
	up.Config.Protocols, up.Config.ErrorLog = new(http.Protocols), slog.NewLogLogger(slog.DiscardHandler, 0)
	up.Config.Protocols.SetHTTP1(true)
	up.Config.Protocols.SetUnencryptedHTTP2(true)
	up.Start()
	defer up.Close()
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP2 is %t", http2), func(t *testing.T) {
			cfg := testbed.Config(2, "a", "b", "c")
			cfg.Providers[1].SupportedAPISurfaces = cfg.Providers[1].SupportedAPISurfaces[:1] // it is translated for messages
			cfg.MaxAttempts, cfg.EmptyAnswers, cfg.Logger = 6, aigateway.EmptyAnswersFail, slog.New(slog.DiscardHandler)
			cfg.InternalEndpoints = map[string]string{}
			for _, id := range []string{"a", "b", "c"} {
				cfg.InternalEndpoints[id+".internal"] = up.URL
			}
			cfg.ProviderTransport = func(_ string, base *http.Transport) http.RoundTripper {
				base.Protocols = new(http.Protocols)
				base.Protocols.SetHTTP1(!http2)
				base.Protocols.SetUnencryptedHTTP2(http2)
				return base
			}
			cfg.Hooks = &aigateway.Hooks{AttemptDone: func(context.Context, aigateway.Attempt) {
				if rand.N(50) == 0 {
					panic("the service's own code")
				}
			}}
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			server := httptest.NewUnstartedServer(g)
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			server.Start()
			defer server.Close()
			var (
				numbers atomic.Int64
				whole   atomic.Int64
				wg      sync.WaitGroup
			)
			for i := range 8 {
				client, url := server.Client(), server.URL
				if i%2 == 0 {
					client, url = g.Client(), "http://gateway"
				}
				wg.Go(func() {
					body := make([]byte, 0, 300<<10)
					for n := range 16 {
						whole.Add(markedCall(t, client, url, body, numbers.Add(1), n))
						if i == 0 && n%8 == 0 {
							c := cfg
							c.StreamCommit = []aigateway.StreamCommit{aigateway.StreamCommitFirstContent, aigateway.StreamCommitComplete}[n/8%2]
							assert.NoError(t, g.Reload(c))
						}
					}
				})
			}
			wg.Wait()
			assert.Greater(t, whole.Load(), int64(8), "whole answers")
		})
	}
}

// markedCall makes one call, whose body lies in memory that is used again at once. It
// reports whether it read an answer to its end.
func markedCall(t *testing.T, client *http.Client, url string, memory []byte, number int64, n int) int64 {
	own := fmt.Sprintf("~m%d~", number)
	path := "/v1/chat/completions"
	if n%3 == 0 {
		path = "/v1/messages"
	}
	memory = append(memory, fmt.Sprintf(`{"model":"m","stream":%t,"max_tokens":50,"messages":[{"role":"user","content":"`, n%2 == 0)...)
	body := append(append(memory, strings.Repeat(own, []int{10, 8 << 10, 30 << 10}[n%3])...), `"}]}`...)
	defer func() {
		for i := range body {
			body[i] = '\x01'
		}
	}()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, bytes.NewReader(body))
	if !assert.NoError(t, err) {
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	if n%5 == 0 {
		go leave() // at any time
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	from := io.Reader(resp.Body)
	if n%4 == 0 {
		from = io.LimitReader(from, rand.Int64N(2000))
	}
	answer, err := io.ReadAll(from)
	first, alone := marks(answer)
	assert.True(t, alone && (first == "" || first == own), "the client of %s got bytes of another", own)
	assert.Equal(t, -1, bytes.IndexByte(answer, '\x01'))
	if err != nil || first == "" {
		return 0
	}
	return 1
}

package h2suite

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// got is the answer of a client.
type got struct {
	status int
	body   string
	err    error // of the body
}

func (g got) String() string {
	switch {
	case g.err != nil && g.status == http.StatusOK:
		return "broken"
	case g.err != nil:
		return g.err.Error()
	case g.status == http.StatusOK && (strings.Contains(g.body, "[DONE]") || g.body == answer):
		return "whole"
	case g.status == http.StatusOK:
		return "half an answer that looks whole: " + g.body
	}
	for _, code := range []aigateway.Code{aigateway.CodeAllProvidersFailed, aigateway.CodeRequestTimeout, aigateway.CodeUpstreamUnreachable} {
		if strings.Contains(g.body, `"`+string(code)+`"`) {
			return string(code)
		}
	}
	return g.body
}

// TestHostileUpstream opens a stream of a bystander, plays an attack on another
// stream of the same connection, and then completes the bystander's stream.
func TestHostileUpstream(t *testing.T) {
	const (
		whole   = "whole"
		broken  = "broken"
		failed  = string(aigateway.CodeAllProvidersFailed)
		timeout = string(aigateway.CodeRequestTimeout)
	)
	noWindow := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}
	tests := []struct {
		name    string
		initial []http2.Setting
		early   bool
		attack  func(r *received)
		json    bool // the victim asks for no stream
		victim  string
		// bystander is whole unless HTTP/2 ends its stream too.
		bystander   string
		connections int
	}{
		{name: "GOAWAY in the midst of an answer", victim: whole, bystander: whole, connections: 1, attack: func(r *received) {
			r.open()
			r.goAway(r.stream, http2.ErrCodeNo)
			r.complete()
		}},
		{name: "GOAWAY before the answer, and the request was not taken", victim: whole, bystander: whole, connections: 2, attack: func(r *received) {
			if r.number == 2 {
				r.goAway(r.stream-2, http2.ErrCodeNo)
				return
			}
			r.open()
			r.complete()
		}},
		{name: "GOAWAY with an error, and the end of the connection", victim: broken, bystander: broken, connections: 1, attack: func(r *received) {
			r.open()
			r.goAway(r.stream, http2.ErrCodeEnhanceYourCalm)
			r.conn.Close()
		}},
		{name: "RST_STREAM before the header", victim: failed, bystander: whole, connections: 1, attack: func(r *received) {
			r.reset(r.stream, http2.ErrCodeInternal)
		}},
		{name: "RST_STREAM before content", victim: failed, bystander: whole, connections: 1, attack: func(r *received) {
			r.header(r.stream, false, ":status", "200", "content-type", "text/event-stream")
			r.reset(r.stream, http2.ErrCodeCancel)
		}},
		{name: "RST_STREAM behind content", victim: broken, bystander: whole, connections: 1, attack: func(r *received) {
			r.open()
			r.reset(r.stream, http2.ErrCodeInternal)
		}},
		{name: "RST_STREAM without an error behind content", victim: broken, bystander: whole, connections: 1, attack: func(r *received) {
			r.open()
			r.reset(r.stream, http2.ErrCodeNo)
		}},
		{name: "a stream that is refused once", victim: whole, bystander: whole, connections: 1, attack: func(r *received) {
			if r.number == 2 {
				r.reset(r.stream, http2.ErrCodeRefusedStream)
				return
			}
			r.open()
			r.complete()
		}},
		{name: "a window of zero for a while", initial: noWindow, early: true, victim: whole, bystander: whole, connections: 1, attack: func(r *received) {
			r.pause(200 * time.Millisecond)
			r.window(r.stream, 1<<20)
			r.open()
			r.complete()
		}},
		{name: "a window of zero for ever", initial: noWindow, early: true, victim: timeout, bystander: whole, connections: 1, attack: func(*received) {}},
		{name: "a storm of SETTINGS", victim: whole, bystander: whole, connections: 1, attack: func(r *received) {
			r.open()
			for range 10 { // the victim's silences stay below per_request_timeout
				r.settingsStorm(500)
				r.data(r.stream, false, word("more"))
			}
			r.complete()
		}},
		{name: "SETTINGS that close and open the window", victim: whole, bystander: whole, connections: 1, attack: func(r *received) {
			r.open()
			for range 200 {
				r.settings(noWindow...)
				r.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
			}
			r.complete()
		}},
		{name: "a flood of PING", victim: whole, bystander: whole, connections: 1, attack: func(r *received) {
			r.open()
			for range 10 {
				r.pingFlood(1_000)
				r.data(r.stream, false, word("more"))
			}
			r.complete()
		}},
		{name: "a flood of CONTINUATION", victim: failed, bystander: broken, connections: 1, attack: func(r *received) {
			r.continuationFlood(r.stream, ":status", "200")
		}},
		{name: "a flood of CONTINUATION in the trailer", victim: broken, bystander: broken, connections: 1, attack: func(r *received) {
			r.open()
			r.continuationFlood(r.stream)
		}},
		{name: "a stream that ends with its connection", victim: broken, bystander: broken, connections: 1, attack: func(r *received) {
			r.open()
			r.conn.Close()
		}},
		{name: "JSON without END_STREAM, and the end of the connection", json: true, victim: failed, bystander: broken, connections: 1, attack: func(r *received) {
			r.header(r.stream, false, ":status", "200", "content-type", "application/json")
			r.data(r.stream, false, answer)
			r.conn.Close()
		}},
		{name: "JSON without END_STREAM", json: true, victim: timeout, bystander: whole, connections: 1, attack: func(r *received) {
			r.header(r.stream, false, ":status", "200", "content-type", "application/json")
			r.data(r.stream, false, answer)
		}},
		{name: "a stream that ends too early", victim: broken, bystander: whole, connections: 1, attack: func(r *received) {
			r.open()
			r.data(r.stream, true, "")
		}},
		{name: "less than its content-length", json: true, victim: failed, bystander: whole, connections: 1, attack: func(r *received) {
			r.header(r.stream, false, ":status", "200", "content-type", "application/json", "content-length", "1000")
			r.data(r.stream, true, answer)
		}},
		{name: "empty DATA without an end", victim: timeout, bystander: whole, connections: 1, attack: func(r *received) {
			r.header(r.stream, false, ":status", "200", "content-type", "text/event-stream")
			for range 5_000 {
				if !r.data(r.stream, false, "") {
					return
				}
			}
		}},
		// A malformed answer could end only its stream. The transport of net/http ends
		// the connection.
		{name: "a second header without an end", victim: broken, bystander: broken, connections: 1, attack: func(r *received) {
			r.open()
			r.header(r.stream, false, ":status", "200")
		}},
		{name: "a frame of a stream that nobody has opened", victim: failed, bystander: broken, connections: 1, attack: func(r *received) {
			r.data(r.stream+100, false, "x")
		}},
		{name: "PUSH_PROMISE", victim: failed, bystander: broken, connections: 1, attack: func(r *received) {
			r.write(func(f *http2.Framer) error {
				return f.WritePushPromise(http2.PushPromiseParam{StreamID: r.stream, PromiseID: 2, BlockFragment: r.fragment([]string{":path", "/"}), EndHeaders: true})
			})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, heap := runtime.NumGoroutine(), heapInUse()
			attacked := make(chan struct{})
			u := newUpstream(t, tt.initial, tt.early, func(r *received) {
				if r.number > 1 {
					tt.attack(r)
					return
				}
				r.window(r.stream, 1<<20)
				r.open()
				tick := time.NewTicker(200 * time.Millisecond) // its silences must stay below per_request_timeout
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						r.data(r.stream, false, word("more"))
					case <-attacked:
						r.complete()
						return
					case <-r.gone:
						return
					}
				}
			})
			gateway, err := aigateway.New(u.config())
			require.NoError(t, err)
			server := httptest.NewServer(gateway)
			client := server.Client()

			resp, err := client.Post(server.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true,"messages":[]}`))
			require.NoError(t, err)
			first := make([]byte, 4<<10)
			n, err := resp.Body.Read(first)
			require.NoError(t, err, "%s", first[:n])

			begin := time.Now()
			assert.Equal(t, tt.victim, ask(client, server.URL, !tt.json).String())
			assert.Less(t, time.Since(begin), bound)
			close(attacked)
			rest, err := io.ReadAll(resp.Body)
			assert.Equal(t, tt.bystander, got{resp.StatusCode, string(rest), err}.String(), "the bystander")
			resp.Body.Close()
			assert.Equal(t, tt.connections, u.connections(), "connections")
			u.mu.Lock()
			for _, p := range u.peers {
				assert.Less(t, p.written.Load(), int64(most)/4, "the gateway lets a flood go on")
			}
			u.mu.Unlock()
			assert.Less(t, heapInUse(), heap+16<<20)

			client.CloseIdleConnections()
			u.close()
			server.Close()
			gatewaytest.Settled(t, before)
		})
	}
}

// ask sends one request, and reads the answer to its end.
func ask(c *http.Client, url string, stream bool) got {
	body := `{"model":"m","messages":[]}`
	if stream {
		body = `{"model":"m","stream":true,"messages":[]}`
	}
	resp, err := c.Post(url+"/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	return got{resp.StatusCode, b.String(), err}
}

// heapInUse is the memory that is still reachable.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

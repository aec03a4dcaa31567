package h2suite

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// front is a gateway behind a server with the settings of examples/server, but with
// shorter timeouts.
type front struct {
	addr    string
	gateway *aigateway.Gateway
	server  *http.Server
	served  chan error

	provider *httptest.Server
	asked    atomic.Int64  // requests at the provider
	left     chan struct{} // one for each endless answer that the gateway has left
}

const (
	clientTimeout = 300 * time.Millisecond
	// bound is the longest time for an attack to end. It allows for a busy machine.
	bound = 10 * time.Second
)

func newFront(t *testing.T) *front {
	f := &front{left: make(chan struct{}, 1<<16), served: make(chan error, 1)}
	f.provider = httptest.NewServer(http.HandlerFunc(f.answer))
	gateway, err := aigateway.New(aigateway.Config{
		OnlyAllowConfiguredProviders: true, MaxAttempts: 1, PerRequestTimeout: "5s",
		ClientTimeout:     aigateway.Duration(clientTimeout.String()),
		InternalEndpoints: map[string]string{"p.internal": f.provider.URL},
		Providers: []aigateway.Provider{{
			ID: "p", BaseURL: "http://p.internal", APIKeys: []aigateway.APIKey{{Value: "sk-upstream"}}, Models: []aigateway.Model{{ID: "m"}},
		}},
	})
	require.NoError(t, err)
	f.gateway = gateway
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	f.server = &http.Server{
		Handler: gateway, Protocols: protocols, ReadHeaderTimeout: time.Second, IdleTimeout: 5 * time.Second,
		HTTP2:    &http.HTTP2Config{WriteByteTimeout: time.Second, SendPingTimeout: time.Second, PingTimeout: time.Second},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f.addr = l.Addr().String()
	go func() { f.served <- f.server.Serve(l) }()
	return f
}

// endless in a prompt asks for a stream without an end.
const endless = "endless"

// answer is the provider.
func (f *front) answer(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if !strings.Contains(string(body), endless) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	piece := word(strings.Repeat("x", 32<<10))
	for r.Context().Err() == nil {
		io.WriteString(w, piece)
		w.(http.Flusher).Flush()
	}
	f.left <- struct{}{}
}

// close ends the servers, after the checks that hold behind each attack.
func (f *front) close(t *testing.T) {
	t.Helper()
	assert.Equal(t, "whole", ask(http.DefaultClient, "http://"+f.addr, false).String(), "another client")
	http.DefaultClient.CloseIdleConnections()
	f.server.Close()
	<-f.served
	w := httptest.NewRecorder()
	f.gateway.DebugHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug?format=json", nil))
	var page struct {
		Total struct {
			InFlight *int `json:"in_flight"`
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
	require.NotNil(t, page.Total.InFlight)
	assert.Zero(t, *page.Total.InFlight, "in flight")
	f.provider.Close()
}

// client is a client of the front, frame by frame.
type client struct {
	*peer
	t *testing.T

	ended   chan struct{} // closed with the connection
	mu      sync.Mutex
	streams map[uint32]*reply
	goAway  *http2.ErrCode
}

// reply is the answer to one request.
type reply struct {
	status string
	body   strings.Builder
	code   http2.ErrCode // of RST_STREAM
	reset  bool
	first  chan struct{} // closed with the first DATA
	done   chan struct{} // closed with the end of the stream
}

// dial opens a connection. If reads is not set, nothing is read from it.
func (f *front) dial(t *testing.T, reads bool, initial ...http2.Setting) *client {
	conn, err := net.Dial("tcp", f.addr)
	require.NoError(t, err)
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	c := &client{peer: newPeer(conn), t: t, ended: make(chan struct{}), streams: map[uint32]*reply{}}
	c.settings(initial...)
	if reads {
		go c.read()
	}
	return c
}

func (c *client) read() {
	defer close(c.ended)
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.take(frame)
		c.mu.Unlock()
	}
}

func (c *client) take(frame http2.Frame) {
	r := c.streams[frame.Header().StreamID]
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			c.write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
		}
	case *http2.PingFrame:
		if data := f.Data; !f.IsAck() {
			c.write(func(f *http2.Framer) error { return f.WritePing(true, data) })
		}
	case *http2.GoAwayFrame:
		code := f.ErrCode
		c.goAway = &code
	case *http2.MetaHeadersFrame:
		if r != nil {
			r.status = f.PseudoValue("status")
			r.end(f.StreamEnded())
		}
	case *http2.DataFrame:
		if r != nil {
			if r.body.Len() == 0 {
				close(r.first)
			}
			r.body.Write(f.Data())
			r.end(f.StreamEnded())
		}
	case *http2.RSTStreamFrame:
		if r != nil {
			r.reset, r.code = true, f.ErrCode
			r.end(true)
		}
	}
}

func (r *reply) end(now bool) {
	select {
	case <-r.done:
	default:
		if now {
			close(r.done)
		}
	}
}

// fields are the header of a request.
func (c *client) fields(length int) []string {
	return []string{
		":method", "POST", ":scheme", "http", ":authority", c.conn.RemoteAddr().String(), ":path", "/v1/chat/completions",
		"content-type", "application/json", "content-length", strconv.Itoa(length),
	}
}

// begin sends the header of a request with a body.
func (c *client) begin(stream uint32, length int) *reply {
	r := &reply{first: make(chan struct{}), done: make(chan struct{})}
	c.mu.Lock()
	c.streams[stream] = r
	c.mu.Unlock()
	c.header(stream, false, c.fields(length)...)
	return r
}

// request sends a whole request.
func (c *client) request(stream uint32, text string) *reply {
	body := `{"model":"m","stream":` + strconv.FormatBool(text == endless) + `,"messages":[{"role":"user","content":"` + text + `"}]}`
	r := c.begin(stream, len(body))
	c.data(stream, true, body)
	return r
}

// outcome waits for the end of a stream: a status with a body, the code of a
// RST_STREAM, or the end of the connection.
func (c *client) outcome(r *reply) string {
	c.t.Helper()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-c.ended:
	case <-timer.C:
		c.t.Fatal("the stream does not end")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch body := r.body.String(); {
	case r.status == "200" && body == answer:
		return "whole"
	case r.status != "" && r.status != "200": // some servers reset the rest of a body that they do not want
		return r.status
	case r.reset:
		return r.code.String()
	default:
		return "the connection has ended"
	}
}

// away waits until the gateway has left an endless answer of its provider.
func (f *front) away(t *testing.T) {
	t.Helper()
	timer := time.NewTimer(bound)
	defer timer.Stop()
	select {
	case <-f.left:
	case <-timer.C:
		t.Fatal("the gateway still reads the answer of its provider")
	}
}

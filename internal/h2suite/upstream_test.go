package h2suite

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
)

// upstream is a provider that speaks HTTP/2 over TLS, frame by frame.
type upstream struct {
	listener net.Listener
	ca       string
	initial  []http2.Setting // its first settings
	// play answers a request whose body is whole, in a goroutine of its own. With
	// early set it is called at the header, before the body.
	play  func(r *received)
	early bool

	running  sync.WaitGroup
	mu       sync.Mutex
	conns    []net.Conn
	peers    []*peer
	requests int
}

// received is a request in the hands of the upstream.
type received struct {
	*peer
	stream uint32
	body   string
	number int           // of the upstream's requests, from 1
	gone   chan struct{} // closed with the connection
}

func newUpstream(t *testing.T, initial []http2.Setting, early bool, play func(*received)) *upstream {
	authority := gatewaytest.NewAuthority(t, "authority")
	issued := authority.Issue(nil)
	u := &upstream{ca: filepath.Join(t.TempDir(), "ca.pem"), initial: initial, early: early, play: play}
	require.NoError(t, os.WriteFile(u.ca, authority.PEM, 0o600))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{issued.Pair}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	u.listener = l
	u.running.Go(u.accept)
	return u
}

func (u *upstream) accept() {
	for {
		conn, err := u.listener.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns = append(u.conns, conn)
		u.mu.Unlock()
		u.running.Go(func() { u.serve(conn) })
	}
}

// connections counts the connections so far.
func (u *upstream) connections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.conns)
}

func (u *upstream) close() {
	u.listener.Close()
	u.mu.Lock()
	for _, c := range u.conns {
		c.Close()
	}
	u.mu.Unlock()
	u.running.Wait()
}

// serve reads the frames of a connection to its end.
func (u *upstream) serve(conn net.Conn) {
	gone := make(chan struct{})
	defer close(gone)
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	p := newPeer(conn)
	u.mu.Lock()
	u.peers = append(u.peers, p)
	u.mu.Unlock()
	p.settings(u.initial...)
	streams := map[uint32]*received{}
	start := func(r *received) { u.running.Go(func() { u.play(r) }) }
	for {
		frame, err := p.framer.ReadFrame()
		if err != nil {
			return
		}
		id := frame.Header().StreamID
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				p.write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
			}
		case *http2.MetaHeadersFrame:
			u.mu.Lock()
			u.requests++
			streams[id] = &received{peer: p, stream: id, number: u.requests, gone: gone}
			u.mu.Unlock()
			if u.early {
				start(streams[id])
			}
		case *http2.DataFrame:
			r := streams[id]
			if r == nil {
				continue
			}
			r.body += string(f.Data())
			if f.StreamEnded() && !u.early {
				start(r)
			}
		}
	}
}

// The parts of a chat completion stream.
func word(text string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", text)
}

const (
	finish = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	answer = `{"choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]}`
)

// open sends the header of a stream and its first word.
func (r *received) open() {
	r.header(r.stream, false, ":status", "200", "content-type", "text/event-stream")
	r.data(r.stream, false, word("first"))
}

// pause waits, unless the connection ends before.
func (r *received) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.gone:
	}
}

// complete sends the rest.
func (r *received) complete() { r.data(r.stream, true, word("last")+finish) }

// config has the upstream as its one provider, and one attempt.
func (u *upstream) config() aigateway.Config {
	_, port, _ := strings.Cut(u.listener.Addr().String(), ":")
	return aigateway.Config{
		OnlyAllowConfiguredProviders: true, MaxAttempts: 1, PerRequestTimeout: "1s", TotalTimeout: "5s",
		InternalEndpoints: map[string]string{"p.internal": "https://127.0.0.1:" + port},
		Providers: []aigateway.Provider{{
			ID: "p", BaseURL: "https://p.internal", TLS: aigateway.TLS{CAFile: u.ca, ServerName: "upstream.test"},
			APIKeys: []aigateway.APIKey{{Value: "sk-upstream"}}, Models: []aigateway.Model{{ID: "m"}},
		}},
	}
}

package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The values of a server in production.
func TestServerTimeouts(t *testing.T) {
	s, _ := listening(t, func(http.ResponseWriter, *http.Request) {})
	for _, server := range []*http.Server{s.server, s.admin} {
		assert.Positive(t, server.ReadHeaderTimeout)
		assert.Positive(t, server.IdleTimeout)
		assert.Positive(t, server.HTTP2.WriteByteTimeout)
		assert.Positive(t, server.HTTP2.SendPingTimeout)
		assert.Positive(t, server.HTTP2.PingTimeout)
		assert.Zero(t, server.ReadTimeout, "it would cut long requests")
		assert.Zero(t, server.WriteTimeout, "it would cut long streams")
	}
}

// A client whose windows are open but that reads nothing holds its connection no
// longer than the timeout.
func TestHTTP2ConnectionThatTakesNothing(t *testing.T) {
	ended := make(chan error, 1)
	s, _ := newTestService(t, func(w http.ResponseWriter, r *http.Request) {
		piece := make([]byte, 64<<10)
		for {
			if _, err := w.Write(piece); err != nil {
				ended <- err
				return
			}
		}
	})
	s.server.HTTP2.WriteByteTimeout = 100 * time.Millisecond
	require.NoError(t, s.listen("127.0.0.1:0", ""))
	conn := openHTTP2(t, s)
	select {
	case err := <-ended:
		assert.Error(t, err)
	case <-time.After(time.Minute): // bounds a hang only
		t.Fatal("the handler still waits for its client")
	}
	_, err := io.Copy(io.Discard, conn)
	assert.NotErrorIs(t, err, net.ErrClosed, "the server has closed the connection, not the test")
}

// A client that answers no ping has gone, whatever its network says.
func TestHTTP2ConnectionThatIsSilent(t *testing.T) {
	ended := make(chan struct{})
	s, _ := newTestService(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	})
	s.server.HTTP2.SendPingTimeout, s.server.HTTP2.PingTimeout = 50*time.Millisecond, 50*time.Millisecond
	require.NoError(t, s.listen("127.0.0.1:0", ""))
	openHTTP2(t, s)
	select {
	case <-ended:
	case <-time.After(time.Minute): // bounds a hang only
		t.Fatal("the handler still waits for its client")
	}
}

// openHTTP2 sends the start of a connection and one request, GET /, with windows that
// never close.
func openHTTP2(t *testing.T, s *service) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	const (
		headers, settings, windowUpdate = 0x1, 0x4, 0x8
		endStream, endHeaders           = 0x1, 0x4
		initialWindowSize               = 0x4
		most                            = 1<<31 - 1
	)
	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = appendFrame(out, settings, 0, 0, binary.BigEndian.AppendUint32([]byte{0, initialWindowSize}, most))
	out = appendFrame(out, windowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, most-65535))
	// :method GET, :scheme http and :path / of the static table, and :authority localhost.
	block := append([]byte{0x82, 0x86, 0x84, 0x41, 9}, "localhost"...)
	out = appendFrame(out, headers, endStream|endHeaders, 1, block)
	_, err = conn.Write(out)
	require.NoError(t, err)
	return conn
}

// appendFrame writes a frame of RFC 9113, section 4.1.
func appendFrame(out []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	out = append(out, byte(n>>16), byte(n>>8), byte(n), kind, flags)
	out = binary.BigEndian.AppendUint32(out, stream)
	return append(out, payload...)
}

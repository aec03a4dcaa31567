package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
)

// session takes the connection from its server, like a WebSocket, and lasts until the
// client or the context ends it.
func session(t *testing.T, causes chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		stop := context.AfterFunc(r.Context(), func() { conn.SetReadDeadline(time.Unix(1, 0)) })
		defer stop()
		io.WriteString(conn, "!")
		io.Copy(io.Discard, conn)
		causes <- context.Cause(r.Context())
		io.WriteString(conn, "bye")
	}
}

// listening starts a service of a handler, and opens a session.
func listening(t *testing.T, h http.Handler) (*service, *output, *net.TCPConn) {
	t.Helper()
	log := new(output)
	g, err := aigateway.New(aigateway.Config{})
	require.NoError(t, err)
	s := newService(h, slog.New(slog.NewJSONHandler(log, nil)))
	require.NoError(t, s.listen("127.0.0.1:0", "", g))
	t.Cleanup(func() { s.server.Close() })
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
	return s, log, conn.(*net.TCPConn)
}

// A session that lasts is cut at the limit, and has time for a last word.
func TestDrainCutsSessionsAtTheLimit(t *testing.T) {
	t.Parallel()
	causes := make(chan error, 1)
	s, _, conn := listening(t, session(t, causes))
	begin := time.Now()
	assert.EqualError(t, s.drain(0, 100*time.Millisecond), "1 requests still under way after 100ms")
	assert.GreaterOrEqual(t, time.Since(begin), 100*time.Millisecond)
	require.Len(t, causes, 1, "the session ends before the process")
	assert.EqualError(t, <-causes, "the server was stopped, and the request was still under way after 100ms")
	rest, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, "bye", string(rest))
}

// A drain waits for a session that ends in time.
func TestDrainWaitsForSessions(t *testing.T) {
	t.Parallel()
	causes := make(chan error, 1)
	s, log, conn := listening(t, session(t, causes))
	ended := make(chan error, 1)
	go func() { ended <- s.drain(0, time.Minute) }()
	require.Eventually(t, func() bool { // the listener is closed
		late, err := net.Dial("tcp", s.listener.Addr().String())
		if err == nil {
			late.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	require.Empty(t, ended)
	require.NoError(t, conn.CloseWrite())
	require.NoError(t, <-ended)
	assert.NoError(t, <-causes)
	assert.Contains(t, log.String(), "drained")
}

// A request whose connection is the server's is cut at the limit too, and answered.
func TestDrainCutsRequestsAtTheLimit(t *testing.T) {
	t.Parallel()
	s, _, conn := listening(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		io.WriteString(w, context.Cause(r.Context()).Error())
	}))
	assert.EqualError(t, s.drain(0, 50*time.Millisecond), "1 requests still under way after 50ms")
	text, err := io.ReadAll(bufio.NewReader(conn))
	require.NoError(t, err)
	assert.Contains(t, string(text), "the server was stopped, and the request was still under way after 50ms")
}

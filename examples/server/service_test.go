package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The context of a request that is cut off has another cause than that of a client that
// left, and the handler has time for a last word.
func TestCutOffHasACause(t *testing.T) {
	begun, causes := make(chan struct{}), make(chan error, 1)
	s, log := listening(t, func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		causes <- context.Cause(r.Context())
		io.WriteString(w, "sorry")
	})
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + s.listener.Addr().String())
		if !assert.NoError(t, err) {
			close(answer)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		answer <- string(body)
	}()
	<-begun
	assert.Equal(t, exitFailed, s.drain(0, time.Millisecond))
	assert.EqualError(t, <-causes, "the server was stopped, and the request was still under way after 1ms")
	assert.Equal(t, "sorry", <-answer)
	assert.Contains(t, log.String(), "1 requests still under way after 1ms, cutting them off")
}

// hijacked takes the connection from its server, says so, and ends with the context or
// with the client.
func hijacked(t *testing.T, causes chan<- error) http.HandlerFunc {
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

// session opens a connection that the handler takes from its server.
func session(t *testing.T, s *service) net.Conn {
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+s.listener.Addr().String()+"\r\n\r\n")
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
	return conn
}

// A session is a connection that the server does not know any more. It lasts until the
// drain's limit, is cut then, and has time for a last word.
func TestDrainCutsSessionsAtTheLimit(t *testing.T) {
	causes := make(chan error, 1)
	s, log := listening(t, hijacked(t, causes))
	conn := session(t, s)
	begin := time.Now()
	assert.Equal(t, exitFailed, s.drain(0, 100*time.Millisecond))
	assert.GreaterOrEqual(t, time.Since(begin), 100*time.Millisecond)
	require.Zero(t, s.underWay.Load(), "the session ends before the process")
	assert.EqualError(t, <-causes, "the server was stopped, and the request was still under way after 100ms")
	rest, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, "bye", string(rest))
	assert.Contains(t, log.String(), "1 requests still under way after 100ms, cutting them off")
}

// A drain waits for a session that ends in time.
func TestDrainWaitsForSessions(t *testing.T) {
	causes := make(chan error, 1)
	s, log := listening(t, hijacked(t, causes))
	conn := session(t, s)
	code := make(chan int, 1)
	go func() { code <- s.drain(0, time.Minute) }()
	require.Eventually(t, func() bool { // Shutdown has closed the listener
		late, err := net.Dial("tcp", s.listener.Addr().String())
		if err == nil {
			late.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	require.Empty(t, code)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	assert.Equal(t, exitOK, <-code)
	assert.NoError(t, <-causes)
	assert.Contains(t, log.String(), "drained")
}

// A client that leaves is not a cut.
func TestClientLeaves(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	causes := make(chan error, 1)
	s, _ := listening(t, func(_ http.ResponseWriter, r *http.Request) {
		leave()
		<-r.Context().Done()
		causes <- context.Cause(r.Context())
	})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listener.Addr().String(), nil)
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(r)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, context.Canceled, <-causes)
	assert.Equal(t, exitOK, s.drain(0, time.Minute))
}

// A connection without a whole request is closed without a complaint.
func TestDrainOfAConnectionWithoutARequest(t *testing.T) {
	s, log := listening(t, func(http.ResponseWriter, *http.Request) {})
	conn, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /v1/chat/completions HTTP/1.1\r\n")
	require.NoError(t, err)
	assert.Equal(t, exitOK, s.drain(0, 10*time.Millisecond))
	assert.Contains(t, log.String(), "drained")
}

// A listener that breaks ends the wait for the drain.
func TestServingEndsWhileDraining(t *testing.T) {
	s, log := listening(t, func(http.ResponseWriter, *http.Request) {})
	s.listener.Close()
	assert.Equal(t, exitFailed, s.drain(time.Hour, time.Minute))
	assert.Contains(t, log.String(), "serving ended")
}

// listening starts a service of a handler on free ports.
func listening(t *testing.T, h http.HandlerFunc) (*service, *bytes.Buffer) {
	t.Helper()
	s, log := newTestService(t, h)
	require.NoError(t, s.listen("127.0.0.1:0", "127.0.0.1:0"))
	return s, log
}

// newTestService makes a service that does not listen yet.
func newTestService(t *testing.T, h http.HandlerFunc) (*service, *bytes.Buffer) {
	var log bytes.Buffer
	s := newService(h, http.NotFoundHandler(), &guard{hosts{}, noOrigins(), slog.New(slog.NewJSONHandler(&log, nil))})
	t.Cleanup(func() {
		s.server.Close()
		s.admin.Close()
	})
	return s, &log
}

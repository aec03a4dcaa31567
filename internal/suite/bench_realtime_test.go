package suite_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/stretchr/testify/require"
)

// heldSessions is the number of sessions that stay open beside the measured one.
const heldSessions = 1000

// echoSession opens a WebSocket, sends a first event, and sends back what it gets.
func echoSession(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n\x81\x02{}")
	io.Copy(conn, rw.Reader)
}

// splice joins each connection with one to an address, and does nothing else.
func splice(b *testing.B, to string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer server.Close()
				go func() {
					io.Copy(struct{ io.Writer }{server}, struct{ io.Reader }{client})
					server.Close()
				}()
				io.Copy(struct{ io.Writer }{client}, struct{ io.Reader }{server})
			}()
		}
	}()
	return listener.Addr().String()
}

// openSession opens a session, and reads its first event.
func openSession(b *testing.B, addr string) (net.Conn, *bufio.Reader) {
	conn, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	b.Cleanup(func() { conn.Close() })
	_, err = io.WriteString(conn, "GET /v1/realtime?model=m HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	require.NoError(b, err)
	in := bufio.NewReaderSize(conn, 1024)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(b, err)
	require.Equal(b, http.StatusSwitchingProtocols, resp.StatusCode)
	_, err = io.ReadFull(in, make([]byte, 4))
	require.NoError(b, err)
	return conn, in
}

// inUse is the memory in use, of heap and stacks, in bytes.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// BenchmarkRealtime sends a frame of 100 bytes there and back, beside 1,000 open
// sessions. The memory is that of all sides of a session; without a middle there are two.
func BenchmarkRealtime(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(echoSession))
	b.Cleanup(func() { up.CloseClientConnections() })
	direct := strings.TrimPrefix(up.URL, "http://")
	for _, way := range []struct {
		name string
		addr func(b *testing.B) string
	}{
		{"direct", func(*testing.B) string { return direct }},
		{"splice", func(b *testing.B) string { return splice(b, direct) }},
		{"gateway", func(b *testing.B) string {
			return strings.TrimPrefix(testbed.ServeAt(b, up.URL, testbed.Config(1, "a")), "http://")
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			addr := way.addr(b)
			before := inUse()
			for range heldSessions {
				openSession(b, addr)
			}
			each := (float64(inUse()) - float64(before)) / heldSessions
			conn, in := openSession(b, addr)
			out := append([]byte{0x81, 0xe4, 0, 0, 0, 0}, strings.Repeat("x", 100)...)
			out[1] = 0x80 | 100
			got := make([]byte, len(out))
			b.ResetTimer()
			for b.Loop() {
				conn.Write(out)
				if _, err := io.ReadFull(in, got); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(each/1024, "KiB/session")
		})
	}
}

package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deadEnd is a connection that can lose everything without notice, as behind a
// firewall that has forgotten it.
type deadEnd struct {
	net.Conn
	dead *atomic.Bool
}

func (c deadEnd) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// An HTTP/2 connection whose path has died is given up within half a minute, and
// is not used for one request after the other until each has timed out. One whose
// other end only takes its time is not.
func TestDeadHTTP2Connection(t *testing.T) {
	lender := httptest.NewUnstartedServer(nil) // of its certificate
	lender.StartTLS()
	defer lender.Close()
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())

	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		dials := 0
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-time.After(3 * time.Minute) // a model that thinks
			}
			assert.Equal(t, 2, r.ProtoMajor)
		})}
		config := &tls.Config{Certificates: lender.TLS.Certificates, NextProtos: []string{"h2"}}
		tr := NewTransport(nil)
		tr.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			dials++
			near, far := net.Pipe()
			passes := &dead
			if dials > 1 {
				passes = new(atomic.Bool)
			}
			go server.Serve(&oneConn{conn: tls.Server(deadEnd{far, passes}, config)})
			c := tls.Client(deadEnd{near, passes}, &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{"h2"}})
			return c, c.HandshakeContext(ctx)
		}
		defer server.Close()
		defer tr.CloseIdleConnections()
		get := func(path string) (time.Duration, error) {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://example.com"+path, nil)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			return time.Since(begin), err
		}
		took, err := get("/slow")
		require.NoError(t, err, "it answers its pings")
		assert.Equal(t, 3*time.Minute, took)

		dead.Store(true)
		took, err = get("/")
		if err != nil { // else net/http has sent it again itself
			assert.LessOrEqual(t, took, 2*pingTimeout)
		}
		assert.Less(t, took, time.Minute)
		took, err = get("/")
		require.NoError(t, err)
		assert.Zero(t, took)
		assert.Equal(t, 2, dials)
	})
}

// oneConn is a listener with one connection.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

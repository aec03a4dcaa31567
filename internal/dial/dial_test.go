package dial_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/dial"
)

// checker records the addresses that it is asked about.
type checker struct {
	asked   []netip.Addr
	refusal error
}

func (c *checker) check(addr netip.Addr) error {
	c.asked = append(c.asked, addr)
	return c.refusal
}

// TestContext goes through an http.Transport, which has views of its own about
// what a host looks like.
func TestContext(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	overTCP := httptest.NewServer(handler)
	defer overTCP.Close()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	overUnix := &http.Server{Handler: handler}
	go overUnix.Serve(listener)
	defer overUnix.Close()

	e := address.Endpoints{}
	for name, target := range map[string]string{"tcp.internal": overTCP.URL, "unix.sock.internal": "unix://" + socket} {
		e[name], err = address.ParseEndpoint(target)
		require.NoError(t, err)
	}

	refusal := errors.New("not this address")
	loopback := netip.MustParseAddr("127.0.0.1")
	tests := []struct {
		name, host string
		policy     *checker
		asked      []netip.Addr
	}{
		{name: "TCP", host: "tcp.internal"},
		{name: "Unix", host: "unix.sock.internal"},
		{name: "TCP allowed", host: "tcp.internal", policy: &checker{}, asked: []netip.Addr{loopback}},
		{name: "Unix allowed", host: "unix.sock.internal", policy: &checker{}, asked: []netip.Addr{{}}},
		{name: "TCP refused", host: "tcp.internal", policy: &checker{refusal: refusal}, asked: []netip.Addr{loopback}},
		{name: "Unix refused", host: "unix.sock.internal", policy: &checker{refusal: refusal}, asked: []netip.Addr{{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var check func(netip.Addr) error
			if tt.policy != nil {
				check = tt.policy.check
			}
			transport := &http.Transport{DialContext: dial.Context(check)}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+tt.host+"/v1", nil)
			require.NoError(t, err)
			target, ok := e.Resolve(req.URL)
			require.True(t, ok)
			req.URL = target

			res, err := transport.RoundTrip(req)
			if tt.policy != nil {
				assert.Equal(t, tt.asked, tt.policy.asked)
				if tt.policy.refusal != nil {
					require.ErrorIs(t, err, refusal)
					var refused *dial.RefusedError
					require.ErrorAs(t, err, &refused)
					var op *net.OpError
					assert.ErrorAs(t, err, &op, "a failed connection like any other")
					return
				}
			}
			require.NoError(t, err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Equal(t, tt.host, string(body), "the Host stays the .internal one")
		})
	}
}

// TestContextAfterLookUp has a name that looks public and leads to loopback.
func TestContextAfterLookUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)

	public := address.NewPublic().Check
	socket, err := address.ParseEndpoint("unix:///run/x.sock")
	require.NoError(t, err)
	_, err = dial.Context(public)(t.Context(), "tcp", net.JoinHostPort("localhost", port))
	assert.ErrorContains(t, err, "not a public address")
	_, err = dial.Context(public)(t.Context(), "tcp", socket.Host+":80")
	assert.ErrorContains(t, err, "not a public address")

	conn, err := dial.Context(nil)(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
	require.NoError(t, err)
	conn.Close()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = dial.Context(nil)(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	assert.ErrorIs(t, err, context.Canceled)
	_, err = dial.Context(nil)(t.Context(), "tcp", "no-port")
	assert.Error(t, err)
}

// TestContextPanics: a transport dials in a goroutine of its own, where a panic of the
// check would end the process. It is a refusal.
func TestContextPanics(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	transport := &http.Transport{DialContext: dial.Context(func(netip.Addr) error { panic("no such list") })}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	_, err = transport.RoundTrip(req)
	var refused *dial.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.ErrorContains(t, err, "no such list")
}

// placed is a body in memory. It can be read too.
type placed struct {
	*bytes.Reader
	reads int
}

func (p *placed) Read(b []byte) (int, error) {
	p.reads++
	return p.Reader.Read(b)
}

func (p *placed) Len() int64 { return int64(p.Reader.Len()) }

func (p *placed) Close() error { return nil }

// The body of a request in memory is written from there. One that is longer than its
// request says fails, as with any connection.
func TestBodyIsWrittenFromItsPlace(t *testing.T) {
	whole := make(chan []byte, 2)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil {
			whole <- body
		}
	}))
	defer server.Close()
	transport := dial.NewTransport(nil)
	defer transport.CloseIdleConnections()
	send := func(body io.ReadCloser, length int) (*http.Response, error) {
		r, err := http.NewRequest(http.MethodPost, server.URL, nil)
		require.NoError(t, err)
		r.Body, r.ContentLength = body, int64(length)
		return transport.RoundTrip(r)
	}
	text := bytes.Repeat([]byte("0123456789"), 30<<10)
	body := &placed{Reader: bytes.NewReader(text)}
	resp, err := send(body, len(text))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, text, <-whole)
	assert.Zero(t, body.reads, "copied through a buffer")
	resp, err = send(io.NopCloser(io.MultiReader(bytes.NewReader(text))), len(text))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, text, <-whole, "a body that only reads")

	_, err = send(&placed{Reader: bytes.NewReader(text)}, len(text)-1)
	assert.ErrorContains(t, err, "ContentLength")
}

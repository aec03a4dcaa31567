package dial

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// bench is an upstream over pipes, in virtual time.
type bench struct {
	t      *testing.T
	server *http.Server
	config atomic.Pointer[tls.Config] // of the next connections
	dials  atomic.Int32
}

// newBench serves "/stream", which takes six minutes with a line a second, and else
// the name of the client's certificate.
func newBench(t *testing.T) *bench {
	b := &bench{t: t}
	b.server = &http.Server{ErrorLog: discard(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			for i := range 360 {
				fmt.Fprintln(w, i)
				http.NewResponseController(w).Flush()
				<-time.After(time.Second)
			}
			return
		}
		if len(r.TLS.PeerCertificates) > 0 {
			io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		}
	})}
	return b
}

func (b *bench) dial(context.Context, string, string) (net.Conn, error) {
	b.dials.Add(1)
	near, far := net.Pipe()
	go b.server.Serve(&oneConn{conn: tls.Server(buffer(far), b.config.Load())})
	return buffer(near), nil
}

// buffered is a pipe whose writes do not wait for the reader, as in a kernel: both
// ends of TLS write at the end of a handshake.
type buffered struct {
	net.Conn
	writes chan []byte
	done   chan struct{}
	close  func()
}

func buffer(conn net.Conn) net.Conn {
	b := &buffered{Conn: conn, writes: make(chan []byte, 1024), done: make(chan struct{})}
	b.close = sync.OnceFunc(func() { close(b.done) })
	go func() {
		defer conn.Close()
		for {
			select {
			case p := <-b.writes:
				if _, err := conn.Write(p); err != nil {
					return
				}
			case <-b.done:
				for len(b.writes) > 0 {
					conn.Write(<-b.writes)
				}
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case <-b.done:
		return 0, net.ErrClosed
	case b.writes <- bytes.Clone(p):
		return len(p), nil
	}
}

func (b *buffered) Close() error {
	b.close()
	return nil
}

// transport reaches the bench.
func (b *bench) transport(s Settings, report func(*FieldError)) *Transport {
	b.t.Helper()
	require.Empty(b.t, s.Check())
	m, faults := s.load()
	require.Empty(b.t, faults)
	return newRenewed(s, m, nil, b.dial, report)
}

func (b *bench) get(rt http.RoundTripper, path string) (string, error) {
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, "https://upstream.test"+path, bytes.NewReader([]byte("{}")))
	if err != nil {
		return "", err
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

// traffic sends requests until stop is closed: eight clients, each two a second.
func (b *bench) traffic(rt http.RoundTripper, stop <-chan struct{}, answer func(string)) *sync.WaitGroup {
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				got, err := b.get(rt, "/")
				assert.NoError(b.t, err)
				answer(got)
				select {
				case <-stop:
					return
				case <-time.After(500 * time.Millisecond):
				}
			}
		})
	}
	return &clients
}

func pass(d time.Duration) { <-time.After(d) }

// TestRotation replaces the authority and the client's certificate under traffic
// and under a stream. The old ones are refused in the end.
func TestRotation(t *testing.T) {
	for _, proto := range []string{"h2", "http/1.1"} {
		t.Run(proto, func(t *testing.T) {
			d := newDirectory(t)
			first, second := gatewaytest.NewAuthority(t, "first"), gatewaytest.NewAuthority(t, "second")
			one, two := first.Issue(nil), second.Issue(nil)
			s := Settings{CAFile: d.put("ca", first.PEM), CertFile: d.put("cert", one.Cert), KeyFile: d.put("key", one.Key)}
			serve := func(pair gatewaytest.Issued, clients ...*gatewaytest.Authority) *tls.Config {
				return &tls.Config{
					Certificates: []tls.Certificate{pair.Pair}, ClientCAs: gatewaytest.Pool(clients...),
					ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{proto},
				}
			}
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer b.server.Close()
				b.config.Store(serve(one, first))
				transport := b.transport(s, func(f *FieldError) { assert.Equal(t, "tls.key_file", f.Field) })
				defer transport.CloseIdleConnections()
				stop := make(chan struct{})
				var last atomic.Value
				clients := b.traffic(transport, stop, func(got string) { last.Store(got) })
				stream := make(chan string)
				go func() {
					got, err := b.get(transport, "/stream")
					assert.NoError(t, err)
					stream <- got
				}()

				const noticed = 15 * time.Second
				pass(time.Minute)
				assert.Equal(t, "of first", last.Load())
				b.config.Store(serve(one, first, second)) // the upstream takes both
				d.put("ca", append(bytes.Clone(first.PEM), second.PEM...))
				pass(noticed)
				b.config.Store(serve(two, first, second)) // and shows the new one
				pass(noticed)
				d.put("key", two.Key) // for a moment, the files do not fit
				d.put("cert", two.Cert)
				pass(noticed)
				assert.Equal(t, "of second", last.Load())
				d.put("ca", second.PEM)
				pass(noticed)
				b.config.Store(serve(two, second)) // the old ones are refused
				pass(time.Minute)
				assert.Equal(t, "of second", last.Load())
				close(stop)
				clients.Wait()
				got := <-stream
				assert.Contains(t, got, "\n359\n", "the stream is whole")
				transport.CloseIdleConnections()
				pass(2 * time.Minute)
			})
		})
	}
}

// TestBrokenFile breaks a file. The old one stays in force, and the fault is
// reported once.
func TestBrokenFile(t *testing.T) {
	d := newDirectory(t)
	first, second := gatewaytest.NewAuthority(t, "first"), gatewaytest.NewAuthority(t, "second")
	pair := first.Issue(nil)
	s := Settings{CAFile: d.put("ca", first.PEM)}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.server.Close()
		b.config.Store(&tls.Config{Certificates: []tls.Certificate{pair.Pair}, NextProtos: []string{"h2"}})
		var reports []string
		transport := b.transport(s, func(f *FieldError) { reports = append(reports, f.Field) })
		defer transport.CloseIdleConnections()
		fine := func() {
			t.Helper()
			_, err := b.get(transport, "/")
			assert.NoError(t, err)
		}
		fine()
		d.put("ca", []byte("garbage"))
		for range 40 { // also over the age of connections
			pass(15 * time.Second)
			fine()
		}
		assert.Equal(t, []string{"tls.ca_file"}, reports)
		require.NoError(t, os.Remove(s.CAFile))
		pass(15 * time.Second)
		fine()
		assert.Equal(t, []string{"tls.ca_file", "tls.ca_file"}, reports, "another fault")

		d.put("ca", second.PEM)
		pass(15 * time.Second)
		_, err := b.get(transport, "/")
		var author x509.UnknownAuthorityError
		require.ErrorAs(t, err, &author, "the new one holds, also for sessions of the old")
		d.put("ca", first.PEM)
		pass(time.Hour) // without traffic
		fine()
		assert.Len(t, reports, 2)
	})
}

// TestAge has connections grow old under traffic, at an address that has moved.
func TestAge(t *testing.T) {
	for _, proto := range []string{"h2", "http/1.1"} {
		t.Run(proto, func(t *testing.T) {
			ca := gatewaytest.NewAuthority(t, "ca")
			pair := ca.Issue(nil)
			s := Settings{CAFile: newDirectory(t).put("ca", ca.PEM)}
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				defer b.server.Close()
				b.config.Store(&tls.Config{Certificates: []tls.Certificate{pair.Pair}, NextProtos: []string{proto}})
				transport := b.transport(s, nil)
				stop := make(chan struct{})
				clients := b.traffic(transport, stop, func(string) {})
				stream := make(chan string)
				go func() {
					got, err := b.get(transport, "/stream")
					assert.NoError(t, err)
					stream <- got
				}()
				pass(3 * time.Minute)
				before := b.dials.Load()
				old := transport.current.Load().Transport
				pass(maxAge)
				assert.Greater(t, b.dials.Load(), before)
				assert.NotSame(t, old, transport.current.Load().Transport)
				assert.Contains(t, <-stream, "\n359\n", "the stream is whole")
				close(stop)
				clients.Wait()
				transport.CloseIdleConnections()
				pass(2 * time.Minute) // idle connections of the old ones end
			})
		})
	}
}

// TestBase changes the Base of a Transport, wraps it, and sees its connections age.
func TestBase(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	ca := gatewaytest.NewAuthority(t, "ca")
	pair := ca.Issue(nil)
	s := Settings{CAFile: newDirectory(t).put("ca", ca.PEM)}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.server.Close()
		b.config.Store(&tls.Config{Certificates: []tls.Certificate{pair.Pair}, NextProtos: []string{"h2"}})
		transport := b.transport(s, nil)
		base := transport.Base()
		dial := base.DialTLSContext
		var dialled atomic.Int32
		base.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled.Add(1)
			return dial(ctx, network, addr)
		}
		for range 3 {
			_, err := b.get(base, "/")
			require.NoError(t, err)
		}
		assert.EqualValues(t, 1, dialled.Load())
		pass(maxAge)
		_, err := b.get(base, "/")
		require.NoError(t, err)
		assert.EqualValues(t, 2, dialled.Load())
		synctest.Wait() // the stream has ended
		base.CloseIdleConnections()
		_, err = b.get(base, "/")
		require.NoError(t, err)
		assert.EqualValues(t, 3, dialled.Load(), "its idle connections were closed")
		clone := base.Clone()
		_, err = b.get(clone, "/")
		require.NoError(t, err)
		clone.CloseIdleConnections()
		base.CloseIdleConnections()
	})
	assert.Empty(t, logged.String())
}

// TestTransports keeps connections where the settings have not changed.
func TestTransports(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = discard()
	server.StartTLS()
	defer server.Close()
	d := newDirectory(t)
	ca := gatewaytest.NewAuthority(t, "ca")
	s := Settings{CAFile: d.put("ca", ca.PEM)}
	make := func(p Plan, old *Transports) *Transports {
		t.Helper()
		made, err := NewTransports(p, old)
		require.NoError(t, err)
		return made
	}
	plan := Plan{Providers: map[string]Settings{"a": s, "b": {}, "c": {Proxy: "none"}}}
	first := make(plan, nil)
	assert.Same(t, first.For("b"), first.For("unlisted"))
	assert.NotSame(t, first.For("a"), first.For("b"))

	var reported []string
	plan.Report = func(id string, f *FieldError) { reported = append(reported, id+" "+f.Field) }
	plan.Providers["c"] = Settings{}
	second := make(plan, first)
	first.Retire(second)
	assert.Same(t, first.For("a"), second.For("a"))
	assert.Same(t, first.For("b"), second.For("b"))
	assert.Same(t, second.For("b"), second.For("c"))
	d.put("ca", nil)
	get(t, second.For("a"), server.URL)
	assert.Equal(t, []string{"a tls.ca_file"}, reported, "the next request looks at once, and the new report is told")

	var wrapped []string
	plan.Wrap = func(id string, base *http.Transport) http.RoundTripper {
		wrapped = append(wrapped, id)
		if id == "b" {
			return nil
		}
		return base
	}
	_, err := NewTransports(plan, second)
	var fault *ProviderError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, "a", fault.ID)
	assert.Equal(t, "tls.ca_file", fault.Fault.Field)
	d.put("ca", ca.PEM)
	wrapped = nil
	third := make(plan, second)
	assert.Equal(t, []string{"a", "b", "c"}, wrapped)
	assert.NotSame(t, third.For("c"), third.For("b"))
	assert.IsType(t, new(http.Transport), third.For("a"))
	assert.IsType(t, new(Transport), third.For("b"))
	fourth := make(plan, third)
	assert.NotSame(t, third.For("a"), fourth.For("a"), "a wrapped base is never changed twice")
	third.Retire(fourth)
}

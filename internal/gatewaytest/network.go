// Package gatewaytest holds the parts of the gateway's tests: an in-memory
// network for virtual time, and scripted providers with a record of their
// requests. It does not import the root package, so every test may use it.
package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Network connects HTTP clients and servers in memory, over net.Pipe. A
// testing/synctest bubble can hold both ends; its clock would stand still while
// a goroutine waits for a real socket.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*listener
}

// NewNetwork returns a network without hosts.
func NewNetwork() *Network { return &Network{hosts: map[string]*listener{}} }

// Serve answers requests to a host, such as "a.internal" or "a.internal:8080",
// until the test ends.
func (n *Network) Serve(t testing.TB, host string, h http.Handler) {
	t.Helper()
	l := n.Listen(host)
	server := &http.Server{Handler: h}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving %s: %v", host, err)
		}
	}()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
}

// Listen returns a listener for a host, such as "a.internal". A host has one
// listener: a second call replaces the first.
func (n *Network) Listen(host string) net.Listener {
	l := &listener{host: host, conns: make(chan net.Conn), done: make(chan struct{})}
	n.mu.Lock()
	n.hosts[withPort(host)] = l
	n.mu.Unlock()
	return l
}

// Transport returns a transport for the network's hosts. Every other address
// refuses the connection. Idle connections are closed when the test ends.
func (n *Network) Transport(t testing.TB) *http.Transport {
	tr := &http.Transport{DialContext: n.Dial, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// Dial connects to a listener. Every other address refuses the connection.
func (n *Network) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.hosts[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("connect %s: connection refused", addr)}
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
}

func withPort(host string) string {
	if strings.Contains(host, ":") {
		return host
	}
	return host + ":80"
}

// listener accepts the server's ends of the pipes.
type listener struct {
	host  string
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is the host's name.
func (l *listener) Addr() net.Addr { return hostAddr(l.host) }

type hostAddr string

func (hostAddr) Network() string  { return "pipe" }
func (a hostAddr) String() string { return string(a) }

package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
)

// connections are those to the servers, with their states.
type connections struct {
	mu   sync.Mutex
	open map[net.Conn]http.ConnState
}

func (c *connections) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.open, conn)
	default:
		c.open[conn] = state
	}
}

// count returns the open connections, and how many of them serve a request.
func (c *connections) count() (open, busy int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, state := range c.open {
		if state == http.StateActive {
			busy++
		}
	}
	return len(c.open), busy
}

// serve starts a server. It speaks HTTP/1.1 and HTTP/2, with or without TLS.
func (s *soak) serve(h http.Handler, withTLS bool) *httptest.Server {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handlers abort, and clients leave
	server.Config.ConnState = s.connections.note
	server.Config.ConnContext = withConn
	if withTLS {
		server.EnableHTTP2 = true
		server.StartTLS()
		return server
	}
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	return server
}

// way is how clients reach the gateway.
type way struct {
	name   string
	url    string
	client *http.Client
	// inProcess is set for calls without a socket. Their bodies are the callers' own again
	// as soon as the call is over.
	inProcess bool
}

// ways are all combinations of HTTP/1.1 and HTTP/2 with TLS and without, and calls within
// the process.
func (s *soak) ways() []way {
	var list []way
	for _, w := range []struct {
		name    string
		server  *httptest.Server
		version int
	}{
		{"HTTP/1.1", s.plain, 1}, {"HTTP/2", s.plain, 2}, {"HTTP/1.1 over TLS", s.encrypted, 1}, {"HTTP/2 over TLS", s.encrypted, 2},
	} {
		t := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, Protocols: new(http.Protocols)}
		t.Protocols.SetHTTP1(w.version == 1)
		t.Protocols.SetHTTP2(w.version == 2)
		t.Protocols.SetUnencryptedHTTP2(w.version == 2)
		if w.server == s.encrypted {
			t.TLSClientConfig = w.server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			t.TLSClientConfig.NextProtos = nil
		}
		list = append(list, way{name: w.name, url: w.server.URL, client: &http.Client{Transport: t}})
	}
	return append(list, way{name: "in process", url: "http://gateway.internal", client: s.gateway.Client(), inProcess: true})
}

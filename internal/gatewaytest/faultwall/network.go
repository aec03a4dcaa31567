package faultwall

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// Network is the network of a wall: loopback sockets in real time, or pipes in
// the virtual time of a synctest bubble.
type Network interface {
	// listen returns a listener for name.internal, and its URL for
	// internal_endpoints. The URL is empty if the transport dials the name
	// itself.
	listen(name string) (net.Listener, string, error)
	// transport reaches the listeners. If nil, every transport does.
	transport() *http.Transport
}

// Loopback is the network of real sockets.
func Loopback() Network { return loopback{} }

type loopback struct{}

func (loopback) listen(string) (net.Listener, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	return l, "http://" + l.Addr().String(), nil
}

func (loopback) transport() *http.Transport { return nil }

// InMemory is the network of a synctest bubble. Pipes have no RST: a reset just
// closes the connection.
func InMemory() Network { return inMemory{gatewaytest.NewNetwork()} }

type inMemory struct{ network *gatewaytest.Network }

func (m inMemory) listen(name string) (net.Listener, string, error) {
	return m.network.Listen(name + ".internal"), "", nil
}

func (m inMemory) transport() *http.Transport {
	return &http.Transport{DialContext: m.network.Dial, DisableCompression: true}
}

// unknownHosts is a transport whose name server knows no names. Addresses need
// no name server.
func unknownHosts() *http.Transport {
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerNoSuchName(server)
		return client, nil
	}}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Resolver: resolver}
	return &http.Transport{DialContext: dialer.DialContext, DisableCompression: true}
}

// answerNoSuchName answers DNS questions over TCP. The answer is the question
// itself, marked NXDOMAIN and without entries.
func answerNoSuchName(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		msg := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, msg); err != nil || len(msg) < 12 {
			return
		}
		msg[2] |= 0x80                          // an answer
		msg[3] = 0x83                           // recursion is available; there is no such name
		binary.BigEndian.PutUint16(msg[10:], 0) // no additional records
		if end := questionEnd(msg); end > 0 {
			msg = msg[:end]
		}
		binary.BigEndian.PutUint16(size[:], uint16(len(msg)))
		if _, err := c.Write(append(size[:], msg...)); err != nil {
			return
		}
	}
}

// questionEnd returns the end of a message's question.
func questionEnd(msg []byte) int {
	at := 12
	for at < len(msg) && msg[at] != 0 {
		at += int(msg[at]) + 1
	}
	if at+5 > len(msg) {
		return 0
	}
	return at + 5
}

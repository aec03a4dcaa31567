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

// Network is the network that a wall stands on: loopback sockets in real time, or
// pipes in the virtual time of a synctest bubble.
type Network interface {
	// listen returns a listener for name.internal, and the URL that a config
	// has to give for it. The URL is empty if the name itself can be dialled.
	listen(name string) (net.Listener, string, error)
	// transport reaches the listeners. Nil means that every transport does.
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

// InMemory is the network of a synctest bubble. A pipe has no RST: a reset is a
// connection that is closed.
func InMemory() Network { return inMemory{gatewaytest.NewNetwork()} }

type inMemory struct{ network *gatewaytest.Network }

func (m inMemory) listen(name string) (net.Listener, string, error) {
	return m.network.Listen(name + ".internal"), "", nil
}

func (m inMemory) transport() *http.Transport {
	return &http.Transport{DialContext: m.network.Dial, DisableCompression: true}
}

// unknownHosts is a transport whose name server knows no name, however often it
// is asked. Addresses need no name server.
func unknownHosts() *http.Transport {
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerNoSuchName(server)
		return client, nil
	}}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Resolver: resolver}
	return &http.Transport{DialContext: dialer.DialContext, DisableCompression: true}
}

// answerNoSuchName answers DNS questions, as over TCP: the question itself, as
// an answer without entries that says NXDOMAIN.
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

// questionEnd is where the question of a message ends.
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

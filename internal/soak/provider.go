package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/coding"
)

// exchange is one request in the hands of a behaviour.
type exchange struct {
	format
	w      http.ResponseWriter
	r      *http.Request
	id     string
	stream bool
	words  []string // of the good answer
	intN   func(int) int
}

// The header fields of answers: two of a provider's, and one of the gateway's.
const (
	headerID         = "X-Soak-Id"       // of the request
	headerProtocol   = "X-Soak-Protocol" // between gateway and provider
	headerTranslated = "X-Aigateway-Translated"
)

// A provider plays a fault for a share of its requests. The first two providers
// play fewer: else all would be in cooldown all the time.
func (s *soak) provider(i int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, ok := s.exchange(w, r)
		if !ok {
			return
		}
		w.Header().Set(headerID, x.id)
		w.Header().Set(headerProtocol, strconv.Itoa(r.ProtoMajor))
		if s.secrets.outdated(r) {
			status(http.StatusUnauthorized)(x)
			return
		}
		share := 3
		if i < 2 {
			share = 6
		}
		n := s.random.intN(share * len(faults))
		if n < len(faults) && s.played[n].Load() > 0 { // one that is still to be played goes first
			for i := range faults {
				if s.played[i].Load() == 0 {
					n = i
				}
			}
		}
		if n < len(faults) {
			s.played[n].Add(1)
			faults[n].play(x)
			return
		}
		wellFormed[s.random.intN(len(wellFormed))](x)
	})
}

// exchange reads the request. It is false for a request that the gateway has left.
func (s *soak) exchange(w http.ResponseWriter, r *http.Request) (*exchange, bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, false
	}
	if body, err = coding.DecodeRequest(body, r.Header.Get("Content-Encoding"), 16<<20); err != nil {
		s.fault("a request came to the provider broken: %v", err)
		return nil, false
	}
	ids := requestID.FindAllSubmatch(body, -1)
	if len(ids) != 1 {
		s.fault("a request came to the provider with %d ids: %.200s", len(ids), body)
		return nil, false
	}
	f, ok := formats[r.URL.Path]
	if !ok {
		s.fault("a request came to the provider at %s", r.URL.Path)
		return nil, false
	}
	x := &exchange{format: f, w: w, r: r, id: string(ids[0][1]), stream: bytes.Contains(body, []byte(`"stream":true`)), intN: s.random.intN}
	x.words = answerWords(x.id, 2+s.random.intN(40))
	if bytes.Contains(body, []byte(askForMuch)) {
		x.words = answerWords(x.id, 64)
		fill(x.words, 64<<10)
	}
	return x, true
}

// askForMuch in a prompt gets an answer of 4 MiB.
const askForMuch = "Say much."

// whole is the good answer in one piece, with its type.
func (x *exchange) whole() (kind, body string) {
	if x.stream {
		return "text/event-stream", x.format.stream(x.words)
	}
	return "application/json", x.format.whole(strings.Join(x.words, ""))
}

func (x *exchange) answer(status int, kind, body string) {
	x.w.Header().Set("Content-Type", kind)
	x.w.WriteHeader(status)
	io.WriteString(x.w, body)
}

// send sends parts of an answer, each at once.
func (x *exchange) send(parts ...string) {
	if x.w.Header().Get("Content-Type") == "" {
		x.w.Header().Set("Content-Type", "text/event-stream")
	}
	for _, part := range parts {
		io.WriteString(x.w, part)
		x.w.(http.Flusher).Flush()
	}
}

// half sends the stream up to half of its words.
func (x *exchange) half() {
	x.send(x.opening)
	x.sendWords(0, (len(x.words)+1)/2)
}

// rest sends the other words.
func (x *exchange) rest() { x.sendWords((len(x.words)+1)/2, len(x.words)) }

func (x *exchange) sendWords(from, to int) {
	for _, w := range x.words[from:to] {
		x.send(x.piece(w))
	}
}

// pause waits, unless the gateway leaves before.
func (x *exchange) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.r.Context().Done():
	}
}

// silence waits until the gateway leaves.
func (x *exchange) silence() { <-x.r.Context().Done() }

type connKey struct{}

// withConn makes the connection known to its exchanges.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// breakConn writes bytes to the TCP connection, under its TLS if it has any, and
// closes it. In HTTP/2 all streams of the connection end with it, or the own one only.
func (x *exchange) breakConn(bytes string, linger int) {
	if x.r.ProtoMajor == 2 && x.intN(3) > 0 { // else few answers of HTTP/2 would come to their end
		panic(http.ErrAbortHandler)
	}
	c := x.r.Context().Value(connKey{}).(net.Conn)
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	c.SetWriteDeadline(time.Now().Add(time.Second))
	io.WriteString(c, bytes)
	if c, ok := c.(*net.TCPConn); ok {
		c.SetLinger(linger)
	}
	c.Close()
	panic(http.ErrAbortHandler)
}

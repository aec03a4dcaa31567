package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// faults chooses faults at random. It plays the providers, and the store of secrets as
// well. It is safe for concurrent use.
type faults struct {
	mu  sync.Mutex
	rng *rand.Rand
	zip []byte
}

func newFaults(seed uint64) *faults {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, chatAnswer("zipped"))
	z.Close()
	return &faults{rng: rand.New(rand.NewPCG(seed, seed)), zip: b.Bytes()} //nolint:gosec // chance, and no secret
}

func (f *faults) intN(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(n)
}

// ResolveSecret fails now and then.
func (f *faults) ResolveSecret(_ context.Context, _, name string) (string, error) {
	if f.intN(20) == 0 {
		return "", errors.New("the store is down")
	}
	return fmt.Sprintf("sk-%s-%d", name, f.intN(3)), nil
}

// provider answers well in about half of all cases, the first one more often. Else all
// of them would be in cooldown all the time.
func (f *faults) provider(i int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		stream := bytes.Contains(body, []byte(`"stream":true`))
		n := f.intN(30 + 30/(i+1))
		if n >= len(behaviours) {
			n = 0
		}
		behaviours[n](f, w, r, stream)
	})
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

func chatAnswer(text string) string {
	return fmt.Sprintf(`{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`, text)
}

const (
	role  = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"
	delta = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n"
	ended = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
)

func answer(w http.ResponseWriter, status int, kind, body string) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// events sends a part of a stream.
func events(w http.ResponseWriter, list ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range list {
		io.WriteString(w, e)
		w.(http.Flusher).Flush()
	}
}

// pause waits, unless the gateway leaves before.
func pause(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// hijack takes the connection.
func hijack(w http.ResponseWriter, f func(net.Conn)) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	f(conn)
}

type behaviour func(f *faults, w http.ResponseWriter, r *http.Request, stream bool)

func status(code int, header ...string) behaviour {
	return func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		answer(w, code, "application/json", fmt.Sprintf(`{"error":{"message":"status %d","type":"x","code":"x"}}`, code))
	}
}

// behaviours are those of a provider. The first is a good answer.
var behaviours = [...]behaviour{
	func(f *faults, w http.ResponseWriter, _ *http.Request, stream bool) {
		if !stream {
			answer(w, 200, "application/json", chatAnswer(strings.Repeat("x", f.intN(4000))))
			return
		}
		events(w, role)
		for range f.intN(40) {
			events(w, delta)
		}
		events(w, delta, ended)
	},
	status(429, "Retry-After-Ms", "20"), status(429, "Retry-After", "1"), status(500), status(503), status(401), status(403), status(400), status(404),
	status(307, "Location", "http://example.com/"),
	func(*faults, http.ResponseWriter, *http.Request, bool) { panic(http.ErrAbortHandler) },
	func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) { // half a stream
		events(w, role, delta, delta)
		panic(http.ErrAbortHandler)
	},
	func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) { events(w, role, delta) }, // without its end
	func(_ *faults, w http.ResponseWriter, r *http.Request, _ bool) { // a stall
		events(w, role, delta)
		pause(r, 3*time.Second)
	},
	func(_ *faults, _ http.ResponseWriter, r *http.Request, _ bool) { pause(r, 3*time.Second) }, // silence
	func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) {
		events(w, role, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n")
	},
	func(_ *faults, w http.ResponseWriter, r *http.Request, _ bool) { // a slow drip
		for range 8 {
			events(w, delta)
			pause(r, 30*time.Millisecond)
		}
		events(w, ended)
	},
	func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) {
		answer(w, 200, "application/json", chatAnswer(strings.Repeat("y", 3<<20)))
	},
	func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) {
		answer(w, 200, "text/html", "<html>sign in</html>")
	},
	func(f *faults, w http.ResponseWriter, _ *http.Request, _ bool) {
		w.Header().Set("Content-Encoding", "gzip")
		answer(w, 200, "application/json", string(f.zip))
	},
	func(f *faults, w http.ResponseWriter, _ *http.Request, _ bool) { // cut in the compression
		w.Header().Set("Content-Encoding", "gzip")
		answer(w, 200, "application/json", string(f.zip[:len(f.zip)/2]))
	},
	func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) {
		hijack(w, func(c net.Conn) { io.WriteString(c, "this is not HTTP\r\n\r\n") })
	},
	func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) { // a reset
		hijack(w, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) })
	},
	func(_ *faults, w http.ResponseWriter, _ *http.Request, _ bool) { // an endless header
		hijack(w, func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for range 400 {
				if _, err := io.WriteString(c, "X-Pad: "+strings.Repeat("z", 1000)+"\r\n"); err != nil {
					return
				}
			}
		})
	},
}

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// The models of the upstream. The name selects the answer. It stands at the
// front of the body: both handlers find it at once.
const (
	modelSmall = "small" // 1.2 KB of JSON
	modelLarge = "large" // 1 MB of JSON
	modelFast  = "fast"  // a stream of 41 events with no gap
	modelSlow  = "slow"  // a stream without end, of an event every slowGap
)

const (
	streamEvents = 41
	slowGap      = 2 * time.Second
	// slowTime marks the time of sending in an event of the slow model.
	slowTime = `"sent":`
)

// serveUpstream is the provider of all measurements. It writes just enough HTTP
// by hand: its cost is added to both sides of each ratio, and would make them
// look alike.
func serveUpstream(l net.Listener) error {
	answers := map[string][]byte{
		modelSmall: whole(gatewaytest.ChatAnswer(1200)),
		modelLarge: whole(gatewaytest.ChatAnswer(1 << 20)),
	}
	var events [][]byte
	for _, e := range gatewaytest.ChatEvents(streamEvents) {
		events = append(events, chunk(e))
	}
	events[0] = append([]byte(streamHeader), events[0]...)
	events[len(events)-1] = append(events[len(events)-1], "0\r\n\r\n"...)
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			in := bufio.NewReaderSize(c, 64<<10)
			for {
				model, err := readRequest(in)
				if err != nil {
					return
				}
				switch model {
				case modelFast:
					for _, e := range events {
						if _, err = c.Write(e); err != nil {
							return
						}
					}
				case modelSlow:
					slowStream(c)
					return
				default:
					_, err = c.Write(answers[model])
				}
				if err != nil {
					return
				}
			}
		}()
	}
}

const streamHeader = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Request-Id: req_1\r\n\r\n"

func whole(body []byte) []byte {
	return append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Request-Id: req_1\r\n\r\n", len(body)), body...)
}

func chunk(event string) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(event), event) }

// slowStream sends events until the other side leaves.
func slowStream(c net.Conn) {
	header := streamHeader
	gap := time.NewTicker(slowGap)
	defer gap.Stop()
	for {
		event := fmt.Sprintf(`data: {"id":"chatcmpl-1",%s%d,"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}`+"\n\n",
			slowTime, time.Now().UnixNano())
		if _, err := c.Write(append([]byte(header), chunk(event)...)); err != nil {
			return
		}
		header = ""
		<-gap.C
	}
}

// readRequest reads a request to its end, and returns its model.
func readRequest(in *bufio.Reader) (model string, err error) {
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", err
			}
		}
	}
	front, err := in.Peek(min(length, 64))
	if err != nil {
		return "", err
	}
	model = modelIn(front)
	_, err = in.Discard(length)
	return model, err
}

// modelIn returns the model of a body, of which it sees the front.
func modelIn(front []byte) string {
	_, rest, _ := bytes.Cut(front, []byte(`"model":"`))
	name, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(name)
}

// tlsName is a name in the certificate of the TLS upstream.
const tlsName = "example.com"

// serveTLSUpstream is the upstream of the rows with TLS and HTTP/2: a server of
// net/http. It is in both sides of the ratio.
func serveTLSUpstream(l net.Listener) {
	answers := map[string][]byte{modelSmall: gatewaytest.ChatAnswer(1200), modelLarge: gatewaytest.ChatAnswer(1 << 20)}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			http.Error(w, "the row is about HTTP/2", http.StatusHTTPVersionNotSupported)
			return
		}
		in := bufio.NewReader(r.Body)
		front, _ := in.Peek(64)
		model := modelIn(front)
		io.Copy(io.Discard, in)
		if model != modelFast {
			w.Header().Set("Content-Type", "application/json")
			w.Write(answers[model])
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range gatewaytest.ChatEvents(streamEvents) {
			io.WriteString(w, e)
			w.(http.Flusher).Flush()
		}
	}))
	s.Listener.Close()
	s.Listener, s.EnableHTTP2 = l, true
	s.StartTLS()
}

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// provider is a stand-in for all providers. It speaks chat/completions, and a request
// says in its prompt how it is answered: "status=429", "retry=2" (seconds), "hold=1s",
// "cut" within the answer. The host good.internal obeys but "slow=1s".
type provider struct {
	URL    string
	server *http.Server

	open  atomic.Int64 // connections
	mu    sync.Mutex
	hosts map[string]*traffic
}

// traffic is what one .internal host has seen.
type traffic struct {
	requests, now, most int
}

var (
	wantStatus = regexp.MustCompile(`status=(\d+)`)
	wantRetry  = regexp.MustCompile(`retry=(\d+)`)
	wantHold   = regexp.MustCompile(`hold=(\w+)`)
	wantSlow   = regexp.MustCompile(`slow=(\w+)`)
	wantCut    = regexp.MustCompile(`\bcut\b`)
	wantStream = regexp.MustCompile(`"stream": ?true`)
)

func startProvider() (*provider, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &provider{URL: "http://" + l.Addr().String(), hosts: map[string]*traffic{}}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			p.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			p.open.Add(-1)
		case http.StateActive, http.StateIdle:
		}
	}}
	go func() { _ = p.server.Serve(l) }() // it ends with close
	return p, nil
}

func (p *provider) close() { _ = p.server.Close() }

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer p.count(r.Host)()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway has left
	}
	if !rest(r, body, wantSlow) {
		return
	}
	if r.Host == "good.internal" {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/responses") {
			_, _ = io.WriteString(w, response)
			return
		}
		write(w, body, false)
		return
	}
	if !rest(r, body, wantHold) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if m := wantRetry.FindSubmatch(body); m != nil {
		w.Header().Set("Retry-After", string(m[1]))
	}
	status := http.StatusOK
	if m := wantStatus.FindSubmatch(body); m != nil {
		status, _ = strconv.Atoi(string(m[1])) // of digits
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"error":{"message":"as asked","type":"some_error","code":"some_code"}}`)
		return
	}
	write(w, body, wantCut.Match(body))
}

// write writes an answer, as a stream if the request wants one. If it is cut, the
// connection ends within it.
func write(w http.ResponseWriter, body []byte, cut bool) {
	text := answer
	if wantStream.Match(body) {
		w.Header().Set("Content-Type", "text/event-stream")
		text = stream
	}
	if cut {
		_, _ = io.WriteString(w, text[:len(text)/8]) // before the first content
		_ = http.NewResponseController(w).Flush()    // it is cut either way
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, text)
}

// rest waits as long as a request wants it to, and reports whether it is still there.
func rest(r *http.Request, body []byte, want *regexp.Regexp) bool {
	m := want.FindSubmatch(body)
	if m == nil {
		return true
	}
	d, err := time.ParseDuration(string(m[1]))
	if err != nil {
		panic(err) // of a scenario
	}
	select {
	case <-time.After(d):
		return true
	case <-r.Context().Done():
		return false
	}
}

const response = `{"id":"` + canaryAnswer + `","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":10,"output_tokens":10,"total_tokens":20}}`

const answer = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}`

const stream = `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}

data: [DONE]

`

// count counts a request, until the returned function is called.
func (p *provider) count(host string) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.hosts[host]
	if t == nil {
		t = new(traffic)
		p.hosts[host] = t
	}
	t.requests++
	t.now++
	t.most = max(t.most, t.now)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		t.now--
	}
}

// seen returns the traffic of a host so far, and begins to count anew.
func (p *provider) seen(host string) traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.hosts[host]
	if t == nil {
		return traffic{}
	}
	was := *t
	t.requests, t.most = 0, t.now
	return was
}

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// provider is a stand-in for all providers. It speaks chat/completions, and a request
// says in its prompt how it is answered: "status=429", "retry=2" (seconds), "hold=1s".
type provider struct {
	URL    string
	server *http.Server

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
)

func startProvider() (*provider, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &provider{URL: "http://" + l.Addr().String(), hosts: map[string]*traffic{}}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go p.server.Serve(l)
	return p, nil
}

func (p *provider) close() { p.server.Close() }

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer p.count(r.Host)()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway has left
	}
	if m := wantHold.FindSubmatch(body); m != nil {
		hold, err := time.ParseDuration(string(m[1]))
		if err != nil {
			panic(err) // of a scenario
		}
		select {
		case <-time.After(hold):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if m := wantRetry.FindSubmatch(body); m != nil {
		w.Header().Set("Retry-After", string(m[1]))
	}
	status := http.StatusOK
	if m := wantStatus.FindSubmatch(body); m != nil {
		status, _ = strconv.Atoi(string(m[1])) //nolint:errcheck // digits
	}
	if status != http.StatusOK {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"message":"as asked","type":"some_error","code":"some_code"}}`)
		return
	}
	io.WriteString(w, answer)
}

const answer = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":10,"total_tokens":20}}`

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

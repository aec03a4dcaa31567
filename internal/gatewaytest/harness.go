package gatewaytest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Harness is a gateway between a client and its providers on one in-memory
// network, for tests in a synctest bubble. It is the gateway's transport, and
// records each upstream request with its time. A request that still runs when
// the test ends, at the gateway or at a provider, fails the test.
type Harness struct {
	t       testing.TB
	network *Network
	pipes   http.RoundTripper
	client  *http.Client
	running atomic.Int64

	mu    sync.Mutex
	start time.Time
	sent  []Sent
	fails map[string]error
}

// Sent is one upstream request, as it left the gateway.
type Sent struct {
	// Route is the second word of the key: "a1" for "sk-a1-secret". Without a
	// key it is the first label of the host.
	Route string
	// At is the time of sending, counted from the client's latest request.
	At time.Duration
}

// Answer is the client's answer.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	// Err is the error before or within the answer.
	Err error
	// Took is the time to its end.
	Took time.Duration
}

// NewHarness returns a harness without hosts. Every test needs its own.
func NewHarness(t testing.TB) *Harness {
	r := &Harness{t: t, network: NewNetwork(), start: time.Now(), fails: map[string]error{}}
	r.pipes = r.network.Transport(t)
	r.client = &http.Client{Transport: r.network.Transport(t), CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return r
}

// Host answers requests to name.internal. The handler is called after the body
// was read: a server notices only then if its client leaves.
func (r *Harness) Host(name string, h http.Handler) {
	r.serve(name, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // the gateway left while sending
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		h.ServeHTTP(w, req)
	}))
}

func (r *Harness) serve(name string, h http.Handler) {
	r.network.Serve(r.t, name+".internal", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.running.Add(1)
		defer r.running.Add(-1)
		h.ServeHTTP(w, req)
	}))
}

// Unreachable makes requests to name.internal fail in the transport.
func (r *Harness) Unreachable(name string, err error) { r.fails[name+".internal"] = err }

// ServeGateway serves the gateway itself. Call it after Host: the last server is
// closed first.
func (r *Harness) ServeGateway(h http.Handler) {
	r.serve("gateway", h)
	r.t.Cleanup(func() {
		Pass(100 * time.Millisecond) // from Go 1.27 on, a closed body is drained for a moment
		synctest.Wait()
		if n := r.running.Load(); n != 0 {
			r.t.Errorf("%d requests are still running, at the gateway or at a provider", n)
		}
	})
}

// RoundTrip sends a request of the gateway.
func (r *Harness) RoundTrip(req *http.Request) (*http.Response, error) {
	route, _, _ := strings.Cut(req.URL.Host, ".")
	if key := req.Header.Get("Authorization") + req.Header.Get("X-Api-Key"); key != "" {
		_, rest, _ := strings.Cut(key, "-")
		route, _, _ = strings.Cut(rest, "-")
	}
	r.mu.Lock()
	r.sent = append(r.sent, Sent{route, time.Since(r.start)})
	r.mu.Unlock()
	if err := r.fails[req.URL.Host]; err != nil {
		req.Body.Close()
		return nil, err
	}
	return r.pipes.RoundTrip(req)
}

// Sent returns the upstream requests since the client's latest request.
func (r *Harness) Sent() []Sent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Sent(nil), r.sent...)
}

// Routes returns the routes of those requests.
func (r *Harness) Routes() []string {
	var routes []string
	for _, s := range r.Sent() {
		routes = append(routes, s.Route)
	}
	return routes
}

// Times returns the times of those requests.
func (r *Harness) Times() []time.Duration {
	var times []time.Duration
	for _, s := range r.Sent() {
		times = append(times, s.At)
	}
	return times
}

// Open sends a client's JSON request to the gateway. The header is given as
// names and values in turn.
func (r *Harness) Open(ctx context.Context, path, body string, header ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway.internal"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	r.mu.Lock()
	r.start, r.sent = time.Now(), nil
	r.mu.Unlock()
	return r.client.Do(req)
}

// Post sends a request like Open, and reads the whole answer. It returns after
// the gateway is done with the request.
func (r *Harness) Post(path, body string, header ...string) Answer {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	begin := time.Now()
	resp, err := r.Open(ctx, path, body, header...)
	if err != nil {
		return Answer{Err: err, Took: time.Since(begin)}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	took := time.Since(begin)
	synctest.Wait() // for the gateway's last hooks
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(data), Err: err, Took: took}
}

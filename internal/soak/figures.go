package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"time"
)

// The slacks allow for noise of the runtime, but not for growth with time.
const (
	slackGoroutines = 4
	slackHeap       = 8 << 20 // bytes
	settleTime      = 15 * time.Second
)

// figures must return to their start.
type figures struct {
	inFlight    int // requests, by the debug page
	busy        int // connections that still served a request without clients
	connections int // to the providers and to the gateway
	goroutines  int
	heap        uint64
	stacks      string // of the goroutines
}

func (f figures) String() string {
	return fmt.Sprintf("in flight %d, goroutines %d, connections %d, heap %.1f MiB", f.inFlight, f.goroutines, f.connections, float64(f.heap)/(1<<20))
}

func (f figures) compare(end figures) error {
	var errs []error
	if end.inFlight > 0 {
		errs = append(errs, fmt.Errorf("requests are in flight, %d in all loads of the debug page%s", end.inFlight, end.stacks))
	}
	if end.busy > 0 {
		errs = append(errs, fmt.Errorf("%d connections serve a request without a client%s", end.busy, end.stacks))
	}
	if end.goroutines > f.goroutines+slackGoroutines {
		errs = append(errs, fmt.Errorf("%d goroutines are left%s", end.goroutines-f.goroutines, end.stacks))
	}
	if end.connections > 0 {
		errs = append(errs, fmt.Errorf("%d connections are left", end.connections))
	}
	if end.heap > f.heap+f.heap/4+slackHeap {
		errs = append(errs, fmt.Errorf("the heap has grown by %.1f MiB", float64(end.heap-f.heap)/(1<<20)))
	}
	return errors.Join(errs...)
}

// settled returns the figures as soon as they are down to those before, and at the
// latest after settleTime. First requests must end by themselves. Then idle
// connections are closed: a gateway keeps them for the next requests.
func (s *soak) settled(before figures) figures {
	deadline := time.NewTimer(settleTime)
	defer deadline.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	late := false
	next := func() {
		select {
		case <-look.C:
		case <-deadline.C:
			late = true
		}
	}
	var f figures
	for f.inFlight, f.busy = s.underWay(); f.inFlight+f.busy > 0 && !late; f.inFlight, f.busy = s.underWay() {
		next()
	}
	if late { // before the connections are closed
		f.stacks = stacks()
	}
	for last := 0; ; next() {
		for _, w := range s.reach {
			w.client.CloseIdleConnections()
		}
		for _, h := range s.servers() {
			h.CloseClientConnections()
		}
		s.measure(&f)
		atStart := before == figures{} && f.goroutines == last || before != figures{} && before.compare(f) == nil
		if late || f.connections == 0 && atStart {
			break
		}
		last = f.goroutines
	}
	if late && f.stacks == "" {
		f.stacks = stacks()
	}
	return f
}

func stacks() string {
	b := make([]byte, 1<<20)
	return "\n" + string(b[:runtime.Stack(b, true)])
}

// underWay counts the requests in flight and the connections that serve one.
func (s *soak) underWay() (inFlight, busy int) {
	_, busy = s.connections.count()
	return s.inFlight(), busy
}

// inFlight sums the loads on the debug page.
func (s *soak) inFlight() int {
	w := httptest.NewRecorder()
	s.debug.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug?format=json", nil))
	var page map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || page["total"] == nil {
		s.fault("the debug page has status %d and no total: %v", w.Code, err)
	}
	delete(page, "config") // its limits have the same name
	return sumInFlight(page)
}

func sumInFlight(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if load, ok := member.(float64); ok && name == "in_flight" {
				n += int(load)
			}
			n += sumInFlight(member)
		}
	case []any:
		for _, element := range v {
			n += sumInFlight(element)
		}
	}
	return n
}

func (s *soak) measure(f *figures) {
	runtime.GC()
	runtime.GC() // sync.Pool keeps its content over the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.goroutines, f.heap = runtime.NumGoroutine(), m.HeapAlloc
	f.connections, _ = s.connections.count()
}

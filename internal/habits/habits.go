// Package habits remembers what the answers of providers have shown: in which form a
// provider takes keys, how a model sends usage in streams, and which endpoints a model does
// not speak. It is a leaf: it imports the standard library only.
//
// The tables belong to a gateway and outlive its settings. They are bounded, and safe for
// concurrent use.
//
//	keys.go    the form of keys
//	habits.go  streams, and endpoints
package habits

import (
	"sync"
	"time"
)

// maxRoutes bounds the routes in a table.
const maxRoutes = 1 << 14

// Route is a model at an address. Another address is another server, be the provider the
// same.
type Route struct{ Host, Path, Model string }

// Stream says how a model sends usage in chat streams.
type Stream uint8

const (
	StreamUnknown Stream = iota
	// StreamAsk: usage comes only if it is asked for.
	StreamAsk
	// StreamUnasked: usage comes by itself.
	StreamUnasked
	// StreamRefuse: the model must not be asked. It refuses stream_options, or its
	// provider compresses the stream.
	StreamRefuse
)

// Streams remembers the habit of each route. The zero Streams is empty.
type Streams struct {
	mu    sync.RWMutex
	known map[Route]Stream
}

// Of returns what is known of a route's streams.
func (s *Streams) Of(r Route) Stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known[r]
}

// Learn remembers what a stream showed. Clients may invent names of models, and a full
// table must neither shut others out nor forget them all: it forgets one route, by chance.
func (s *Streams) Learn(r Route, habit Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = with(s.known, r, habit)
}

// with adds an entry to a table, and makes room for it.
func with[K comparable, V any](table map[K]V, key K, value V) map[K]V {
	if table == nil {
		table = map[K]V{}
	}
	if _, known := table[key]; !known && len(table) >= maxRoutes {
		for one := range table { // the order of a map is by chance
			delete(table, one)
			break
		}
	}
	table[key] = value
	return table
}

// unspokenFor is how long an endpoint counts as one that a model does not speak. Then the
// provider is asked again: it may have learned to.
const unspokenFor = 10 * time.Minute

// Unspoken remembers the endpoints that models turned out not to speak. The zero Unspoken is
// empty. A full table forgets one of them, which costs one failed attempt.
type Unspoken struct {
	mu    sync.RWMutex
	until map[endpoint]time.Time
}

// endpoint is one endpoint of a route, by its path.
type endpoint struct {
	Route
	path string
}

// Knows reports whether a route does not speak the endpoint of a path.
func (u *Unspoken) Knows(r Route, path string, now time.Time) bool {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return len(u.until) > 0 && now.Before(u.until[endpoint{r, path}])
}

// Learn notes an endpoint that a route does not speak.
func (u *Unspoken) Learn(r Route, path string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.until = with(u.until, endpoint{r, path}, now.Add(unspokenFor))
}

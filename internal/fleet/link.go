package fleet

import (
	"sync"
	"sync/atomic"
	"time"
)

// link is the state of the connection to the store.
type link struct {
	mu     sync.Mutex
	up     bool
	known  bool // there was an exchange, be it a failed one
	since  time.Time
	at     time.Time // of the latest complete exchange
	err    error
	change func(Link)
	open   atomic.Bool // as up, for readers without the lock
}

// Link is the state of the connection to the store.
type Link struct {
	// Up: the latest exchange succeeded. Known: there was one.
	Up, Known bool
	// Since is when Up changed last.
	Since time.Time
	// At is the time of the latest exchange that succeeded. Zero: none.
	At time.Time
	// Err is the error of the latest failed exchange, nil while Up.
	Err error
}

// OnLink has change called when the store goes and when it is back, in the goroutine
// of Exchange. The first exchange counts as a change only if it fails. Call OnLink
// before the first Exchange.
func (f *Fleet) OnLink(change func(Link)) { f.link.change = change }

// Link returns the state of the connection.
func (f *Fleet) Link() Link {
	f.link.mu.Lock()
	defer f.link.mu.Unlock()
	return f.link.stateLocked()
}

// Up reports whether the latest exchange succeeded. It is one atomic load. A nil Fleet
// is never up.
func (f *Fleet) Up() bool { return f != nil && f.link.open.Load() }

// Pause says that no exchange follows for now, as Run has ended. The replica then
// decides alone.
func (f *Fleet) Pause() { f.link.open.Store(false) }

func (l *link) stateLocked() Link { return Link{l.up, l.known, l.since, l.at, l.err} }

// failed notes a failed exchange. The store is away from the first failure on.
func (l *link) failed(now time.Time, err error) {
	l.mu.Lock()
	changed := l.up || !l.known
	if changed {
		l.since = now
	}
	l.up, l.known, l.err = false, true, err
	l.open.Store(false)
	state := l.stateLocked()
	l.mu.Unlock()
	if changed && l.change != nil {
		l.change(state)
	}
}

// succeeded notes an exchange that succeeded. The first one of all is not a return,
// and is not told.
func (l *link) succeeded(now time.Time) {
	l.mu.Lock()
	back := !l.up && l.known
	if !l.up {
		l.since = now
	}
	l.up, l.known, l.err, l.at = true, true, nil, now
	l.open.Store(true)
	state := l.stateLocked()
	l.mu.Unlock()
	if back && l.change != nil {
		l.change(state)
	}
}

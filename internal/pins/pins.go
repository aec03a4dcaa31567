// Package pins remembers the place of a key for a while, such as the model that
// served a session last. It is a leaf: it imports the standard library only.
package pins

import (
	"sync"
	"time"
)

// Key names a pin. Equal Sums of two Callers are two keys.
type Key struct {
	// Caller is a hash of the key's owner. Zero stands for all owners together,
	// and has no share of its own.
	Caller uint64
	Sum    uint64
}

// Place is a model or a key, by the folded id of its provider and its own id.
type Place struct{ Provider, ID string }

// Table holds the pins. A pin ends a fixed time after it was last set. A full
// table forgets the pin that was set longest ago, and so does a caller whose share
// is full. Its methods may be called from many goroutines at once. It starts no
// goroutine and needs no Close.
type Table[V any] struct {
	size, share int
	life        time.Duration

	mu      sync.RWMutex
	entries map[Key]*entry[V]
	all     ring[V]
	callers map[uint64]*caller[V]
}

// caller holds the pins of one caller.
type caller[V any] struct {
	ring[V]
	n int
}

// entry is one pin. It is a member of two rings, in the order of their times.
type entry[V any] struct {
	key   Key
	value V
	set   time.Time
	links [2]link[V] // among all, and among those of its caller
}

// Places of an entry's links.
const (
	ofAll = iota
	ofCaller
)

// link is an entry's place in a list by age.
type link[V any] struct{ older, newer *entry[V] }

// NewTable returns a table of at most size pins, of which one caller has at most
// share. A pin lives for life after it was set.
func NewTable[V any](size, share int, life time.Duration) *Table[V] {
	return &Table[V]{size: size, share: share, life: life, entries: map[Key]*entry[V]{}, callers: map[uint64]*caller[V]{}}
}

// Get returns the value of a pin. It does not make the pin live longer.
func (t *Table[V]) Get(now time.Time, key Key) (v V, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.entries[key]
	if e == nil || now.Sub(e.set) >= t.life {
		return v, false
	}
	return e.value, true
}

// Set pins a key to a value, from now on.
//
// It first drops the pins at the old end whose time is over: life is the same
// for all, so the ring by age is also the one by end. A pin set again counts as
// new in both rings.
func (t *Table[V]) Set(now time.Time, key Key, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := t.all.oldest; e != nil && now.Sub(e.set) >= t.life; e = t.all.oldest {
		t.drop(e)
	}
	e := t.entries[key]
	if e != nil {
		t.drop(e)
	} else {
		e = &entry[V]{key: key}
		if c := t.callers[key.Caller]; key.Caller != 0 && c != nil && c.n >= t.share {
			t.drop(c.oldest)
		} else if len(t.entries) >= t.size {
			t.drop(t.all.oldest)
		}
	}
	e.value, e.set = v, now
	t.add(e)
}

// Drop forgets a pin, and returns whether there was one.
//
// Most keys have no pin. A look under the read lock spares them the write lock.
func (t *Table[V]) Drop(key Key) bool {
	t.mu.RLock()
	known := t.entries[key] != nil
	t.mu.RUnlock()
	if !known {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[key]
	if e != nil {
		t.drop(e)
	}
	return e != nil
}

// Len returns the number of pins, ended ones included.
// Ended ones go with a later Set.
func (t *Table[V]) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.entries)
}

// add enters a pin into the map and both rings. The Table's mu is held.
func (t *Table[V]) add(e *entry[V]) {
	t.entries[e.key] = e
	t.all.push(ofAll, e)
	c := t.callers[e.key.Caller]
	if c == nil {
		c = new(caller[V])
		t.callers[e.key.Caller] = c
	}
	c.push(ofCaller, e)
	c.n++
}

// drop takes a pin out of the map and both rings. The Table's mu is held.
func (t *Table[V]) drop(e *entry[V]) {
	delete(t.entries, e.key)
	t.all.remove(ofAll, e)
	c := t.callers[e.key.Caller]
	c.remove(ofCaller, e)
	if c.n--; c.n == 0 {
		delete(t.callers, e.key.Caller)
	}
}

// ring is a list of entries from the oldest to the newest.
// The links are in the entries themselves: a member leaves from any place at
// once.
type ring[V any] struct{ oldest, newest *entry[V] }

// push makes an entry the newest.
// Of says which of the entry's links are this ring's.
func (r *ring[V]) push(of int, e *entry[V]) {
	e.links[of] = link[V]{older: r.newest}
	if r.newest != nil {
		r.newest.links[of].newer = e
	} else {
		r.oldest = e
	}
	r.newest = e
}

// remove takes an entry out of one of its rings.
func (r *ring[V]) remove(of int, e *entry[V]) {
	l := e.links[of]
	if l.older != nil {
		l.older.links[of].newer = l.newer
	} else {
		r.oldest = l.newer
	}
	if l.newer != nil {
		l.newer.links[of].older = l.older
	} else {
		r.newest = l.older
	}
}

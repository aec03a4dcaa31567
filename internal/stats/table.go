package stats

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// table is a map with a bound. One caller fills only a part of it. The least
// recently used entries make room for new ones. The zero table is empty. The lock
// of its owner guards it.
type table[K comparable, V any] struct {
	entries map[K]*entry[V]
	shares  map[uint64]int // number of entries by caller
}

// entry is a value with its owner and its last use.
type entry[V any] struct {
	value  V
	caller uint64
	used   atomic.Int64 // the last use, in the owner's count of uses
}

// limits of a table.
type limits struct {
	size  int // entries
	share int // entries of one caller
}

// add puts a new entry in. It makes room if the table or the caller's share is
// full. Entries in use go only if all are in use.
// The key must not be in the table yet: its entry's share would be counted
// twice.
func (t *table[K, V]) add(key K, e *entry[V], most limits, inUse func(*entry[V]) bool) {
	switch {
	case t.shares[e.caller] >= most.share:
		t.makeRoom(func(o *entry[V]) bool { return o.caller == e.caller }, most.share, inUse)
	case len(t.entries) >= most.size:
		t.makeRoom(func(*entry[V]) bool { return true }, most.size, inUse)
	}
	if t.entries == nil {
		t.entries, t.shares = make(map[K]*entry[V]), make(map[uint64]int)
	}
	t.entries[key] = e
	t.shares[e.caller]++
}

// makeRoom forgets a sixteenth of the entries at once, so a flood of new
// keys does not pay for a walk each.
// It costs a walk over the whole table and the sort of what "of" accepts.
func (t *table[K, V]) makeRoom(of func(*entry[V]) bool, size int, inUse func(*entry[V]) bool) {
	type victim struct {
		key   K
		inUse bool
		used  int64
	}
	var list []victim
	for key, e := range t.entries {
		if of(e) {
			list = append(list, victim{key, inUse(e), e.used.Load()})
		}
	}
	slices.SortFunc(list, func(a, b victim) int {
		if a.inUse != b.inUse {
			if a.inUse {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.used, b.used)
	})
	for i, v := range list[:min(len(list), max(size/16, 1))] {
		// The first victim goes in any case, for the new entry needs its place.
		if i > 0 && v.inUse && !list[0].inUse {
			break
		}
		t.remove(v.key)
	}
}

// remove takes an entry out, and gives its caller's share back.
func (t *table[K, V]) remove(key K) {
	e := t.entries[key]
	if e == nil {
		return
	}
	delete(t.entries, key)
	if t.shares[e.caller]--; t.shares[e.caller] == 0 {
		delete(t.shares, e.caller)
	}
}

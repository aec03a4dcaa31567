package fleet

import (
	"sync"
	"time"
)

// maxQueue bounds the words between two exchanges of one Newest. Later ones are
// dropped, and stay this replica's knowledge.
const maxQueue = 16_384

// version begins the value of each record. A replica leaves records of a version
// that it does not know alone.
const version = 1

// Newest is a kind of records of which the newest word counts, whichever replica it
// comes from. A nil Newest has no effect. Its methods may be called from many
// goroutines at once.
type Newest struct {
	fleet *Fleet
	kind  string
	mu    sync.Mutex
	queue []word
}

// word waits for the next exchange, with the time at which it was true.
type word struct {
	id    Sum
	value string
	at    time.Time
	life  time.Duration
}

// Newest adds a kind of records. Learn is told each word of another replica that is
// newer than this one's own, in the goroutine of Exchange; life is the rest of its
// life. Values are sealed by the secret. Call Newest before the first Exchange. On a nil Fleet it returns nil.
func (f *Fleet) Newest(kind string, learn func(value string, life time.Duration)) *Newest {
	if f == nil {
		return nil
	}
	n := &Newest{fleet: f, kind: kind}
	f.Add(&Kind{Prefix: kind, Learn: func(key string, value []byte, _ int64, life time.Duration) {
		if len(value) > 0 && value[0] == version {
			if plain, ok := f.Open(value[1:]); ok {
				learn(plain, life)
			}
		}
	}})
	f.Collect(n.flush)
	return n
}

// Put puts a word of now with the next exchange. The id is a keyed hash of [Sums].
// Put takes a lock for a few instructions.
func (n *Newest) Put(now time.Time, id Sum, value string, life time.Duration) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) < maxQueue {
		n.queue = append(n.queue, word{id, value, now, life})
	}
}

// flush puts the words since the last exchange.
func (n *Newest) flush(now time.Time) {
	n.mu.Lock()
	queue := n.queue
	n.queue = nil
	n.mu.Unlock()
	for _, w := range queue {
		life := w.life - now.Sub(w.at)
		key, rank := w.id.String(), n.fleet.Millis(w.at)
		if n.fleet.Rank(now, n.kind, key) == rank {
			rank++ // two words within a millisecond
		}
		n.fleet.Put(now, n.kind, key, append([]byte{version}, n.fleet.Seal(w.value)...), rank, life)
	}
}

package fleet

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/limit"
)

// Times of exact limits.
const (
	takeTimeout = 100 * time.Millisecond
	aloneFor    = time.Second // after a take without an answer
	maxSettles  = 4096        // that wait for the next exchange
	settlesAt   = 64          // in one call of the store
)

// Limits shares the limits of clients: inexact ones by what each replica used and
// reserved, exact ones by accounts of the store. Its methods may be called from many
// goroutines at once. A nil Limits is a fleet without a store.
type Limits struct {
	fleet   *Fleet
	clients *limit.Clients
	members *Members
	names   map[string]Sum // of entries; of the goroutine in Exchange
	entries map[Sum]string

	aloneUntil atomic.Int64 // Unix nanoseconds of the local clock

	mu      sync.Mutex
	settles []Take
	failed  bool // the settles in the queue were sent once without an answer
}

// NewLimits shares the limits of Clients.
func NewLimits(f *Fleet, c *limit.Clients, m *Members) *Limits {
	l := &Limits{fleet: f, clients: c, members: m, names: map[string]Sum{}, entries: map[Sum]string{}}
	f.Add(&Kind{Prefix: "u", Learn: l.learn})
	f.Collect(l.collect)
	f.After(func(now time.Time) {
		l.clients.Replicas(m.Count())
		l.clients.Agree(now)
		l.flush()
	})
	c.Replicas(0)
	return l
}

// Alone says that the store is away.
func (l *Limits) Alone() { l.clients.Replicas(0) }

// useRecord is the value of a record of a limit.
type useRecord struct {
	Version int       `json:"v"`
	Entry   string    `json:"e"`
	Use     limit.Use `json:"u"`
}

// collect gives each new entry its hash, takes up records that came before the
// entry, and puts what this replica has used since the last exchange.
func (l *Limits) collect(now time.Time) {
	for _, name := range l.clients.Names() {
		if _, ok := l.names[name]; !ok {
			sum := l.fleet.Of("entry", name)
			l.names[name], l.entries[sum] = sum, name
			l.fleet.Live(now, "u", func(key string, value []byte, rank int64, _ time.Duration) { l.enter(now, key, value, rank) })
		}
	}
	l.clients.Used(now, func(entry string, key limit.Key, u limit.Use, life time.Duration) {
		value, _ := json.Marshal(useRecord{version, l.names[entry].String(), u}) // of plain fields
		l.fleet.putOwn(now, "u", Sum(key).String()+"/"+l.fleet.instance, value, life)
	})
}

// learn is told of the use of other replicas, see [Kind.Learn].
func (l *Limits) learn(key string, value []byte, rank int64, _ time.Duration) {
	l.enter(time.Now(), key, value, rank)
}

// enter takes the use of another replica over. Its rank is the time at which it was
// told. An entry that is not configured here waits for a reload.
func (l *Limits) enter(now time.Time, key string, value []byte, rank int64) {
	var r useRecord
	account, instance, _ := strings.Cut(key, "/")
	sum, ok := parseSum(account)
	if !ok || instance == l.fleet.instance || json.Unmarshal(value, &r) != nil || r.Version != version {
		return
	}
	entry, _ := parseSum(r.Entry)
	if name, ok := l.entries[entry]; ok {
		l.clients.Learn(now, l.fleet.Local(rank), name, instance, limit.Key(sum), r.Use)
	}
}

// Take asks the store for all of a request's exact limits. Without an answer within
// 100 ms ok is true, asked is false, and this replica decides alone for a second. A
// refusal has the index of the limit, and the time until it has room.
func (l *Limits) Take(client context.Context, takes []Take) (full int, wait time.Duration, ok, asked bool) {
	if l == nil || !l.fleet.Up() || time.Now().UnixNano() < l.aloneUntil.Load() {
		return 0, 0, true, false
	}
	within, cancel := context.WithTimeout(client, takeTimeout)
	defer cancel()
	taken, err := l.fleet.store.Take(within, takes)
	if err != nil {
		if client.Err() == nil { // a client that left says nothing about the store
			l.aloneUntil.Store(time.Now().Add(aloneFor).UnixNano())
		}
		return 0, 0, true, false
	}
	return taken.Full, taken.Wait, taken.OK, true
}

// Settle queues takes that are not refused, for the next exchange, which is at once.
func (l *Limits) Settle(takes ...Take) {
	if l == nil {
		return
	}
	l.mu.Lock()
	if len(l.settles) < maxSettles {
		l.settles = append(l.settles, takes...)
	}
	l.mu.Unlock()
	l.fleet.Wake()
}

// flush sends the queued takes. Those without an answer are sent once more: an
// account may then be charged twice, and is never charged too little.
func (l *Limits) flush() {
	for {
		l.mu.Lock()
		n := min(len(l.settles), settlesAt)
		batch := l.settles[:n:n]
		l.mu.Unlock()
		if n == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
		_, err := l.fleet.store.Take(ctx, batch)
		cancel()
		l.mu.Lock()
		again := err != nil && !l.failed
		l.failed = again
		if !again {
			l.settles = append([]Take(nil), l.settles[n:]...)
		}
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

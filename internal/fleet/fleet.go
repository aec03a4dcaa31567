package fleet

import (
	"container/list"
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of an exchange, and of the copy of the store.
const (
	maxPut      = 512       // records of one call
	maxPutBytes = 256 << 10 // of their values
	maxRecords  = 1 << 18   // in the copy; the store's own bound is the same
	maxParts    = 4096      // calls of one exchange
)

// exchangeTimeout bounds one call of the store.
const exchangeTimeout = time.Second

// sweepEvery is how often ended records are forgotten. They do not count before.
const sweepEvery = 5 * time.Second

// Fleet is one replica's part of a fleet. Its methods may be called from many
// goroutines at once, but Exchange from one at a time. A nil Fleet takes no part:
// its methods do nothing.
type Fleet struct {
	*Sums
	store    Store
	instance string
	woken    chan struct{}
	kinds    map[string]*Kind // by prefix; complete before the first Exchange
	collect  []func(now time.Time)
	after    []func(now time.Time)
	clock    clock
	link     link

	cursor  Cursor // of the goroutine in Exchange
	swept   time.Time
	offered map[string]bool

	mu      sync.Mutex
	records map[string]*held
	order   *list.List      // their keys, the one that was entered longest ago first
	dirty   map[string]bool // keys to put
}

// held is a record in the copy of the store.
type held struct {
	value  []byte
	rank   int64
	end    time.Time
	own    bool // put by this replica
	stored bool // the store of the present epoch has told of it, or of a greater rank
	place  *list.Element
}

// Kind is one kind of records, by the prefix of their keys.
type Kind struct {
	// Prefix is the text before the first slash of a key.
	Prefix string
	// Learn is told of each record with a rank above the known one, in the goroutine
	// of Exchange. Key is the rest behind the prefix. Ended records are not told of.
	// Learn must not keep value.
	Learn func(key string, value []byte, rank int64, life time.Duration)
}

// New returns a replica of the fleet at a store. Now is the beginning of its clock.
func New(store Store, sums *Sums, now time.Time) *Fleet {
	f := &Fleet{
		Sums: sums, store: store, instance: strings.ToLower(rand.Text()),
		woken: make(chan struct{}, 1), kinds: map[string]*Kind{},
		records: map[string]*held{}, order: list.New(), dirty: map[string]bool{}, offered: map[string]bool{},
	}
	f.clock.begin(now)
	f.link.since = now
	return f
}

// Woken is ready when Exchange should be called at once.
func (f *Fleet) Woken() <-chan struct{} {
	if f == nil {
		return nil
	}
	return f.woken
}

// Wake asks for an Exchange at once. It does not wait.
func (f *Fleet) Wake() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

// Add adds a kind of records. Call it before the first Exchange.
func (f *Fleet) Add(k *Kind) { f.kinds[k.Prefix] = k }

// Collect has do called at the beginning of each Exchange, to put what has changed.
// Call it before the first Exchange.
func (f *Fleet) Collect(do func(now time.Time)) { f.collect = append(f.collect, do) }

// After has do called at the end of each Exchange that succeeded. Call it before the
// first Exchange.
func (f *Fleet) After(do func(now time.Time)) { f.after = append(f.after, do) }

// Put puts a record with the next Exchange, unless one of its rank or a greater one
// is known. It ends after life.
func (f *Fleet) Put(now time.Time, kind, key string, value []byte, rank int64, life time.Duration) bool {
	if life < time.Millisecond {
		return false
	}
	key = kind + "/" + key
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.records[key]
	if h != nil && now.Before(h.end) && h.rank >= rank {
		return false
	}
	f.keep(key, &held{value: value, rank: rank, end: now.Add(life), own: true})
	f.dirty[key] = true
	return true
}

// keep enters a record into the copy. A full copy forgets the record that was entered
// longest ago, so that one kind with many records keeps no other kind out. The lock of
// f is held.
func (f *Fleet) keep(key string, h *held) {
	if f.records[key] != nil {
		f.drop(key)
	} else if len(f.records) >= maxRecords {
		f.drop(f.order.Front().Value.(string))
	}
	h.place = f.order.PushBack(key)
	f.records[key] = h
}

// drop forgets a record of the copy. The lock of f is held.
func (f *Fleet) drop(key string) {
	f.order.Remove(f.records[key].place)
	delete(f.records, key)
	delete(f.dirty, key)
}

// Rank returns the rank of a key's record, zero without one.
func (f *Fleet) Rank(now time.Time, kind, key string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.records[kind+"/"+key]; h != nil && now.Before(h.end) {
		return h.rank
	}
	return 0
}

// get returns the record of a key.
func (f *Fleet) get(now time.Time, kind, key string) (value []byte, rank int64, life time.Duration, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.records[kind+"/"+key]; h != nil && now.Before(h.end) {
		return h.value, h.rank, h.end.Sub(now), true
	}
	return nil, 0, 0, false
}

// Live calls do with each record of a kind, in any order, under the lock of f.
func (f *Fleet) Live(now time.Time, kind string, do func(key string, value []byte, rank int64, life time.Duration)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, h := range f.records {
		if rest, ok := strings.CutPrefix(key, kind+"/"); ok && now.Before(h.end) {
			do(rest, h.value, h.rank, h.end.Sub(now))
		}
	}
}

// Exchange tells the store what is new here, and learns what is new there. Its error
// is the store's.
//
// One exchange forgets ended records and collects what has changed. Then it calls the
// store until both sides are done. At the end it offers the records that a new epoch
// has lost, and calls the functions of After.
//
// Before the first answer the offset of the clocks is not known, so nothing is
// collected then; the next exchange follows at once.
func (f *Fleet) Exchange(ctx context.Context) error {
	f.sweep(time.Now())
	if f.clock.known.Load() { // times of records are the store's
		for _, do := range f.collect {
			do(time.Now())
		}
	} else {
		f.Wake()
	}
	before := f.cursor.Epoch
	for range maxParts {
		put, rest := f.take(time.Now())
		more, err := f.call(ctx, put)
		if err != nil {
			f.giveBack(put)
			if ctx.Err() == nil {
				f.link.failed(time.Now(), err)
			}
			return err
		}
		if !more && !rest {
			break
		}
	}
	f.link.succeeded(time.Now())
	f.offer(before != f.cursor.Epoch)
	for _, do := range f.after {
		do(time.Now())
	}
	return nil
}

// call makes one call of the store.
//
// An error with a cursor is a store that reads and does not write: its changes
// are learnt all the same.
func (f *Fleet) call(ctx context.Context, put []Record) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	begin := time.Now()
	c, err := f.store.Exchange(ctx, put, f.cursor)
	now := time.Now()
	if err != nil && c.Cursor == (Cursor{}) {
		return false, err
	}
	f.clock.set(begin, now, c.Now)
	if c.Cursor.Epoch != f.cursor.Epoch {
		f.forgetStored()
	}
	f.cursor = c.Cursor
	for i := range c.Records {
		f.learn(now, &c.Records[i])
	}
	return c.More, err
}

// take returns records to put, and whether some are left.
func (f *Fleet) take(now time.Time) (put []Record, rest bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := 0
	for key := range f.dirty {
		if len(put) == maxPut || size > maxPutBytes {
			return put, true
		}
		delete(f.dirty, key)
		h := f.records[key]
		if h == nil || h.end.Sub(now) < time.Millisecond {
			continue
		}
		put = append(put, Record{key, h.value, h.rank, h.end.Sub(now).Truncate(time.Millisecond)})
		size += len(h.value)
	}
	return put, false
}

// giveBack marks records that were not put.
func (f *Fleet) giveBack(put []Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range put {
		f.dirty[put[i].Key] = true
	}
}

// learn takes a record of the store into the copy, and tells its kind.
func (f *Fleet) learn(now time.Time, r *Record) {
	kind, rest, _ := strings.Cut(r.Key, "/")
	k := f.kinds[kind]
	if k == nil { // of another version
		return
	}
	if f.enter(now, r) && k.Learn != nil {
		k.Learn(rest, r.Value, r.Rank, r.TTL)
	}
}

// enter returns whether the record is news. If this replica knows a greater rank,
// the store gets that.
//
// Here and in Put an equal rank is not news. So a record that comes back from the
// store does not go out again.
func (f *Fleet) enter(now time.Time, r *Record) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.records[r.Key]
	if h != nil && now.Before(h.end) && h.rank >= r.Rank {
		h.stored = h.rank == r.Rank
		if !h.stored {
			f.dirty[r.Key] = true
		}
		return false
	}
	f.keep(r.Key, &held{value: r.Value, rank: r.Rank, end: now.Add(r.TTL), stored: true})
	delete(f.dirty, r.Key)
	return true
}

// forgetStored begins another history of the store.
func (f *Fleet) forgetStored() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.records {
		h.stored = false
	}
}

// offer puts records that the store has lost: one's own at once, and those of others,
// who may be dead, an exchange later. Until then another replica has put most.
func (f *Fleet) offer(lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range f.offered {
		if h := f.records[key]; h != nil && !h.stored {
			f.dirty[key] = true
		}
	}
	clear(f.offered)
	if !lost {
		return
	}
	for key, h := range f.records {
		switch {
		case h.stored:
		case h.own:
			f.dirty[key] = true
			f.Wake()
		default:
			f.offered[key] = true
		}
	}
}

// sweep forgets ended records.
func (f *Fleet) sweep(now time.Time) {
	if now.Sub(f.swept) < sweepEvery {
		return
	}
	f.swept = now
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, h := range f.records {
		if !now.Before(h.end) {
			f.drop(key)
		}
	}
}

// clock translates between this process's time and the store's.
//
// Replicas may disagree about the time of day. Times in records are the store's,
// and each replica knows the offset to its own clock.
type clock struct {
	base   time.Time
	known  atomic.Bool
	offset atomic.Int64 // the store's Unix nanoseconds at base
}

// begin takes the local time for the store's, until the first answer.
func (c *clock) begin(now time.Time) {
	c.base = now
	c.offset.Store(now.UnixNano())
}

// set notes the store's time in an answer between two times.
//
// The store's time was read at some moment between begin and end; the middle is
// wrong by half of the call's time at most.
func (c *clock) set(begin, end, store time.Time) {
	// The answer to a slow call is a bad clock.
	if took := end.Sub(begin); c.known.Load() && took > 100*time.Millisecond {
		return
	}
	middle := begin.Add(end.Sub(begin) / 2)
	c.offset.Store(store.UnixNano() - int64(middle.Sub(c.base)))
	c.known.Store(true)
}

// Millis returns the store's time of a local one, in Unix milliseconds.
func (f *Fleet) Millis(t time.Time) int64 {
	return (f.clock.offset.Load() + int64(t.Sub(f.clock.base))) / int64(time.Millisecond)
}

// Local returns the local time of a store's one.
func (f *Fleet) Local(ms int64) time.Time {
	return f.clock.base.Add(time.Duration(ms*int64(time.Millisecond) - f.clock.offset.Load()))
}

package sharedtest

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway"
)

// Store is an [aigateway.Shared] in memory, for the replicas of one process. Its
// methods may be called from many goroutines at once. Make one by [Memory].
type Store struct {
	mu       sync.Mutex
	epoch    int
	seq      int64
	records  map[string]stored
	accounts map[string]*account
	err      error
	delay    time.Duration
	page     int
	counts   Counts
}

// Counts are the calls of a Store since it was made.
type Counts struct{ Exchanges, Puts, Takes int }

type stored struct {
	value []byte
	rank  int64
	seq   int64
	end   time.Time
}

// account is an account of Take.
type account struct {
	full  time.Time             // bucket: when it is full again
	spent int64                 // budget
	end   time.Time             // budget
	parts map[string]*leasePart // lease, by owner
}

type leasePart struct {
	amount int64
	end    time.Time
}

// Memory returns an empty Store.
func Memory() *Store {
	return &Store{epoch: 1, records: map[string]stored{}, accounts: map[string]*account{}}
}

// Fail makes every call fail with err from now on. nil ends that.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Delay makes every call take d from now on. A call whose context ends before
// does nothing.
func (s *Store) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Page bounds the records of an answer of Exchange: see SharedChanges.More. Zero is
// no bound.
func (s *Store) Page(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page = n
}

// Empty forgets everything, as a store that was restarted.
func (s *Store) Empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.seq = 0
	clear(s.records)
	clear(s.accounts)
}

// Counts returns the calls so far, failed ones included.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Dump returns every text of the store: all keys, owners and values.
func (s *Store) Dump() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for key, r := range s.records {
		list = append(list, key, string(r.value))
	}
	for key, a := range s.accounts {
		list = append(list, key)
		for owner := range a.parts {
			list = append(list, owner)
		}
	}
	return list
}

// begin waits for the delay of the store, and locks it.
func (s *Store) begin(ctx context.Context, count func(*Counts)) error {
	s.mu.Lock()
	count(&s.counts)
	delay := s.delay
	s.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	return nil
}

// Exchange implements [aigateway.Shared].
func (s *Store) Exchange(ctx context.Context, put []aigateway.SharedRecord, after aigateway.SharedCursor) (aigateway.SharedChanges, error) {
	var changes aigateway.SharedChanges
	if err := s.begin(ctx, func(c *Counts) { c.Exchanges++; c.Puts += len(put) }); err != nil {
		return changes, err
	}
	defer s.mu.Unlock()
	now := time.Now()
	for key, r := range s.records {
		if !now.Before(r.end) {
			delete(s.records, key)
		}
	}
	for _, r := range put {
		if err := check(r); err != nil {
			return changes, err
		}
		if old, ok := s.records[r.Key]; ok && old.rank >= r.Rank {
			continue
		}
		s.seq++
		s.records[r.Key] = stored{slices.Clone(r.Value), r.Rank, s.seq, now.Add(r.TTL)}
	}
	epoch := strconv.Itoa(s.epoch)
	if after.Epoch != epoch {
		after.Seq = 0
	}
	changes.Now, changes.Cursor = now, aigateway.SharedCursor{Epoch: epoch, Seq: s.seq}
	changes.Records, changes.More = s.since(after.Seq, now, &changes.Cursor.Seq)
	return changes, nil
}

// since returns the records after a place. If they are too many for one page, it
// sets end to the place of the last one.
func (s *Store) since(seq int64, now time.Time, end *int64) (list []aigateway.SharedRecord, more bool) {
	var keys []string
	for key, r := range s.records {
		if r.seq > seq {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(s.records[a].seq, s.records[b].seq) })
	if s.page > 0 && len(keys) > s.page {
		keys, more = keys[:s.page], true
		*end = s.records[keys[s.page-1]].seq
	}
	for _, key := range keys {
		r := s.records[key]
		list = append(list, aigateway.SharedRecord{Key: key, Value: slices.Clone(r.value), Rank: r.rank, TTL: r.end.Sub(now)})
	}
	return list, more
}

// check refuses records outside of the contract, so that tests find them.
func check(r aigateway.SharedRecord) error {
	switch {
	case !validKey(r.Key):
		return fmt.Errorf("sharedtest: key %q: want 1 to 128 of a-z, 0-9, '/', ':', '_' and '-'", r.Key)
	case len(r.Value) > 64<<10:
		return fmt.Errorf("sharedtest: record %q: a value of %d bytes", r.Key, len(r.Value))
	case r.Rank <= 0:
		return fmt.Errorf("sharedtest: record %q: rank %d is not positive", r.Key, r.Rank)
	case r.TTL < time.Millisecond:
		return fmt.Errorf("sharedtest: record %q: a TTL of %s", r.Key, r.TTL)
	}
	return nil
}

func validKey(key string) bool {
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '/', c == ':', c == '_', c == '-':
		default:
			return false
		}
	}
	return key != "" && len(key) <= 128
}

// Take implements [aigateway.Shared].
func (s *Store) Take(ctx context.Context, takes []aigateway.SharedTake) (aigateway.SharedTaken, error) {
	var taken aigateway.SharedTaken
	if err := s.begin(ctx, func(c *Counts) { c.Takes++ }); err != nil {
		return taken, err
	}
	defer s.mu.Unlock()
	now := time.Now()
	for i := range takes {
		t := &takes[i]
		if !validKey(t.Key) || t.Limit <= 0 || (t.Kind == aigateway.SharedLease) != (t.Owner != "") {
			return taken, fmt.Errorf("sharedtest: a take outside of the contract: %+v", *t)
		}
		if ok, wait := s.account(t, now).allows(t, now); !ok {
			taken.Full, taken.Wait = i, wait
			taken.Left = s.left(takes, now)
			return taken, nil
		}
	}
	for i := range takes {
		s.account(&takes[i], now).take(&takes[i], now)
	}
	taken.OK, taken.Left = true, s.left(takes, now)
	return taken, nil
}

// account returns an account without parts that have ended.
func (s *Store) account(t *aigateway.SharedTake, now time.Time) *account {
	a := s.accounts[t.Key]
	if a == nil || t.Kind == aigateway.SharedBudget && !now.Before(a.end) {
		a = &account{parts: map[string]*leasePart{}}
		if t.Kind == aigateway.SharedBudget {
			a.end = now.Add(t.TTL)
		}
		s.accounts[t.Key] = a
	}
	for owner, p := range a.parts {
		if !now.Before(p.end) {
			delete(a.parts, owner)
		}
	}
	return a
}

func (s *Store) left(takes []aigateway.SharedTake, now time.Time) []int64 {
	list := make([]int64, len(takes))
	for i := range takes {
		list[i] = s.account(&takes[i], now).left(&takes[i], now)
	}
	return list
}

// price is the time in which a bucket gets an amount, rounded up.
func price(t *aigateway.SharedTake, amount int64) time.Duration {
	n := new(big.Int).Mul(big.NewInt(amount), big.NewInt(int64(t.Per)))
	q, rest := n.DivMod(n, big.NewInt(t.Limit), new(big.Int))
	if rest.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return time.Duration(q.Int64())
}

// allows reports whether a take passes, or how long until it would.
func (a *account) allows(t *aigateway.SharedTake, now time.Time) (bool, time.Duration) {
	if t.Settle || t.Amount < 0 {
		return true, 0
	}
	need := max(t.Amount, 1)
	switch t.Kind {
	case aigateway.SharedBucket:
		missing := max(a.full.Sub(now), 0)
		wait := missing - max(t.Per-price(t, need), 0)
		return wait <= 0, max(wait, 0)
	case aigateway.SharedBudget:
		return t.Limit-a.spent >= need, a.end.Sub(now)
	default:
		return t.Amount == 0 || a.left(t, now) >= t.Amount, 0
	}
}

func (a *account) take(t *aigateway.SharedTake, now time.Time) {
	switch t.Kind {
	case aigateway.SharedBucket:
		if a.full.Before(now) {
			a.full = now
		}
		a.full = a.full.Add(price(t, t.Amount))
	case aigateway.SharedBudget:
		a.spent = max(a.spent+t.Amount, 0)
	default:
		p := a.parts[t.Owner]
		if p == nil {
			p = new(leasePart)
			a.parts[t.Owner] = p
		}
		if t.Settle {
			p.amount = t.Amount
		} else {
			p.amount += t.Amount
		}
		p.end = now.Add(t.TTL)
		if p.amount <= 0 {
			delete(a.parts, t.Owner)
		}
	}
}

func (a *account) left(t *aigateway.SharedTake, now time.Time) int64 {
	switch t.Kind {
	case aigateway.SharedBucket:
		missing := new(big.Int).Mul(big.NewInt(int64(max(a.full.Sub(now), 0))), big.NewInt(t.Limit))
		taken, rest := missing.DivMod(missing, big.NewInt(int64(t.Per)), new(big.Int))
		if rest.Sign() > 0 {
			taken.Add(taken, big.NewInt(1))
		}
		return t.Limit - taken.Int64()
	case aigateway.SharedBudget:
		return t.Limit - a.spent
	}
	left := t.Limit
	for _, p := range a.parts {
		left -= p.amount
	}
	return left
}

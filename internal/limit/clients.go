package limit

import (
	"container/heap"
	"math"
	"sync"
	"time"
)

// maxKeys bounds the keys of one entry.
const maxKeys = 65_536

// Allowance holds the limits of each key of an entry. Zero means no limit.
type Allowance struct {
	RequestsPerMinute int64
	TokensPerMinute   int64

	// Money in units of 10⁻¹² USD, in a day and a month of UTC.
	PerDay   int64
	PerMonth int64
	// Exact: replicas do not take shares. The caller asks their store.
	Exact bool
}

// Measure names what an Allowance limits.
type Measure uint8

const (
	Requests Measure = iota
	Tokens
	Day
	Month
	measures
)

// String returns the name of the limit in the configuration.
func (m Measure) String() string {
	return [...]string{"requests_per_minute", "tokens_per_minute", "usd_per_day", "usd_per_month"}[m]
}

// Clients counts requests, tokens and money of clients. Its methods may be called
// from many goroutines at once. One lock is held for well under a microsecond.
type Clients struct {
	epoch time.Time

	mu      sync.Mutex
	entries map[string]*Entry

	shares   bool // there is a fleet
	replicas int  // of it; below two this one decides alone
}

// NewClients returns Clients whose clock starts at now.
func NewClients(now time.Time) *Clients {
	return &Clients{epoch: now, entries: make(map[string]*Entry)}
}

// Entry is one set of limits, with an account for each key. It has at most 65536
// accounts. An account without use in its present periods makes room for a new one.
// If all are in use, new keys share one overflow account.
type Entry struct {
	allowance Allowance
	accounts  map[Key]*account
	idle      idleHeap
	shared    map[Key]bool // accounts with a share
	overflow  account
}

// Key is a keyed hash of a client's key. Names of tenants are easy to guess, so the
// hash needs a secret.
type Key [16]byte

// account is the use of one key. The lock of Clients guards it.
type account struct {
	key      Key
	requests bucket
	tokens   bucket
	day      spending
	month    spending
	open     int // admitted, and not yet settled

	// The account is idle not before this time of the clock. It is the order of
	// the heap, and may be too early.
	idleAt int64
	share  *share // nil until it is used in a fleet
}

// spending is money in one period. A new period starts at zero by itself.
type spending struct {
	period int64 // a day's or a month's number
	spent  int64
}

// in returns the spending of a period. An earlier period, after a clock was set
// back, counts as the present one.
func (s *spending) in(period int64) int64 {
	if period > s.period {
		return 0
	}
	return s.spent
}

// add counts an amount in a period. A new period begins at zero. The sum stops at
// the largest int64.
func (s *spending) add(period, amount int64) {
	if period > s.period {
		s.period, s.spent = period, 0
	}
	if s.spent += amount; s.spent < 0 { // too much for 63 bits
		s.spent = math.MaxInt64
	}
}

// Entry returns the entry of a name, always the same one, with a new allowance.
// So a reload changes limits and keeps counts.
func (c *Clients) Entry(name string, a Allowance) *Entry {
	a.RequestsPerMinute = min(a.RequestsPerMinute, maxRate)
	a.TokensPerMinute = min(a.TokensPerMinute, maxRate)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[name]
	if e == nil {
		e = &Entry{accounts: make(map[Key]*account)}
		c.entries[name] = e
	}
	e.allowance = a
	return e
}

// Claim is an entry together with the key of a request.
type Claim struct {
	Entry *Entry
	Key   Key
}

// Exceeded is the limit in the way of a request.
type Exceeded struct {
	Claim   int // its index
	Measure Measure

	// Reset is when there is room again: for a request, for any token, or the
	// beginning of the next period.
	Reset time.Time
}

// Admitted is a request within its limits, before it is settled. nil has no limits.
type Admitted struct {
	clients *Clients
	used    []use
	first   [2]use // room for most
}

// use is the part of a request in one account.
type use struct {
	entry   *Entry
	account *account
}

// Admit counts a request against all of its claims, or returns the limit that is
// longest in its way and counts it nowhere. All claims are looked at before the first
// is counted. A request needs a whole request of its allowance. Of tokens and money any
// rest is enough: a request may cross these limits, and completes.
func (c *Clients) Admit(now time.Time, claims []Claim) (*Admitted, *Exceeded) {
	if len(claims) == 0 {
		return nil, nil
	}
	a := &Admitted{clients: c}
	a.used = a.first[:0]
	p := c.present(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	// The account of a refused request may be a new one. It is idle, and so the
	// first to go.
	var over *Exceeded
	for i, cl := range claims {
		acc := cl.Entry.account(cl.Key, p)
		m, reset := acc.exceeds(&cl.Entry.allowance, p)
		if m == measures && c.replicas > 1 && !cl.Entry.allowance.Exact && acc != &cl.Entry.overflow {
			m, reset = c.exceedsShare(acc, &cl.Entry.allowance, p)
		}
		if m < measures && (over == nil || reset.After(over.Reset)) {
			over = &Exceeded{i, m, reset}
		}
		a.used = append(a.used, use{cl.Entry, acc})
	}
	if over != nil {
		return nil, over
	}
	// An open account is never forgotten: its request may still cost something.
	for _, u := range a.used {
		if n := u.entry.allowance.RequestsPerMinute; n > 0 {
			u.account.requests.add(p.at, n, -1)
		}
		u.account.open++
		if c.shares && !u.entry.allowance.Exact && u.account != &u.entry.overflow {
			u.account.shared()
			u.entry.share(u.account.key)
			u.account.use(&u.entry.allowance, p, 1, 0, 0)
		}
	}
	return a, nil
}

// Settle adds the tokens and the money (in 10⁻¹² USD) of a request at its end.
// Money counts in the period of now. Only the first call counts.
func (a *Admitted) Settle(now time.Time, tokens, money int64) {
	if a == nil {
		return
	}
	c := a.clients
	p := c.present(now)
	tokens, money = min(max(tokens, 0), maxTokens), max(money, 0)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range a.used {
		if n := u.entry.allowance.TokensPerMinute; n > 0 {
			u.account.tokens.add(p.at, n, -tokens)
		}
		u.account.day.add(p.day, money)
		u.account.month.add(p.month, money)
		u.account.open--
		u.account.use(&u.entry.allowance, p, 0, tokens, money)
	}
	a.used = nil
}

// present is a moment with its periods.
type present struct {
	at         int64 // of the clock
	now        time.Time
	day, month int64 // by number
}

// present is a time in the units of the counters. Days and months are those of UTC.
func (c *Clients) present(now time.Time) present {
	utc := now.UTC()
	year, month, _ := utc.Date()
	return present{
		at: int64(now.Sub(c.epoch)), now: now,
		day: utc.Unix() / secondsADay, month: int64(year)*12 + int64(month) - 1,
	}
}

const secondsADay = 24 * 60 * 60

func (p *present) nextDay() time.Time { return time.Unix((p.day+1)*secondsADay, 0).UTC() }

func (p *present) nextMonth() time.Time {
	return time.Date(int((p.month+1)/12), time.Month((p.month+1)%12+1), 1, 0, 0, 0, 0, time.UTC)
}

// time returns the time of a moment of the clock.
func (p *present) time(at int64) time.Time { return p.now.Add(time.Duration(at - p.at)) }

// exceeds returns the limit in the way of one more request, and when it has room
// again. Of several limits the longest in the way counts.
func (a *account) exceeds(lim *Allowance, p present) (over Measure, reset time.Time) {
	over = measures
	if n := lim.RequestsPerMinute; n > 0 && a.requests.ready(n, 1) > p.at {
		over, reset = Requests, p.time(a.requests.ready(n, 1))
	}
	if n := lim.TokensPerMinute; n > 0 && a.tokens.ready(n, 1) > p.at {
		if at := p.time(a.tokens.ready(n, 1)); at.After(reset) {
			over, reset = Tokens, at
		}
	}
	if lim.PerDay > 0 && a.day.in(p.day) >= lim.PerDay {
		over, reset = Day, p.nextDay()
	}
	if lim.PerMonth > 0 && a.month.in(p.month) >= lim.PerMonth {
		over, reset = Month, p.nextMonth()
	}
	return over, reset
}

// account returns the account of a key. A new one takes the place of an idle one
// if the entry is full.
func (e *Entry) account(key Key, p present) *account {
	if a := e.accounts[key]; a != nil {
		return a
	}
	if len(e.accounts) >= maxKeys && !e.makeRoom(p) {
		return &e.overflow
	}
	a := &account{key: key, idleAt: p.at}
	e.accounts[key] = a
	heap.Push(&e.idle, a)
	return a
}

// makeRoom forgets idle accounts, and returns whether it found one. It looks at an
// account only when it can be idle, and at most once a minute.
func (e *Entry) makeRoom(p present) bool {
	room := false
	for len(e.idle) > 0 && e.idle[0].idleAt <= p.at {
		a := e.idle[0]
		if at := a.idleFrom(&e.allowance, p); at > p.at {
			a.idleAt = min(at, p.at+int64(time.Minute))
			heap.Fix(&e.idle, 0)
			continue
		}
		heap.Pop(&e.idle)
		delete(e.accounts, a.key)
		room = true
	}
	return room
}

// idleFrom returns when an account is without use in its periods, if it is not used
// meanwhile.
func (a *account) idleFrom(lim *Allowance, p present) int64 {
	at := max(a.requests.fullAt.Load(), a.tokens.fullAt.Load())
	if a.open > 0 {
		at = max(at, p.at+int64(100*time.Millisecond))
	}
	if lim.PerDay > 0 && a.day.in(p.day) > 0 {
		at = max(at, p.at+int64(p.nextDay().Sub(p.now)))
	}
	if lim.PerMonth > 0 && a.month.in(p.month) > 0 {
		at = max(at, p.at+int64(p.nextMonth().Sub(p.now)))
	}
	return at
}

// idleHeap orders accounts by the earliest time of their being idle.
type idleHeap []*account

func (h idleHeap) Len() int           { return len(h) }
func (h idleHeap) Less(i, j int) bool { return h[i].idleAt < h[j].idleAt }
func (h idleHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *idleHeap) Push(x any)        { *h = append(*h, x.(*account)) }

// Only container/heap calls Pop.
func (h *idleHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return a
}

// Left is the rest of one limit. A zero Limit means no limit.
type Left struct {
	Limit, Remaining int64
	Reset            time.Duration // until the whole limit remains again
}

// Standing is a key's rest of its limits a minute.
type Standing struct{ Requests, Tokens Left }

// Nearest returns the Standing of the claim nearest to its end, for x-ratelimit
// headers. It is empty if a budget is used up: requests that are left beside it would
// have clients try again at once.
func (c *Clients) Nearest(now time.Time, claims []Claim) Standing {
	p := c.present(now)
	nearest, share := Standing{}, math.Inf(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cl := range claims {
		e := cl.Entry
		a := e.accounts[cl.Key]
		if a == nil {
			a = e.account(cl.Key, p)
		}
		if over, _ := a.exceeds(&e.allowance, p); over == Day || over == Month {
			return Standing{}
		}
		s := Standing{left(&a.requests, e.allowance.RequestsPerMinute, p), left(&a.tokens, e.allowance.TokensPerMinute, p)}
		for _, l := range [...]Left{s.Requests, s.Tokens} {
			if l.Limit > 0 && float64(l.Remaining)/float64(l.Limit) < share {
				nearest, share = s, float64(l.Remaining)/float64(l.Limit)
			}
		}
	}
	return nearest
}

// left returns the rest of a bucket. A debt is a rest of zero with a later reset.
func left(b *bucket, n int64, p present) Left {
	if n == 0 {
		return Left{}
	}
	return Left{n, max(b.left(p.at, n), 0), time.Duration(max(b.fullAt.Load()-p.at, 0))}
}

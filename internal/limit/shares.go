package limit

import (
	"maps"
	"math"
	"slices"
	"time"
)

// A replica of a fleet may use a share of what is left of each limit, until the next
// exchange. It reserves the share in its record, so that others leave it alone.
const (
	shareParts   = 10 // a share is nine tenths of an equal part: figures of others are late
	shareSolo    = 750 * time.Millisecond
	shareRenewed = 250 * time.Millisecond // the Reset of a used up share
	shareKept    = 2 * time.Second        // a reservation that is not renewed: its replica is dead, or alone
)

// Use is what one replica has used of one account, and what it reserves of the
// rest.
//
// Counters that only grow make a lost record harmless: the next one holds the
// same and more.
type Use struct {
	// Requests and Tokens only grow. Levels are the part of them that has not
	// flowed back yet.
	Requests, Tokens         int64
	RequestLevel, TokenLevel int64
	Day, DaySpent            int64 // the number of the day, and 10⁻¹² USD in it
	Month, MonthSpent        int64
	Reserved                 [measures]int64
}

// otherUse is what another replica told at a time of the clock.
type otherUse struct {
	Use
	told int64
}

// share is the part of an account that is about the fleet.
type share struct {
	credit   [measures]int64 // usable now
	own      Use
	level    [2]bucket // own requests and tokens
	others   map[string]*otherUse
	since    int64           // of the clock: the first use
	first    [measures]int64 // what was free then
	rivals   int64           // of the clock: the latest use by another replica
	pending  [measures]int64 // used since the latest Used
	dirty    bool
	reserved bool // a record reserves something
	held     bool // credit is a first share, or an agreed one; else the next request begins anew
	asked    bool // the latest Used told of a reservation, which Agree makes the credit
}

// Replicas says how many replicas there are, 0 if the store is away: this one then
// decides alone.
// Without a call there is no fleet.
func (c *Clients) Replicas(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replicas, c.shares = n, true
}

// shareOf returns the share of an account, a first one without waiting for the fleet.
//
// The first use must not wait for an exchange. It takes an equal part of what is
// free as far as known.
func (c *Clients) shareOf(a *account, lim *Allowance, p present) *share {
	s := a.shared()
	if !s.held {
		s.held, s.since = true, p.at
		for m := range measures {
			s.first[m] = s.free(a, lim, m, p)
			s.credit[m] = max(s.part(s.first[m], c.replicas), s.spare(a, lim, m, p, c.replicas))
		}
		s.dirty = true
	}
	return s
}

// shared returns the account's share, made if need be.
func (a *account) shared() *share {
	if a.share == nil {
		a.share = &share{rivals: -int64(time.Hour), others: map[string]*otherUse{}}
	}
	return a.share
}

// left is the rest of a limit, as far as this replica knows. ok is false without a
// limit.
func (a *account) left(lim *Allowance, m Measure, p present) (n int64, ok bool) {
	switch m {
	case Requests:
		if n = lim.RequestsPerMinute; n > 0 {
			return a.requests.left(p.at, n), true
		}
	case Tokens:
		if n = lim.TokensPerMinute; n > 0 {
			return a.tokens.left(p.at, n), true
		}
	case Day:
		if n = lim.PerDay; n > 0 {
			return n - a.day.in(p.day), true
		}
	case Month:
		if n = lim.PerMonth; n > 0 {
			return n - a.month.in(p.month), true
		}
	}
	return 0, false
}

// free is what nobody else has reserved.
func (s *share) free(a *account, lim *Allowance, m Measure, p present) int64 {
	n, _ := a.left(lim, m, p)
	for _, o := range s.others {
		if o.reserves(p) {
			n -= o.Reserved[m]
		}
	}
	return n
}

// unheard is what the replicas that have not told yet may have used: each begins with
// a share of its own.
func (s *share) unheard(replicas int, m Measure, p present) int64 {
	if p.at-s.since > int64(shareSolo) {
		return 0
	}
	return int64(max(replicas-1-len(s.others), 0)) * s.part(s.first[m], replicas)
}

// part is an equal part of what is free, a little less, at least one.
//
// Its two terms avoid an overflow of the product. At least one: a limit of 3
// among 5 replicas must not be closed for all.
func (s *share) part(free int64, replicas int) int64 {
	if free <= 0 {
		return 0
	}
	return max(free/shareParts*(shareParts-1)/int64(replicas)+free%shareParts*(shareParts-1)/shareParts/int64(replicas), 1)
}

// spare is a replica's part of the tenth that equal parts leave over. It is there even if
// others have reserved all, as they may be slow to say that they do not need it.
func (s *share) spare(a *account, lim *Allowance, m Measure, p present, replicas int) int64 {
	n, _ := a.left(lim, m, p)
	return max(n, 0) / shareParts / int64(max(replicas, 1))
}

// exceedsShare returns a measure whose share is used up.
func (c *Clients) exceedsShare(a *account, lim *Allowance, p present) (Measure, time.Time) {
	s := c.shareOf(a, lim, p)
	for m := range measures {
		if _, limited := a.left(lim, m, p); limited && s.credit[m] < 1 {
			return m, p.now.Add(shareRenewed)
		}
	}
	return measures, time.Time{}
}

// use notes a use of this replica. c.mu is held.
//
// It is called at the admission with one request, and at the end with tokens and
// money. Credit may fall below zero: the request that empties it completes.
func (a *account) use(lim *Allowance, p present, requests, tokens, money int64) {
	s := a.share
	if s == nil {
		return
	}
	s.dirty = true
	s.own.Requests += requests
	s.own.Tokens += tokens
	if n := lim.RequestsPerMinute; n > 0 {
		s.level[Requests].add(p.at, n, -requests)
	}
	if n := lim.TokensPerMinute; n > 0 {
		s.level[Tokens].add(p.at, n, -tokens)
	}
	day, month := spending{s.own.Day, s.own.DaySpent}, spending{s.own.Month, s.own.MonthSpent}
	day.add(p.day, money)
	month.add(p.month, money)
	s.own.Day, s.own.DaySpent, s.own.Month, s.own.MonthSpent = day.period, day.spent, month.period, month.spent
	for m, n := range [measures]int64{requests, tokens, money, money} {
		s.credit[m] -= n
		s.pending[m] += n
	}
}

// Names returns the names of the entries.
func (c *Clients) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.entries))
}

// Used calls tell with each account whose use or reservation has changed since the
// last call. life is how long its record counts.
//
// tell is called without a lock held.
func (c *Clients) Used(now time.Time, tell func(entry string, key Key, u Use, life time.Duration)) {
	p := c.present(now)
	type told struct {
		entry string
		key   Key
		use   Use
		life  time.Duration
	}
	var list []told
	c.mu.Lock()
	for name, e := range c.entries {
		for key := range e.shared {
			a := e.accounts[key]
			if a == nil || a.share == nil {
				delete(e.shared, key)
				continue
			}
			if life, ok := c.reserve(e, a, p); ok {
				list = append(list, told{name, key, a.share.own, life})
			}
		}
	}
	c.mu.Unlock()
	for _, t := range list {
		tell(t.entry, t.key, t.use, t.life)
	}
}

// reserve renews the reservations of an account. It returns false if its record is as
// it was.
//
// An account without use since the last call gives its reservation back, and is
// then left alone.
func (c *Clients) reserve(e *Entry, a *account, p present) (life time.Duration, changed bool) {
	s, lim := a.share, &e.allowance
	s.asked = false
	if !s.dirty && !s.reserved {
		if !s.reservedByOthers(p) {
			delete(e.shared, a.key)
		}
		return 0, false
	}
	idle := !s.dirty
	s.dirty, s.pending = false, [measures]int64{}
	before := s.own.Reserved
	s.reserved = !idle
	// A share that no record backs up is given up.
	s.asked = !idle && c.replicas >= 2
	s.held = s.held && s.asked
	for m := range measures {
		s.own.Reserved[m] = 0
		if _, limited := a.left(lim, m, p); !limited || !s.asked {
			continue
		}
		free := s.free(a, lim, m, p) - s.unheard(c.replicas, m, p)
		want := s.part(free, c.replicas)
		if p.at-s.since > int64(shareSolo) && p.at-s.rivals > int64(shareSolo) {
			want = max(want, free/2) // nobody else uses it
		}
		keep := s.credit[m]
		if p.at-s.since > int64(shareSolo) {
			keep /= 2 // others may need what this one has not used
		}
		s.own.Reserved[m] = max(min(max(want, keep), free), s.spare(a, lim, m, p, c.replicas))
		s.credit[m] = min(s.credit[m], s.own.Reserved[m])
	}
	s.own.RequestLevel, s.own.TokenLevel = 0, 0
	life = 2 * bucketTime
	if n := lim.RequestsPerMinute; n > 0 {
		s.own.RequestLevel = n - s.level[Requests].left(p.at, n)
	}
	if n := lim.TokensPerMinute; n > 0 {
		s.own.TokenLevel = n - s.level[Tokens].left(p.at, n)
		life = max(life, time.Duration(s.level[Tokens].fullAt.Load()-p.at))
	}
	if lim.PerDay > 0 {
		life = max(life, p.nextDay().Sub(p.now))
	}
	if lim.PerMonth > 0 {
		life = max(life, p.nextMonth().Sub(p.now))
	}
	return life, !idle || before != s.own.Reserved
}

// reserves reports whether a reservation counts. Its replica renews it with each exchange.
func (o *otherUse) reserves(p present) bool {
	return p.at-o.told < int64(shareKept) && o.Reserved != [measures]int64{}
}

// reservedByOthers reports whether another replica has a share of this account.
func (s *share) reservedByOthers(p present) bool {
	for _, o := range s.others {
		if o.reserves(p) {
			return true
		}
	}
	return false
}

// Agree makes the reservations of the latest Used the shares, as far as the records of
// others allow. Call it after these were learnt. A share that began since has no
// reservation yet, and stays.
func (c *Clients) Agree(now time.Time) {
	p := c.present(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		for key := range e.shared {
			a := e.accounts[key]
			if a == nil || a.share == nil || !a.share.asked {
				continue
			}
			s := a.share
			s.asked, s.held = false, true
			for m := range measures {
				free := max(s.free(a, &e.allowance, m, p), s.spare(a, &e.allowance, m, p, c.replicas))
				s.credit[m] = min(s.own.Reserved[m]-s.pending[m], free)
			}
		}
	}
}

// Learn takes the use of another replica over, as it told at a time. An instance
// without a record before counts by its levels. They have flowed back since.
func (c *Clients) Learn(now, told time.Time, entry, instance string, key Key, u Use) {
	p := c.present(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[entry]
	if e == nil {
		return
	}
	a := e.account(key, p)
	if a == &e.overflow {
		return
	}
	s := a.shared()
	e.share(key)
	old := s.others[instance]
	if old == nil {
		age := now.Sub(told)
		old = &otherUse{Use: Use{
			Requests: u.Requests - ebbed(u.RequestLevel, e.allowance.RequestsPerMinute, age),
			Tokens:   u.Tokens - ebbed(u.TokenLevel, e.allowance.TokensPerMinute, age),
		}}
	}
	if u.Requests > old.Requests || u.Tokens > old.Tokens || u.DaySpent != old.DaySpent {
		s.rivals = p.at
	}
	if n := e.allowance.RequestsPerMinute; n > 0 {
		a.requests.add(p.at, n, -max(u.Requests-old.Requests, 0))
	}
	if n := e.allowance.TokensPerMinute; n > 0 {
		a.tokens.add(p.at, n, -max(u.Tokens-old.Tokens, 0))
	}
	a.day.learn(p.day, u.Day, u.DaySpent-spentIn(old.Day, old.DaySpent, u.Day))
	a.month.learn(p.month, u.Month, u.MonthSpent-spentIn(old.Month, old.MonthSpent, u.Month))
	s.others[instance] = &otherUse{u, int64(told.Sub(c.epoch))}
}

// learn counts what another replica spent in a period. A period that is over is not the
// present one: a replica that starts learns old records too.
func (s *spending) learn(present, period, amount int64) {
	if period >= min(present, s.period) {
		s.add(period, amount)
	}
}

// ebbed is a level after a while, in a bucket of n a minute.
func ebbed(level, n int64, age time.Duration) int64 {
	if age <= 0 || n <= 0 {
		return level
	}
	return max(level-int64(min(age.Minutes()*float64(n), float64(math.MaxInt64/2))), 0)
}

// spentIn is what was spent in the period that counts, and zero for another one.
func spentIn(period, spent, of int64) int64 {
	if period == of {
		return spent
	}
	return 0
}

// share marks an account that other replicas tell of.
func (e *Entry) share(key Key) {
	if e.shared == nil {
		e.shared = map[Key]bool{}
	}
	e.shared[key] = true
}

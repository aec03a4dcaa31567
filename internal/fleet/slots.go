package fleet

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/limit"
)

// Times of slots in flight.
const (
	// A slot lives through four lost renewals. A replica that dies gives its slots
	// back by then.
	slotsLife  = 4500 * time.Millisecond // of a replica's slots, from their latest renewal
	slotsRenew = 900 * time.Millisecond
	slotsPoll  = 40 * time.Millisecond // between two questions for requests that wait
	slotsRest  = 5 * time.Millisecond  // before ended requests give theirs back, together
)

// Slots leases the slots of exact limits in flight from the store. A replica has as
// many as it has requests under way: a request that finds none asks for one, and
// [Slots.Turn] gives those of ended requests back. It implements [limit.Lessor].
//
// One call of the store is under way for each gate. So Turn can tell the store the
// number of slots whenever it is in doubt, and requests that ask meanwhile share the
// next call. A slot in doubt counts as taken, until it ends in the store.
type Slots struct {
	fleet   *Fleet
	limiter *limit.Limiter
	members *Members
	looks   chan struct{}

	aloneUntil atomic.Int64 // Unix nanoseconds of the local clock

	mu     sync.Mutex
	leases map[*limit.Gate]*lease
}

// lease is a gate's part of the store.
type lease struct {
	gate *limit.Gate
	key  string
	next *ask // the requests that share the next call; guarded by the mu of Slots

	// calling has a token while a call is under way. Its holder has the fields below.
	calling chan struct{}
	told    int64 // slots in the store
	toldAt  time.Time
	polled  time.Time
}

// ask is a question of requests for slots, one each.
type ask struct {
	n    int64
	done chan struct{}
	more bool // some have come; valid once done is closed
}

// NewSlots leases the slots of a Limiter's exact gates.
func NewSlots(f *Fleet, l *limit.Limiter, m *Members) *Slots {
	s := &Slots{fleet: f, limiter: l, members: m, looks: make(chan struct{}, 1), leases: map[*limit.Gate]*lease{}}
	l.SetLessor(s)
	f.After(func(now time.Time) {
		if s.isAlone() && now.UnixNano() >= s.aloneUntil.Load() {
			s.Look()
		}
	})
	return s
}

// Looks is ready when Turn should be called at once.
func (s *Slots) Looks() <-chan struct{} { return s.looks }

// Look implements [limit.Lessor].
// Several looks before Turn are one.
func (s *Slots) Look() {
	select {
	case s.looks <- struct{}{}:
	default:
	}
}

// Alone has each exact gate count for this process.
// Requests then count against the share of this replica.
func (s *Slots) Alone() {
	now := time.Now()
	for _, l := range s.list() {
		l.gate.Leave(now)
	}
}

// away is Alone for a while, as a call had no answer in time.
func (s *Slots) away() {
	s.aloneUntil.Store(time.Now().Add(aloneFor).UnixNano())
	s.Alone()
}

// isAlone reports whether a gate counts for this process.
func (s *Slots) isAlone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.leases {
		if g.Alone() {
			return true
		}
	}
	return false
}

// list returns the leases of the gates there are.
//
// Leases of gates that are gone are forgotten. Their slots end in the store by
// themselves.
func (s *Slots) list() []*lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := make(map[*limit.Gate]*lease, len(s.leases))
	list := make([]*lease, 0, len(s.leases))
	s.limiter.Exact(func(name string, g *limit.Gate) {
		l := s.leases[g]
		if l == nil {
			l = &lease{gate: g, key: "f/" + s.fleet.Of("slots", name).String(), calling: make(chan struct{}, 1)}
		}
		live[g] = l
		list = append(list, l)
	})
	s.leases = live
	return list
}

// Ask implements [limit.Lessor]. Without an answer within 100 ms the replica decides
// alone for a second.
func (s *Slots) Ask(client context.Context, g *limit.Gate) bool {
	l, a := s.join(g)
	if a == nil {
		return false
	}
	within, cancel := context.WithTimeout(client, takeTimeout)
	defer cancel()
	select {
	case <-a.done:
	case l.calling <- struct{}{}:
		s.call(client, l, a)
		<-l.calling
	case <-within.Done():
		if client.Err() != nil {
			return false
		}
		s.away()
		return true
	}
	return a.more
}

// join adds a request to the next question about a gate.
// A question takes requests until a call begins. Both are nil for a gate without
// an exact limit.
func (s *Slots) join(g *limit.Gate) (*lease, *ask) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.leases[g]
	if l == nil {
		return nil, nil // it has no limit any more
	}
	if l.next == nil {
		l.next = &ask{done: make(chan struct{})}
	}
	l.next.n++
	return l, l.next
}

// call asks a question, unless another request has asked it.
//
// It runs with the token of calling.
func (s *Slots) call(client context.Context, l *lease, a *ask) {
	s.mu.Lock()
	mine := l.next == a
	if mine {
		l.next = nil
	}
	s.mu.Unlock()
	if !mine {
		return // it has its answer
	}
	defer close(a.done)
	if l.gate.Alone() { // the call before had no answer
		a.more = true
		return
	}
	// The client may leave, and the others still wait for the answer.
	more, err := s.lease(context.WithoutCancel(client), l, a.n)
	a.more = more || err != nil
	if err != nil {
		s.away()
	}
}

// lease leases up to n slots. It reports whether it got some.
//
// It tries fewer slots as long as the store has some. The caller has the token
// of calling.
func (s *Slots) lease(ctx context.Context, l *lease, n int64) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	for n > 0 {
		now := time.Now()
		taken, err := s.take(ctx, l, n, false)
		if err != nil {
			return false, err
		}
		if taken.OK {
			l.told, l.toldAt = l.told+n, now
			l.gate.Grant(now, n)
			return true, nil
		}
		left := int64(0)
		if len(taken.Left) > 0 {
			left = taken.Left[0]
		}
		n = min(n-1, left)
	}
	return false, nil
}

// take is one call of the store. With settle it sets the number of slots, and
// else it asks for n more.
func (s *Slots) take(ctx context.Context, l *lease, n int64, settle bool) (Taken, error) {
	return s.fleet.store.Take(ctx, []Take{{
		Key: l.key, Kind: Lease, Owner: s.fleet.instance, Amount: n, Settle: settle, Limit: max(l.gate.Slots(), 1), TTL: slotsLife,
	}})
}

// Turn renews the slots of requests under way, gives the others back, and asks for
// requests that wait. It returns when none waits.
func (s *Slots) Turn(ctx context.Context) {
	for pause(ctx, slotsRest, nil); s.turn(ctx); pause(ctx, slotsRest, nil) {
		pause(ctx, slotsPoll+rand.N(slotsPoll/2), s.looks)
	}
}

// pause waits, unless it is woken or the context ends.
// A nil channel wakes nobody up.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
	}
}

// turn is one look at all gates. It reports whether requests wait.
func (s *Slots) turn(ctx context.Context) (waiting bool) {
	list := s.list()
	if !s.fleet.Up() || time.Now().UnixNano() < s.aloneUntil.Load() {
		s.Alone()
		return false
	}
	// A request may need the slots of two gates: all are asked before one gives back.
	for _, do := range []func(context.Context, *lease) error{s.poll, s.tell} {
		for _, l := range list {
			select {
			case l.calling <- struct{}{}:
			case <-ctx.Done():
				return false
			}
			err := do(ctx, l)
			<-l.calling
			if ctx.Err() != nil {
				return false
			}
			if err != nil {
				s.away()
				return false
			}
			waiting = waiting || l.gate.Waiting() > 0
		}
	}
	return waiting
}

// poll asks for the requests that wait at a gate.
// It asks at most once in slotsPoll, for each gate.
func (s *Slots) poll(ctx context.Context, l *lease) error {
	l.gate.SetShare(l.gate.Slots() / int64(s.members.Count()))
	now := time.Now()
	if l.gate.Alone() || now.Sub(l.polled) < slotsPoll {
		return nil
	}
	n := l.gate.Wants(now)
	if n == 0 {
		return nil
	}
	l.polled = now
	_, err := s.lease(ctx, l, n)
	return err
}

// tell tells the store how many slots the replica has, if that has changed or their
// time is short.
//
// It settles the number instead of giving back a difference: a call in doubt
// before it does no harm.
func (s *Slots) tell(ctx context.Context, l *lease) error {
	within, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	joins := l.gate.Alone()
	if joins { // requests do not wait to see whether the store is there
		if _, err := s.take(within, l, 0, false); err != nil {
			return err
		}
	}
	now, n := time.Now(), l.gate.Trim()
	if !joins && n == l.told && (n == 0 || now.Sub(l.toldAt) < slotsRenew) {
		return nil
	}
	if _, err := s.take(within, l, n, true); err != nil {
		return err
	}
	l.told, l.toldAt = n, now
	return nil
}

package limit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// sharing is a replica's account of one key, at an exchange now and then.
type sharing struct {
	*Clients
	claims []Claim
	now    time.Time
	told   Use
}

func newSharing(a Allowance, replicas int) *sharing {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	s := &sharing{Clients: NewClients(now), now: now}
	s.Replicas(0)
	s.claims = []Claim{{s.Entry("e", a), key(1)}}
	s.Replicas(replicas)
	return s
}

// passed sends requests, and counts those that pass.
func (s *sharing) passed(requests int) (n int) {
	for range requests {
		if a, over := s.Admit(s.now, s.claims); over == nil {
			a.Settle(s.now, 0, 0)
			n++
		}
	}
	return n
}

// begin is the beginning of an exchange, end its end.
func (s *sharing) begin() {
	s.Used(s.now, func(_ string, _ Key, u Use, _ time.Duration) { s.told = u })
}

func (s *sharing) end(replicas int) {
	s.Replicas(replicas)
	s.Agree(s.now)
}

func (s *sharing) exchange(replicas int) {
	s.begin()
	s.end(replicas)
	s.now = s.now.Add(225 * time.Millisecond)
}

func TestAShareIsThereAtOnce(t *testing.T) {
	for name, before := range map[string]func(s *sharing){
		"within an exchange": func(s *sharing) {
			s.begin()
			assert.Equal(t, 1, s.passed(1))
			s.end(2)
		},
		"within an exchange, after a pause": func(s *sharing) {
			assert.Equal(t, 1, s.passed(1))
			for range 3 {
				s.exchange(2)
			}
			s.begin()
			assert.Equal(t, 1, s.passed(1))
			s.end(2)
		},
		"after the store was away": func(s *sharing) {
			assert.Equal(t, 1, s.passed(1))
			s.exchange(2)
			s.Replicas(0)
			s.begin()
			assert.Equal(t, 300, s.passed(300), "more than its share")
			s.begin()
			s.end(2)
		},
		"once there is a second replica": func(s *sharing) {
			s.Replicas(1)
			assert.Equal(t, 1, s.passed(1))
			s.exchange(1)
			assert.Equal(t, 1, s.passed(1))
			s.exchange(2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSharing(Allowance{RequestsPerMinute: 600}, 2)
			before(s)
			assert.Equal(t, 100, s.passed(100))
		})
	}
}

func TestReservationsEnd(t *testing.T) {
	s := newSharing(Allowance{RequestsPerMinute: 600}, 2)
	of := Use{}
	of.Reserved[Requests] = 590
	s.Learn(s.now, s.now.Add(-1999*time.Millisecond), "e", "other", key(1), of)
	assert.Equal(t, 30, s.passed(600), "a part of the spare tenth")
	s = newSharing(Allowance{RequestsPerMinute: 600}, 2)
	s.Learn(s.now, s.now.Add(-2*time.Second), "e", "other", key(1), of)
	assert.Equal(t, 270, s.passed(600), "its replica is dead")
}

// What a replica told a while ago has flowed back meanwhile.
func TestLevelsEbb(t *testing.T) {
	for name, tt := range map[string]struct {
		age  time.Duration
		want int64
	}{
		"now": {0, 200}, "half a minute ago": {30 * time.Second, 500}, "a minute ago": {time.Minute, 600}, "an hour ago": {time.Hour, 600},
		"by a clock that is ahead": {-time.Second, 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSharing(Allowance{RequestsPerMinute: 600}, 2)
			s.Learn(s.now, s.now.Add(-tt.age), "e", "other", key(1), Use{Requests: 5000, RequestLevel: 400})
			assert.Equal(t, tt.want, s.Nearest(s.now, s.claims).Requests.Remaining)
		})
	}
}

// A replica that had the account for itself gives up what it does not use.
func TestSharesAreNotHoarded(t *testing.T) {
	s := newSharing(Allowance{RequestsPerMinute: 600}, 2)
	for range 20 {
		s.passed(1)
		s.exchange(2)
	}
	assert.Greater(t, s.told.Reserved[Requests], int64(250), "nobody else uses it")
	other := Use{}
	for range 8 {
		other.Requests += 20
		other.Reserved[Requests] = 100
		s.Learn(s.now, s.now, "e", "other", key(1), other)
		s.passed(1)
		s.exchange(2)
	}
	assert.Less(t, s.told.Reserved[Requests], int64(180))
}

// A replica that starts reads what others spent yesterday beside what they spent today.
func TestYesterdayIsOver(t *testing.T) {
	s := newSharing(Allowance{PerDay: 5 * usd, PerMonth: 100 * usd}, 3)
	p := s.present(s.now)
	s.Learn(s.now, s.now, "e", "today", key(1), Use{Day: p.day, DaySpent: 1 * usd, Month: p.month, MonthSpent: 1 * usd})
	s.Learn(s.now, s.now.Add(-24*time.Hour), "e", "yesterday", key(1), Use{Day: p.day - 1, DaySpent: 4 * usd, Month: p.month, MonthSpent: 4 * usd})
	assert.Equal(t, 1, s.passed(1))
	s.Learn(s.now, s.now, "e", "too much", key(1), Use{Day: p.day, DaySpent: 4 * usd, Month: p.month, MonthSpent: 4 * usd})
	assert.Zero(t, s.passed(1))
}

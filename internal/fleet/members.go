package fleet

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
)

// Times of what replicas tell about themselves.
const (
	memberEvery = time.Second     // a word at least
	memberLife  = 4 * time.Second // without a word a replica is gone
	slotEvery   = 900 * time.Millisecond
	slotKept    = stats.SlotCount*stats.SlotLength + 30*time.Second
	maxFlights  = 1000 // models with requests in flight, of one record
)

// Member is a replica of the fleet.
type Member struct {
	Name string
	// Seen is the time of its latest word.
	Seen time.Time
	// InFlight are its requests under way, Requests those that ended in five minutes.
	InFlight, Requests int64
	// Stranger: it has another secret, and shares nothing with this one.
	Stranger bool
}

// memberRecord is the value of a replica's record.
//
// Names of regions, accounts and models are keyed hashes. The name of the
// replica is in clear, for people.
type memberRecord struct {
	Version  int              `json:"v"`
	Name     string           `json:"n,omitempty"`
	Secret   string           `json:"k,omitempty"` // a sum that tells secrets apart
	InFlight int64            `json:"f"`
	Requests int64            `json:"r"`
	Region   string           `json:"g,omitempty"`
	Account  string           `json:"a,omitempty"`
	Flights  map[string]int64 `json:"t,omitempty"` // by the sum of a model
}

// Members shares requests in flight and measurements. It knows which replicas live.
//
// The record of a replica ends after four seconds, so a replica that died is gone
// by then, with its requests in flight. What it measured stays for its window.
type Members struct {
	fleet   *Fleet
	health  *Health
	name    string
	secret  string
	strange func(name string)

	// Of the goroutine in Exchange.
	toldAt  time.Time
	slotsAt time.Time
	slots   map[*stats.Track]map[int64]int64 // requests told, by slot
	others  map[string]*other                // by instance
	changed map[Sum]bool                     // models with news of others
	own     memberRecord

	mu   sync.Mutex
	list []Member
}

// other is another replica, alive or not.
type other struct {
	memberRecord
	seen, end time.Time
	slots     map[Sum][]stats.RemoteSlot
}

// NewMembers shares the measurements of a Health's Recorder, under a name for people.
// strange is told once of each replica with another secret, in the goroutine of Exchange.
func NewMembers(h *Health, name string, strange func(string)) *Members {
	m := &Members{
		fleet: h.fleet, health: h, name: name, secret: h.fleet.Of("secret").String(), strange: strange,
		slots: map[*stats.Track]map[int64]int64{}, others: map[string]*other{}, changed: map[Sum]bool{},
	}
	h.recorder.SetFleet(stats.Fleet{})
	h.fleet.Add(&Kind{Prefix: "r", Learn: m.learn})
	h.fleet.Add(&Kind{Prefix: "s", Learn: m.learnSlot})
	h.fleet.Collect(m.collect)
	return m
}

// List returns the living replicas by name, this one included.
//
// The list is made anew by each exchange, and must not be changed.
func (m *Members) List() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list
}

// Count returns the number of living replicas, this one included.
func (m *Members) Count() int { return max(len(m.List()), 1) }

// collect tells the others of this replica: its requests in flight each second, or
// sooner if they changed, and the slots that changed every 900 ms.
func (m *Members) collect(now time.Time) {
	region, account := m.health.recorder.Place()
	here := stats.Fleet{Region: m.place("region", region), Account: m.place("account", account)}
	m.health.recorder.SetFleet(here)
	r := memberRecord{Version: version, Name: m.name, Secret: m.secret, Region: here.Region, Account: here.Account, Requests: m.own.Requests}
	slots := now.Sub(m.slotsAt) >= slotEvery
	if slots {
		m.slotsAt, r.Requests = now, 0
		for t := range m.slots {
			if _, ok := m.health.sums[t]; !ok {
				delete(m.slots, t)
			}
		}
	}
	m.health.recorder.Tracks(func(t *stats.Track) {
		if kind, _, _, _ := t.Names(); kind != "model" {
			return
		}
		sum, ok := m.health.sums[t]
		if !ok {
			return
		}
		if n := t.InFlight(); n > 0 {
			if r.InFlight += n; len(r.Flights) < maxFlights {
				if r.Flights == nil {
					r.Flights = map[string]int64{}
				}
				r.Flights[sum.String()] = n
			}
		}
		if slots {
			r.Requests += m.putSlots(now, t, sum, here)
		}
	})
	if now.Sub(m.toldAt) >= memberEvery || r.InFlight != m.own.InFlight && now.Sub(m.toldAt) >= memberEvery/4 {
		m.toldAt = now
		value, _ := json.Marshal(r) // of plain fields
		m.fleet.putOwn(now, "r", m.fleet.instance, value, memberLife)
	}
	m.own = r
	m.update(now)
}

// place is the hash of the name of a region or account, empty for none.
func (m *Members) place(kind, name string) string {
	if name == "" {
		return ""
	}
	return m.fleet.Of(kind, name).String()
}

// putSlots puts the changed slots of a Track, and returns its requests in the window.
//
// A slot is told anew while it grows. Its record replaces the one before.
func (m *Members) putSlots(now time.Time, t *stats.Track, sum Sum, here stats.Fleet) (total int64) {
	told := m.slots[t]
	t.Export(now, func(index int64, start time.Time, requests int64, encode func() []byte) {
		total += requests
		if told[index] == requests {
			return
		}
		if told == nil {
			told = map[int64]int64{}
			m.slots[t] = told
		}
		told[index] = requests
		key := m.fleet.instance + "/" + sum.String() + "/" + strconv.FormatInt(index, 36)
		head, _ := json.Marshal(slotRecord{version, m.fleet.Millis(start), here.Region, here.Account})
		value := append(append(head, '\n'), encode()...)
		m.fleet.putOwn(now, "s", key, value, slotKept-now.Sub(start))
	})
	for index := range told {
		if len(told) > 2*stats.SlotCount && index < maxIndex(told)-stats.SlotCount {
			delete(told, index)
		}
	}
	return total
}

// maxIndex is the newest slot that was told.
func maxIndex(told map[int64]int64) (n int64) {
	for index := range told {
		n = max(n, index)
	}
	return n
}

// slotRecord begins the value of a slot's record, in one line. The slot follows.
type slotRecord struct {
	Version int    `json:"v"`
	Start   int64  `json:"s"`
	Region  string `json:"g,omitempty"`
	Account string `json:"a,omitempty"`
}

// learnSlot takes a slot of another replica over, in the place of an earlier state
// of the same slot.
//
// The key is instance/model/number of the slot. Slots older than the window are
// dropped.
func (m *Members) learnSlot(key string, value []byte, _ int64, _ time.Duration) {
	parts := strings.Split(key, "/")
	head, data, ok := strings.Cut(string(value), "\n")
	var r slotRecord
	if !ok || len(parts) != 3 || parts[0] == m.fleet.instance || json.Unmarshal([]byte(head), &r) != nil || r.Version != version {
		return
	}
	sum, ok := parseSum(parts[1])
	if !ok {
		return
	}
	o := m.other(parts[0])
	o.Region, o.Account = r.Region, r.Account
	slot := stats.RemoteSlot{Start: m.fleet.Local(r.Start), Data: []byte(data)}
	list := slices.Clone(o.slots[sum])
	now := time.Now()
	list = slices.DeleteFunc(list, func(s stats.RemoteSlot) bool {
		return s.Start.Sub(slot.Start).Abs() < stats.SlotLength/2 || now.Sub(s.Start) > slotKept
	})
	o.slots[sum] = append(list, slot)
	m.changed[sum] = true
}

// other returns what is known of a replica, and begins it if nothing is.
func (m *Members) other(instance string) *other {
	o := m.others[instance]
	if o == nil {
		o = &other{slots: map[Sum][]stats.RemoteSlot{}}
		m.others[instance] = o
	}
	return o
}

// learn takes the word of another replica over.
func (m *Members) learn(instance string, value []byte, _ int64, life time.Duration) {
	var r memberRecord
	if instance == m.fleet.instance || json.Unmarshal(value, &r) != nil || r.Version != version {
		return
	}
	o := m.other(instance)
	m.flights(o)
	if m.stranger(r) && !m.stranger(o.memberRecord) {
		m.strange(cmp.Or(r.Name, instance))
	}
	o.memberRecord = r
	now := time.Now()
	o.end = now.Add(life)
	o.seen = o.end.Add(-memberLife)
	m.flights(o)
}

// stranger reports whether a replica has another secret. Older versions do not tell.
func (m *Members) stranger(r memberRecord) bool { return r.Secret != "" && r.Secret != m.secret }

// flights marks the models with requests of a replica in flight.
func (m *Members) flights(o *other) {
	for text := range o.Flights {
		if sum, ok := parseSum(text); ok {
			m.changed[sum] = true
		}
	}
}

// update gives the news of others to the Tracks, and forgets the dead.
func (m *Members) update(now time.Time) {
	list := []Member{{m.name, now, m.own.InFlight, m.own.Requests, false}}
	for instance, o := range m.others {
		if now.Before(o.end) {
			list = append(list, Member{o.Name, o.seen, o.InFlight, o.Requests, m.stranger(o.memberRecord)})
			continue
		}
		if !o.end.IsZero() {
			m.flights(o)
			o.Flights, o.end = nil, time.Time{}
		}
		for sum, slots := range o.slots {
			if now.Sub(slots[len(slots)-1].Start) > slotKept {
				delete(o.slots, sum)
				m.changed[sum] = true
			}
		}
		if len(o.slots) == 0 {
			delete(m.others, instance)
		}
	}
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	m.mu.Lock()
	m.list = list
	m.mu.Unlock()
	for sum := range m.changed {
		tracks := m.health.tracks[sum]
		if len(tracks) == 0 {
			continue
		}
		delete(m.changed, sum)
		var remote []stats.Remote
		for _, o := range m.others {
			n := o.Flights[sum.String()]
			if slots := o.slots[sum]; n > 0 || len(slots) > 0 {
				remote = append(remote, stats.Remote{Region: o.Region, Account: o.Account, Slots: slots, InFlight: n})
			}
		}
		for _, t := range tracks {
			t.SetRemote(remote)
		}
	}
}

// putOwn puts a record that this replica alone writes.
//
// The rank is the time, or one more than the last rank: a clock that is set back
// must not hide news.
func (f *Fleet) putOwn(now time.Time, kind, key string, value []byte, life time.Duration) {
	f.Put(now, kind, key, value, max(f.Millis(now), f.Rank(now, kind, key)+1), life)
}

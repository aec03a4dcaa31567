package fleet

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memory is a store of one history, as far as these tests need it.
type memory struct {
	epoch   string
	records map[string]Record
	err     error
}

func (m *memory) Exchange(_ context.Context, put []Record, _ Cursor) (Changes, error) {
	if m.err != nil {
		return Changes{}, m.err
	}
	for _, r := range put {
		if old, ok := m.records[r.Key]; !ok || r.Rank > old.Rank {
			m.records[r.Key] = r
		}
	}
	c := Changes{Now: time.Now().Add(time.Hour), Cursor: Cursor{m.epoch, 1}}
	for _, r := range m.records {
		c.Records = append(c.Records, r)
	}
	return c, nil
}

func (m *memory) Take(context.Context, []Take) (Taken, error) { return Taken{}, errors.New("not here") }

func newMemory() *memory { return &memory{epoch: "1", records: map[string]Record{}} }

func TestSums(t *testing.T) {
	a, b := NewSums([]byte("secret")), NewSums([]byte("secret"))
	assert.Equal(t, a.Of("x", "yz"), b.Of("x", "yz"))
	assert.NotEqual(t, a.Of("x", "yz"), a.Of("xy", "z"))
	assert.NotEqual(t, a.Of("x"), NewSums([]byte("another")).Of("x"))
	assert.NotEqual(t, NewSums(nil).Of("x"), NewSums(nil).Of("x"))
	sum, ok := parseSum(a.Of("x").String())
	assert.True(t, ok)
	assert.Equal(t, a.Of("x"), sum)
	for _, bad := range []string{"", "00", a.Of("x").String() + "0", "zz" + a.Of("x").String()[2:]} {
		_, ok := parseSum(bad)
		assert.False(t, ok, bad)
	}
}

func TestRecalledSums(t *testing.T) {
	s := NewSums([]byte("secret"))
	for range 2 {
		for i := range 3 * recalls { // more than it remembers
			text := strconv.Itoa(i % (2 * recalls))
			require.Equal(t, s.Of("caller", "c", text), s.Recall("caller", "c", text))
			require.Equal(t, s.Of("caller", "a", text), s.Recall("caller", "a", text))
			require.Equal(t, s.Of("other", "a", text), s.Recall("other", "a", text))
		}
	}
	long := strings.Repeat("x", recallText+1)
	assert.Equal(t, s.Of("caller", "c", long), s.Recall("caller", "c", long))
	s.Recall("caller", "c", "user-7")
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Recall("caller", "c", "user-7") }))
}

func TestSealedValues(t *testing.T) {
	a := NewSums([]byte("secret"))
	sealed := a.Seal("a session")
	assert.NotContains(t, string(sealed), "session")
	plain, ok := NewSums([]byte("secret")).Open(sealed)
	assert.True(t, ok)
	assert.Equal(t, "a session", plain)
	for _, bad := range [][]byte{nil, sealed[:5], append(sealed[:len(sealed)-1:len(sealed)-1], 0xff)} {
		_, ok := a.Open(bad)
		assert.False(t, ok)
	}
	_, ok = NewSums([]byte("another")).Open(sealed)
	assert.False(t, ok)
}

func TestTheNewestWordCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, sums := newMemory(), NewSums([]byte("secret"))
		a, b := New(store, sums, time.Now()), New(store, NewSums([]byte("secret")), time.Now())
		var heard []string
		word := a.Newest("i", func(string, time.Duration) {})
		other := b.Newest("i", func(v string, _ time.Duration) { heard = append(heard, v) })
		turn := func() {
			for _, f := range []*Fleet{a, b, a, b} {
				require.NoError(t, f.Exchange(t.Context()))
			}
		}
		turn()
		word.Put(time.Now(), sums.Of("id"), "one", time.Minute)
		word.Put(time.Now(), sums.Of("id"), "two", time.Minute)
		turn()
		assert.Equal(t, []string{"two"}, heard)
		<-time.After(time.Second)
		other.Put(time.Now(), sums.Of("id"), "three", time.Minute)
		turn()
		assert.Equal(t, []string{"two"}, heard, "one's own word is not news")
		store.records, store.epoch = map[string]Record{}, "2"
		turn()
		turn()
		assert.Len(t, store.records, 1, "filled again")
		var nobody *Fleet
		nobody.Newest("i", nil).Put(time.Now(), Sum{}, "", time.Minute)
		assert.False(t, nobody.Up())
	})
}

// A record of another version, or of an unknown kind, is not touched.
func TestRecordsOfOtherVersionsAreLeftAlone(t *testing.T) {
	store, sums := newMemory(), NewSums([]byte("secret"))
	f := New(store, sums, time.Now())
	f.Newest("i", func(string, time.Duration) { t.Error("learnt") })
	id := sums.Of("id").String()
	store.records = map[string]Record{
		"i/" + id:      {"i/" + id, append([]byte{version + 1}, sums.Seal("x")...), 1, time.Minute},
		"i/none":       {"i/none", nil, 1, time.Minute},
		"future/" + id: {"future/" + id, []byte("x"), 1, time.Minute},
	}
	for range 3 {
		require.NoError(t, f.Exchange(t.Context()))
	}
	assert.Len(t, store.records, 3)
}

func TestTheLinkChangesOnce(t *testing.T) {
	store := newMemory()
	f := New(store, NewSums([]byte("secret")), time.Now())
	var changes []bool
	f.OnLink(func(l Link) { changes = append(changes, l.Up) })
	for _, err := range []error{nil, nil, errors.New("full"), errors.New("down"), nil, nil} {
		store.err = err
		assert.Equal(t, err, f.Exchange(t.Context()))
		assert.Equal(t, err == nil, f.Up())
	}
	assert.Equal(t, []bool{false, true}, changes)
}

// told is a store that only tells.
type told struct{ records []Record }

func (s *told) Exchange(context.Context, []Record, Cursor) (Changes, error) {
	c := Changes{Now: time.Now(), Cursor: Cursor{"1", 1}, Records: s.records}
	s.records = nil
	return c, nil
}

func (s *told) Take(context.Context, []Take) (Taken, error) { return Taken{}, errors.New("not here") }

// Ids live for a month, and a fleet makes more of them than a copy may hold. They must
// not keep a cooldown out of it, whether it began here or elsewhere.
func TestAFullCopyForgetsTheOldest(t *testing.T) {
	now, store := time.Now(), new(told)
	for name, fill := range map[string]func(f *Fleet, key string){
		"put": func(f *Fleet, key string) { f.Put(now, "i", key, nil, 1, time.Hour) },
		"learnt": func(_ *Fleet, key string) {
			store.records = append(store.records, Record{Key: "i/" + key, Rank: 1, TTL: time.Hour})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := New(store, NewSums(nil), now)
			f.Add(&Kind{Prefix: "i"})
			f.Add(&Kind{Prefix: "c"})
			for i := range maxRecords {
				fill(f, strconv.Itoa(i))
			}
			fill(f, "0") // as before, with a rank that is known
			require.NoError(t, f.Exchange(t.Context()))
			f.Put(now, "i", "1", nil, 2, time.Hour) // and the oldest is now 0

			require.True(t, f.Put(now, "c", "here", nil, 1, time.Minute))
			store.records = []Record{{Key: "c/elsewhere", Rank: 1, TTL: time.Minute}}
			require.NoError(t, f.Exchange(t.Context()))
			for key, want := range map[string]bool{"c/here": true, "c/elsewhere": true, "i/0": false, "i/1": true, "i/2": false, "i/3": true} {
				kind, rest, _ := strings.Cut(key, "/")
				_, _, _, ok := f.get(now, kind, rest)
				assert.Equal(t, want, ok, key)
			}
			assert.Len(t, f.records, maxRecords)
		})
	}
}

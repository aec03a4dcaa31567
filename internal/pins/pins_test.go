package pins

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var start = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return start.Add(d) }

func TestTable(t *testing.T) {
	type step struct {
		at       time.Duration
		set, get Key
		drop     Key
		value    int
		absent   bool
	}
	key := func(caller, sum uint64) Key { return Key{caller, sum} }
	for _, row := range []struct {
		name  string
		steps []step
	}{
		{"a pin", []step{{set: key(1, 1), value: 7}, {get: key(1, 1), value: 7}}},
		{"another caller", []step{{set: key(1, 1), value: 7}, {get: key(2, 1), absent: true}}},
		{"the last value", []step{{set: key(1, 1), value: 7}, {set: key(1, 1), value: 8}, {get: key(1, 1), value: 8}}},
		{"dropped", []step{{set: key(1, 1), value: 7}, {drop: key(1, 1)}, {get: key(1, 1), absent: true}, {drop: key(1, 1)}}},
		{"ends", []step{{set: key(1, 1), value: 7}, {at: time.Minute - 1, get: key(1, 1), value: 7}, {at: time.Minute, get: key(1, 1), absent: true}}},
		{"a look does not renew", []step{{set: key(1, 1)}, {at: 50 * time.Second, get: key(1, 1)}, {at: 70 * time.Second, get: key(1, 1), absent: true}}},
		{"a success does", []step{{set: key(1, 1)}, {at: 50 * time.Second, set: key(1, 1)}, {at: 70 * time.Second, get: key(1, 1)}}},
		{"a full table forgets the oldest", []step{
			{set: key(1, 1)}, {set: key(2, 1)}, {set: key(3, 1)}, {set: key(4, 1)}, {set: key(1, 1), value: 9}, {set: key(5, 1)},
			{get: key(2, 1), absent: true}, {get: key(1, 1), value: 9}, {get: key(3, 1)}, {get: key(4, 1)}, {get: key(5, 1)},
		}},
		{"a full share forgets the caller's oldest", []step{
			{set: key(9, 9)}, {set: key(1, 1)}, {set: key(1, 2)}, {set: key(1, 3)},
			{get: key(1, 1), absent: true}, {get: key(1, 2)}, {get: key(1, 3)}, {get: key(9, 9)},
		}},
		{"callers that are not told apart have no share", []step{
			{set: key(0, 1)}, {set: key(0, 2)}, {set: key(0, 3)}, {set: key(0, 4)}, {get: key(0, 1)}, {get: key(0, 4)},
		}},
		{"ended pins make room first", []step{
			{set: key(1, 1)}, {at: 2 * time.Minute, set: key(2, 2)}, {at: 2 * time.Minute, set: key(3, 3)},
			{at: 2 * time.Minute, set: key(4, 4)}, {at: 2 * time.Minute, set: key(5, 5)}, {at: 2 * time.Minute, get: key(2, 2)},
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			table := NewTable[int](4, 2, time.Minute)
			for _, s := range row.steps {
				switch {
				case s.set != Key{}:
					table.Set(at(s.at), s.set, s.value)
				case s.drop != Key{}:
					table.Drop(s.drop)
				default:
					v, ok := table.Get(at(s.at), s.get)
					assert.Equal(t, !s.absent, ok, "%v", s.get)
					assert.Equal(t, s.value, v)
				}
			}
			assert.LessOrEqual(t, table.Len(), 4)
		})
	}
}

// The rings and the map hold the same entries after any uses at once.
func TestTableAtOnce(t *testing.T) {
	table := NewTable[int](100, 20, time.Second)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for n := range 3000 {
				key := Key{r.Uint64N(9), r.Uint64N(60)}
				switch now := at(time.Duration(n) * time.Millisecond); r.IntN(4) {
				case 0:
					table.Drop(key)
				case 1:
					table.Get(now, key)
				default:
					table.Set(now, key, n)
				}
			}
		})
	}
	wg.Wait()
	count, shares := 0, map[uint64]int{}
	for e := table.all.oldest; e != nil; e = e.links[ofAll].newer {
		count++
		shares[e.key.Caller]++
		assert.Same(t, e, table.entries[e.key])
	}
	assert.Len(t, table.entries, count)
	assert.Len(t, table.callers, len(shares))
	for id, n := range shares {
		if id != 0 {
			assert.LessOrEqual(t, n, 20)
		}
		assert.Equal(t, n, table.callers[id].n)
	}
}

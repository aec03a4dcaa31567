package stats

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Made-up names with five failures each must not switch off the memory of
// unlisted models.
func TestUnlistedAreBounded(t *testing.T) {
	r := NewRecorder("", "")
	name := func(caller uint64, i int) string { return fmt.Sprint("made-up-", caller, "-", i) }
	use := func(caller uint64, i int, now time.Time) {
		track := r.Unlisted("p", name(caller, i), caller, now)
		request(&track.Series, now, Outcome{Class: ServerFault})
		for range 5 {
			fail(&track.Health, now, Request{Caller: caller}, provoked)
		}
	}
	good := r.Unlisted("p", "good", 7, at(0))
	request(&good.Series, at(0), Outcome{})
	for i := range 3000 {
		use(1, i, at(secs(1)))
	}
	assert.LessOrEqual(t, len(r.unlisted.entries), 1+maxUnlisted/shareOf, "one caller's share")
	assert.Same(t, good, r.Unlisted("p", "good", 1, at(secs(2))), "others keep theirs")
	latest := r.Unlisted("p", name(1, 2999), 1, at(secs(2)))
	assert.Equal(t, 5, latest.Health.State(at(secs(2)), Request{Caller: 1}).Failures, "the latest are remembered")
	assert.NotSame(t, latest, r.Unlisted("p", name(1, 0), 1, at(secs(2))))

	for caller := range uint64(40) {
		for i := range 200 {
			use(100+caller, i, at(secs(3)))
			r.Unlisted("p", "good", 1, at(secs(3)))
		}
	}
	assert.LessOrEqual(t, len(r.unlisted.entries), maxUnlisted)
	assert.Same(t, good, r.Unlisted("p", "good", 1, at(secs(4))), "used lately")
	fresh := r.Unlisted("p", "fresh", 9, at(secs(4)))
	assert.Same(t, fresh, r.Unlisted("p", "fresh", 9, at(secs(4))), "there is always room")
	assert.NotNil(t, r.Model("p", "listed"), "listed models have their own room")
}

func TestUnlistedInUseGoLast(t *testing.T) {
	r := NewRecorder("", "")
	busy := r.Unlisted("p", "busy", 1, at(0))
	busy.Begin()
	cooling := r.Unlisted("p", "cooling", 1, at(0))
	due := r.Unlisted("p", "due", 1, at(0))
	onSurface := r.Unlisted("p", "on a surface", 1, at(0))
	for range 5 {
		fail(&cooling.Health, at(secs(10)), ann, unprovoked)
		fail(&due.Health, at(0), ann, unprovoked)
		fail(&onSurface.Health, at(secs(10)), ann, Failure{Rules: rules, Unprovoked: true, ThisSurface: true})
	}
	for i := range 1000 {
		r.Unlisted("p", fmt.Sprint(i), 1, at(secs(11)))
	}
	for _, track := range []*Track{busy, cooling, onSurface} {
		assert.Same(t, track, r.Unlisted("p", track.id.name, 1, at(secs(11))))
	}
	assert.NotSame(t, due, r.Unlisted("p", "due", 1, at(secs(11))), "due for a probe is not in cooldown")

	var full table[int, int]
	for i := range 100 {
		full.add(i, new(entry[int]), limits{10, 10}, func(*entry[int]) bool { return true })
		require.LessOrEqual(t, len(full.entries), 10, "where all are in use, some go all the same")
		require.Contains(t, full.entries, i)
	}
}

// Names that are not used any more give their memory back, long before the table is full.
func TestUnusedUnlistedGo(t *testing.T) {
	r := NewRecorder("", "")
	busy := r.Unlisted("p", "busy", 1, at(0))
	busy.Begin()
	cooling := r.Unlisted("p", "cooling", 1, at(0))
	for range 5 {
		fail(&cooling.Health, at(0), ann, Failure{Rules: Rules{Failures: 5, First: time.Hour, Longest: time.Hour}, Unprovoked: true})
	}
	asked := r.Unlisted("p", "asked", 1, at(0))
	for minute := range 60 {
		now := at(time.Duration(minute) * time.Minute)
		for i := range 20 {
			name := fmt.Sprint(minute, "-", i)
			track := r.Unlisted("p", name, uint64(i), now)
			require.Same(t, track, r.Unlisted("p", name, uint64(i), now))
		}
		require.Same(t, asked, r.Unlisted("p", "asked", 1, now))
		require.LessOrEqual(t, len(r.unlisted.entries), 3+20*11, "those of ten minutes")
	}
	assert.Same(t, busy, r.Find("p", "busy"))
	assert.Same(t, cooling, r.Find("p", "cooling"))
	assert.Nil(t, r.Find("p", "0-0"))
}

func TestUnlistedInUse(t *testing.T) {
	r := new(registry).newRecorder("", "")
	request(&r.Model("p", "listed").Series, at(0), Outcome{})
	r.Unlisted("p", "unused", 0, at(0))
	used := r.Unlisted("p", "used", 0, at(0))
	request(&used.Series, at(0), Outcome{})
	assert.Equal(t, []Named{{"p", "used", used}}, r.UnlistedInUse(at(time.Minute)))
	assert.Empty(t, r.UnlistedInUse(at(time.Hour)))
}

func TestFindMakesNoTrack(t *testing.T) {
	r := NewRecorder("", "")
	assert.Nil(t, r.Find("p", "m"))
	assert.Nil(t, r.Find("p", "m"))
	assert.Same(t, r.Unlisted("p", "m", 1, at(0)), r.Find("p", "m"))
	assert.Same(t, r.Model("p", "n"), r.Find("p", "n"))
}

// One tenant's 429 never moves another.
func TestKeyValues(t *testing.T) {
	r := NewRecorder("", "")
	value := func(n uint32) [16]byte { return [16]byte{byte(n), byte(n >> 8), byte(n >> 16), 42} }
	first, second := r.KeyValue("p", value(1), 1, at(0)), r.KeyValue("p", value(2), 2, at(0))
	assert.Same(t, first, r.KeyValue("p", value(1), 2, at(0)))
	assert.NotSame(t, first, second)
	assert.NotSame(t, first, r.KeyValue("q", value(1), 1, at(0)))
	refuse(&first.Key, at(0), large, ann, limited.told(time.Hour))
	assert.Equal(t, CoolingDown, first.Key.State(at(0), large, ann).Phase)
	assert.Zero(t, second.Key.State(at(0), large, ann))

	busy := r.KeyValue("p", value(3), 1, at(0))
	busy.Begin()
	for i := range uint32(6000) {
		r.KeyValue("p", value(100+i), 1, at(0))
	}
	for i := range uint32(6000) {
		r.KeyValue("p", value(20_000+i), uint64(i), at(0))
	}
	assert.LessOrEqual(t, len(r.values.entries), maxValues)
	assert.Same(t, first, r.KeyValue("p", value(1), 1, at(0)), "in cooldown")
	assert.Same(t, busy, r.KeyValue("p", value(3), 1, at(0)), "under way")
	assert.NotSame(t, second, r.KeyValue("p", value(2), 2, at(0)), "idle")
	v := value(1)
	assert.Zero(t, testing.AllocsPerRun(100, func() { r.KeyValue("p", v, 1, at(0)) }))

	other := NewRecorder("", "")
	request(&first.Series, at(0), Outcome{})
	request(&other.KeyValue("p", v, 1, at(0)).Series, at(0), Outcome{})
	assert.EqualValues(t, 2, r.Read(first, at(0)).Global.Requests, "another gateway with the same key")
}

func TestAnsweredWithin(t *testing.T) {
	var s Series
	assert.False(t, s.AnsweredWithin(at(0), time.Minute))
	request(&s, at(0), Outcome{Class: ServerFault})
	assert.False(t, s.AnsweredWithin(at(0), time.Minute), "a failure is not an answer")
	request(&s, at(secs(10)), Outcome{})
	assert.True(t, s.AnsweredWithin(at(secs(10)), 0))
	assert.True(t, s.AnsweredWithin(at(secs(70)), time.Minute))
	assert.False(t, s.AnsweredWithin(at(secs(71)), time.Minute))
}

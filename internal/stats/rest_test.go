package stats

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const lease = time.Minute

// tripped returns a Rest that five failures at 0 have sent to rest until 5 s.
func tripped(t *testing.T) *Rest {
	t.Helper()
	r := new(Rest)
	for i := range failuresToRest {
		assert.Equal(t, State{Failures: i}, r.State(at(0)))
		turn, ok := r.Begin(at(0), lease)
		require.True(t, ok)
		turn.Failure(at(0))
	}
	require.Equal(t, State{Resting, at(5 * time.Second), 5}, r.State(at(0)))
	return r
}

// probe begins a request that must be the probe.
func probe(t *testing.T, r *Rest, now time.Time) *Turn {
	t.Helper()
	require.Equal(t, Due, r.State(now).Phase)
	turn, ok := r.Begin(now, lease)
	require.True(t, ok)
	require.True(t, turn.Probe())
	return &turn
}

func TestRestZeroIsAwake(t *testing.T) {
	var r Rest
	assert.Zero(t, r.State(at(0)))
	turn, ok := r.Begin(at(0), lease)
	assert.True(t, ok)
	assert.False(t, turn.Probe())
	turn.Success()
	assert.Zero(t, r.State(at(0)))
	new(Turn).Success()
	new(Turn).Failure(at(0))
	new(Turn).Release()
}

func TestRestAfterFailuresInARow(t *testing.T) {
	var r Rest
	fail := func() { turn, _ := r.Begin(at(0), lease); turn.Failure(at(0)) }
	for range 4 {
		fail()
	}
	turn, _ := r.Begin(at(0), lease)
	turn.Release()
	assert.Equal(t, State{Failures: 4}, r.State(at(0)), "a release says nothing")
	turn, _ = r.Begin(at(0), lease)
	turn.Success()
	assert.Zero(t, r.State(at(0)), "a success forgets them")
	for range 4 {
		fail()
	}
	assert.Equal(t, Awake, r.State(at(0)).Phase)
	turn, _ = r.Begin(at(0), lease)
	turn.Success()
	assert.Zero(t, r.State(at(0)), "and not the first time only")
	for range 4 {
		fail()
	}
	assert.Equal(t, State{Failures: 4}, r.State(at(0)))
	fail()
	assert.Equal(t, State{Resting, at(5 * time.Second), 5}, r.State(at(0)))
	assert.Equal(t, Resting, r.State(at(5*time.Second-1)).Phase)
	assert.Equal(t, Due, r.State(at(5*time.Second)).Phase)
}

func TestFailedProbesDoubleTheRest(t *testing.T) {
	r := tripped(t)
	now := 5 * time.Second
	for _, want := range []time.Duration{10 * time.Second, 15 * time.Second, 15 * time.Second} {
		turn := probe(t, r, at(now))
		now += time.Second
		turn.Failure(at(now))
		assert.Equal(t, State{Resting, at(now + want), 5}, r.State(at(now)))
		now += want
	}
	probe(t, r, at(now)).Success()
	assert.Zero(t, r.State(at(now)))

	// All is forgotten: it takes five again, and the rest is the first.
	for range failuresToRest {
		turn, ok := r.Begin(at(now), lease)
		require.True(t, ok)
		turn.Failure(at(now))
	}
	assert.Equal(t, at(now+5*time.Second), r.State(at(now)).Until)
}

func TestOneProbeAtATime(t *testing.T) {
	r := tripped(t)
	_, ok := r.Begin(at(5*time.Second-1), lease)
	assert.False(t, ok, "resting")
	first := probe(t, r, at(5*time.Second))
	assert.Equal(t, State{Probing, at(65 * time.Second), 5}, r.State(at(6*time.Second)), "to all others it rests")
	other, ok := r.Begin(at(6*time.Second), lease)
	assert.False(t, ok)
	assert.False(t, other.Probe())
	other.Failure(at(7 * time.Second))
	assert.Equal(t, at(65*time.Second), r.State(at(7*time.Second)).Until, "no probe, no verdict")

	first.Release()
	assert.False(t, first.Probe())
	second := probe(t, r, at(8*time.Second))
	first.Failure(at(9 * time.Second))
	assert.Equal(t, at(68*time.Second), r.State(at(9*time.Second)).Until, "a Turn reports once")
	second.Success()
	assert.Zero(t, r.State(at(9*time.Second)))
}

func TestProbeThatAnswers(t *testing.T) {
	r := tripped(t)
	first := probe(t, r, at(5*time.Second))
	first.Answers()
	assert.Equal(t, Due, r.State(at(6*time.Second)).Phase, "it rests for nobody any more, and is not well for it")
	second := probe(t, r, at(6*time.Second))
	first.Answers()
	assert.Equal(t, Probing, r.State(at(6*time.Second)).Phase, "it gives way once")
	second.Answers()
	third := probe(t, r, at(7*time.Second))

	second.Failure(at(8 * time.Second))
	assert.Equal(t, State{Resting, at(18 * time.Second), 5}, r.State(at(8*time.Second)), "an answer that breaks is a probe that failed")
	third.Failure(at(9 * time.Second))
	assert.Equal(t, at(18*time.Second), r.State(at(9*time.Second)).Until, "one verdict, however many were let through before it")
	first.Success()
	assert.Equal(t, at(18*time.Second), r.State(at(9*time.Second)).Until, "it began before that")

	fourth := probe(t, r, at(18*time.Second))
	fourth.Answers()
	fourth.Release()
	fifth := probe(t, r, at(19*time.Second))
	fifth.Answers()
	fifth.Success()
	assert.Zero(t, r.State(at(20*time.Second)))

	turn, ok := new(Rest).Begin(at(0), lease)
	require.True(t, ok)
	turn.Answers() // no probe: nothing to say
	new(Turn).Answers()
}

func TestLostProbe(t *testing.T) {
	r := tripped(t)
	lost := probe(t, r, at(5*time.Second))
	assert.Equal(t, Probing, r.State(at(65*time.Second-1)).Phase)
	second := probe(t, r, at(65*time.Second))
	lost.Failure(at(66 * time.Second))
	assert.Equal(t, at(125*time.Second), r.State(at(66*time.Second)).Until, "the second is the probe now")
	lost = second
	second = probe(t, r, at(125*time.Second))
	lost.Release()
	assert.Equal(t, Probing, r.State(at(126*time.Second)).Phase, "what was lost cannot be given back")
	second.Release()

	late := probe(t, r, at(130*time.Second))
	late.Failure(at(10 * time.Minute))
	assert.Equal(t, at(10*time.Minute+10*time.Second), r.State(at(10*time.Minute)).Until, "late, but nobody took its place")

	late = probe(t, r, at(11*time.Minute))
	probe(t, r, at(13*time.Minute))
	late.Success()
	assert.Zero(t, r.State(at(13*time.Minute)), "a success is news, even late")
}

// Of the requests that are under way when a rest begins, none may change it.
func TestStragglers(t *testing.T) {
	var r Rest
	var before [4]Turn
	for i := range before {
		before[i], _ = r.Begin(at(-time.Second), lease)
	}
	for range failuresToRest {
		turn, _ := r.Begin(at(0), lease)
		turn.Failure(at(0))
	}
	before[0].Failure(at(time.Second))
	before[1].Success()
	assert.Equal(t, State{Resting, at(5 * time.Second), 5}, r.State(at(time.Second)))
	before[2].Failure(at(6 * time.Second))
	assert.Equal(t, Due, r.State(at(6*time.Second)).Phase)
	turn := probe(t, &r, at(6*time.Second))
	before[3].Failure(at(6 * time.Second))
	assert.True(t, turn.Probe())
	assert.Equal(t, Probing, r.State(at(6*time.Second)).Phase)
}

func TestRestUntil(t *testing.T) {
	var r Rest
	r.RestUntil(at(0), at(0))
	assert.Nil(t, r.trouble.Load(), "over before it began")

	r.RestUntil(at(0), at(time.Minute))
	r.RestUntil(at(0), at(time.Second))
	assert.Equal(t, State{Resting, at(time.Minute), 0}, r.State(at(0)), "the longest wins")
	r.RestUntil(at(0), at(time.Hour))
	assert.Equal(t, at(time.Hour), r.State(at(0)).Until)

	turn, ok := r.Begin(at(time.Hour), lease)
	assert.True(t, ok)
	assert.False(t, turn.Probe(), "only failures ask for a probe")
	assert.True(t, r.trouble.Load().well.Load())

	r.RestUntil(at(time.Hour), at(2*time.Hour))
	last, ok := r.Begin(at(time.Hour+1), lease)
	assert.False(t, ok)
	last.Success()
	assert.Zero(t, r.State(at(time.Hour+1)), "tried for want of anything better, and it worked")
}

func TestLongestRestWinsOverFailures(t *testing.T) {
	r := tripped(t)
	r.RestUntil(at(time.Second), at(time.Minute))
	assert.Equal(t, Resting, r.State(at(5*time.Second)).Phase)
	turn := probe(t, r, at(time.Minute))
	r.RestUntil(at(time.Minute), at(2*time.Minute))
	turn.Failure(at(time.Minute))
	assert.Equal(t, at(2*time.Minute), r.State(at(time.Minute)).Until)
}

func TestRestUntilKeepsTheFailures(t *testing.T) {
	var r Rest
	for range 4 {
		turn, _ := r.Begin(at(0), lease)
		turn.Failure(at(0))
	}
	r.RestUntil(at(0), at(time.Second))
	turn, ok := r.Begin(at(time.Second), lease)
	require.True(t, ok)
	turn.Failure(at(time.Second))
	assert.Equal(t, State{Resting, at(6 * time.Second), 5}, r.State(at(time.Second)))
}

func TestProbesConcurrently(t *testing.T) {
	var (
		r      = tripped(t)
		wg     sync.WaitGroup
		probes atomic.Int32
	)
	for i := range 64 {
		wg.Go(func() {
			r.State(at(5 * time.Second))
			turn, ok := r.Begin(at(5*time.Second), lease)
			assert.Equal(t, ok, turn.Probe())
			if ok {
				probes.Add(1)
				return // it never reports
			}
			if i%2 == 0 {
				turn.Failure(at(5 * time.Second))
			} else {
				turn.Release()
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, probes.Load())
	assert.Equal(t, at(65*time.Second), r.State(at(5*time.Second)).Until)
}

func TestRestConcurrently(t *testing.T) {
	var r Rest
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for k := range 200 {
				now := at(time.Duration(k) * time.Second)
				turn, _ := r.Begin(now, time.Second)
				switch (i + k) % 4 {
				case 0:
					turn.Success()
				case 1:
					turn.Release()
				case 2:
					r.RestUntil(now, now.Add(time.Second))
					turn.Failure(now)
				default:
					turn.Failure(now)
				}
			}
		})
	}
	wg.Wait()
	turn, _ := r.Begin(at(time.Hour), lease)
	turn.Success()
	assert.Zero(t, r.State(at(time.Hour)))
}

func TestRestDoesNotAllocate(t *testing.T) {
	well, troubled := new(Rest), tripped(t)
	for name, r := range map[string]*Rest{"well": well, "troubled": troubled} {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			r.State(at(0))
			turn, _ := r.Begin(at(time.Hour), lease)
			turn.Success()
			turn.Release()
			turn, _ = r.Begin(at(0), lease)
			turn.Release()
		}), name)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		troubled.RestUntil(at(0), at(time.Hour))
		turn, _ := troubled.Begin(at(time.Hour), lease)
		turn.Failure(at(time.Hour))
	}))
}

func TestOrder(t *testing.T) {
	states := map[string]State{
		"due":  {Phase: Due},
		"1s":   {Phase: Resting, Until: at(time.Second)},
		"2s":   {Phase: Resting, Until: at(2 * time.Second)},
		"also": {Phase: Resting, Until: at(2 * time.Second)},
		"hour": {Phase: Resting, Until: at(time.Hour)},
	}
	state := func(name string) State { return states[name] }
	for name, tt := range map[string]struct{ in, want []string }{
		"none":         {nil, nil},
		"all awake":    {[]string{"b", "due", "a"}, []string{"b", "due", "a"}},
		"first rests":  {[]string{"1s", "b", "a"}, []string{"b", "a", "1s"}},
		"by wake time": {[]string{"b", "hour", "due", "2s", "1s", "a"}, []string{"b", "due", "a", "1s", "2s", "hour"}},
		"stable":       {[]string{"2s", "also", "a", "2s"}, []string{"a", "2s", "also", "2s"}},
		"all rest":     {[]string{"hour", "2s", "1s"}, []string{"1s", "2s", "hour"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := append([]string(nil), tt.in...)
			assert.Equal(t, tt.want, Order(in, state))
			assert.Equal(t, tt.in, in, "left as it was")
		})
	}
	awake := []string{"a", "b", "due"}
	assert.Zero(t, testing.AllocsPerRun(100, func() { Order(awake, state) }))
}

func BenchmarkRest(b *testing.B) {
	b.Run("well", func(b *testing.B) {
		var r Rest
		b.ReportAllocs()
		for b.Loop() {
			turn, _ := r.Begin(began, lease)
			turn.Success()
		}
	})
	b.Run("troubled", func(b *testing.B) {
		var r Rest
		r.RestUntil(began, at(time.Hour))
		b.ReportAllocs()
		for b.Loop() {
			turn, _ := r.Begin(began, lease)
			turn.Release()
		}
	})
}

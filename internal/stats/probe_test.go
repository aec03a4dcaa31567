package stats

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// probe begins a request that must be the probe.
func probe(t *testing.T, h *CandidateHealth, now time.Time, r Request) *Turn {
	t.Helper()
	require.Equal(t, Due, h.State(now, r).Phase)
	turn, ok := h.Begin(now, r, lease, true)
	require.True(t, ok)
	require.True(t, turn.Probe())
	return &turn
}

func TestFailedProbesDoubleTheCooldown(t *testing.T) {
	h := tripped(t)
	now := secs(5)
	for _, want := range []time.Duration{10 * time.Second, 15 * time.Second, 15 * time.Second} {
		turn := probe(t, h, at(now), bob)
		now += time.Second
		turn.Failure(at(now), provoked)
		assert.Equal(t, State{CoolingDown, at(now + want), 5}, h.State(at(now), bob))
		now += want
	}
	probe(t, h, at(now), cleo).Success(at(now))
	assert.Zero(t, h.State(at(now), cleo))

	// All is forgotten: it takes five again, and the cooldown is the first.
	for range rules.Failures {
		turn, ok := h.Begin(at(now), ann, lease, true)
		require.True(t, ok)
		turn.Failure(at(now), unprovoked)
	}
	assert.Equal(t, at(now+5*time.Second), h.State(at(now), cleo).Until)
}

func TestOneProbeAtATime(t *testing.T) {
	h := tripped(t)
	_, ok := h.Begin(at(secs(5)-1), ann, lease, true)
	assert.False(t, ok, "in cooldown")
	refused, ok := h.Begin(at(secs(5)), ann, lease, false)
	assert.False(t, ok, "a request makes one probe, and made it elsewhere")
	assert.False(t, refused.Probe())
	first := probe(t, h, at(secs(5)), ann)
	assert.Equal(t, State{Probing, at(secs(65)), 5}, h.State(at(secs(6)), bob), "all others come later")
	other, ok := h.Begin(at(secs(6)), bob, lease, true)
	assert.False(t, ok)
	assert.False(t, other.Probe())
	other.Failure(at(secs(7)), provoked)
	assert.Equal(t, at(secs(65)), h.State(at(secs(7)), bob).Until, "not a probe, not a verdict")

	first.Release(at(secs(8)))
	assert.False(t, first.Probe())
	second := probe(t, h, at(secs(8)), ann)
	first.Failure(at(secs(9)), provoked)
	assert.Equal(t, at(secs(68)), h.State(at(secs(9)), bob).Until, "a Turn reports once")
	second.Success(at(secs(9)))
	assert.Zero(t, h.State(at(secs(9)), bob))
}

func TestProbeThatAnswers(t *testing.T) {
	h := tripped(t)
	first := probe(t, h, at(secs(5)), ann)
	first.Answers()
	assert.Equal(t, Due, h.State(at(secs(6)), ann).Phase, "not last any more, and not yet healthy")
	second := probe(t, h, at(secs(6)), ann)
	first.Answers()
	assert.Equal(t, Probing, h.State(at(secs(6)), bob).Phase, "it gives way once")
	second.Answers()
	third := probe(t, h, at(secs(7)), bob)

	second.Failure(at(secs(8)), provoked)
	assert.Equal(t, State{CoolingDown, at(secs(18)), 5}, h.State(at(secs(8)), bob), "an answer that breaks is a failed probe")
	third.Failure(at(secs(9)), provoked)
	assert.Equal(t, at(secs(18)), h.State(at(secs(9)), bob).Until, "one verdict, however many went before it")
	first.Success(at(secs(9)))
	assert.Equal(t, at(secs(18)), h.State(at(secs(9)), bob).Until, "it began before the cooldown")

	fourth := probe(t, h, at(secs(18)), cleo)
	fourth.Answers()
	fourth.Release(at(secs(18)))
	fifth := probe(t, h, at(secs(19)), cleo)
	fifth.Answers()
	fifth.Success(at(secs(20)))
	assert.Zero(t, h.State(at(secs(20)), ann))

	turn, ok := new(CandidateHealth).Begin(at(0), ann, lease, true)
	require.True(t, ok)
	turn.Answers() // not a probe
}

func TestLostProbe(t *testing.T) {
	h := tripped(t)
	lost := probe(t, h, at(secs(5)), ann)
	assert.Equal(t, Probing, h.State(at(secs(65)-1), bob).Phase)
	second := probe(t, h, at(secs(65)), bob)
	lost.Failure(at(secs(66)), provoked)
	assert.Equal(t, at(secs(125)), h.State(at(secs(66)), ann).Until, "the second is the probe now")
	lost = second
	second = probe(t, h, at(secs(125)), ann)
	lost.Release(at(secs(126)))
	assert.Equal(t, Probing, h.State(at(secs(126)), cleo).Phase, "a lost probe has no place to free")
	second.Release(at(secs(126)))

	late := probe(t, h, at(secs(130)), ann)
	late.Failure(at(10*time.Minute), provoked)
	assert.Equal(t, at(10*time.Minute+secs(10)), h.State(at(10*time.Minute), cleo).Until, "late, but still the probe")

	late = probe(t, h, at(11*time.Minute), ann)
	probe(t, h, at(13*time.Minute), bob)
	late.Success(at(13 * time.Minute))
	assert.Zero(t, h.State(at(13*time.Minute), bob), "a success is news, even late")
}

// After failed, fruitless and endless probes a caller leaves the next one to others
// for a moment.
func TestProbesGoRound(t *testing.T) {
	t.Run("never ends", func(t *testing.T) {
		h := tripped(t)
		probe(t, h, at(secs(5)), ann)
		assert.Equal(t, CoolingDown, h.State(at(secs(65)), ann).Phase)
		assert.Equal(t, Due, h.State(at(secs(65)), bob).Phase)
		assert.Equal(t, Due, h.State(at(secs(66)), ann).Phase)
	})
	t.Run("shows nothing", func(t *testing.T) {
		h := tripped(t)
		for range wastedProbes {
			probe(t, h, at(secs(5)), ann).Release(at(secs(5)))
		}
		assert.Equal(t, State{CoolingDown, at(secs(6)), 5}, h.State(at(secs(5)), ann))
		assert.Equal(t, Due, h.State(at(secs(5)), bob).Phase)
		assert.Equal(t, Due, h.State(at(secs(6)), ann).Phase)
	})
	t.Run("fails", func(t *testing.T) {
		h := new(CandidateHealth)
		for range 4 {
			fail(h, at(0), ann, provoked)
		}
		fail(h, at(0), bob, provoked)
		probe(t, h, at(secs(5)), ann).Failure(at(secs(5)), provoked)
		assert.Equal(t, Due, h.State(at(secs(15)), bob).Phase)
		assert.Equal(t, at(secs(16)), h.State(at(secs(15)), ann).Until)
		assert.Equal(t, Due, h.State(at(secs(16)), ann).Phase)
	})
}

func TestProbesConcurrently(t *testing.T) {
	var (
		h      = tripped(t)
		wg     sync.WaitGroup
		probes atomic.Int32
	)
	for i := range 64 {
		wg.Go(func() {
			who := Request{Caller: uint64(i % 5)}
			h.State(at(secs(5)), who)
			turn, ok := h.Begin(at(secs(5)), who, lease, true)
			assert.Equal(t, ok, turn.Probe())
			if ok {
				probes.Add(1)
				return // it never reports
			}
			if i%2 == 0 {
				turn.Failure(at(secs(5)), provoked)
			} else {
				turn.Release(at(secs(5)))
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, probes.Load())
	assert.Equal(t, at(secs(65)), h.State(at(secs(5)), Request{Caller: 99}).Until)
}

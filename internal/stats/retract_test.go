package stats

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Requests from before a cooldown do not change it.
func TestStragglers(t *testing.T) {
	var h CandidateHealth
	var before [4]Turn
	for i := range before {
		before[i], _ = h.Begin(at(secs(-1)), bob, lease, true)
	}
	for range rules.Failures {
		fail(&h, at(0), ann, unprovoked)
	}
	before[0].Failure(at(secs(1)), provoked)
	before[1].Success(at(secs(1)))
	assert.Equal(t, State{CoolingDown, at(secs(5)), 5}, h.State(at(secs(1)), ann))
	before[2].Failure(at(secs(6)), provoked)
	assert.Equal(t, Due, h.State(at(secs(6)), ann).Phase)
	turn := probe(t, &h, at(secs(6)), ann)
	before[3].Failure(at(secs(6)), provoked)
	assert.True(t, turn.Probe())
	assert.Equal(t, Probing, h.State(at(secs(6)), bob).Phase)
}

func TestRetract(t *testing.T) {
	t.Run("before the row is full", func(t *testing.T) {
		var h CandidateHealth
		for range 4 {
			fail(&h, at(0), ann, provoked)
		}
		turn := fail(&h, at(0), bob, provoked)
		turn.Retract(at(0))
		turn.Retract(at(0))
		assert.Equal(t, State{Failures: 4}, h.State(at(0), cleo))
		fail(&h, at(0), bob, provoked)
		assert.Equal(t, CoolingDown, h.State(at(0), cleo).Phase)
	})
	t.Run("a cooldown for everybody ends", func(t *testing.T) {
		var h CandidateHealth
		for range 3 {
			fail(&h, at(0), ann, provoked)
		}
		turn := fail(&h, at(0), cleo, provoked)
		fail(&h, at(0), bob, provoked)
		require.Equal(t, CoolingDown, h.State(at(secs(1)), cleo).Phase)
		turn.Retract(at(secs(1)))
		assert.Equal(t, State{Failures: 4}, h.State(at(secs(1)), cleo))
		fail(&h, at(secs(2)), cleo, provoked)
		assert.Equal(t, at(secs(7)), h.State(at(secs(2)), cleo).Until, "the others still count")
	})
	t.Run("what remains may be one caller's", func(t *testing.T) {
		var h CandidateHealth
		for range 5 {
			fail(&h, at(0), ann, provoked)
		}
		turn := fail(&h, at(0), bob, provoked)
		require.Equal(t, CoolingDown, h.State(at(0), cleo).Phase)
		turn.Retract(at(0))
		assert.Equal(t, Healthy, h.State(at(0), cleo).Phase)
		assert.Equal(t, Healthy, h.State(at(0), bob).Phase)
		assert.Equal(t, CoolingDown, h.State(at(0), ann).Phase)
	})
	t.Run("a cooldown that has other reasons stays", func(t *testing.T) {
		var h CandidateHealth
		turn, _ := h.Begin(at(0), bob, lease, true)
		for range 5 {
			fail(&h, at(0), ann, unprovoked)
		}
		turn.Failure(at(0), provoked)
		turn.Retract(at(0))
		assert.Equal(t, CoolingDown, h.State(at(0), bob).Phase)
	})
	t.Run("one caller's cooldown ends", func(t *testing.T) {
		var h CandidateHealth
		var turn *Turn
		for range 5 {
			turn = fail(&h, at(0), ann, provoked)
		}
		require.Equal(t, CoolingDown, h.State(at(0), ann).Phase)
		turn.Retract(at(0))
		assert.Equal(t, State{Failures: 4}, h.State(at(0), ann))
	})
	t.Run("a probe", func(t *testing.T) {
		h := tripped(t)
		turn := probe(t, h, at(secs(5)), bob)
		turn.Failure(at(secs(6)), provoked)
		require.Equal(t, at(secs(16)), h.State(at(secs(6)), cleo).Until)
		turn.Retract(at(secs(7)))
		probe(t, h, at(secs(7)), cleo).Failure(at(secs(7)), provoked)
		assert.Equal(t, at(secs(17)), h.State(at(secs(7)), cleo).Until, "doubled once")
	})
	t.Run("unprovoked failures stay", func(t *testing.T) {
		var h CandidateHealth
		for range 5 {
			fail(&h, at(0), ann, unprovoked).Retract(at(0))
		}
		assert.Equal(t, CoolingDown, h.State(at(0), ann).Phase)
	})
	t.Run("on a surface", func(t *testing.T) {
		var h CandidateHealth
		var turn *Turn
		for _, who := range []Request{ann, ann, ann, ann, bob} {
			turn = fail(&h, at(0), who.on(3), onSurface)
		}
		require.Equal(t, CoolingDown, h.State(at(0), cleo.on(3)).Phase)
		turn.Retract(at(0))
		assert.Equal(t, Healthy, h.State(at(0), cleo.on(3)).Phase)
	})
	t.Run("a success came since", func(t *testing.T) {
		var h CandidateHealth
		turn := fail(&h, at(0), ann, provoked)
		succeed(&h, at(0), ann)
		turn.Retract(at(0))
		assert.Zero(t, h.State(at(0), ann))
	})
}

// A failure taken back at once changes no State.
func TestRetractRestores(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	everybody := []Request{ann, bob, cleo}
	for range 200 {
		var with, without CandidateHealth
		now := time.Duration(0)
		for range 40 {
			now += time.Duration(r.Int64N(int64(secs(2))))
			who, kind := everybody[r.IntN(3)], r.IntN(8)
			if kind == 0 {
				turn, _ := with.Begin(at(now), who, lease, false)
				turn.Failure(at(now), []Failure{provoked, onSurface}[r.IntN(2)])
				turn.Retract(at(now))
			}
			for _, h := range []*CandidateHealth{&with, &without} {
				switch kind {
				case 0:
				case 1:
					succeed(h, at(now), who)
				case 2:
					fail(h, at(now), who, unprovoked)
				case 3:
					fail(h, at(now), who, onSurface)
				default:
					fail(h, at(now), who, provoked)
				}
			}
			for _, who := range everybody {
				require.Equal(t, without.State(at(now), who), with.State(at(now), who))
			}
		}
	}
}

package stats

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// suspected is a candidate that cools down for everybody up to 5 s. Cleo's failures
// are the most since.
func suspected(t *testing.T) *CandidateHealth {
	h := new(CandidateHealth)
	for _, who := range []Request{ann, bob, ann, bob, ann} {
		fail(h, at(0), who, provoked)
	}
	require.Equal(t, at(secs(5)), h.State(at(0), cleo).Until)
	for range rules.Failures {
		fail(h, at(secs(1)), cleo, provoked)
	}
	return h
}

func TestSuspectProbesLast(t *testing.T) {
	h := suspected(t)
	assert.Equal(t, Due, h.State(at(secs(5)), ann).Phase)
	assert.Equal(t, State{CoolingDown, at(secs(6)), 5}, h.State(at(secs(5)), cleo))
	probe(t, h, at(secs(5)), ann).Success(at(secs(5)))
	assert.Zero(t, h.State(at(secs(5)), cleo), "the success is everybody's")
}

func TestSuspectKeepsNobodyAway(t *testing.T) {
	h := suspected(t)
	slow := probe(t, h, at(secs(6)), cleo)
	assert.Equal(t, State{Probing, at(secs(7)), 5}, h.State(at(secs(6)), ann))
	other := probe(t, h, at(secs(7)), ann)
	slow.Failure(at(secs(8)), provoked)
	assert.Equal(t, Probing, h.State(at(secs(8)), bob).Phase, "ann's is the probe now")
	other.Success(at(secs(8)))
	assert.Zero(t, h.State(at(secs(8)), bob))
}

// A suspect has one probe under way at a time, though only one caller asks.
func TestSuspectHasOneProbe(t *testing.T) {
	h := suspected(t)
	slow := probe(t, h, at(secs(6)), cleo)
	assert.Equal(t, at(secs(66)), h.State(at(secs(10)), cleo).Until)
	slow.Release(at(secs(10)))
	slow = probe(t, h, at(secs(10)), cleo)
	slow.Answers()
	probe(t, h, at(secs(11)), cleo)
}

func TestSuspectNeedsAnothersWord(t *testing.T) {
	h := suspected(t)
	assert.Equal(t, Cooldown{Length: 10 * time.Second}, probe(t, h, at(secs(6)), cleo).Failure(at(secs(6)), provoked))
	assert.Equal(t, Due, h.State(at(secs(6)), ann).Phase)
	assert.Equal(t, State{CoolingDown, at(secs(16)), 5}, h.State(at(secs(6)), cleo))

	// Alone it goes on as it would without others.
	probe(t, h, at(secs(16)), cleo).Failure(at(secs(16)), provoked)
	assert.Equal(t, Due, h.State(at(secs(16)), ann).Phase)
	assert.Equal(t, at(secs(26)), h.State(at(secs(16)), cleo).Until)

	assert.Equal(t, Cooldown{10 * time.Second, true}, probe(t, h, at(secs(17)), ann).Failure(at(secs(17)), provoked))
	assert.Equal(t, at(secs(27)), h.State(at(secs(17)), bob).Until)
}

func TestSuspectsFailureIsTakenBack(t *testing.T) {
	h := suspected(t)
	turn := probe(t, h, at(secs(6)), cleo)
	turn.Failure(at(secs(6)), provoked)
	turn.Retract(at(secs(7)))
	assert.Equal(t, at(secs(8)), h.State(at(secs(7)), cleo).Until)
	assert.Equal(t, Due, h.State(at(secs(7)), ann).Phase)
}

// Two callers with as many failures have the same fault: the candidate's.
func TestNoSuspectAmongEquals(t *testing.T) {
	h := suspected(t)
	for range rules.Failures {
		fail(h, at(secs(1)), ann, provoked)
	}
	assert.Equal(t, Due, h.State(at(secs(5)), cleo).Phase)
	assert.Equal(t, Cooldown{10 * time.Second, true}, probe(t, h, at(secs(5)), cleo).Failure(at(secs(5)), provoked))
}

// Requests under way weigh as failures do, as their failures may be taken back later.
func TestSuspectByRequestsUnderWay(t *testing.T) {
	h := new(CandidateHealth)
	for _, who := range []Request{ann, bob, ann, bob, ann} {
		fail(h, at(0), who, provoked)
	}
	var under []*Turn
	for range rules.Failures {
		turn, ok := h.Begin(at(secs(1)), cleo, lease, false)
		require.False(t, ok)
		under = append(under, &turn)
	}
	assert.Equal(t, State{CoolingDown, at(secs(6)), 5}, h.State(at(secs(5)), cleo))
	under[0].Failure(at(secs(5)), provoked)
	assert.Equal(t, CoolingDown, h.State(at(secs(5)), cleo).Phase, "it weighs as before")
	under[0].Retract(at(secs(5)))
	assert.Equal(t, Due, h.State(at(secs(5)), cleo).Phase)
	under[1].Release(at(secs(5)))
	assert.Equal(t, Due, h.State(at(secs(5)), cleo).Phase, "not under way any more")

	probe(t, h, at(secs(5)), ann).Success(at(secs(5)))
	for _, turn := range under[2:] {
		turn.Failure(at(secs(6)), provoked)
		turn.Retract(at(secs(6)))
	}
	assert.Zero(t, h.State(at(secs(6)), cleo))
}

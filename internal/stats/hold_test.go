package stats

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A cooldown is held while the candidate is down, and freed to be due.
func TestHold(t *testing.T) {
	const most = 10 * time.Minute
	phase := func(h *CandidateHealth, d time.Duration) Phase { return h.State(at(d), cleo).Phase }
	end := func(h *CandidateHealth) time.Time { until, _ := h.Suspended(); return until }

	down := func(h *CandidateHealth, now time.Time) {
		for range rules.Failures {
			fail(h, now, ann, unprovoked)
		}
	}

	var h CandidateHealth
	h.Hold(at(secs(60)), most)
	h.Free(at(0))
	_, ok := h.Suspended()
	assert.False(t, ok)
	assert.Zero(t, h.State(at(0), cleo), "outside of a cooldown it has no effect")

	down(&h, at(0))
	until, ok := h.Suspended()
	assert.True(t, ok)
	assert.Equal(t, at(secs(5)), until)
	h.Hold(at(secs(3)), most)
	assert.Equal(t, at(secs(5)), end(&h), "a hold shortens nothing")
	h.Hold(at(secs(8)), most)
	h.Hold(at(secs(20)), most)
	assert.Equal(t, CoolingDown, phase(&h, secs(19)))
	h.Free(at(secs(2)))
	assert.Equal(t, at(secs(5)), end(&h), "the earned cooldown goes on")
	h.Free(at(secs(2)))
	assert.Equal(t, at(secs(5)), end(&h))
	h.Hold(at(secs(20)), most)
	h.Free(at(secs(7)))
	assert.Equal(t, Due, phase(&h, secs(7)), "due, and not healthy")

	h.Hold(at(time.Hour), most)
	assert.Equal(t, at(most), end(&h), "no hold is longer")

	// A request that succeeds ends it.
	turn, _ := h.Begin(at(secs(8)), cleo, lease, true)
	turn.Success(at(secs(8)))
	assert.Zero(t, h.State(at(secs(8)), cleo))

	// A failed probe earns its own cooldown.
	down(&h, at(0))
	h.Hold(at(secs(6)), most)
	turn, _ = h.Begin(at(secs(6)), cleo, lease, true)
	assert.True(t, turn.Probe())
	turn.Failure(at(secs(6)), Failure{Rules: rules})
	h.Free(at(secs(7)))
	assert.Equal(t, at(secs(16)), end(&h))
}

package stats

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSlots(t *testing.T) {
	var a, b, unused Series
	request(&a, at(0), Outcome{Upstream: 100 * msec, ProviderInput: 10, ProviderOutput: 1})
	request(&a, at(29*time.Second), Outcome{Upstream: 300 * msec, ProviderInput: 20, ProviderOutput: 2})
	request(&a, at(31*time.Second), Outcome{Class: ServerFault})
	request(&b, at(31*time.Second), Outcome{Upstream: 700 * msec})
	request(&b, at(32*time.Second), Outcome{Class: TimedOut, Upstream: 100 * msec})

	slots := Slots(at(35*time.Second), &a, &unused, &b)
	assert.Equal(t, Slot{Requests: 2, InputTokens: 30, OutputTokens: 3, Latency: 200 * msec}, slots[8])
	assert.Equal(t, Slot{Requests: 3, Failed: 2, Latency: 400 * msec}, slots[9], "what failed at once says nothing of the latency")
	assert.Zero(t, slots[7])

	assert.Equal(t, int64(2), Slots(at(4*time.Minute+59*time.Second), &a)[0].Requests, "the window holds its oldest slot to the end")
	slots = Slots(at(5*time.Minute), &a)
	assert.Equal(t, int64(1), slots[0].Requests, "and then lets go of it")
	assert.Zero(t, Slots(at(time.Hour), &a, &b), "in the end it is empty")
	assert.Zero(t, Slots(at(0)))

	// A record from after the reader's look at the clock counts as of now.
	request(&a, at(61*time.Second), Outcome{})
	assert.Equal(t, int64(2), Slots(at(59*time.Second), &a)[9].Requests)
}

func TestSum(t *testing.T) {
	var a, b, whole Series
	for i := range 40 {
		s := &a
		if i%2 == 1 {
			s = &b
		}
		o := Outcome{Upstream: time.Duration(i+1) * msec, ProviderInput: int64(i)}
		if i%4 == 0 {
			o.Class = RateLimited
		}
		request(s, at(time.Duration(i)*time.Second), o)
		request(&whole, at(time.Duration(i)*time.Second), o)
	}
	assert.Equal(t, whole.Window(at(time.Minute)), Sum(at(time.Minute), &a, &b))
	assert.Equal(t, Window{}, Sum(at(0)))
}

func TestIdle(t *testing.T) {
	var s Series
	assert.True(t, s.Idle(at(0)))
	s.Begin()
	assert.False(t, s.Idle(at(0)))
	assert.EqualValues(t, 1, s.InFlight())
	s.End(at(0), Outcome{})
	assert.False(t, s.Idle(at(time.Minute)))
	assert.True(t, s.Idle(at(time.Hour)))
}

// A reader never sees more failures than requests.
func TestSlotsWhileRecording(t *testing.T) {
	var s Series
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := range 2000 {
				request(&s, at(time.Duration(i)*100*msec), Outcome{Class: ServerFault})
			}
		})
	}
	for i := range 2000 {
		for _, slot := range Slots(at(time.Duration(i)*100*msec), &s) {
			assert.LessOrEqual(t, slot.Failed, slot.Requests)
		}
	}
	wg.Wait()
}

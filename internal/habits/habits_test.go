package habits_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/habits"
)

const most = 1 << 14

func route(n int) habits.Route { return habits.Route{Host: "h", Model: fmt.Sprint(n)} }

func TestStreams(t *testing.T) {
	var s habits.Streams
	assert.Equal(t, habits.StreamUnknown, s.Of(route(0)))
	for n := range most {
		s.Learn(route(n), habits.StreamAsk)
	}
	s.Learn(route(0), habits.StreamRefuse)
	assert.Equal(t, habits.StreamRefuse, s.Of(route(0)), "the newest stream counts")
	assert.Equal(t, habits.StreamAsk, s.Of(route(1)))
	s.Learn(route(most), habits.StreamAsk)
	assert.Equal(t, habits.StreamAsk, s.Of(route(most)), "a full table takes a new route")
	assert.Equal(t, most, count(func(n int) bool { return s.Of(route(n)) != habits.StreamUnknown }), "and forgets one other")
	assert.Equal(t, habits.StreamUnknown, s.Of(habits.Route{Host: "other", Model: "1"}))
}

func TestUnspoken(t *testing.T) {
	var u habits.Unspoken
	now := time.Now()
	assert.False(t, u.Knows(route(0), "responses", now))
	u.Learn(route(0), "responses", now)
	assert.True(t, u.Knows(route(0), "responses", now.Add(10*time.Minute-1)))
	assert.False(t, u.Knows(route(0), "responses", now.Add(10*time.Minute)), "the provider is asked again")
	assert.False(t, u.Knows(route(0), "messages", now))
	assert.False(t, u.Knows(route(1), "responses", now))
	for n := range most {
		u.Learn(route(n+1), "responses", now)
	}
	assert.True(t, u.Knows(route(most), "responses", now), "a full table takes a new route")
	assert.Equal(t, most, count(func(n int) bool { return u.Knows(route(n), "responses", now) }), "and forgets one other")
}

// count returns the number of routes, of those that the tests fill a table with, which hold.
func count(holds func(n int) bool) (sum int) {
	for n := range most + 1 {
		if holds(n) {
			sum++
		}
	}
	return sum
}

func TestKeys(t *testing.T) {
	var k habits.Keys
	assert.Equal(t, habits.KeyOfClient, k.Uses())
	assert.False(t, k.Takes(true))
	assert.True(t, k.Uses().Bearer(true), "as the client sent its own")
	assert.False(t, k.Uses().Bearer(false))

	k.Accepted(true, false)
	assert.True(t, k.Takes(true))
	assert.False(t, k.Takes(false))
	assert.Equal(t, habits.KeyOfClient, k.Uses(), "the other form may be good too")

	k.Accepted(false, true)
	assert.Equal(t, habits.KeyHeader, k.Uses(), "the other form was refused")
	assert.False(t, k.Uses().Bearer(true))
	assert.Equal(t, habits.KeyBearer, k.Uses().Other(true))
	assert.True(t, k.Takes(true))

	k.Accepted(true, true)
	assert.Equal(t, habits.KeyBearer, k.Uses(), "the newest answer counts")
	assert.Equal(t, habits.KeyHeader, k.Uses().Other(false))

	var next habits.Keys
	next.Inherit(&k)
	assert.Equal(t, habits.KeyBearer, next.Uses())
}

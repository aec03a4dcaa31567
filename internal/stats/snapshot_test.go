package stats

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSnapshotInterval(t *testing.T) {
	made := 0
	s := NewSnapshot(time.Second, func(now time.Time) int { made++; return made })
	for _, step := range []struct {
		now  time.Duration
		want int
	}{{0, 1}, {time.Second - 1, 1}, {time.Second, 2}, {500 * msec, 2}, {2*time.Second - 1, 2}, {time.Hour, 3}} {
		assert.Equal(t, step.want, s.Get(at(step.now)), "%s", step.now)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Get(at(time.Hour)) }))
}

// One caller makes the new value, and the others go on with the old.
func TestSnapshotDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, gate := 0, make(chan struct{})
		s := NewSnapshot(time.Second, func(time.Time) int {
			if made++; made == 2 {
				<-gate
			}
			return made
		})
		assert.Equal(t, 1, s.Get(at(0)))
		go func() { assert.Equal(t, 2, s.Get(at(time.Second))) }()
		synctest.Wait()
		for range 10 {
			assert.Equal(t, 1, s.Get(at(time.Minute)))
		}
		close(gate)
		synctest.Wait()
		assert.Equal(t, 2, s.Get(at(time.Second)))
		assert.Equal(t, 3, s.Get(at(time.Minute)))
	})
}

// Without an old value callers do not wait for each other.
func TestSnapshotFirstValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		first := true
		s := NewSnapshot(time.Second, func(time.Time) int {
			if first {
				first = false
				<-gate
				return 1
			}
			return 2
		})
		go s.Get(at(0))
		synctest.Wait()
		assert.Equal(t, 2, s.Get(at(0)))
		close(gate)
		synctest.Wait()
		assert.Equal(t, 1, s.Get(at(0)))
	})
}

func TestSnapshotSurvivesPanic(t *testing.T) {
	made := 0
	s := NewSnapshot(time.Second, func(time.Time) int {
		if made++; made == 2 {
			panic("once")
		}
		return made
	})
	assert.Equal(t, 1, s.Get(at(0)))
	assert.Panics(t, func() { s.Get(at(time.Second)) })
	assert.Equal(t, 3, s.Get(at(time.Second)), "the next caller tries again")
}

func TestSnapshotConcurrently(t *testing.T) {
	s := NewSnapshot(time.Second, func(now time.Time) time.Time { return now })
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for k := range 100 {
				assert.False(t, s.Get(at(time.Duration(k)*time.Second)).IsZero())
			}
		})
	}
	wg.Wait()
}

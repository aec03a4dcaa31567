package discover_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/discover"
)

// answering is a way to ask that notes its name, and answers with a status.
func answering(asked *[]string, name string, status *int) discover.Ask {
	return func(context.Context, discover.Question) (*http.Response, error) {
		*asked = append(*asked, name)
		w := httptest.NewRecorder()
		w.WriteHeader(*status)
		w.WriteString(`{"data":[{"id":"one"}]}`)
		return w.Result(), nil
	}
}

// TestContactWays tries another way after a refusal only, at most four of them, and
// begins with the way of the latest good answer.
func TestContactWays(t *testing.T) {
	var asked []string
	status := [5]int{401, 403, 200, 401, 401}
	var ways []discover.Ask
	for i := range status {
		ways = append(ways, answering(&asked, string(rune('a'+i)), &status[i]))
	}
	var c discover.Contact
	ask := func() error {
		asked = nil
		_, err := c.Ask(t.Context(), ways, false)
		return err
	}
	require.NoError(t, ask())
	assert.Equal(t, []string{"a", "b", "c"}, asked)
	require.NoError(t, ask())
	assert.Equal(t, []string{"c"}, asked, "the latest good way comes first")

	status[2] = 401
	var refused *discover.StatusError
	require.ErrorAs(t, ask(), &refused)
	assert.Equal(t, []string{"c", "d", "e", "a"}, asked, "four ways at most")
	assert.Equal(t, 401, refused.Status, "the first error is told")

	status[2] = 502
	require.ErrorAs(t, ask(), &refused)
	assert.Equal(t, []string{"c"}, asked, "a failure is not a matter of keys")

	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no time left")
	_, err := c.Ask(ctx, []discover.Ask{func(ctx context.Context, _ discover.Question) (*http.Response, error) {
		cancel(why)
		return nil, ctx.Err()
	}}, false)
	assert.Equal(t, why, err, "the cause of the context's end")
}

// TestContactNews tells of each change once: the first list, the first one after a
// failure, and each new reason of a failure.
func TestContactNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c discover.Contact
		one, two := []discover.Model{{ID: "one"}}, []discover.Model{{ID: "one"}, {ID: "two"}}
		type outcome struct{ changed, news bool }
		learn := func(models []discover.Model) outcome {
			changed, news := c.Learn(time.Now(), slices.Clone(models))
			return outcome{changed, news}
		}
		fail := func(reason string, known int) bool {
			models, news := c.Fail(reason)
			assert.Equal(t, known, models)
			return news
		}
		assert.True(t, fail("away", 0))
		assert.False(t, fail("away", 0))
		assert.Equal(t, outcome{true, true}, learn(one))
		assert.Equal(t, outcome{false, false}, learn(one))
		assert.Equal(t, outcome{true, false}, learn(two))
		<-time.After(time.Minute)
		assert.True(t, fail("away", 2))
		assert.True(t, fail("away in another way", 2))
		models, age, reason := c.State(time.Now())
		assert.Equal(t, 2, models, "the last good list stays")
		assert.Equal(t, time.Minute, age)
		assert.Equal(t, "away in another way", reason)
		assert.Equal(t, outcome{false, true}, learn(two))
	})
}

// TestContactUp spares questions about cooldowns that began before an answer, and
// all questions for a minute after an answer that says nothing.
func TestContactUp(t *testing.T) {
	var c discover.Contact
	now := time.Now()
	assert.Zero(t, c.Answered(now, time.Second))
	c.Up(now, nil)
	assert.True(t, c.Listed())
	assert.Equal(t, now, c.Answered(now.Add(time.Hour), time.Second))
	c.Up(now, &discover.StatusError{Status: 404})
	late := now.Add(59 * time.Second)
	assert.Equal(t, late.Add(time.Second), c.Answered(late, time.Second))
	assert.Equal(t, now, c.Answered(now.Add(time.Minute), time.Second))
}

// TestMemory keeps the servers that are in use.
func TestMemory(t *testing.T) {
	var m discover.Memory
	m.Of("a").Learn(time.Now(), []discover.Model{{ID: "one"}})
	assert.Same(t, m.Of("b"), m.Of("b"))
	assert.Equal(t, map[string][]discover.Model{"a": {{ID: "one"}}, "b": nil}, m.Lists())
	m.Keep(func(key string) bool { return key == "b" })
	assert.Equal(t, map[string][]discover.Model{"b": nil}, m.Lists())
}

// TestAtOnce calls with each number once, eight at a time at most.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []int
		var running, most atomic.Int64
		discover.AtOnce(20, func(i int) {
			most.Store(max(most.Load(), running.Add(1)))
			<-time.After(time.Second)
			running.Add(-1)
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, i)
		})
		slices.Sort(seen)
		require.Len(t, seen, 20)
		assert.Equal(t, 19, seen[19])
		assert.EqualValues(t, 8, most.Load())
	})
}

package discover

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"time"
)

const (
	// askedAtOnce bounds the servers that are asked at a time.
	askedAtOnce = 8
	// mostWays bounds the keys and forms of keys for one question.
	mostWays = 4
	// quietFor is the pause after an answer that says nothing about the server.
	quietFor = time.Minute
)

// Memory remembers the servers that were asked, each by a key of the caller's. The
// zero Memory is ready for use. It is safe for concurrent use.
//
// mu guards the map, and each Contact has locks of its own. A lock of a Contact
// may be taken under mu, and not the other way round.
type Memory struct {
	mu    sync.Mutex
	byKey map[string]*Contact
}

// Of returns the memory of a server. It makes one for a new key.
func (m *Memory) Of(key string) *Contact {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.byKey[key]
	if c == nil {
		c = new(Contact)
		if m.byKey == nil {
			m.byKey = map[string]*Contact{}
		}
		m.byKey[key] = c
	}
	return c
}

// Lists are the last good answers by key. A server without an answer yet has a nil
// list. The lists must not be changed.
func (m *Memory) Lists() map[string][]Model {
	m.mu.Lock()
	defer m.mu.Unlock()
	lists := make(map[string][]Model, len(m.byKey))
	for key, c := range m.byKey {
		c.mu.Lock()
		lists[key] = c.models
		c.mu.Unlock()
	}
	return lists
}

// Keep forgets the servers whose key is not in use.
func (m *Memory) Keep(inUse func(key string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.byKey {
		if !inUse(key) {
			delete(m.byKey, key)
		}
	}
}

// Contact is one server: the outcome of the questions to it. It is safe for
// concurrent use.
//
// asking guards server and way, and mu all fields below it.
type Contact struct {
	asking sync.Mutex // held by a question
	server Server
	way    int // of the latest good answer

	mu     sync.Mutex
	models []Model
	listed bool      // it has answered with a list
	at     time.Time // of the latest list that was asked for
	err    string    // why the latest question failed
	// Cooldowns that end before answer need no question: the server was not known
	// to be down then. None is asked before quiet.
	answer, quiet time.Time
}

// Ask asks the server for its models, in one of several ways: with other keys, or in
// other formats. It begins with the way of the latest good answer. Another is tried
// after a refusal. See [Server.Models] for deep.
//
// One question at a time goes to a server. Another caller waits for its end.
func (c *Contact) Ask(ctx context.Context, ways []Ask, deep bool) ([]Model, error) {
	c.asking.Lock()
	defer c.asking.Unlock()
	var first error
	for i := range min(len(ways), mostWays) {
		at := (c.way + i) % len(ways)
		models, err := c.server.Models(ctx, ways[at], deep)
		if err == nil {
			c.way = at
			return models, nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		if first == nil {
			first = err
		}
		var status *StatusError
		if !errors.As(err, &status) || status.Status >= http.StatusInternalServerError {
			break
		}
	}
	return nil, first
}

// Learn notes a good answer. The first list and the first one after a failure are
// news; further ones are not.
func (c *Contact) Learn(now time.Time, models []Model) (changed, news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = len(models) != len(c.models) || len(models) > 0 && !reflect.DeepEqual(c.models, models)
	news = c.err != "" || !c.listed
	c.models, c.listed, c.at, c.err = models, true, now, ""
	return changed, news
}

// Fail notes why a question failed, and returns the number of models in the last good
// list. The list stays: a server that is away loses no model. Another reason than the
// one before is news.
func (c *Contact) Fail(reason string) (models int, news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news = reason != c.err
	c.err = reason
	return len(c.models), news
}

// State describes the latest questions: the models of the last good list, its age, and
// why the latest question failed.
func (c *Contact) State(now time.Time) (models int, age time.Duration, err string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() {
		age = now.Sub(c.at)
	}
	return len(c.models), age, c.err
}

// Listed reports whether the server has ever answered with a list.
func (c *Contact) Listed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listed
}

// Answered is the time up to which cooldowns need no question. After an answer that
// says nothing it is later than everything that ends within ahead.
func (c *Contact) Answered(now time.Time, ahead time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.quiet) {
		return now.Add(ahead)
	}
	return c.answer
}

// Up notes that the server is not down: it answered, with a list or with an error that
// does not tell of its health.
func (c *Contact) Up(now time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = now
	if err == nil {
		c.listed = true
	} else {
		c.quiet = now.Add(quietFor)
	}
}

// AtOnce calls f with the numbers below n, some at a time. It returns when all calls
// have returned.
func AtOnce(n int, f func(i int)) {
	var all sync.WaitGroup
	turns := make(chan struct{}, askedAtOnce)
	for i := range n {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			f(i)
		})
	}
	all.Wait()
}

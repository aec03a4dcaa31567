// Package secretstore holds mechanisms behind resolvers of secrets: a cache before a store,
// and a store of files.
//
// Cache keeps the values of one store. It renews them, asks once for all waiters, and serves
// the last good value through an outage. Dir reads the files of a directory.
package secretstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/redact"
)

const (
	// retryPause spares a store that has just failed, while the last good
	// value serves on.
	retryPause = 10 * time.Second
	// errorTTL is how long an error is repeated without asking the store: a
	// burst of requests then asks it once.
	errorTTL = time.Second
	// refusedTTL is the time to live of an answer about a refused value. A
	// thousand requests that get 401 at once are one question, and a rotated
	// secret is seen soon.
	refusedTTL = 100 * time.Millisecond
	// maxWait bounds a request's wait for a slow store. After it the last good value
	// serves.
	maxWait = time.Second
	// askTimeout bounds one question to the store.
	askTimeout = 30 * time.Second
	// maxEntries bounds the cache, as names can come from requests.
	maxEntries = 1024
)

// Ask asks a store for a secret, and how long its value is good. The zero time stands for a
// value without an end.
type Ask func(ctx context.Context, vault, name string) (value string, until time.Time, err error)

// Checked asks. An empty value is an error that wraps notFound, so that a blank never travels
// as "Authorization: Bearer ". No error quotes the value.
func (ask Ask) Checked(ctx context.Context, notFound error, vault, name string) (string, time.Time, error) {
	value, until, err := ask(ctx, vault, name)
	switch {
	case err != nil:
		return "", time.Time{}, redact.Error(err, notFound, value)
	case value == "":
		return "", time.Time{}, fmt.Errorf("%w: the value of %q in %q is empty", notFound, name, vault)
	}
	return value, until, nil
}

// Store is what a cache stands before. Its functions are called from goroutines of the
// cache's own, for one secret one after the other.
//
// It holds functions and not a resolver: a %+v could look into that.
type Store struct {
	Resolve Ask
	// Refresh is called in the place of Resolve after a value was refused. It asks past
	// any cache in between.
	Refresh Ask
	// NotFound is wrapped by the error about a secret that the store does not have. Any
	// other error is an outage.
	NotFound error
}

// Cache keeps the values of a store. It is safe for concurrent use, and starts a goroutine
// only while it asks the store.
//
// A fresh value is read without a lock. A value with an end is renewed at 80 % of its life,
// while it serves. If the store fails, the last good value serves on.
type Cache struct {
	store Store

	ttl     time.Duration
	mu      sync.Mutex // held while entries is replaced
	entries atomic.Pointer[map[key]*entry]
}

// NewCache returns a cache before a store. A value without an end is used for ttl.
func NewCache(store Store, ttl time.Duration) *Cache {
	c := &Cache{store: store, ttl: ttl}
	c.entries.Store(&map[key]*entry{})
	return c
}

// TTL is the time to live of a value without an end.
func (c *Cache) TTL() time.Duration { return c.ttl }

// Inherit takes over the last good values of another cache, for secrets unknown to
// c. The values are stale: the store of c is asked first, and a value serves only
// if the store fails.
func (c *Cache) Inherit(old *Cache) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := *c.entries.Load()
	next := maps.Clone(known)
	for ref, e := range *old.entries.Load() {
		last := e.state.Load()
		if len(next) >= maxEntries {
			break
		}
		if known[ref] != nil || last == nil || last.value == "" || last.ended(time.Now()) {
			continue
		}
		fresh := new(entry)
		fresh.state.Store(&state{value: last.value, ends: last.ends, refused: last.refused})
		next[ref] = fresh
	}
	c.entries.Store(&next)
}

// key names a secret.
type key struct{ vault, name string }

// entry is one secret in the cache. Its state is read without a lock.
type entry struct {
	state atomic.Pointer[state] // nil until the store has answered

	mu     sync.Mutex
	flight *flight // the question under way; nil if none
}

// state is the knowledge of a secret. It is not changed once stored.
type state struct {
	value     string    // the last good one; empty if there is none
	err       error     // of the last question
	ends      time.Time // the value is not used from then on; zero if it has no end
	until     time.Time // the store is asked again from then on
	answered  time.Time // when the last question ended; zero if inherited
	refreshed time.Time // the same, if the question was a refresh
	refused   bool      // whether an upstream refused the value
}

// usable is the answer to a request: the last good value, else the error.
func (s *state) usable() (string, time.Time, error) {
	if s.value != "" {
		return s.value, s.ends, nil
	}
	return "", time.Time{}, s.err
}

// outcome is the answer to a refresh: that of the store, good or not.
func (s *state) outcome() (string, time.Time, error) {
	if s.err != nil {
		return "", time.Time{}, s.err
	}
	return s.value, s.ends, nil
}

// ended reports whether the value has an end, and the end is over.
func (s *state) ended(now time.Time) bool { return !s.ends.IsZero() && !now.Before(s.ends) }

// spare reports whether a value is due, but good until a known end. Requests do not
// wait for the next one.
func (s *state) spare(now time.Time) bool {
	return s.value != "" && !s.refused && now.Before(s.ends)
}

// renewal is the time for renewing a value: at 80 % of its remaining life.
func renewal(now, ends time.Time) time.Time {
	life := ends.Sub(now)
	return now.Add(max(life/5*4, min(life, refusedTTL)))
}

// flight is one question to the store. Several requests may wait for it.
type flight struct {
	started time.Time
	refresh bool          // guarded by the entry's mu
	done    chan struct{} // closed once state is set
	state   *state
}

// Resolve returns the cached value and its end, or asks the store. While the value is fresh
// it takes no lock and allocates nothing. It ends with ctx, with its cause.
func (c *Cache) Resolve(ctx context.Context, vault, name string) (string, time.Time, error) {
	ref := key{vault, name}
	e := c.entry(ref)
	if s := e.state.Load(); s != nil && time.Now().Before(s.until) {
		return s.usable()
	}

	e.mu.Lock()
	last := e.state.Load() // again: another request may just have renewed it
	now := time.Now()
	if last != nil && now.Before(last.until) {
		e.mu.Unlock()
		return last.usable()
	}
	ask := c.store.Resolve
	if last != nil && last.refused {
		ask = c.store.Refresh // a cache in between would repeat the refused value
	}
	f := c.askLocked(ctx, ref, e, ask)
	e.mu.Unlock()
	if last != nil && last.spare(now) {
		return last.usable()
	}

	var patience <-chan time.Time
	if last != nil && last.value != "" && !last.ended(now) {
		timer := time.NewTimer(time.Until(f.started.Add(maxWait)))
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-f.done:
		return f.state.usable()
	case <-patience:
		return last.usable()
	case <-ctx.Done():
		return "", time.Time{}, context.Cause(ctx)
	}
}

// Refresh asks the store now, however fresh the cached value is, and returns its answer. A
// failure is returned, and not covered by the last good value; [Cache.Resolve] goes on to
// serve the value.
//
// A question under way is shared by all that come while it runs, and so is the answer of a
// refresh that ended less than 100 ms ago.
func (c *Cache) Refresh(ctx context.Context, vault, name string) (string, time.Time, error) {
	ref := key{vault, name}
	e := c.entry(ref)

	e.mu.Lock()
	if s := e.state.Load(); s != nil && time.Now().Before(s.refreshed.Add(refusedTTL)) {
		e.mu.Unlock()
		return s.outcome()
	}
	f := c.askLocked(ctx, ref, e, c.store.Refresh)
	f.refresh = true
	e.mu.Unlock()

	select {
	case <-f.done:
		return f.state.outcome()
	case <-ctx.Done():
		return "", time.Time{}, context.Cause(ctx)
	}
}

// Replace returns the value to use after an upstream refused one. It is the cached
// value if it has changed, otherwise the store's answer, like
// [Cache.Refresh]. While the refused value stays cached, each later use asks
// the store too, at most every 100 ms.
func (c *Cache) Replace(ctx context.Context, vault, name, refused string) (string, error) {
	e := c.entry(key{vault, name})
	e.mu.Lock()
	switch s := e.state.Load(); {
	case s == nil || s.value == "":
	case s.value == refused:
		e.state.Store(s.refusedNow())
	case !s.answered.IsZero():
		e.mu.Unlock()
		return s.value, nil
	}
	e.mu.Unlock()
	value, _, err := c.Refresh(ctx, vault, name)
	return value, err
}

// refusedNow returns the state after an upstream refused the value.
func (s *state) refusedNow() *state {
	next := *s
	next.refused = true
	if soon := s.answered.Add(refusedTTL); soon.Before(next.until) {
		next.until = soon
	}
	return &next
}

// entry returns the secret's entry, made if need be. The map is replaced, never
// changed: reading it takes no lock.
func (c *Cache) entry(ref key) *entry {
	if e := (*c.entries.Load())[ref]; e != nil {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.entries.Load()
	if e := old[ref]; e != nil {
		return e
	}
	next := make(map[key]*entry, len(old)+1)
	now := time.Now()
	for ref, e := range old {
		if len(old) < maxEntries || e.worthKeeping(now) {
			next[ref] = e
		}
	}
	for ref := range next {
		// All of them are in use: any of them makes room.
		if len(next) < maxEntries {
			break
		}
		delete(next, ref)
	}
	e := new(entry)
	next[ref] = e
	c.entries.Store(&next)
	return e
}

// worthKeeping reports whether dropping e would cost a question to the store.
func (e *entry) worthKeeping(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.state.Load()
	return e.flight != nil || s != nil && s.value != "" && now.Before(s.until)
}

// askLocked returns the question under way, or starts one. e.mu is held.
//
// The question runs in a goroutine of its own. It must not end with the request
// that came first, because others wait for it too. It keeps the context values of
// that request, for tracing.
func (c *Cache) askLocked(
	ctx context.Context, ref key, e *entry, ask Ask,
) *flight {
	if e.flight != nil {
		return e.flight
	}
	f := &flight{started: time.Now(), done: make(chan struct{})}
	e.flight = f
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	go func() {
		defer cancel()
		// This error stays if the resolver ends the goroutine.
		value, ends, err := "", time.Time{}, errors.New("the secret resolver did not return")
		defer func() {
			// Outside a handler's goroutine, a panic would end the process. The
			// value of a panic is not repeated, for it could hold the secret.
			switch p := recover().(type) {
			case nil:
			case runtime.Error:
				err = fmt.Errorf("the secret resolver panicked: %w", p)
			default:
				err = fmt.Errorf("the secret resolver panicked with a %T", p)
			}
			c.settle(e, f, value, ends, err)
		}()
		value, ends, err = ask.Checked(ctx, c.store.NotFound, ref.vault, ref.name)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("the secret store did not answer within %v: %v", askTimeout, err) //nolint:errorlint // this deadline is not the request's
		}
	}()
	return f
}

// settle takes up the answer to a question.
//
// The cases, in order: a value without an end lives for the time to live. A value that has
// ended already, by a clock that is not the store's, lives for a second. A value with an
// end is renewed before it. After an outage the last good value serves on, and the store is
// asked again soon. All else is an error, which is repeated for a second.
func (c *Cache) settle(e *entry, f *flight, value string, ends time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	last := e.state.Load()
	if err != nil && last != nil {
		err = redact.Error(err, c.store.NotFound, last.value)
	}
	next := &state{value: value, err: err, answered: now}
	switch {
	case err == nil && ends.IsZero():
		next.until = now.Add(c.ttl)
	case err == nil && !now.Before(ends):
		// The store's clock is not ours. Upstreams judge.
		next.until = now.Add(errorTTL)
	case err == nil:
		next.ends, next.until = ends, renewal(now, ends)
	case last != nil && last.value != "" && !last.ended(now) && !errors.Is(err, c.store.NotFound):
		next.value, next.ends = last.value, last.ends
		next.until = now.Add(retryPause)
		if !last.ends.IsZero() && renewal(now, last.ends).Before(next.until) {
			next.until = renewal(now, last.ends)
		}
	default:
		next.until = now.Add(errorTTL)
	}
	if next.refused = last != nil && last.refused && last.value == next.value && next.value != ""; next.refused {
		next.until = now.Add(refusedTTL)
	}
	if f.refresh {
		next.refreshed = now
	}
	f.state = next
	e.state.Store(next)
	e.flight = nil
	close(f.done)
}

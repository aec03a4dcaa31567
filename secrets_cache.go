package aigateway

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// secretTTL is how long a value is used before the store is asked again.
	secretTTL = 5 * time.Minute
	// secretRetryPause spares a store that has just failed while there is a last
	// good value to go on with.
	secretRetryPause = 10 * time.Second
	// secretErrorTTL is how long an error is repeated without asking the store:
	// long enough that a burst of requests is one question.
	secretErrorTTL = time.Second
	// secretRefreshShare is how long one refresh answers for others: a thousand
	// requests that get 401 at once are one question.
	secretRefreshShare = time.Second
	// secretPatience is how long requests wait for a store that is slow to renew
	// a secret, before they go on with the last good value.
	secretPatience = time.Second
	// secretTimeout bounds one question to the store.
	secretTimeout = 30 * time.Second
	// maxCachedSecrets bounds the cache, as names can come from requests.
	maxCachedSecrets = 1024
)

// SecretCache puts a time to live before a [SecretResolver]. Make one with
// [NewSecretCache]. It is safe for concurrent use, and starts a goroutine only
// while it asks the store.
//
//   - A value is used for the time to live. Then the store is asked again, once
//     for all requests that wait.
//   - Where the store fails, or takes longer than a second, the last good value
//     serves on, and the store is asked again after ten seconds. A secret that the
//     store says it does not have ([ErrSecretNotFound]) is gone at once: to delete
//     it is how its use is ended.
//   - An error with no good value behind it is repeated for a second.
//   - A request that gives up does not stop the question that others wait for;
//     what it asked is answered within thirty seconds and kept.
type SecretCache struct {
	// Functions and not the resolver itself, which a %+v could look into.
	resolve, refresh func(ctx context.Context, vault, name string) (string, error)

	ttl     time.Duration
	mu      sync.Mutex // held while entries is replaced
	entries atomic.Pointer[map[secretRef]*secretEntry]
}

// NewSecretCache returns a cache before r, which is [EnvSecrets] if nil. The
// time to live is five minutes if it is not positive.
func NewSecretCache(r SecretResolver, ttl time.Duration) *SecretCache {
	if r == nil {
		r = EnvSecrets{}
	}
	if ttl <= 0 {
		ttl = secretTTL
	}
	c := &SecretCache{ttl: ttl}
	c.entries.Store(&map[secretRef]*secretEntry{})
	c.resolve = func(ctx context.Context, vault, name string) (string, error) {
		return resolveSecret(ctx, r, vault, name)
	}
	c.refresh = c.resolve
	// A cache before a cache would otherwise refresh from the inner one's age.
	if inner, ok := r.(interface {
		Refresh(ctx context.Context, vault, name string) (string, error)
	}); ok {
		c.refresh = func(ctx context.Context, vault, name string) (string, error) {
			return resolveSecret(ctx, SecretResolverFunc(inner.Refresh), vault, name)
		}
	}
	return c
}

type secretRef struct{ vault, name string }

// secretEntry is one secret in the cache. Its state is read without a lock.
type secretEntry struct {
	state atomic.Pointer[secretState] // nil until the store has answered

	mu     sync.Mutex
	flight *secretFlight // the question under way; nil if none
}

// secretState is what is known of a secret. It is not changed once stored.
type secretState struct {
	value     string    // the last good one; empty if there is none
	err       error     // what the last question ended in
	until     time.Time // when the store is to be asked again
	refreshed time.Time // when the question was answered, if it was a refresh
}

// usable is the answer to a request: the last good value, else the error.
func (s *secretState) usable() (string, error) {
	if s.value != "" {
		return s.value, nil
	}
	return "", s.err
}

// outcome is the answer to a refresh: what the store said, good or not.
func (s *secretState) outcome() (string, error) {
	if s.err != nil {
		return "", s.err
	}
	return s.value, nil
}

// secretFlight is one question to the store that several requests may await.
type secretFlight struct {
	started time.Time
	refresh bool          // guarded by the entry's mu
	done    chan struct{} // closed once state is set
	state   *secretState
}

// ResolveSecret returns the cached value, or asks the store. While the value is
// fresh it takes no lock and allocates nothing. It ends with ctx, with its
// cause.
func (c *SecretCache) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	ref := secretRef{vault, name}
	e := c.entry(ref)
	if s := e.state.Load(); s != nil && time.Now().Before(s.until) {
		return s.usable()
	}

	e.mu.Lock()
	last := e.state.Load() // again: another request may just have renewed it
	if last != nil && time.Now().Before(last.until) {
		e.mu.Unlock()
		return last.usable()
	}
	f := c.askLocked(ctx, ref, e, c.resolve)
	e.mu.Unlock()

	var patience <-chan time.Time
	if last != nil && last.value != "" {
		timer := time.NewTimer(time.Until(f.started.Add(secretPatience)))
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-f.done:
		return f.state.usable()
	case <-patience:
		return last.value, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Refresh asks the store now, however fresh the cached value is, and returns
// what it says: a failure is returned and not covered by the last good value,
// which [SecretCache.ResolveSecret] goes on to serve. It is for the moment in
// which an upstream has refused the value. A question under way is shared, and
// so is the answer of a refresh that ended less than a second ago.
func (c *SecretCache) Refresh(ctx context.Context, vault, name string) (string, error) {
	ref := secretRef{vault, name}
	e := c.entry(ref)

	e.mu.Lock()
	if s := e.state.Load(); s != nil && time.Now().Before(s.refreshed.Add(secretRefreshShare)) {
		e.mu.Unlock()
		return s.outcome()
	}
	f := c.askLocked(ctx, ref, e, c.refresh)
	f.refresh = true
	e.mu.Unlock()

	select {
	case <-f.done:
		return f.state.outcome()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// entry returns the secret's entry, made if need be. The map is replaced, never
// changed, so that reading it needs no lock.
func (c *SecretCache) entry(ref secretRef) *secretEntry {
	if e := (*c.entries.Load())[ref]; e != nil {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.entries.Load()
	if e := old[ref]; e != nil {
		return e
	}
	next := make(map[secretRef]*secretEntry, len(old)+1)
	now := time.Now()
	for ref, e := range old {
		if len(old) < maxCachedSecrets || e.worthKeeping(now) {
			next[ref] = e
		}
	}
	for ref := range next {
		// All of them are in use: any makes room, and is asked for anew if
		// it is needed again.
		if len(next) < maxCachedSecrets {
			break
		}
		delete(next, ref)
	}
	e := new(secretEntry)
	next[ref] = e
	c.entries.Store(&next)
	return e
}

// worthKeeping reports whether dropping e would cost a question to the store.
func (e *secretEntry) worthKeeping(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.state.Load()
	return e.flight != nil || s != nil && s.value != "" && now.Before(s.until)
}

// askLocked returns the question under way, or starts one. e.mu is held.
//
// The question runs in a goroutine of its own: it must not end with the request
// that happened to come first, as others wait for it too. It keeps that
// request's context values, for tracing.
func (c *SecretCache) askLocked(
	ctx context.Context, ref secretRef, e *secretEntry,
	ask func(ctx context.Context, vault, name string) (string, error),
) *secretFlight {
	if e.flight != nil {
		return e.flight
	}
	f := &secretFlight{started: time.Now(), done: make(chan struct{})}
	e.flight = f
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), secretTimeout)
	go func() {
		defer cancel()
		// Also what those who wait get if the resolver ends the goroutine.
		value, err := "", errors.New("the secret resolver did not return")
		defer func() {
			// Not in a handler's goroutine, a panic would end the process. Its
			// value is not repeated where it could hold the secret.
			switch p := recover().(type) {
			case nil:
			case runtime.Error:
				err = fmt.Errorf("the secret resolver panicked: %w", p)
			default:
				err = fmt.Errorf("the secret resolver panicked with a %T", p)
			}
			c.settle(e, f, value, err)
		}()
		value, err = ask(ctx, ref.vault, ref.name)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("the secret store did not answer within %v: %v", secretTimeout, err) //nolint:errorlint // this deadline is not the request's
		}
	}()
	return f
}

// settle takes up the answer to a question.
func (c *SecretCache) settle(e *secretEntry, f *secretFlight, value string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	last := e.state.Load()
	if err != nil && last != nil {
		err = withoutValue(err, last.value)
	}
	next := &secretState{value: value, err: err}
	switch {
	case err == nil:
		next.until = now.Add(c.ttl)
	case last != nil && last.value != "" && !errors.Is(err, ErrSecretNotFound):
		next.value = last.value
		next.until = now.Add(secretRetryPause)
	default:
		next.until = now.Add(secretErrorTTL)
	}
	if f.refresh {
		next.refreshed = now
	}
	f.state = next
	e.state.Store(next)
	e.flight = nil
	close(f.done)
}

package aigateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// secretTTL is how long a value is used before the store is asked again.
	secretTTL = 5 * time.Minute
	// secretRetryPause spares a store that has just failed, while the last good
	// value serves on.
	secretRetryPause = 10 * time.Second
	// secretErrorTTL is how long an error is repeated without asking the store: a
	// burst of requests then asks it once.
	secretErrorTTL = time.Second
	// secretRefusedTTL is the time to live of an answer about a refused value. A
	// thousand requests that get 401 at once are one question, and a rotated
	// secret is seen soon.
	secretRefusedTTL = 100 * time.Millisecond
	// secretPatience bounds a request's wait for a slow store. After it the last
	// good value serves.
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
//   - A value is used for the time to live. Then the store is asked again, once for all
//     waiting requests.
//   - If the store fails, or takes longer than a second, the last good value serves on, and
//     the store is asked again after ten seconds. A deleted secret ([ErrSecretNotFound]) is
//     gone at once.
//   - A value with an end, of an [ExpiringSecretResolver], is renewed ahead, at 80 % of its
//     life. Requests do not wait for that. It does not serve beyond its end.
//   - Without a good value, an error is repeated for a second.
//   - While an upstream refuses the value, each use asks the store, at most every 100 ms.
//   - A question to the store outlives the request that asked first, because others may wait
//     for it. The store has thirty seconds to answer.
//
// A gateway keeps its own cache over a Reload with the same store. To another store
// it carries the last good values: the new store is asked first, and they serve if
// it fails.
type SecretCache struct {
	// Functions and not the resolver itself: a %+v could look into that.
	resolve, refresh secretAsker
	serves           func(SecretResolver) bool

	ttl     time.Duration
	mu      sync.Mutex // held while entries is replaced
	entries atomic.Pointer[map[secretRef]*secretEntry]
}

// NewSecretCache returns a cache before r, which is [EnvSecrets] if nil. The
// time to live is five minutes if it is not positive.
func NewSecretCache(r SecretResolver, ttl time.Duration) *SecretCache {
	if r == nil {
		r = EnvSecrets()
	}
	if ttl <= 0 {
		ttl = secretTTL
	}
	c := &SecretCache{ttl: ttl}
	c.entries.Store(&map[secretRef]*secretEntry{})
	c.resolve = resolving(r)
	// A cache before a cache would otherwise refresh from the inner one's age.
	c.refresh = refreshing(r)
	c.serves = func(other SecretResolver) bool { return sameResolver(r, other) }
	return c
}

// cachedSecrets returns the cache of a gateway before r. old is the cache that a
// Reload replaces, nil at the start. The same store keeps its cache; another one
// inherits the last good values. A cache of the user's own is used as it is.
func cachedSecrets(r SecretResolver, old *SecretCache) *SecretCache {
	c, own := r.(*SecretCache)
	switch {
	case own && c != nil:
	case old != nil && old.ttl == secretTTL && old.serves(r):
		return old
	default:
		c = NewSecretCache(r, secretTTL)
	}
	if old != nil && c != old {
		c.inherit(old)
	}
	return c
}

// inherit takes over the last good values of another cache, for secrets unknown to
// c. The values are stale: the store of c is asked first, and a value serves only
// if the store fails.
func (c *SecretCache) inherit(old *SecretCache) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := *c.entries.Load()
	next := maps.Clone(known)
	for ref, e := range *old.entries.Load() {
		last := e.state.Load()
		if len(next) >= maxCachedSecrets {
			break
		}
		if known[ref] != nil || last == nil || last.value == "" || last.ended(time.Now()) {
			continue
		}
		fresh := new(secretEntry)
		fresh.state.Store(&secretState{value: last.value, ends: last.ends, refused: last.refused})
		next[ref] = fresh
	}
	c.entries.Store(&next)
}

// secretRef names a secret.
type secretRef struct{ vault, name string }

// secretEntry is one secret in the cache. Its state is read without a lock.
type secretEntry struct {
	state atomic.Pointer[secretState] // nil until the store has answered

	mu     sync.Mutex
	flight *secretFlight // the question under way; nil if none
}

// secretState is the knowledge of a secret. It is not changed once stored.
type secretState struct {
	value     string    // the last good one; empty if there is none
	err       error     // of the last question
	ends      time.Time // the value is not used from then on; zero if it has no end
	until     time.Time // the store is asked again from then on
	answered  time.Time // when the last question ended; zero if inherited
	refreshed time.Time // the same, if the question was a refresh
	refused   bool      // whether an upstream refused the value
}

// usable is the answer to a request: the last good value, else the error.
func (s *secretState) usable() (string, time.Time, error) {
	if s.value != "" {
		return s.value, s.ends, nil
	}
	return "", time.Time{}, s.err
}

// outcome is the answer to a refresh: that of the store, good or not.
func (s *secretState) outcome() (string, time.Time, error) {
	if s.err != nil {
		return "", time.Time{}, s.err
	}
	return s.value, s.ends, nil
}

// ended reports whether the value has an end, and the end is over.
func (s *secretState) ended(now time.Time) bool { return !s.ends.IsZero() && !now.Before(s.ends) }

// spare reports whether a value is due, but good until a known end. Requests do not
// wait for the next one.
func (s *secretState) spare(now time.Time) bool {
	return s.value != "" && !s.refused && now.Before(s.ends)
}

// renewal is the time for renewing a value: at 80 % of its remaining life.
func renewal(now, ends time.Time) time.Time {
	life := ends.Sub(now)
	return now.Add(max(life/5*4, min(life, secretRefusedTTL)))
}

// secretFlight is one question to the store. Several requests may wait for it.
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
	value, _, err := c.ResolveSecretUntil(ctx, vault, name)
	return value, err
}

// ResolveSecretUntil is ResolveSecret, and also returns the end of the value. The
// end is the zero time if the store has not named one.
func (c *SecretCache) ResolveSecretUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	ref := secretRef{vault, name}
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
	ask := c.resolve
	if last != nil && last.refused {
		ask = c.refresh // a cache in between would repeat the refused value
	}
	f := c.askLocked(ctx, ref, e, ask)
	e.mu.Unlock()
	if last != nil && last.spare(now) {
		return last.usable()
	}

	var patience <-chan time.Time
	if last != nil && last.value != "" && !last.ended(now) {
		timer := time.NewTimer(time.Until(f.started.Add(secretPatience)))
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

// Refresh asks the store now, however fresh the cached value is, and returns its
// answer. A failure is returned, and not covered by the last good value;
// [SecretCache.ResolveSecret] goes on to serve the value.
//
// Call it after an upstream has refused the value. A question under way is shared,
// and so is the answer of a refresh that ended less than 100 ms ago.
func (c *SecretCache) Refresh(ctx context.Context, vault, name string) (string, error) {
	value, _, err := c.refreshUntil(ctx, vault, name)
	return value, err
}

// refreshUntil is Refresh, with the end of the value. A question that is under way
// serves all that come while it runs.
func (c *SecretCache) refreshUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	ref := secretRef{vault, name}
	e := c.entry(ref)

	e.mu.Lock()
	if s := e.state.Load(); s != nil && time.Now().Before(s.refreshed.Add(secretRefusedTTL)) {
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
		return "", time.Time{}, context.Cause(ctx)
	}
}

// replace returns the value to use after an upstream refused one. It is the cached
// value if it has changed, otherwise the store's answer, like
// [SecretCache.Refresh]. While the refused value stays cached, each later use asks
// the store too, at most every 100 ms.
func (c *SecretCache) replace(ctx context.Context, vault, name, refused string) (string, error) {
	e := c.entry(secretRef{vault, name})
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
	return c.Refresh(ctx, vault, name)
}

// refusedNow returns the state after an upstream refused the value.
func (s *secretState) refusedNow() *secretState {
	next := *s
	next.refused = true
	if soon := s.answered.Add(secretRefusedTTL); soon.Before(next.until) {
		next.until = soon
	}
	return &next
}

// entry returns the secret's entry, made if need be. The map is replaced, never
// changed: reading it takes no lock.
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
		// All of them are in use: any of them makes room.
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
// The question runs in a goroutine of its own. It must not end with the request
// that came first, because others wait for it too. It keeps the context values of
// that request, for tracing.
func (c *SecretCache) askLocked(
	ctx context.Context, ref secretRef, e *secretEntry, ask secretAsker,
) *secretFlight {
	if e.flight != nil {
		return e.flight
	}
	f := &secretFlight{started: time.Now(), done: make(chan struct{})}
	e.flight = f
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), secretTimeout)
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
		value, ends, err = askSecret(ctx, ask, ref.vault, ref.name)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("the secret store did not answer within %v: %v", secretTimeout, err) //nolint:errorlint // this deadline is not the request's
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
func (c *SecretCache) settle(e *secretEntry, f *secretFlight, value string, ends time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	last := e.state.Load()
	if err != nil && last != nil {
		err = withoutValue(err, last.value)
	}
	next := &secretState{value: value, err: err, answered: now}
	switch {
	case err == nil && ends.IsZero():
		next.until = now.Add(c.ttl)
	case err == nil && !now.Before(ends):
		// The store's clock is not ours. Upstreams judge.
		next.until = now.Add(secretErrorTTL)
	case err == nil:
		next.ends, next.until = ends, renewal(now, ends)
	case last != nil && last.value != "" && !last.ended(now) && !errors.Is(err, ErrSecretNotFound):
		next.value, next.ends = last.value, last.ends
		next.until = now.Add(secretRetryPause)
		if !last.ends.IsZero() && renewal(now, last.ends).Before(next.until) {
			next.until = renewal(now, last.ends)
		}
	default:
		next.until = now.Add(secretErrorTTL)
	}
	if next.refused = last != nil && last.refused && last.value == next.value && next.value != ""; next.refused {
		next.until = now.Add(secretRefusedTTL)
	}
	if f.refresh {
		next.refreshed = now
	}
	f.state = next
	e.state.Store(next)
	e.flight = nil
	close(f.done)
}

package aigateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// SecretResolver answers ${secrets.get(vault, name)}: it knows one store of
// secrets.
//
// [New] and [Gateway.Reload] never call it. The gateway calls it through a
// [SecretCache] when a request needs a secret that is not cached or is due,
// again after an upstream answered 401 to it, and from [Gateway.Check]. Calls
// come from many goroutines, also several at once; those for one secret come
// one after the other.
//
// An error that wraps [ErrSecretNotFound] is a fact: this store does not have
// the secret, another may. An empty value with a nil error means the same. Any
// other error is an outage: the last good value stays in use and the store is
// asked again later. An error must not hold a secret's value, as errors are
// logged.
//
// ResolveSecret must return soon after ctx ends. It must not keep ctx.
type SecretResolver interface {
	ResolveSecret(ctx context.Context, vault, name string) (string, error)
}

// SecretResolverFunc is a function that is a [SecretResolver].
type SecretResolverFunc func(ctx context.Context, vault, name string) (string, error)

// ResolveSecret calls f.
func (f SecretResolverFunc) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	return f(ctx, vault, name)
}

// ErrSecretNotFound is what a [SecretResolver] wraps where its store does not
// have the secret that was asked for.
var ErrSecretNotFound = errors.New("secret not found")

func notFound(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSecretNotFound, fmt.Sprintf(format, args...))
}

// resolveSecret asks r and holds it to the rule that an empty value is none, so
// that a blank never travels as "Authorization: Bearer ".
func resolveSecret(ctx context.Context, r SecretResolver, vault, name string) (string, error) {
	value, err := r.ResolveSecret(ctx, vault, name)
	switch {
	case err != nil:
		return "", err
	case value == "":
		return "", notFound("the value of %q in %q is empty", name, vault)
	}
	return value, nil
}

// EnvSecrets reads secrets from environment variables. The variable is the
// vault and the name in upper case, joined by an underscore, with each run of
// other characters than A-Z and 0-9 as one underscore:
// secrets.get('my-provider', 'api-key') reads MY_PROVIDER_API_KEY. Names that
// differ in such characters alone share a variable. One that is empty counts as
// not set.
type EnvSecrets struct{}

// ResolveSecret returns the value of the secret's variable.
func (EnvSecrets) ResolveSecret(_ context.Context, vault, name string) (string, error) {
	key := envName(vault, name)
	if value := os.Getenv(key); value != "" {
		return value, nil
	}
	return "", notFound("environment variable %s is not set or empty", key)
}

func envName(vault, name string) string {
	var b strings.Builder
	for _, c := range []byte(vault + "_" + name) {
		switch {
		case 'a' <= c && c <= 'z':
			b.WriteByte(c - 'a' + 'A')
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			b.WriteByte(c)
		case !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	return b.String()
}

// DirSecrets reads secrets from the files of a directory, DIR/vault/name, as
// Kubernetes and Docker mount them: DirSecrets("/run/secrets"). A file is read
// anew each time, so a rotated one is found. One final line break is not part of
// the secret. An empty file counts as not there; one over 64 KiB is an error.
//
// A vault or name with a path separator, one that starts with "..", and an empty
// one are refused, and no other store is asked then: names can come from a
// request. Symbolic links are followed within the directory only.
type DirSecrets string

// maxSecretFile bounds what a mistaken name can read into memory, in bytes.
const maxSecretFile = 64 << 10

// ResolveSecret returns the content of the secret's file.
func (d DirSecrets) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	if d == "" {
		return "", errors.New("the secret directory's path is empty")
	}
	if !isFileName(vault) || !isFileName(name) {
		return "", fmt.Errorf("vault %q and name %q must be plain file names", vault, name)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	path := filepath.Join(string(d), vault, name)
	data, err := d.read(vault, name)
	if errors.Is(err, fs.ErrNotExist) {
		// Kubernetes replaces the files of a mount by turning a link, and then
		// removes the old ones: who has read the link just before finds nothing.
		// The second look tells that from a secret that is not there.
		data, err = d.read(vault, name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", notFound("file %q does not exist", path)
	case err != nil:
		return "", fmt.Errorf("secret file %q: %w", path, err)
	}
	value := strings.TrimSuffix(string(data), "\n")
	if len(value) < len(data) {
		value = strings.TrimSuffix(value, "\r")
	}
	if value == "" {
		return "", notFound("file %q is empty", path)
	}
	return value, nil
}

// read returns the bytes of a secret's file. The [os.Root] keeps links, which
// mounts are full of, from leading out of the directory.
func (d DirSecrets) read(vault, name string) ([]byte, error) {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	path := filepath.Join(vault, name)
	// Asked before opening: opening a named pipe would wait for its writer.
	if info, err := root.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err == nil && len(data) > maxSecretFile {
		err = fmt.Errorf("larger than %d bytes", maxSecretFile)
	}
	return data, err
}

// isFileName reports whether s names a file directly inside a directory, on any
// system. Names that start with ".." are refused altogether: Kubernetes keeps
// its own past and future versions of a mount under such names.
func isFileName(s string) bool {
	return s != "" && s != "." && !strings.HasPrefix(s, "..") &&
		!strings.ContainsAny(s, "/\\\x00") && filepath.IsLocal(s)
}

// MapSecrets holds secrets by vault and name, for tests. It shows its values
// redacted where it is printed, logged or marshaled, with the exceptions that a
// [Template] has. It must not be changed while a gateway uses it.
type MapSecrets map[string]map[string]string

// ResolveSecret returns the value at m[vault][name]. An empty one counts as not
// there.
func (m MapSecrets) ResolveSecret(_ context.Context, vault, name string) (string, error) {
	if value := m[vault][name]; value != "" {
		return value, nil
	}
	return "", notFound("the map has no %q in %q", name, vault)
}

func (m MapSecrets) shown() map[string]map[string]string {
	out := make(map[string]map[string]string, len(m))
	for vault, names := range m {
		out[vault] = make(map[string]string, len(names))
		for name, value := range names {
			out[vault][name] = redact(value)
		}
	}
	return out
}

// Format prints m with its values redacted.
func (m MapSecrets) Format(f fmt.State, verb rune) { formatShown(f, verb, m.shown()) }

// String returns m with its values redacted.
func (m MapSecrets) String() string { return fmt.Sprint(m.shown()) }

// GoString returns m with its values redacted.
func (m MapSecrets) GoString() string { return fmt.Sprintf("%#v", m.shown()) }

// LogValue returns m with its values redacted.
func (m MapSecrets) LogValue() slog.Value { return slog.AnyValue(m.shown()) }

// MarshalJSON returns m with its values redacted.
func (m MapSecrets) MarshalJSON() ([]byte, error) { return json.Marshal(m.shown()) }

// ChainSecrets asks several stores in order: the first that has the secret
// answers. Only [ErrSecretNotFound] moves on to the next: a store that is out of
// order must not be mistaken for one that does not have the secret. Where none
// has it, the error says where was looked. Nil elements are passed over.
type ChainSecrets []SecretResolver

// ResolveSecret asks each store in turn.
func (c ChainSecrets) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	var looked []string
	for _, r := range c {
		if r == nil {
			continue
		}
		value, err := resolveSecret(ctx, r, vault, name)
		if err == nil || !errors.Is(err, ErrSecretNotFound) {
			return value, err
		}
		looked = append(looked, strings.TrimPrefix(err.Error(), ErrSecretNotFound.Error()+": "))
	}
	if looked == nil {
		return "", notFound("there is no store to look in")
	}
	return "", notFound("%s", strings.Join(looked, "; "))
}

const (
	// defaultSecretTTL is how long a secret is used before its store is asked
	// again, where nothing else is said.
	defaultSecretTTL = 5 * time.Minute
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
		ttl = defaultSecretTTL
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
			// Without %w: this deadline is not the request's.
			err = fmt.Errorf("the secret store did not answer within %v: %v", secretTimeout, err)
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

// Template is text in which ${…} is a CEL expression, as in
// "Bearer ${secrets.get('vault', 'name')}"; $${ stands for a literal ${. A
// Template without an expression is plain text, an API key for one.
//
// As that text can be a secret, a Template shows its expressions only and each
// literal part as "…", wherever it is printed, logged or marshaled. A Config
// therefore does not survive a round trip through JSON. string(t) is the text
// itself. Not covered are the cases in which fmt asks no methods (values in
// unexported fields of other types, and the verbs %p and %w, which vet reports);
// and text quoted inside an expression is shown.
type Template string

// String returns t with its literal parts hidden.
func (t Template) String() string {
	var b strings.Builder
	hidden := false
	for s := string(t); s != ""; {
		n := 0
		switch {
		case strings.HasPrefix(s, "$${"):
			s = s[len("$${"):]
			hidden = true
			continue
		case strings.HasPrefix(s, "${"):
			n = expressionLen(s)
			if n == 0 {
				// It has no end, so what it holds is anybody's guess.
				return b.String() + "…"
			}
		default:
			s = s[1:]
			hidden = true
			continue
		}
		if hidden {
			b.WriteString("…")
			hidden = false
		}
		b.WriteString(s[:n])
		s = s[n:]
	}
	if hidden {
		b.WriteString("…")
	}
	return b.String()
}

// expressionLen returns the length of the ${…} that s starts with, 0 if it has
// no end. Braces in CEL's strings do not count.
func expressionLen(s string) int {
	depth := 0
	for i := 1; i < len(s); {
		switch c := s[i]; {
		case c == '{':
			depth++
			i++
		case c == '}':
			depth--
			i++
			if depth == 0 {
				return i
			}
		case c == '\'' || c == '"':
			n := quotedLen(s[i:], isRawPrefix(s[:i]))
			if n == 0 {
				return 0
			}
			i += n
		case strings.HasPrefix(s[i:], "//"):
			end := strings.IndexByte(s[i:], '\n')
			if end < 0 {
				return 0
			}
			i += end
		default:
			i++
		}
	}
	return 0
}

// isRawPrefix reports whether a quote after s opens a raw string: r'…', rb'…'
// or br'…'.
func isRawPrefix(s string) bool {
	s = strings.ToLower(s[max(0, len(s)-2):])
	return strings.HasSuffix(s, "r") || s == "rb"
}

// quotedLen returns the length of the CEL string that s starts with, 0 if it has
// no end.
func quotedLen(s string, raw bool) int {
	quote := s[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s, triple) {
		quote = triple
	}
	for i := len(quote); i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		case s[i] == '\\' && !raw:
			i++
		case (s[i] == '\n' || s[i] == '\r') && len(quote) == 1:
			return 0
		}
	}
	return 0
}

// Format prints t with its literal parts hidden.
func (t Template) Format(f fmt.State, verb rune) { formatShown(f, verb, t.String()) }

// GoString returns t, quoted, with its literal parts hidden.
func (t Template) GoString() string { return strconv.Quote(t.String()) }

// LogValue returns t with its literal parts hidden.
func (t Template) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText returns t with its literal parts hidden, for JSON and other
// encodings.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// formatShown prints, in place of a value, what may be shown of it.
func formatShown(f fmt.State, verb rune, shown any) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), shown)
}

// secret is a resolved secret. It shows itself redacted; reveal is the only way
// to the value. The value is behind a pointer, so that even fmt's printing of
// unexported fields, which asks no methods, finds an address alone.
type secret struct{ value *string }

func newSecret(value string) secret { return secret{&value} }

// reveal returns the value; empty for the zero secret.
func (s secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

func (s secret) String() string                { return redact(s.reveal()) }
func (s secret) Format(f fmt.State, verb rune) { formatShown(f, verb, s.String()) }
func (s secret) GoString() string              { return strconv.Quote(s.String()) }
func (s secret) LogValue() slog.Value          { return slog.StringValue(s.String()) }
func (s secret) MarshalText() ([]byte, error)  { return []byte(s.String()), nil }

// redact returns what may be shown of a secret, enough to tell which one it is:
// the first 7 and last 4 characters (in bytes) of one of 20 bytes or more, as in
// "sk-proj…2315", the first 2 of one of 12 or more, and nothing of a shorter one
// or of one that holds what JSON would escape, as the result may end up inside a
// JSON text. Empty stays empty.
func redact(value string) string {
	if value == "" {
		return ""
	}
	if len(value) < 12 || !utf8.ValidString(value) || strings.ContainsFunc(value, isAwkward) {
		return "…"
	}
	head, tail := 2, len(value)
	if len(value) >= 20 {
		head, tail = 7, len(value)-4
	}
	for !utf8.RuneStart(value[head]) {
		head--
	}
	for tail < len(value) && !utf8.RuneStart(value[tail]) {
		tail++
	}
	return value[:head] + "…" + value[tail:]
}

func isAwkward(r rune) bool { return r == '"' || r == '\\' || !unicode.IsPrint(r) }

// scrubber replaces known secrets in text by their redacted form, also where
// they stand as JSON, URL or base64 encoded. A value shorter than 4 bytes is left
// in: it would be found in half of all texts, which would be shredded and give it
// away all the same. Safe for concurrent use; a nil scrubber changes nothing.
type scrubber struct {
	secrets  []secret
	replacer func() *strings.Replacer
}

func newScrubber(values ...string) *scrubber {
	s := &scrubber{}
	for _, v := range values {
		if len(v) >= 4 {
			s.secrets = append(s.secrets, newSecret(v))
		}
	}
	// Most answers are never scrubbed, so the forms are made by the first that is.
	s.replacer = sync.OnceValue(s.build)
	return s
}

func (s *scrubber) build() *strings.Replacer {
	shown := map[string]string{}
	for _, sec := range s.secrets {
		for _, form := range secretForms(sec.reveal()) {
			shown[form] = sec.String()
		}
	}
	forms := make([]string, 0, len(shown))
	for form := range shown {
		forms = append(forms, form)
	}
	// Where one form starts with another, the replacer takes the earlier.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	oldnew := make([]string, 0, 2*len(forms))
	for _, form := range forms {
		oldnew = append(oldnew, form, shown[form])
	}
	return strings.NewReplacer(oldnew...)
}

// scrub returns text with the secrets in it redacted.
func (s *scrubber) scrub(text string) string {
	if s == nil || len(s.secrets) == 0 {
		return text
	}
	return s.replacer().Replace(text)
}

// scrubBytes is scrub for bytes. It does not change its argument.
func (s *scrubber) scrubBytes(text []byte) []byte {
	if s == nil || len(s.secrets) == 0 {
		return text
	}
	return []byte(s.replacer().Replace(string(text)))
}

// secretForms returns the ways in which a secret may be written into a text.
func secretForms(value string) []string {
	forms := []string{value, url.QueryEscape(value), url.PathEscape(value)}
	for _, escapeHTML := range []bool{false, true} {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escapeHTML)
		if enc.Encode(value) == nil {
			quoted := strings.TrimSpace(b.String())
			inner := quoted[1 : len(quoted)-1]
			// PHP, for one, escapes the slash as well.
			forms = append(forms, inner, strings.ReplaceAll(inner, "/", `\/`))
		}
	}
	// In base64 a text looks different at each of three offsets, and its ends
	// mix with its neighbours; what is left is the same behind any prefix, such
	// as the user of Basic authentication. Short values have too little left.
	if len(value) >= 8 {
		for offset := range 3 {
			for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				text := enc.EncodeToString(append(make([]byte, offset), value...))
				forms = append(forms, text[(8*offset+5)/6:8*(offset+len(value))/6])
			}
		}
	}
	return forms
}

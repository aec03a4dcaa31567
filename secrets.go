package aigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/secretstore"
)

// SecretResolver answers ${secrets.get(vault, name)}: it knows one store of
// secrets.
//
// [New] and [Gateway.Reload] never call it. The gateway calls it through a
// [SecretCache]: when a request needs a secret that is not cached or is due, again
// after an upstream answered 401 to it, and from [Gateway.Check]. Calls come from
// many goroutines at once, but those for one secret come one after the other.
//
// An error that wraps [ErrSecretNotFound] is a fact: this store does not have
// the secret, another may. An empty value with a nil error means the same. Any
// other error is an outage: the last good value stays in use and the store is
// asked again later. An error must not contain the value of a secret, for errors are
// logged. The gateway cuts the values that it knows out of an error, and no others.
//
// ResolveSecret must return soon after ctx ends. It must not keep ctx.
type SecretResolver interface {
	ResolveSecret(ctx context.Context, vault, name string) (string, error)
}

// SecretResolverFunc makes a function a [SecretResolver].
type SecretResolverFunc func(ctx context.Context, vault, name string) (string, error)

// ResolveSecret calls f.
func (f SecretResolverFunc) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	return f(ctx, vault, name)
}

// SecretRefresher is an optional power of a [SecretResolver] that keeps values for a
// while.
//
// Refresh is called in the place of ResolveSecret after an upstream refused a
// value. It must ask the store itself, however fresh the kept value is, and must
// return a failure of the store and not the kept value. Errors, contexts and
// goroutines are as for ResolveSecret. [NewSecretCache] and [ChainSecrets] look
// for the power by type assertion.
type SecretRefresher interface {
	Refresh(ctx context.Context, vault, name string) (string, error)
}

// ErrSecretNotFound is wrapped by a [SecretResolver] whose store does not have the
// secret.
var ErrSecretNotFound = errors.New("secret not found")

func notFound(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSecretNotFound, fmt.Sprintf(format, args...))
}

// EnvSecrets reads secrets from environment variables. The variable is the
// vault and the name in upper case, joined by an underscore. Each run of characters
// other than A-Z and 0-9 becomes one underscore. So
// secrets.get('my-provider', 'api-key') reads MY_PROVIDER_API_KEY. Different names may
// share a variable. An empty variable counts as not set.
func EnvSecrets() SecretResolver { return envSecrets{} }

// envSecrets is one value, so that two configs with it are seen to ask the same store,
// see sameResolver.
type envSecrets struct{}

// ResolveSecret returns the value of the secret's variable.
func (envSecrets) ResolveSecret(_ context.Context, vault, name string) (string, error) {
	key := envName(vault, name)
	if value := os.Getenv(key); value != "" {
		return value, nil
	}
	return "", notFound("environment variable %s is not set or empty", key)
}

// envName is the variable of a secret. See EnvSecrets.
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

// DirSecrets reads secrets from the files of a directory, dir/vault/name, as
// Kubernetes and Docker mount them: DirSecrets("/run/secrets"). A file is read
// anew each time, so a rotated secret is found. One final line break is not part
// of the secret. An empty file counts as not there; a file over 64 KiB is an error.
//
// Names can come from a request. A vault or name that is empty, starts with ".."
// or has a path separator is refused, and a chain asks no further store for it.
// Symbolic links are followed within the directory only.
func DirSecrets(dir string) SecretResolver { return dirSecrets(dir) }

// dirSecrets is the directory.
type dirSecrets string

// ResolveSecret returns the content of the secret's file.
func (d dirSecrets) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	return secretstore.Dir(d).Read(ctx, ErrSecretNotFound, vault, name)
}

// MapSecrets holds secrets by vault and name, for tests. It copies the map. It
// shows its values redacted when it is printed, logged or marshaled.
func MapSecrets(secrets map[string]map[string]string) SecretResolver {
	m := mapSecrets{&vaults{}}
	for vault, names := range secrets {
		(*m.vaults)[vault] = maps.Clone(names)
	}
	return m
}

// mapSecrets has its values behind a pointer: fmt asks no methods of unexported
// fields, and finds an address there.
type mapSecrets struct{ vaults *vaults }

// vaults are secrets by vault and name.
type vaults map[string]map[string]string

// ResolveSecret returns the value of the name in the vault. An empty value counts
// as not there.
func (m mapSecrets) ResolveSecret(_ context.Context, vault, name string) (string, error) {
	if value := (*m.vaults)[vault][name]; value != "" {
		return value, nil
	}
	return "", notFound("the map has no %q in %q", name, vault)
}

// shown is the map with each value redacted, for all ways of printing it.
func (m mapSecrets) shown() map[string]map[string]string {
	out := make(map[string]map[string]string, len(*m.vaults))
	for vault, names := range *m.vaults {
		out[vault] = make(map[string]string, len(names))
		for name, value := range names {
			out[vault][name] = redact.Text(value)
		}
	}
	return out
}

// Format prints m with its values redacted.
func (m mapSecrets) Format(f fmt.State, verb rune) { redact.Format(f, verb, m.shown()) }

// String returns m with its values redacted.
func (m mapSecrets) String() string { return fmt.Sprint(m.shown()) }

// GoString returns m with its values redacted.
func (m mapSecrets) GoString() string { return fmt.Sprintf("%#v", m.shown()) }

// LogValue returns m with its values redacted.
func (m mapSecrets) LogValue() slog.Value { return slog.AnyValue(m.shown()) }

// MarshalJSON returns m with its values redacted.
func (m mapSecrets) MarshalJSON() ([]byte, error) { return json.Marshal(m.shown()) }

// ChainSecrets asks several stores in order: the first that has the secret
// answers. Only [ErrSecretNotFound] moves on to the next: a store that is out of
// order must not be mistaken for one without the secret. If all stores lack it,
// the error names each of them. Nil stores are passed over.
func ChainSecrets(stores ...SecretResolver) SecretResolver {
	return chainSecrets(slices.Clone(stores))
}

// chainSecrets asks its stores in order. Some may be nil.
type chainSecrets []SecretResolver

// sameResolver reports whether two resolvers ask the same store. Resolvers of
// types that cannot be compared are different.
func sameResolver(a, b SecretResolver) bool {
	if a == nil {
		a = EnvSecrets()
	}
	if b == nil {
		b = EnvSecrets()
	}
	if a, ok := a.(chainSecrets); ok {
		b, ok := b.(chainSecrets)
		return ok && slices.EqualFunc(a, b, func(a, b SecretResolver) bool { return (a == nil) == (b == nil) && sameResolver(a, b) })
	}
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// ExpiringSecretResolver is an optional power of a [SecretResolver] that knows how
// long its values are good: tokens of OAuth, leases of a vault.
//
// ResolveSecretUntil is called in the place of ResolveSecret. Until is when the value
// ends; the zero time stands for a value without an end. A [SecretCache] asks anew
// at 80 % of a value's remaining life. One request in passing does so, and no
// request waits while the old value is good. After its end a value is not used. The
// answer before the end may be the same value again, with the same until. Errors,
// contexts and goroutines are as for ResolveSecret. [NewSecretCache] and
// [ChainSecrets] look for the power by type assertion.
type ExpiringSecretResolver interface {
	ResolveSecretUntil(ctx context.Context, vault, name string) (value string, until time.Time, err error)
}

// resolving returns how r resolves.
func resolving(r SecretResolver) secretstore.Ask {
	if expiring, ok := r.(ExpiringSecretResolver); ok {
		return expiring.ResolveSecretUntil
	}
	return untilUnknown(r.ResolveSecret)
}

// refreshing returns how r refreshes. Without the power, it resolves.
func refreshing(r SecretResolver) secretstore.Ask {
	if own, ok := r.(interface {
		refreshUntil(ctx context.Context, vault, name string) (string, time.Time, error)
	}); ok {
		return own.refreshUntil
	}
	inner, ok := r.(SecretRefresher)
	if !ok {
		return resolving(r)
	}
	expiring, ok := r.(ExpiringSecretResolver)
	if !ok {
		return untilUnknown(inner.Refresh)
	}
	return func(ctx context.Context, vault, name string) (string, time.Time, error) {
		value, err := inner.Refresh(ctx, vault, name)
		if err != nil {
			return value, time.Time{}, err
		}
		// Refresh does not tell the end of its value.
		if kept, until, err := expiring.ResolveSecretUntil(ctx, vault, name); err == nil && kept == value {
			return value, until, nil
		}
		return value, time.Time{}, nil
	}
}

// untilUnknown makes an asker of a store that names no end for its values.
func untilUnknown(ask func(ctx context.Context, vault, name string) (string, error)) secretstore.Ask {
	return func(ctx context.Context, vault, name string) (string, time.Time, error) {
		value, err := ask(ctx, vault, name)
		return value, time.Time{}, err
	}
}

// ResolveSecret asks each store in turn.
func (c chainSecrets) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	value, _, err := c.ask(ctx, resolving, vault, name)
	return value, err
}

// ResolveSecretUntil asks each store in turn.
func (c chainSecrets) ResolveSecretUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	return c.ask(ctx, resolving, vault, name)
}

// Refresh asks each store in turn, and by its own Refresh if it has one.
func (c chainSecrets) Refresh(ctx context.Context, vault, name string) (string, error) {
	value, _, err := c.ask(ctx, refreshing, vault, name)
	return value, err
}

func (c chainSecrets) refreshUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	return c.ask(ctx, refreshing, vault, name)
}

// ask asks each store in turn, in the way of how.
func (c chainSecrets) ask(ctx context.Context, how func(SecretResolver) secretstore.Ask, vault, name string) (string, time.Time, error) {
	var looked []string
	for _, r := range c {
		if r == nil {
			continue
		}
		value, until, err := how(r).Checked(ctx, ErrSecretNotFound, vault, name)
		if err == nil || !errors.Is(err, ErrSecretNotFound) {
			return value, until, err
		}
		looked = append(looked, strings.TrimPrefix(err.Error(), ErrSecretNotFound.Error()+": "))
	}
	if looked == nil {
		return "", time.Time{}, notFound("there is no store to look in")
	}
	return "", time.Time{}, notFound("%s", strings.Join(looked, "; "))
}

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
	cache  *secretstore.Cache
	serves func(SecretResolver) bool // a function, as a %+v could look into the resolver
}

// secretTTL is the usual time to live of a value.
const secretTTL = 5 * time.Minute

// NewSecretCache returns a cache before r, which is [EnvSecrets] if nil. The
// time to live is five minutes if it is not positive.
func NewSecretCache(r SecretResolver, ttl time.Duration) *SecretCache {
	if r == nil {
		r = EnvSecrets()
	}
	if ttl <= 0 {
		ttl = secretTTL
	}
	// A cache before a cache would otherwise refresh from the inner one's age.
	asked := secretstore.Store{Resolve: resolving(r), Refresh: refreshing(r), NotFound: ErrSecretNotFound}
	return &SecretCache{
		cache:  secretstore.NewCache(asked, ttl),
		serves: func(other SecretResolver) bool { return sameResolver(r, other) },
	}
}

// cachedSecrets returns the cache of a gateway before r. old is the cache that a
// Reload replaces, nil at the start. The same store keeps its cache; another one
// inherits the last good values. A cache of the user's own is used as it is.
func cachedSecrets(r SecretResolver, old *SecretCache) *SecretCache {
	c, own := r.(*SecretCache)
	switch {
	case own && c != nil:
	case old != nil && old.cache.TTL() == secretTTL && old.serves(r):
		return old
	default:
		c = NewSecretCache(r, secretTTL)
	}
	if old != nil && c != old {
		c.cache.Inherit(old.cache)
	}
	return c
}

// ResolveSecret returns the cached value, or asks the store. While the value is
// fresh it takes no lock and allocates nothing. It ends with ctx, with its
// cause.
func (c *SecretCache) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	value, _, err := c.cache.Resolve(ctx, vault, name)
	return value, err
}

// ResolveSecretUntil is ResolveSecret, and also returns the end of the value. The
// end is the zero time if the store has not named one.
func (c *SecretCache) ResolveSecretUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	return c.cache.Resolve(ctx, vault, name)
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

// refreshUntil is Refresh, with the end of the value.
func (c *SecretCache) refreshUntil(ctx context.Context, vault, name string) (string, time.Time, error) {
	return c.cache.Refresh(ctx, vault, name)
}

// Template is text with CEL expressions in ${…}, such as "Bearer
// ${secrets.get('vault', 'name')}"; $${ stands for a literal ${. A Template without
// an expression is plain text, such as an API key.
//
// An expression sees req, conn, the functions of [ModelSelection] for any list,
// CEL's own functions, and the secrets. It is evaluated for each request, when it
// is needed. If it fails in a header or query parameter, the header or parameter is
// left out, with a note in the [Result]. If it fails in a key or in the body, the
// candidate fails. In the body, a value with one ${…} and nothing else keeps its
// type.
//
//	secrets.get(vault string, name string)  string: the secret; where it does not resolve, the next key has its turn
//	    ${secrets.get('openai', 'api-key')}
//
// The text can be a secret. When it is printed, logged or marshaled, a Template
// shows its expressions, and each literal part as "…". A Config therefore does not
// survive a round trip through JSON. string(t) is the text itself. Text quoted
// inside an expression is shown.
//
// In three places fmt does not ask a type how to print itself, and shows the text:
// unexported fields, structs behind a pointer in a list under a verb that cannot
// print them, and %w and %p.
type Template string

// String returns t with its literal parts hidden.
func (t Template) String() string { return redact.Template(string(t)) }

// Format prints t with its literal parts hidden.
func (t Template) Format(f fmt.State, verb rune) { redact.Format(f, verb, t.String()) }

// GoString returns t, quoted, with its literal parts hidden.
func (t Template) GoString() string { return strconv.Quote(t.String()) }

// LogValue returns t with its literal parts hidden.
func (t Template) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText returns t with its literal parts hidden, for JSON and other
// encodings.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Proxy is the address of a proxy, as "http://host:port" or
// "http://user:password@host:port". The requests go through a tunnel (CONNECT): the
// proxy sees the provider's name and no key. [ProxyNone] reaches the provider
// without a proxy, whatever the environment says.
//
// A Proxy shows its user and password as "…" when it is printed, logged or
// marshaled. string(p) is the text itself.
type Proxy string

// ProxyNone reaches the provider without a proxy, whatever the environment says.
const ProxyNone Proxy = dial.ProxyNone

// String returns p without its user and password.
func (p Proxy) String() string {
	if p == "" || p == ProxyNone {
		return string(p)
	}
	u, err := url.Parse(string(p))
	if err != nil || u.Host == "" {
		return "…"
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += "…@"
	}
	return shown + u.Host
}

// Format prints p without its user and password.
func (p Proxy) Format(f fmt.State, verb rune) { redact.Format(f, verb, p.String()) }

// GoString returns p, quoted, without its user and password.
func (p Proxy) GoString() string { return strconv.Quote(p.String()) }

// LogValue returns p without its user and password.
func (p Proxy) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText returns p without its user and password, for JSON and other
// encodings.
func (p Proxy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// fmt does not ask the types behind a pointer how to print themselves, if the verb
// cannot print the pointer: %s cannot print the elements of a []*Config. The types
// with literal keys therefore format themselves too.

package aigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/redact"
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

// withoutValue returns an error of a resolver without the values in its text.
func withoutValue(err error, values ...string) error {
	text := err.Error()
	if scrubbed := redact.NewScrubber(values...).Scrub(text); scrubbed != text {
		return &scrubbedError{scrubbed, errors.Is(err, ErrSecretNotFound)}
	}
	return err
}

// scrubbedError stands for an error that quotes a secret. It does not wrap the
// error: a printed chain would show the secret.
type scrubbedError struct {
	text     string
	notFound bool
}

func (e *scrubbedError) Error() string        { return e.text }
func (e *scrubbedError) Is(target error) bool { return e.notFound && target == ErrSecretNotFound }

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

// dirSecrets is the directory. It is opened anew for each secret.
type dirSecrets string

// maxSecretFile bounds a secret's file, in bytes: a mistaken name could read a large
// one into memory.
const maxSecretFile = 64 << 10

// ResolveSecret returns the content of the secret's file.
func (d dirSecrets) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
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
		// removes the old ones: a reader of the old link finds nothing.
		// A second look tells a turned link from a missing secret.
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

// read returns the bytes of a secret's file. The [os.Root] keeps the links of a mount
// from leading out of the directory.
func (d dirSecrets) read(vault, name string) ([]byte, error) {
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
// system. Names that start with ".." are refused altogether: under such names,
// Kubernetes keeps the past and future versions of a mount.
func isFileName(s string) bool {
	return s != "" && s != "." && !strings.HasPrefix(s, "..") &&
		!strings.ContainsAny(s, "/\\\x00") && filepath.IsLocal(s)
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

// secretAsker asks a store for a secret, and how long its value is good.
type secretAsker func(ctx context.Context, vault, name string) (value string, until time.Time, err error)

// resolving returns how r resolves.
func resolving(r SecretResolver) secretAsker {
	if expiring, ok := r.(ExpiringSecretResolver); ok {
		return expiring.ResolveSecretUntil
	}
	return untilUnknown(r.ResolveSecret)
}

// refreshing returns how r refreshes. Without the power, it resolves.
func refreshing(r SecretResolver) secretAsker {
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
func untilUnknown(ask func(ctx context.Context, vault, name string) (string, error)) secretAsker {
	return func(ctx context.Context, vault, name string) (string, time.Time, error) {
		value, err := ask(ctx, vault, name)
		return value, time.Time{}, err
	}
}

// askSecret asks. An empty value is not found, so that a blank never travels as
// "Authorization: Bearer ".
func askSecret(ctx context.Context, ask secretAsker, vault, name string) (string, time.Time, error) {
	value, until, err := ask(ctx, vault, name)
	switch {
	case err != nil:
		return "", time.Time{}, withoutValue(err, value)
	case value == "":
		return "", time.Time{}, notFound("the value of %q in %q is empty", name, vault)
	}
	return value, until, nil
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
func (c chainSecrets) ask(ctx context.Context, how func(SecretResolver) secretAsker, vault, name string) (string, time.Time, error) {
	var looked []string
	for _, r := range c {
		if r == nil {
			continue
		}
		value, until, err := askSecret(ctx, how(r), vault, name)
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
func (t Template) String() string {
	var b strings.Builder
	hidden := false
	for s := string(t); s != ""; {
		var n int
		switch {
		case strings.HasPrefix(s, "$${"):
			s = s[len("$${"):]
			hidden = true
			continue
		case strings.HasPrefix(s, "${"):
			n = expressionLen(s)
			if n == 0 {
				// It has no end: the rest could be anything.
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

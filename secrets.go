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
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

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

// SecretResolverFunc is a function that is a [SecretResolver].
type SecretResolverFunc func(ctx context.Context, vault, name string) (string, error)

// ResolveSecret calls f.
func (f SecretResolverFunc) ResolveSecret(ctx context.Context, vault, name string) (string, error) {
	return f(ctx, vault, name)
}

// SecretRefresher is what a [SecretResolver] may implement as well, if it keeps
// values for a while.
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

type vaults map[string]map[string]string

// ResolveSecret returns the value of the name in the vault. An empty value counts
// as not there.
func (m mapSecrets) ResolveSecret(_ context.Context, vault, name string) (string, error) {
	if value := (*m.vaults)[vault][name]; value != "" {
		return value, nil
	}
	return "", notFound("the map has no %q in %q", name, vault)
}

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

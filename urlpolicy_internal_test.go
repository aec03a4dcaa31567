package aigateway

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/address"
)

// baseURLs are well-formed base URLs, their normal form if it differs, and the
// objection of each policy; empty means allowed.
var baseURLs = []struct {
	raw, normal              string
	strict, loopback, public string
}{
	{raw: "https://api.example.com"},
	{raw: "https://api.example.com/v1"},
	{raw: "https://api.example.com/v1/"},
	{raw: "HTTPS://API.Example.COM/V1", normal: "https://api.example.com/V1"},
	{raw: "https://api.example.com.", normal: "https://api.example.com."},
	{raw: "https://api.example.com:8443/v1"},
	{raw: "https://api.example.com:0443/v1", normal: "https://api.example.com:443/v1"},
	{raw: "https://api.example.com:65535"},
	{raw: "https://h.example.com?x=1"},
	{raw: "https://h.example.com/openai/deployments/d?api-version=2024-10-21&a=%26"},
	{raw: "https://h.example.com?", normal: "https://h.example.com"},
	{raw: "https://h.example.com/a%20b/v1..2/~x"},
	{raw: "https://xn--bcher-kva.example"},
	{raw: "https://my_service.example.com"},
	{raw: "https://3scale.example.com"},
	{raw: "https://internal.example.com"},
	{raw: "https://1.2.3.4"},
	{raw: "https://[2606:4700::1111]:8443/v1"},
	{raw: "https://[2606:4700:0:0:0:0:0:1111]", normal: "https://[2606:4700::1111]"},

	{raw: "https://my-service.internal", public: "not a public one"},
	{raw: "http://my-service.internal/v1", public: "not a public one"},
	{raw: "HTTP://A.INTERNAL", normal: "http://a.internal", public: "not a public one"},
	{raw: "http://a.internal.", normal: "http://a.internal", public: "not a public one"},
	{raw: "http://a.internal.:8080", normal: "http://a.internal:8080", public: "not a public one"},
	{raw: "http://a.b.internal:8080", public: "not a public one"},
	{raw: "https://internal", public: "not a public one"},
	{raw: "https://ollama:11434", public: "not a public one"},
	{raw: "https://printer.local", public: "not a public one"},
	{raw: "https://localhost", public: "not a public one"},
	{raw: "https://x.localhost.", public: "not a public one"},
	{raw: "https://127.0.0.1", public: "it is loopback"},
	{raw: "https://[::1]:8443", public: "not a public address"},
	{raw: "https://[::ffff:10.0.0.1]", public: "it is private"},
	{raw: "https://169.254.169.254", public: "it is link-local"},

	{raw: "http://127.0.0.1:1", strict: "use one, such as http://my-service.internal, and say in internal_endpoints that it is http://127.0.0.1:1", public: "not a public address"},
	{raw: "http://127.8.8.8", strict: "only for hosts under .internal", public: "not a public address"},
	{raw: "http://[::1]:8080", strict: "only for hosts under .internal", public: "not a public address"},
	{raw: "http://[::ffff:127.0.0.1]", strict: "only for hosts under .internal", public: "not a public address"},
	{raw: "http://localhost:11434/v1", strict: "in internal_endpoints that it is http://localhost:11434", public: "not a public one"},
	{raw: "http://LOCALHOST.", normal: "http://localhost.", strict: "only for hosts under .internal", public: "not a public one"},
	{raw: "http://ollama:11434", strict: "use one, such as http://ollama.internal,", loopback: "use one", public: "not a public one"},
	{raw: "http://internal", strict: "only for hosts under .internal", loopback: "only for hosts", public: "not a public one"},
	{raw: "http://ainternal", strict: "only for hosts under .internal", loopback: "only for hosts", public: "not a public one"},
	{raw: "http://api.example.com", strict: "must use https; for a local service", loopback: "must use https", public: "must use https"},
	{raw: "http://internal.example.com", strict: "must use https", loopback: "must use https", public: "must use https"},
	{raw: "http://a.internal.example.com", strict: "must use https", loopback: "must use https", public: "must use https"},
	{raw: "http://a.internals", strict: "must use https", loopback: "must use https", public: "must use https"},
	{raw: "http://a.ainternal", strict: "must use https", loopback: "must use https", public: "must use https"},
	{raw: "http://127.0.0.1.example.com", strict: "must use https", loopback: "must use https", public: "must use https"},
	{raw: "http://localhost.example.com", strict: "must use https", loopback: "must use https", public: "must use https"},
	{raw: "http://128.0.0.1", strict: "must use https", loopback: "must use https", public: "must use https"},
	// The error about an address of a home network tells how to reach such a
	// service.
	{raw: "http://10.0.0.1", strict: "that it is http://10.0.0.1", loopback: "that it is http://10.0.0.1", public: "it is private"},
	{raw: "http://169.254.1.1", strict: "that it is http://169.254.1.1", loopback: "that it is http://169.254.1.1", public: "it is link-local"},
	{raw: "http://203.0.113.7", strict: "must use https", loopback: "must use https", public: "it is documentation"},
}

func TestBaseURL(t *testing.T) {
	policies := []struct {
		name   string
		policy URLPolicy
		want   func(i int) string
	}{
		{"nil", nil, func(i int) string { return baseURLs[i].strict }},
		{"strict", StrictURLPolicy(), func(i int) string { return baseURLs[i].strict }},
		{"loopback", LoopbackURLPolicy(), func(i int) string { return baseURLs[i].loopback }},
		{"public", PublicURLPolicy(), func(i int) string { return baseURLs[i].public }},
		{"any", URLPolicyFunc(func(*url.URL) error { return nil }), func(int) string { return "" }},
	}
	for _, p := range policies {
		t.Run(p.name, func(t *testing.T) {
			for i, tt := range baseURLs {
				u, err := parseBaseURL(tt.raw, p.policy)
				if want := p.want(i); want != "" {
					assert.ErrorContains(t, err, want, tt.raw)
					assert.Nil(t, u)
					continue
				}
				if assert.NoError(t, err, tt.raw) {
					normal := tt.normal
					if normal == "" {
						normal = tt.raw
					}
					assert.Equal(t, normal, u.String())
				}
			}
			// No policy lifts the rules for all URLs.
			for _, raw := range []string{"", "ftp://a.example.com", "https://u:hunter2@a.example.com", "https://a.example.com#f", "https://a.example.com/../x"} {
				u, err := parseBaseURL(raw, p.policy)
				if assert.Error(t, err, raw) {
					assert.NotContains(t, err.Error(), "hunter2")
					assert.Nil(t, u)
				}
			}
		})
	}
}

func TestURLPolicyIsAsked(t *testing.T) {
	refused := errors.New("not this one")
	_, err := parseBaseURL("https://A.example.com/v1", URLPolicyFunc(func(u *url.URL) error {
		assert.Equal(t, "https://a.example.com/v1", u.String())
		return refused
	}))
	require.ErrorIs(t, err, refused)

	u, err := parseBaseURL("https://a.example.com", URLPolicyFunc(func(u *url.URL) error {
		u.Host = "evil.example.com"
		return nil
	}))
	require.NoError(t, err)
	assert.Equal(t, "a.example.com", u.Host, "a policy cannot change the URL")

	for _, p := range []URLPolicy{StrictURLPolicy(), LoopbackURLPolicy()} {
		_, ok := p.(AddrPolicy)
		assert.False(t, ok)
	}
}

func TestPublicAddrs(t *testing.T) {
	policy, ok := PublicURLPolicy().(AddrPolicy)
	require.True(t, ok)
	assert.NoError(t, policy.CheckAddr(netip.MustParseAddr("1.1.1.1")))
	assert.ErrorContains(t, policy.CheckAddr(netip.MustParseAddr("64:ff9b::a9fe:a9fe")), "link-local")
	assert.Error(t, policy.CheckAddr(netip.Addr{}), "a Unix socket")
}

func TestInternalEndpointFaults(t *testing.T) {
	long := "unix:///" + strings.Repeat("s", 104)
	tests := []struct{ key, value, want string }{
		{"api.example.com", "http://127.0.0.1:1", `internal_endpoints["api.example.com"]: the key must be a host under .internal`},
		{"internal", "http://127.0.0.1:1", "internal_endpoints.internal: the key must be"},
		{"", "http://127.0.0.1:1", `internal_endpoints[""]: the key must be`},
		{"http://a.internal", "http://127.0.0.1:1", "the key must be"},
		{"a.internal/v1", "http://127.0.0.1:1", "the key must be"},
		{"a.internal:x", "http://127.0.0.1:1", "the key must be"},
		{"u@a.internal", "http://127.0.0.1:1", "the key must be"},
		{"a b.internal", "http://127.0.0.1:1", "the key must be"},
		{"a..internal", "http://127.0.0.1:1", "in the key, the host has an empty part"},
		{"a.internal:0", "http://127.0.0.1:1", "in the key, the port must be"},
		{"x.unix.internal", "http://127.0.0.1:1", "reserved"},
		{"a.internal", "", "must not be empty"},
		{"a.internal", "127.0.0.1:11434", `"127.0.0.1:11434": must start with http://, https:// or unix:///`},
		{"a.internal", "/run/a.sock", "must start with http://, https:// or unix:///"},
		{"a.internal", "unix:/run/a.sock", "must start with"},
		{"a.internal", "unix://run/a.sock", "three slashes"},
		{"a.internal", "unix:///", "three slashes"},
		{"a.internal", "unix:///run/a.sock?x=1", "no query"},
		{"a.internal", "unix:///run/a%00", "NUL"},
		{"a.internal", long, "at most 103 bytes"},
		{"a.internal", "tcp://127.0.0.1:1", "must be http, https or unix, not tcp"},
		{"a.internal", "http://127.0.0.1:1/v1", "no path and no query"},
		{"a.internal", "http://127.0.0.1:1?x=1", "no path and no query"},
		{"a.internal", "http://u:hunter2@127.0.0.1:1", "no user or password"},
		{"a.internal", "http://:1", "has no host"},
		{"a.internal", "http://127.1", "not a valid IPv4"},
		{"a.internal", "http://a:0", "the port must be"},
	}
	for _, tt := range tests {
		var found problems
		e := parseInternalEndpoints(map[string]string{tt.key: tt.value}, &found)
		assert.Empty(t, e)
		if assert.Len(t, found, 1, "%s: %s", tt.key, tt.value) {
			assert.ErrorContains(t, found[0], tt.want)
			assert.NotContains(t, found[0].Error(), "hunter2")
		}
	}

	var found problems
	parseInternalEndpoints(map[string]string{"A.internal": "http://a:1", "a.internal.": "http://a:2"}, &found)
	require.Len(t, found, 1)
	assert.ErrorContains(t, found[0], `internal_endpoints["a.internal."]: is given twice`)
}

func FuzzBaseURL(f *testing.F) {
	for _, tt := range baseURLs {
		f.Add(tt.raw)
	}
	public := PublicURLPolicy()
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseBaseURL(raw, nil)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		host := u.Hostname()
		require.True(t, u.Scheme == "https" || u.Scheme == "http" && strings.HasSuffix(host, ".internal") && host != ".internal", raw)
		require.NotEmpty(t, host)
		require.Nil(t, u.User)

		req, err := http.NewRequest(http.MethodPost, u.String(), nil)
		require.NoError(t, err)
		require.Equal(t, u.Host, req.URL.Host)
		require.Equal(t, u.Path, req.URL.Path)

		again, err := parseBaseURL(u.String(), nil)
		require.NoError(t, err, "the normal form is accepted")
		require.Equal(t, u.String(), again.String(), "and is its own")

		// Stricter policies allow no more.
		if u, err := parseBaseURL(raw, public); err == nil {
			require.Equal(t, "https", u.Scheme)
			require.False(t, address.IsPrivateName(u.Hostname()))
		}
	})
}

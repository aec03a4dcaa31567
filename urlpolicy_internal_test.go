package aigateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// badBaseURLs are refused under every policy.
var badBaseURLs = []struct{ raw, want string }{
	{"", "must not be empty"},
	{" https://a.example.com", "white space around"},
	{"https://a.example.com\n", "white space around"},
	{"https://a.example.com\u00a0", "white space around"},
	{"https://a b.example.com", "no white space or control"},
	{"https://a.example.com/a b", "no white space or control"},
	{"https://a.example.com/\x00", "no white space or control"},
	{"https://a\t.example.com", "no white space or control"},
	{"https://a.example.com\x7f/", "no white space or control"},
	{`https://a.example.com\@b.example.com`, "no backslash"},
	{`https:\\a.example.com`, "no backslash"},
	{"https://bücher.example", "punycode (xn--…)"},
	{"https://a.example.com/ü", "%XX"},
	{"https://a。internal", "punycode"},
	{"https://a.example.com#f", "no fragment"},
	{"https://a.example.com/#", "no fragment"},
	{"https://a.example.com?x=#", "no fragment"},

	{"api.example.com/v1", "must start with https://"},
	{"api.example.com", "must start with https://"},
	{"api.example.com:443/v1", "must start with https://"},
	{"localhost:11434", "must start with https://"},
	{"localhost:11434/v1", "must start with https://"},
	{"my-service.internal", "must start with https://"},
	{"//a.example.com/v1", "must start with https://"},
	{"/v1", "must start with https://"},
	{"?x", "must start with https://"},
	{":", "must start with https://"},
	{"https:", "must start with https://"},
	{"mailto:a@example.com", "must start with https://"},
	{"unix:/run/x.sock", "must start with https://"},
	{"https:/a.example.com", "two slashes: https://"},
	{"HTTP:a.internal", "two slashes: http://"},
	{"ftp://a.example.com", "the scheme must be https"},
	{"ws://a.internal", "the scheme must be https"},
	{"file:///etc/passwd", "the scheme must be https"},
	{"httpss://a.example.com", "not httpss"},
	{"unix:///run/x.sock", "internal_endpoints"},

	{"https://user@a.example.com", "no user or password"},
	{"https://user:hunter2@a.example.com", "no user or password"},
	{"https://@a.example.com", "no user or password"},
	{"https://user:hunter2", "the port is malformed"},

	{"https://", "no host"},
	{"https:///v1", "no host"},
	{"https://:443", "no host"},
	{"https://?x", "no host"},
	{"https://.", "empty part"},
	{"http://.internal", "empty part"},
	{"http://a..internal", "empty part"},
	{"http://a.internal..", "empty part"},
	{"https://.example.com", "empty part"},
	{"https://-a.example.com", "hyphen"},
	{"https://a-.example.com", "hyphen"},
	{"https://a!b.example.com", "letters, digits, hyphens and dots"},
	{"https://a*.example.com", "letters, digits, hyphens and dots"},
	{"https://" + strings.Repeat("a", 64) + ".example.com", "longer than 63"},
	{"https://" + strings.Repeat("a.", 127) + "com", "longer than 253"},
	{"https://a%2eb.example.com", "%"},
	{"http://2f72756e.unix.internal", "reserved"},
	{"http://unix.internal", "reserved"},
	{"http://A.UNIX.Internal.", "reserved"},

	{"https://h.example.com:0", "from 1 to 65535"},
	{"https://h.example.com:65536", "from 1 to 65535"},
	{"https://h.example.com:99999999999999999999", "from 1 to 65535"},
	{"https://h.example.com:", "is missing"},
	{"https://h.example.com:https", "the port is malformed"},
	{"https://h.example.com:-1", "the port is malformed"},

	{"https://[::1", "closing bracket"},
	{"https://[fe80::1%25eth0]", "no zone"},
	{"https://[1.2.3.4]", "not an IPv6 address"},
	{"https://[api.example.com]", "not an IPv6 address"},
	{"https://[]", "not an IPv6 address"},
	{"https://::1", ""},
	{"https://127.1", "no valid IPv4 address"},
	{"https://2130706433", "no valid IPv4 address"},
	{"https://0x7f.0.0.0x1", "no valid IPv4 address"},
	{"https://0177.0.0.1", "no valid IPv4 address"},
	{"https://256.0.0.1", "no valid IPv4 address"},
	{"https://1.2.3.4.5", "no valid IPv4 address"},
	{"https://127.0.0.1.", "no dot at its end"},

	{"https://a.example.com/v1/../admin", "no . or .. segments"},
	{"https://a.example.com/..", "no . or .. segments"},
	{"https://a.example.com/./v1", "no . or .. segments"},
	{"https://a.example.com/%2e%2e/admin", "must not hold %2e"},
	{"https://a.example.com/a%2Fb", "must not hold %2F"},
	{"https://a.example.com/a%5cb", "must not hold %5c"},
	{"https://a.example.com/a%252fb", "must not hold %25"},
	{"https://a.example.com/a%0d%0ab", "no control characters"},
	{"https://a.example.com/a%zz", "hexadecimal"},
	{"https://a.example.com?a=%zz", "query is malformed"},
	{"https://a.example.com?a=1;b=2", "query is malformed"},
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
			for _, tt := range badBaseURLs {
				u, err := parseBaseURL(tt.raw, p.policy)
				if assert.Error(t, err, tt.raw) {
					assert.Contains(t, err.Error(), tt.want, tt.raw)
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

func TestShownURL(t *testing.T) {
	assert.Equal(t, "http://a.example.com", shownURL("http://a.example.com"))
	for _, raw := range []string{"https://user:hunter2@a", "https://a?key=hunter2", "https://a#hunter2"} {
		assert.Empty(t, shownURL(raw))
	}
}

func TestPublicAddrs(t *testing.T) {
	tests := []struct {
		addr string
		want string // empty means public
	}{
		{"1.1.1.1", ""}, {"8.8.8.8", ""}, {"100.63.255.255", ""}, {"100.128.0.0", ""}, {"172.15.255.255", ""},
		{"172.32.0.0", ""}, {"169.253.255.255", ""}, {"192.0.1.0", ""}, {"223.255.255.255", ""}, {"198.20.0.0", ""},
		{"2606:4700:4700::1111", ""}, {"2a00:1450::1", ""}, {"2001:4860:4860::8888", ""},
		{"::ffff:8.8.8.8", ""}, {"64:ff9b::808:808", ""},

		{"0.0.0.0", "unspecified"}, {"0.1.2.3", "unspecified"},
		{"10.0.0.1", "private"}, {"172.16.0.1", "private"}, {"172.31.255.255", "private"}, {"192.168.1.1", "private"},
		{"100.64.0.1", "CGNAT"}, {"100.127.255.255", "CGNAT"}, {"100.100.100.200", "CGNAT"},
		{"127.0.0.1", "loopback"}, {"127.255.255.255", "loopback"},
		{"169.254.169.254", "link-local"}, {"169.254.170.2", "link-local"}, {"168.63.129.16", "metadata"},
		{"192.0.0.192", "reserved"}, {"192.0.2.1", "documentation"}, {"198.51.100.1", "documentation"}, {"203.0.113.9", "documentation"},
		{"192.88.99.1", "6to4"}, {"198.18.0.1", "benchmarking"}, {"198.19.255.255", "benchmarking"},
		{"224.0.0.1", "multicast"}, {"239.255.255.255", "multicast"}, {"240.0.0.1", "reserved"}, {"255.255.255.255", "reserved"},

		{"::", "not a public"}, {"::1", "not a public"}, {"::7f00:1", "not a public"}, {"::ffff:0:7f00:1", "not a public"},
		{"fe80::1", "not a public"}, {"fe80::1%eth0", "link-local"}, {"2606::1%eth0", "link-local"},
		{"fc00::1", "not a public"}, {"fd00:ec2::254", "not a public"}, {"fd20:ce::254", "not a public"}, {"fec0::1", "not a public"},
		{"ff02::1", "not a public"}, {"100::1", "not a public"}, {"5f00::1", "not a public"}, {"64:ff9b:1::a00:1", "not a public"},
		{"2001:db8::1", "documentation"}, {"3fff::1", "documentation"}, {"2001:2::1", "reserved"},
		{"2001:0:7f00:1::", "reserved"}, {"2002:7f00:1::", "6to4"}, {"2002:808:808::1", "6to4"},
		{"::ffff:127.0.0.1", "loopback"}, {"::ffff:169.254.169.254", "link-local"}, {"::ffff:10.0.0.1", "private"},
		{"64:ff9b::a9fe:a9fe", "link-local"}, {"64:ff9b::7f00:1", "loopback"}, {"64:ff9b::a00:1", "private"},
	}
	policy, ok := PublicURLPolicy().(AddrPolicy)
	require.True(t, ok)
	for _, tt := range tests {
		err := policy.CheckAddr(netip.MustParseAddr(tt.addr))
		if tt.want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, tt.want, tt.addr)
		}
	}
	assert.Error(t, policy.CheckAddr(netip.Addr{}), "a Unix socket")
}

func TestInternalEndpoints(t *testing.T) {
	var found problems
	e := parseInternalEndpoints(map[string]string{
		"Ollama.Internal.":      "http://127.0.0.1:11434",
		"ollama.internal:9000":  "https://Other.example.com",
		"tls.internal:443":      "https://[::1]:8443/",
		"sock.internal":         "unix:///run//vllm/../vllm.sock",
		"deep.sub.internal":     "HTTP://localhost",
		"other.internal":        "https://real.internal",
		"plain.internal:080":    "http://10.0.0.1:80",
		"under_score.internal":  "http://a_b:1",
		"spaced-path.internal.": "unix:///run/a%20b",
	}, &found)
	require.NoError(t, found.err())

	sock := "http://" + unixHost("/run/vllm.sock")
	tests := []struct{ from, to string }{
		{"http://ollama.internal/v1/x?y=1", "http://127.0.0.1:11434/v1/x?y=1"},
		{"http://OLLAMA.internal.:8080/v1", "http://127.0.0.1:11434/v1"},
		{"https://ollama.internal", "http://127.0.0.1:11434"},
		{"http://ollama.internal:9000/v1", "https://other.example.com/v1"},
		{"https://tls.internal/v1", "https://[::1]:8443/v1"},
		{"http://tls.internal/v1", ""},
		{"http://plain.internal/v1", "http://10.0.0.1:80/v1"},
		{"https://sock.internal/v1/a%20b", sock + "/v1/a%20b"},
		{"http://deep.sub.internal", "http://localhost"},
		{"http://other.internal", "https://real.internal"},
		{"http://under_score.internal", "http://a_b:1"},
		{"http://spaced-path.internal", "http://" + unixHost("/run/a b")},
		{"http://sub.internal", ""},
		{"https://ollama.internal.example.com", ""},
		{"https://api.example.com", ""},
	}
	for _, tt := range tests {
		u, err := url.Parse(tt.from)
		require.NoError(t, err)
		got, ok := e.resolve(u)
		assert.Equal(t, tt.to != "", ok, tt.from)
		assert.Equal(t, tt.from, u.String(), "the argument is left alone")
		if ok {
			assert.Equal(t, tt.to, got.String())
		} else {
			assert.Same(t, u, got)
		}
	}
	_, ok := internalEndpoints(nil).resolve(&url.URL{Scheme: "http", Host: "a.internal"})
	assert.False(t, ok)
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
		{"a.internal", "http://127.1", "no valid IPv4"},
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
	assert.ErrorContains(t, found[0], `internal_endpoints["a.internal."]: is there twice`)
}

// addrPolicy records its questions.
type addrPolicy struct {
	asked   []netip.Addr
	refusal error
}

func (p *addrPolicy) CheckURL(*url.URL) error { return nil }

func (p *addrPolicy) CheckAddr(addr netip.Addr) error {
	p.asked = append(p.asked, addr)
	return p.refusal
}

// TestDial goes through an http.Transport, because it has its own rules for
// hosts.
func TestDial(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	overTCP := httptest.NewServer(handler)
	defer overTCP.Close()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	overUnix := &http.Server{Handler: handler}
	go overUnix.Serve(listener)
	defer overUnix.Close()

	var found problems
	e := parseInternalEndpoints(map[string]string{"tcp.internal": overTCP.URL, "unix.sock.internal": "unix://" + socket}, &found)
	require.NoError(t, found.err())

	refusal := errors.New("not this address")
	loopback := netip.MustParseAddr("127.0.0.1")
	tests := []struct {
		name, host string
		policy     *addrPolicy
		asked      []netip.Addr
	}{
		{name: "TCP", host: "tcp.internal"},
		{name: "Unix", host: "unix.sock.internal"},
		{name: "TCP allowed", host: "tcp.internal", policy: &addrPolicy{}, asked: []netip.Addr{loopback}},
		{name: "Unix allowed", host: "unix.sock.internal", policy: &addrPolicy{}, asked: []netip.Addr{{}}},
		{name: "TCP refused", host: "tcp.internal", policy: &addrPolicy{refusal: refusal}, asked: []netip.Addr{loopback}},
		{name: "Unix refused", host: "unix.sock.internal", policy: &addrPolicy{refusal: refusal}, asked: []netip.Addr{{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var policy AddrPolicy
			if tt.policy != nil {
				policy = tt.policy
			}
			transport := &http.Transport{DialContext: dialContext(policy)}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+tt.host+"/v1", nil)
			require.NoError(t, err)
			target, ok := e.resolve(req.URL)
			require.True(t, ok)
			req.URL = target

			res, err := transport.RoundTrip(req)
			if tt.policy != nil {
				assert.Equal(t, tt.asked, tt.policy.asked)
				if tt.policy.refusal != nil {
					require.ErrorIs(t, err, refusal)
					var op *net.OpError
					assert.ErrorAs(t, err, &op, "a failed connection like any other")
					return
				}
			}
			require.NoError(t, err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Equal(t, tt.host, string(body), "the Host stays the .internal one")
		})
	}
}

// TestDialAfterLookUp: a name looks public to CheckURL and leads to loopback.
func TestDialAfterLookUp(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)

	public, ok := PublicURLPolicy().(AddrPolicy)
	require.True(t, ok)
	_, err = dialContext(public)(t.Context(), "tcp", net.JoinHostPort("localhost", port))
	assert.ErrorContains(t, err, "not a public address")
	_, err = dialContext(public)(t.Context(), "tcp", unixHost("/run/x.sock")+":80")
	assert.ErrorContains(t, err, "not a public address")

	conn, err := dialContext(nil)(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
	require.NoError(t, err)
	conn.Close()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = dialContext(nil)(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	assert.ErrorIs(t, err, context.Canceled)
	_, err = dialContext(nil)(t.Context(), "tcp", "no-port")
	assert.Error(t, err)
}

func FuzzBaseURL(f *testing.F) {
	for _, tt := range baseURLs {
		f.Add(tt.raw)
	}
	for _, tt := range badBaseURLs {
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
			require.False(t, isPrivateName(u.Hostname()))
		}
	})
}

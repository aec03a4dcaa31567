package address

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goodBaseURLs are well-formed, in normal form where that differs.
var goodBaseURLs = []struct{ raw, normal string }{
	{"https://api.example.com", ""},
	{"https://api.example.com/v1", ""},
	{"https://api.example.com/v1/", ""},
	{"HTTPS://API.Example.COM/V1", "https://api.example.com/V1"},
	{"https://api.example.com.", "https://api.example.com."},
	{"https://api.example.com:8443/v1", ""},
	{"https://api.example.com:0443/v1", "https://api.example.com:443/v1"},
	{"https://api.example.com:65535", ""},
	{"https://h.example.com?x=1", ""},
	{"https://h.example.com/openai/deployments/d?api-version=2024-10-21&a=%26", ""},
	{"https://h.example.com?", "https://h.example.com"},
	{"https://h.example.com/a%20b/v1..2/~x", ""},
	{"https://xn--bcher-kva.example", ""},
	{"https://my_service.example.com", ""},
	{"https://3scale.example.com", ""},
	{"https://internal.example.com", ""},
	{"https://1.2.3.4", ""},
	{"https://[2606:4700::1111]:8443/v1", ""},
	{"https://[2606:4700:0:0:0:0:0:1111]", "https://[2606:4700::1111]"},
	{"https://my-service.internal", ""},
	{"http://my-service.internal/v1", ""},
	{"HTTP://A.INTERNAL", "http://a.internal"},
	{"http://a.internal.", "http://a.internal"},
	{"http://a.internal.:8080", "http://a.internal:8080"},
	{"http://a.b.internal:8080", ""},
	{"https://internal", ""},
	{"https://ollama:11434", ""},
	{"https://printer.local", ""},
	{"https://localhost", ""},
	{"https://x.localhost.", ""},
	{"https://127.0.0.1", ""},
	{"https://[::1]:8443", ""},
	{"https://[::ffff:10.0.0.1]", ""},
	{"https://169.254.169.254", ""},
	{"http://127.0.0.1:1", ""},
	{"http://127.8.8.8", ""},
	{"http://[::1]:8080", ""},
	{"http://[::ffff:127.0.0.1]", ""},
	{"http://localhost:11434/v1", ""},
	{"http://LOCALHOST.", "http://localhost."},
	{"http://ollama:11434", ""},
	{"http://internal", ""},
	{"http://ainternal", ""},
	{"http://api.example.com", ""},
	{"http://internal.example.com", ""},
	{"http://a.internal.example.com", ""},
	{"http://a.internals", ""},
	{"http://a.ainternal", ""},
	{"http://127.0.0.1.example.com", ""},
	{"http://localhost.example.com", ""},
	{"http://128.0.0.1", ""},
	{"http://10.0.0.1", ""},
	{"http://169.254.1.1", ""},
	{"http://203.0.113.7", ""},
	{"https://api.example.com/v1//", "https://api.example.com/v1/"},
	{"https://api.example.com//", "https://api.example.com/"},
	{"https://api.example.com/a%20b///?x=1", "https://api.example.com/a%20b/?x=1"},
}

// badBaseURLs are refused whatever the policy.
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
	{"https://[1.2.3.4]", "is not an IPv6 address"},
	{"https://[api.example.com]", "is not an IPv6 address"},
	{"https://[]", "is not an IPv6 address"},
	{"https://::1", ""},
	{"https://127.1", "not a valid IPv4 address"},
	{"https://2130706433", "not a valid IPv4 address"},
	{"https://0x7f.0.0.0x1", "not a valid IPv4 address"},
	{"https://0177.0.0.1", "not a valid IPv4 address"},
	{"https://256.0.0.1", "not a valid IPv4 address"},
	{"https://1.2.3.4.5", "not a valid IPv4 address"},
	{"https://127.0.0.1.", "no dot at its end"},

	{"https://a.example.com//v1", "empty segment"},
	{"https://a.example.com/a//b/", "empty segment"},
	{"https://a.example.com/v1/../admin", "no . or .. segments"},
	{"https://a.example.com/..", "no . or .. segments"},
	{"https://a.example.com/./v1", "no . or .. segments"},
	{"https://a.example.com/%2e%2e/admin", "must not hold %2e"},
	{"https://a.example.com/a%2Fb", "must not hold %2F"},
	{"https://a.example.com/a%5cb", "must not hold %5c"},
	{"https://a.example.com/a%252fb", "must not hold %25"},
	{"https://a.example.com/a%0d%0ab", "must not hold control characters"},
	{"https://a.example.com/a%zz", "hexadecimal"},
	{"https://a.example.com?a=%zz", "query is malformed"},
	{"https://a.example.com?a=1;b=2", "query is malformed"},
}

func TestParseBase(t *testing.T) {
	for _, tt := range goodBaseURLs {
		u, err := ParseBase(tt.raw)
		if assert.NoError(t, err, tt.raw) {
			want := tt.normal
			if want == "" {
				want = tt.raw
			}
			assert.Equal(t, want, u.String())
		}
	}
	for _, tt := range badBaseURLs {
		u, err := ParseBase(tt.raw)
		if assert.Error(t, err, tt.raw) {
			assert.Contains(t, err.Error(), tt.want, tt.raw)
			assert.NotContains(t, err.Error(), "hunter2")
			assert.Nil(t, u)
		}
	}
}

func TestShown(t *testing.T) {
	assert.Equal(t, "http://a.example.com", Shown("http://a.example.com"))
	for _, raw := range []string{"https://user:hunter2@a", "https://a?key=hunter2", "https://a#hunter2"} {
		assert.Empty(t, Shown(raw))
	}
}

func TestPublic(t *testing.T) {
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
	public := NewPublic()
	for _, tt := range tests {
		err := public.Check(netip.MustParseAddr(tt.addr))
		if tt.want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, tt.want, tt.addr)
		}
	}
	assert.Error(t, public.Check(netip.Addr{}), "a Unix socket")
}

func TestEndpoints(t *testing.T) {
	e := Endpoints{}
	for name, target := range map[string]string{
		"Ollama.Internal.":      "http://127.0.0.1:11434",
		"ollama.internal:9000":  "https://Other.example.com",
		"tls.internal:443":      "https://[::1]:8443/",
		"sock.internal":         "unix:///run//vllm/../vllm.sock",
		"deep.sub.internal":     "HTTP://localhost",
		"other.internal":        "https://real.internal",
		"plain.internal:080":    "http://10.0.0.1:80",
		"under_score.internal":  "http://a_b:1",
		"spaced-path.internal.": "unix:///run/a%20b",
	} {
		host, err := ParseName(name)
		require.NoError(t, err)
		e[host], err = ParseEndpoint(target)
		require.NoError(t, err)
	}

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
		got, ok := e.Resolve(u)
		assert.Equal(t, tt.to != "", ok, tt.from)
		assert.Equal(t, tt.from, u.String(), "the argument is left alone")
		if ok {
			assert.Equal(t, tt.to, got.String())
		} else {
			assert.Same(t, u, got)
		}
	}
	_, ok := Endpoints(nil).Resolve(&url.URL{Scheme: "http", Host: "a.internal"})
	assert.False(t, ok)
}

func FuzzParseBase(f *testing.F) {
	for _, tt := range goodBaseURLs {
		f.Add(tt.raw)
	}
	for _, tt := range badBaseURLs {
		f.Add(tt.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := ParseBase(raw)
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		require.True(t, u.Scheme == "https" || u.Scheme == "http", raw)
		require.NotEmpty(t, u.Hostname())
		require.Nil(t, u.User)
		require.NotContains(t, u.EscapedPath(), "//")

		req, err := http.NewRequest(http.MethodPost, u.String(), nil)
		require.NoError(t, err)
		require.Equal(t, u.Host, req.URL.Host)
		require.Equal(t, u.Path, req.URL.Path)

		again, err := ParseBase(u.String())
		require.NoError(t, err, "the normal form is accepted")
		require.Equal(t, u.String(), again.String(), "and is its own")
	})
}

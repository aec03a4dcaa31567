package suite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestBodyBytesSurvive sends random JSON objects. The upstream gets the client's
// bytes, with the model's value replaced, and models cut out with one comma. If
// neither changes anything, every byte is the same.
func TestBodyBytesSurvive(t *testing.T) {
	up, cfg := requestProvider(t)
	url := testbed.Serve(t, cfg) + "/v1/chat/completions"
	for seed := range uint64(400) {
		b := newRandomBody(seed)
		resp, answer := requestPost(t, url, nil, b.text())
		require.Equal(t, http.StatusOK, resp.StatusCode, "seed %d: %s\n%s", seed, answer, b.text())
		got := up.Last()
		require.True(t, b.arrived(string(got.Body)), "seed %d\nsent %q\ngot  %q", seed, b.text(), got.Body)
		require.Equal(t, strconv.Itoa(len(got.Body)), got.Header.Get("Content-Length"), "the length is announced")
		require.True(t, json.Valid(got.Body))
	}
}

// randomBody is a random JSON object, in pieces.
type randomBody struct {
	*rand.Rand
	pieces        []string // an even one is a member, its value last; an odd one is what stands between two
	model, models int      // the pieces that are these members; -1: none
	key           string   // of model, up to its value
	same          bool     // the model's value need not be changed
}

func newRandomBody(seed uint64) *randomBody {
	b := &randomBody{Rand: rand.New(rand.NewPCG(seed, 1)), model: -1, models: -1}
	n := b.IntN(7)
	slots := b.Perm(n + 2)
	if b.IntN(4) > 0 {
		b.model = 2 * slots[0]
	}
	if b.IntN(2) > 0 {
		b.models = 2 * slots[1]
	}
	for i := range n + 2 {
		if i > 0 {
			b.pieces = append(b.pieces, b.space()+","+b.space())
		}
		key := b.key2(fmt.Sprintf("%s%d", b.pick("x", "Messages", "é", "<&>", "vendor.field", "mode", "modelss", ""), i))
		switch 2 * i {
		case b.model:
			b.key = b.key2("model") + b.space() + ":" + b.space()
			b.same = b.IntN(3) == 0
			name := b.pick("p:m", "M", "alias", "P:ALIAS")
			if b.same {
				name = "m"
			}
			b.pieces = append(b.pieces, b.key+b.quote(name))
		case b.models:
			b.pieces = append(b.pieces, b.key2("models")+b.space()+":"+b.space()+b.pick(`["p:m"]`, `[ ]`, `["alias", "nobody"]`, "null"))
		default:
			b.pieces = append(b.pieces, key+b.space()+":"+b.space()+b.value(4))
		}
	}
	b.pieces[0] = b.space() + "{" + b.space() + b.pieces[0]
	b.pieces[len(b.pieces)-1] += b.space() + "}" + b.space()
	return b
}

func (b *randomBody) text() string { return strings.Join(b.pieces, "") }

// arrived reports whether got is the expected body.
func (b *randomBody) arrived(got string) bool {
	pieces := append([]string(nil), b.pieces...)
	if b.model >= 0 && !b.same {
		head, rest, _ := strings.Cut(pieces[b.model], b.key)
		pieces[b.model] = head + b.key + `"m"` + rest[strings.LastIndexByte(rest, '"')+1:]
	}
	if b.model < 0 { // added as the last member
		last := pieces[len(pieces)-1]
		end := strings.LastIndexByte(last, '}')
		end = len(strings.TrimRight(last[:end], " \t\r\n"))
		pieces[len(pieces)-1] = last[:end] + `,"model":"m"` + last[end:]
	}
	if b.models < 0 {
		return got == strings.Join(pieces, "")
	}
	// The cut may begin and end anywhere in the white space around.
	before := strings.Join(pieces[:b.models], "")
	member := pieces[b.models]
	after := strings.Join(pieces[b.models+1:], "")
	start := strings.IndexByte(member, '"')
	for _, mark := range []string{"]", "null"} {
		if i := strings.LastIndex(member, mark); i >= 0 {
			end := i + len(mark)
			return requestCut(got, before+member[:start], member[end:]+after)
		}
	}
	return false
}

// requestCut reports whether got is before and after with one comma less, and
// white space less.
func requestCut(got, before, after string) bool {
	const space = " \t\r\n"
	for i := len(before); ; i-- {
		for j := 0; ; j++ {
			gone := before[i:] + after[:j]
			if strings.Trim(gone, space) == "," && got == before[:i]+after[j:] {
				return true
			}
			if j == len(after) || !strings.ContainsRune(space+",", rune(after[j])) {
				break
			}
		}
		if i == 0 || !strings.ContainsRune(space+",", rune(before[i-1])) {
			return false
		}
	}
}

func (b *randomBody) pick(s ...string) string { return s[b.IntN(len(s))] }

func (b *randomBody) space() string { return b.pick("", "", "", " ", "\n  ", "\t", "\r\n", "   ") }

// quote writes a string with some of its letters escaped.
func (b *randomBody) quote(s string) string {
	out := `"`
	for _, r := range s {
		if b.IntN(6) == 0 && r < 0x10000 {
			out += fmt.Sprintf(b.pick(`\u%04x`, `\u%04X`), r)
		} else {
			out += string(r)
		}
	}
	return out + `"`
}

// key2 escapes a key now and then.
func (b *randomBody) key2(s string) string {
	if b.IntN(4) == 0 {
		return b.quote(s)
	}
	return `"` + s + `"`
}

func (b *randomBody) value(depth int) string {
	kind := b.IntN(8)
	if depth == 0 {
		kind %= 6
	}
	switch kind {
	case 0:
		return b.pick("true", "false", "null")
	case 1:
		return b.pick("0", "-0", "1E400", "-1.0e-0007", "123456789012345678901234567890.000", "0.1000000000000000055511151231257827", "9007199254740993")
	case 2:
		return b.quote(b.pick("", "hi", "héllo wörld", "日本語 🦜", "</script>", "model", "{\u2028}"))
	case 3:
		return b.pick(`"\ud83e\udd9c"`, `"\ud800 alone"`, `"\"\\\/\b\f\n\r\t"`, `"{\"model\":\"x\",\"models\":[]}"`, "\"raw \xff byte\"", `"\u0000"`)
	case 4:
		return b.pick("[]", "{}", "[ ]", "{\n}")
	case 5:
		return strconv.FormatUint(b.Uint64(), 10)
	}
	var out strings.Builder
	n := b.IntN(4)
	for i := range n {
		if i > 0 {
			out.WriteString(b.space() + "," + b.space())
		}
		if kind == 6 {
			// Nested keys are passed through, repeated or not.
			out.WriteString(b.key2(b.pick("model", "models", "Model", "a", "a", "role")) + b.space() + ":" + b.space())
		}
		out.WriteString(b.value(depth - 1))
	}
	if kind == 6 {
		return "{" + b.space() + out.String() + b.space() + "}"
	}
	return "[" + b.space() + out.String() + b.space() + "]"
}

// TestUpstreamURL joins base URLs, paths and queries.
func TestUpstreamURL(t *testing.T) {
	for _, c := range []struct{ name, base, path, want string }{
		{"no path gets /v1", "http://x.internal", "/v1/chat/completions", "/v1/chat/completions"},
		{"a slash is no path", "http://x.internal/", "/v1/chat/completions", "/v1/chat/completions"},
		{"a path stays alone", "http://x.internal/openai", "/v1/chat/completions", "/openai/chat/completions"},
		{"a final slash", "http://x.internal/openai/v1/", "/v1/embeddings", "/openai/v1/embeddings"},
		{"the client's version is not sent", "http://x.internal/v1beta/openai", "/v7/responses", "/v1beta/openai/responses"},
		{"Azure deployment", "http://x.internal/openai/deployments/d?api-version=2024-10-21", "/v1/chat/completions",
			"/openai/deployments/d/chat/completions?api-version=2024-10-21"},
		{"Azure deployment, client's query", "http://x.internal/openai/deployments/d?api-version=1", "/v1/chat/completions?x=1",
			"/openai/deployments/d/chat/completions?x=1&api-version=1"},
		{"the client's name comes first", "http://x.internal/v1?a=base&b=base", "/v1/messages?a=client&c=%2F+%20",
			"/v1/messages?a=client&c=%2F+%20&b=base"},
		{"a name written otherwise", "http://x.internal/v1?api%2Dversion=base", "/v1/responses?api-version=client",
			"/v1/responses?api-version=client"},
		{"repeated", "http://x.internal/v1?b=1&b=2", "/v1/responses?a=1&a=2&a", "/v1/responses?a=1&a=2&a&b=1&b=2"},
		{"client's query alone", "http://x.internal", "/v1/messages?beta=true", "/v1/messages?beta=true"},
		{"no path, a query", "http://x.internal?v=1", "/v1/messages", "/v1/messages?v=1"},
		{"escaped base", "http://x.internal/a%3Bb/%C3%A9", "/v1/chat/completions", "/a%3Bb/%C3%A9/chat/completions"},
		{"a port", "http://x.internal:8080/v1", "/ai/v1/images/generations", "/v1/images/generations"},
		{"credentials in the client's query", "http://x.internal/v1",
			"/v1/chat/completions?key=K&x=1&API_KEY=K&api-key=K&%6bey=K&access_token=K&key", "/v1/chat/completions?x=1"},
		{"a credential in the base URL", "http://x.internal/v1?key=mine", "/v1/chat/completions?key=K", "/v1/chat/completions?key=mine"},
		{"a broken query", "http://x.internal/v1?a=1", "/v1/chat/completions?%zz=1&b=%", "/v1/chat/completions?%zz=1&b=%&a=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, cfg := requestProvider(t)
			cfg.Providers[0].BaseURL = c.base
			cfg.InternalEndpoints = map[string]string{"x.internal": up.URL}
			resp, body := requestPost(t, testbed.Serve(t, cfg)+c.path, nil, `{"model":"m"}`)
			require.Equal(t, http.StatusOK, resp.StatusCode, body)
			assert.Equal(t, c.want, up.Last().URL)
		})
	}
}

// TestForwardedHeaders compares the outbound request with an exact set of
// headers.
func TestForwardedHeaders(t *testing.T) {
	forwarded := http.Header{
		"Content-Type":         {"application/json; charset=utf-8"},
		"Accept":               {"text/event-stream", "application/json"},
		"User-Agent":           {"openai-python/2.1"},
		"Idempotency-Key":      {"idem"},
		"X-Request-Id":         {"req-1"},
		"Openai-Beta":          {"assistants=v2", "realtime"},
		"Anthropic-Version":    {"2023-06-01"},
		"Anthropic-Beta":       {"tools-2024-05-16"},
		"X-Stainless-Lang":     {"python"},
		"X-Stainless-Retry-Ct": {"0"},
		"X-Tenant":             {"acme"}, // by forward_headers
		"Openai-Device-Token":  {"d"},    // likewise
	}
	kept := http.Header{
		"Authorization":           {"Bearer client-key"},
		"X-Api-Key":               {"client-key"},
		"Api-Key":                 {"client-key"},
		"X-Goog-Api-Key":          {"client-key"},
		"Proxy-Authorization":     {"Basic Y2xpZW50LWtleQ=="},
		"Cookie":                  {"session=1"},
		"Openai-Organization":     {"org-1"},
		"Openai-Project":          {"proj_1"},
		"Openai-Hop":              {"named by Connection"},
		"Openai-Ephemeral-Key":    {"client-key"}, // names that tell of a secret
		"Openai-Sentinel-Token":   {"client-key"},
		"Anthropic-Session-Token": {"client-key"},
		"Anthropic-Secret":        {"client-key"},
		"X-Stainless-Auth":        {"client-key"},
		"Forwarded":               {"for=1.2.3.4"},
		"X-Forwarded-For":         {"1.2.3.4"},
		"X-Forwarded-Host":        {"h"},
		"X-Forwarded-Proto":       {"https"},
		"X-Real-Ip":               {"1.2.3.4"},
		"Via":                     {"1.1 proxy"},
		"Origin":                  {"https://app.example"},
		"Referer":                 {"https://app.example/x"},
		"Accept-Language":         {"de"},
		"Te":                      {"trailers"},
		"Connection":              {"X-Stainless, openai-hop"},
		"X-Custom":                {"1"},
		"Range":                   {"bytes=0-1"},
	}
	up, cfg := requestProvider(t)
	cfg.ForwardHeaders = []string{"x-tenant", "openai-device-token"}
	url := testbed.Serve(t, cfg) + "/v1/chat/completions"

	t.Run("all", func(t *testing.T) {
		header := http.Header{"Accept-Encoding": {"gzip, br"}}
		maps.Copy(header, forwarded)
		maps.Copy(header, kept)
		resp, body := requestPost(t, url, header, `{"model":"m"}`)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		want := forwarded.Clone()
		want.Set("Authorization", "Bearer sk-of-p")
		want.Set("Accept-Encoding", "identity")
		want.Set("Content-Length", "13")
		assert.Equal(t, want, up.Last().Header)
	})
	t.Run("none", func(t *testing.T) {
		resp, body := requestSend(t, http.MethodPost, url, http.Header{}, strings.NewReader(`{"model":"m"}`))
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		assert.Equal(t, http.Header{
			"Authorization": {"Bearer sk-of-p"}, "Accept-Encoding": {"identity"},
			"Content-Length": {"13"}, "Content-Type": {"application/json"},
		}, up.Last().Header, "no user agent but the client's")
	})
}

// TestCredential: the provider gets exactly one credential, in the way of the
// config or else of the client.
func TestCredential(t *testing.T) {
	const chat, messages = "/v1/chat/completions", "/v1/messages"
	bearer := http.Header{"Authorization": {"Bearer client-key"}}
	xAPIKey := http.Header{"X-Api-Key": {"client-key"}}
	for _, c := range []struct {
		name     string
		path     string
		auth     aigateway.Auth
		keys     []aigateway.APIKey
		headers  map[string]aigateway.Template
		provider map[string]aigateway.Template
		client   http.Header
		want     http.Header
	}{
		{name: "Bearer", path: chat, client: bearer, want: http.Header{"Authorization": {"Bearer sk-of-p"}}},
		{name: "openai, client sent x-api-key", path: chat, client: xAPIKey, want: http.Header{"Authorization": {"Bearer sk-of-p"}}},
		{name: "anthropic, client sent x-api-key", path: messages, client: xAPIKey, want: http.Header{"X-Api-Key": {"sk-of-p"}}},
		{name: "anthropic, client sent Bearer", path: messages, client: bearer, want: http.Header{"Authorization": {"Bearer sk-of-p"}}},
		{name: "anthropic, client sent none", path: messages, want: http.Header{"X-Api-Key": {"sk-of-p"}}},
		{name: "anthropic, client sent both", path: messages,
			client: http.Header{"Authorization": bearer["Authorization"], "X-Api-Key": xAPIKey["X-Api-Key"]},
			want:   http.Header{"X-Api-Key": {"sk-of-p"}}},
		{name: "anthropic, client sent Basic", path: messages,
			client: http.Header{"Authorization": {"Basic eDp5"}}, want: http.Header{"X-Api-Key": {"sk-of-p"}}},
		{name: "auth.header", path: chat, auth: aigateway.Auth{Header: "api-key"}, client: bearer,
			want: http.Header{"Api-Key": {"sk-of-p"}}},
		{name: "auth.header in the anthropic format", path: messages, auth: aigateway.Auth{Header: "api-key"}, client: xAPIKey,
			want: http.Header{"Api-Key": {"sk-of-p"}}},
		{name: "auth.header Authorization means Bearer", path: messages, auth: aigateway.Auth{Header: "authorization"}, client: xAPIKey,
			want: http.Header{"Authorization": {"Bearer sk-of-p"}}},
		{name: "auth.scheme", path: chat, auth: aigateway.Auth{Scheme: "Token"}, want: http.Header{"Authorization": {"Token sk-of-p"}}},
		{name: "auth.scheme in the anthropic format", path: messages, auth: aigateway.Auth{Scheme: "Token"}, client: xAPIKey,
			want: http.Header{"Authorization": {"Token sk-of-p"}}},
		{name: "auth.header and scheme", path: chat, auth: aigateway.Auth{Header: "X-Auth", Scheme: "Key"},
			want: http.Header{"X-Auth": {"Key sk-of-p"}}},
		{name: "no keys", path: chat, keys: []aigateway.APIKey{}, client: bearer, want: http.Header{}},
		{name: "no keys, anthropic", path: messages, keys: []aigateway.APIKey{}, client: xAPIKey, want: http.Header{}},
		{name: "the operator's Authorization", path: chat, headers: map[string]aigateway.Template{"authorization": "Basic op"},
			client: bearer, want: http.Header{"Authorization": {"Basic op"}}},
		{name: "the operator's Authorization, anthropic", path: messages, client: xAPIKey,
			headers: map[string]aigateway.Template{"Authorization": "Basic op"}, want: http.Header{"Authorization": {"Basic op"}}},
		{name: "the operator's Authorization for the provider", path: chat,
			headers:  map[string]aigateway.Template{"Authorization": "Basic op"},
			provider: map[string]aigateway.Template{"Authorization": "Bearer ${secrets.get('v', 'n')}"},
			want:     http.Header{"Authorization": {"Bearer s3cret"}}},
		{name: "the operator's own auth.header", path: chat, auth: aigateway.Auth{Header: "api-key"},
			provider: map[string]aigateway.Template{"API-Key": "op"}, want: http.Header{"Api-Key": {"op"}}},
		{name: "the operator's x-api-key, anthropic", path: messages, client: bearer,
			provider: map[string]aigateway.Template{"x-api-key": "op"}, want: http.Header{"X-Api-Key": {"op"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, cfg := requestProvider(t)
			cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"v": {"n": "s3cret"}})
			cfg.Headers, cfg.Providers[0].Headers, cfg.Providers[0].Auth = c.headers, c.provider, c.auth
			if c.keys != nil {
				cfg.Providers[0].APIKeys = c.keys
			}
			resp, body := requestPost(t, testbed.Serve(t, cfg)+c.path, c.client, `{"model":"m"}`)
			require.Equal(t, http.StatusOK, resp.StatusCode, body)
			got := up.Last().Header
			for _, other := range []string{"Accept-Encoding", "Content-Length", "Content-Type"} {
				got.Del(other)
			}
			assert.Equal(t, c.want, got)
		})
	}
}

// TestPassThrough: without configured providers the client's own key goes only
// to the first provider that it asks for.
func TestPassThrough(t *testing.T) {
	first := gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusInternalServerError, "down", "down"))
	second := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hi"))
	both := []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}}
	cfg := aigateway.Config{
		Registry: aigateway.StaticRegistry(
			aigateway.Provider{ID: "one", BaseURL: "http://one.internal", SupportedAPISurfaces: both, Models: []aigateway.Model{{ID: "m"}}},
			aigateway.Provider{ID: "two", BaseURL: "http://two.internal", SupportedAPISurfaces: both, Models: []aigateway.Model{{ID: "m"}}},
			aigateway.Provider{ID: "keyed", BaseURL: "http://two.internal", SupportedAPISurfaces: both,
				APIKeys: []aigateway.APIKey{{Value: "sk-registry"}}},
			aigateway.Provider{ID: "vendor", BaseURL: "https://vendor.example.com", Models: []aigateway.Model{{ID: "m"}}},
		),
		InternalEndpoints: map[string]string{"one.internal": first.URL, "two.internal": second.URL},
	}
	url := testbed.Serve(t, cfg)
	client := http.Header{
		"Authorization": {"Bearer client-key"}, "Openai-Organization": {"org-1"}, "Openai-Project": {"proj_1"},
		"Cookie": {"session=1"},
	}

	t.Run("to the first provider alone", func(t *testing.T) {
		resp, _ := requestPost(t, url+"/v1/chat/completions", client, `{"model":"one:m","models":["two:m","m"]}`)
		assert.Equal(t, http.StatusInternalServerError, resp.StatusCode, "its answer, as it was")
		require.Equal(t, 1, first.Count())
		assert.Zero(t, second.Count())
		got := first.Last().Header
		for name, want := range map[string][]string{
			"Authorization": {"Bearer client-key"}, "Openai-Organization": {"org-1"}, "Openai-Project": {"proj_1"}, "Cookie": nil,
		} {
			assert.Equal(t, want, got[name], name)
		}
	})
	for _, c := range []struct {
		name, path string
		client     http.Header
		want       http.Header
	}{
		{"bearer to openai", "chat/completions", http.Header{"Authorization": {"bearer  client-key"}}, http.Header{"Authorization": {"Bearer client-key"}}},
		{"x-api-key to openai", "chat/completions", http.Header{"X-Api-Key": {"client-key"}}, http.Header{"Authorization": {"Bearer client-key"}}},
		{"bearer to anthropic", "messages", http.Header{"Authorization": {"Bearer client-key"}}, http.Header{"Authorization": {"Bearer client-key"}}},
		{"x-api-key to anthropic", "messages", http.Header{"X-Api-Key": {"client-key"}}, http.Header{"X-Api-Key": {"client-key"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := requestPost(t, url+"/v1/"+c.path, c.client, `{"model":"two:m"}`)
			require.Equal(t, http.StatusOK, resp.StatusCode, body)
			got := second.Last().Header
			for _, name := range []string{"Authorization", "X-Api-Key"} {
				assert.Equal(t, c.want[name], got[name], name)
			}
		})
	}
	t.Run("a key of the gateway's own", func(t *testing.T) {
		resp, body := requestPost(t, url+"/v1/chat/completions", client, `{"model":"keyed:m"}`)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		got := second.Last().Header
		assert.Equal(t, []string{"Bearer sk-registry"}, got["Authorization"])
		assert.NotContains(t, got, "Openai-Organization")
		assert.NotContains(t, got, "Openai-Project")
	})
	t.Run("no key at all", func(t *testing.T) {
		// A vendor needs one, and is not asked without; a service of one's own may not.
		resp, body := requestPost(t, url+"/v1/chat/completions", nil, `{"model":"vendor:m"}`)
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
		requestOpenAIError(t, resp.Header, body, "invalid_request_error", "no_api_key")

		resp, _ = requestPost(t, url+"/v1/chat/completions", nil, `{"model":"two:m"}`)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.NotContains(t, second.Last().Header, "Authorization")
	})
}

// TestLineBreakInSecret: a value with a line break would begin another header.
// The transport does not get it, as it may not check, and no output shows it.
func TestLineBreakInSecret(t *testing.T) {
	const secret = "${secrets.get('v', 'n')}"
	key := func(p *aigateway.Provider) { p.APIKeys = []aigateway.APIKey{{Value: secret}} }
	header := func(p *aigateway.Provider) { p.Headers = map[string]aigateway.Template{"X-A": "a " + secret} }
	for _, c := range []struct {
		name, value string
		set         func(p *aigateway.Provider)
	}{
		{"key with CR LF", "k3y\r\nX-Evil: 1", key},
		{"key with LF", "k3y\n", key},
		{"key with CR", "k3y\r", key},
		{"key with NUL", "k3y\x00", key},
		{"empty key", "", key},
		{"a key made empty", "k3y", func(p *aigateway.Provider) {
			p.APIKeys = []aigateway.APIKey{{Value: "${secrets.get('v', 'n').replace('k3y', '')}"}}
		}},
		{"header with CR LF", "k3y\r\nX-Evil: 1", header},
		{"header with LF", "k3y\n", header},
		{"header with CR", "k3y\r", header},
		{"header with DEL", "k3y\x7f", header},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, cfg := requestProvider(t)
			c.set(&cfg.Providers[0])
			cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"v": {"n": c.value}})
			cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				t.Errorf("sent: %v", r.Header)
				return nil, io.ErrUnexpectedEOF
			})
			results := requestResults(&cfg)
			url := testbed.Serve(t, cfg)
			resp, body := requestPost(t, url+"/v1/messages", nil, `{"model":"m"}`)
			status, code := http.StatusServiceUnavailable, "all_providers_failed"
			if c.value == "" { // a secret that does not resolve
				status, code = http.StatusBadGateway, "upstream_authentication_failed"
			}
			assert.Equal(t, status, resp.StatusCode)
			requestAnthropicError(t, resp.Header, body, "api_error", code)
			resp, body = requestPost(t, url+"/v1/chat/completions", nil, `{"model":"m"}`)
			assert.Equal(t, status, resp.StatusCode)
			requestOpenAIError(t, resp.Header, body, "api_error", code)
			shown, err := json.Marshal(<-results)
			require.NoError(t, err)
			assert.NotContains(t, body+string(shown), "k3y")
		})
	}
}

// requestResults has the Result of each request sent to a channel.
func requestResults(cfg *aigateway.Config) <-chan *aigateway.Result {
	results := make(chan *aigateway.Result, 100)
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { results <- res }}
	return results
}

package suite_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// Each test of this file plays a client in search of more than it is given, and
// fails if the defence is taken away. The first clients may use one model,
// "small", of a provider with several.

// TestAttackModelInJSON asks for another model in a body with two readings.
func TestAttackModelInJSON(t *testing.T) {
	up, url := attackGateway(t, nil)
	post := func(contentType, body string) *http.Response {
		return attackPost(t, url+"/v1/chat/completions", contentType, body)
	}
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"by its name", `{"model":"large"}`, 422},
		{"with a prefix", `{"model":"p:large"}`, 422},
		{"of another provider", `{"model":"openai:gpt-4o"}`, 422},
		{"in models", `{"models":["large"]}`, 422},
		{"repeated", `{"model":"small","model":"large"}`, 400},
		{"repeated, the first one counts", `{"model":"large","model":"small"}`, 400},
		{"repeated with an escape", `{"model":"small","mode\u006c":"large"}`, 400},
		{"Model", `{"model":"small","Model":"large"}`, 400},
		{"MODEL alone", `{"MODEL":"large"}`, 400},
		{"an escaped Model", `{"model":"small","\u004dodel":"large"}`, 400},
		{"models with U+017F", `{"model":"small","modelſ":["large"]}`, 400},
		{"models with U+017F, escaped", `{"model":"small","model\u017f":["large"]}`, 400},
		{"a name that ends in C", `{"model\u0000":"large","model":"small"}`, 400},
		{"a name with more behind its end in C", `{"model\u0000x":"large","model":"small"}`, 400},
		{"a name with a broken byte", "{\"mod\xffel\":\"large\",\"model\":\"small\"}", 400},
		{"a name that begins with a broken byte", "{\"\xffmodel\":\"large\",\"model\":\"small\"}", 400},
		{"a name with half a surrogate pair", `{"mod\ud800el":"large","model":"small"}`, 400},
		{"a name with both tricks", "{\"M\xffodel\\u0000\":\"large\",\"model\":\"small\"}", 400},
		{"a second object", `{"model":"small"}{"model":"large"}`, 400},
		{"a comment", `{"model":"small"/*,"model":"large"*/}`, 400},
		{"a trailing comma", `{"model":"small",}`, 400},
		{"UTF-16", "{\x00\"\x00m\x00o\x00d\x00e\x00l\x00\"\x00}\x00", 400},
		{"a list of models as model", `{"model":["large"]}`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := post("application/json", c.body)
			assert.Equal(t, c.status, resp.StatusCode, attackBody(t, resp))
		})
	}
	require.Zero(t, up.Count())

	// The provider reads an accepted name as the gateway did: in UTF-8.
	for _, contentType := range []string{
		"application/json; charset=utf-7", "application/json; charset=utf-16", "application/json; charset*=us-ascii''utf-7",
		"multipart/form-data; boundary=x", "text/plain", "", "application/json; charset=utf-7; x*=%",
	} {
		resp := post(contentType, `{"model":"small","+AG0-odel":"large"}`)
		require.Equal(t, 200, resp.StatusCode, attackBody(t, resp))
		assert.Equal(t, []string{"application/json"}, up.Last().Header["Content-Type"], contentType)
	}
	resp := post("application/json; charset=UTF-8", `{"model":"SMALL"}`)
	require.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, `{"model":"small"}`, string(up.Last().Body))
	assert.Equal(t, "application/json; charset=UTF-8", up.Last().Header.Get("Content-Type"))
}

// TestAttackPrefix asks for other models by the prefix of a built-in provider.
// The config lists a name with such a prefix, or takes any name. The client has
// a key for the built-in provider; it must go nowhere.
func TestAttackPrefix(t *testing.T) {
	up, url := attackGateway(t, func(cfg *aigateway.Config) {
		cfg.Providers[0].Models = []aigateway.Model{{ID: "small"}, {ID: "large", Disabled: true, IDAliases: []string{"groq:large"}},
			{ID: "openai:small", IDAliases: []string{"anthropic:small"}}}
	})
	header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer sk-of-openai"}, "X-Api-Key": {"sk-of-anthropic"}}
	for _, model := range []string{
		"openai:gpt-4o", "openai:large", "openai:smal", "openai:openai:small", "OPENAI:small:", "anthropic:claude-haiku-4-5",
		"groq:large", "p:groq:large", "p:large", "p:openai:gpt-4o", "p:gpt-4o", "p:p:small",
	} {
		_, status, body := attackDo(t, url+"/v1/chat/completions", `{"model":"`+model+`"}`, header)
		assert.Equal(t, 422, status, "%s: %s", model, body)
	}
	require.Zero(t, up.Count())
	for _, model := range []string{"openai:small", "OpenAI:Small", "anthropic:small", "p:openai:small", "p:anthropic:small"} {
		_, status, body := attackDo(t, url+"/v1/chat/completions", `{"model":"`+model+`"}`, header)
		require.Equal(t, 200, status, body)
		assert.Equal(t, `{"model":"openai:small"}`, string(up.Last().Body), "the model that is allowed")
		assert.Equal(t, "p.internal", up.Last().Host)
		assert.Equal(t, "Bearer sk-of-p", up.Last().Header.Get("Authorization"))
		assert.NotContains(t, up.Last().Header, "X-Api-Key")
	}

	up, url = attackGateway(t, func(cfg *aigateway.Config) {
		cfg.Providers[0].Models, cfg.OnlyAllowConfiguredModels = nil, false
	})
	_, status, body := attackDo(t, url+"/v1/chat/completions", `{"model":"openai:gpt-4o"}`, header)
	assert.Equal(t, 422, status, body)
	assert.Zero(t, up.Count(), "the one provider that takes any name is not asked for another's")
}

// TestAttackModelInForm does so by a form.
func TestAttackModelInForm(t *testing.T) {
	up, url := attackGateway(t, nil)
	const plain = "multipart/form-data; boundary=b"
	part := func(disposition, value string) string {
		return "--b\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + value + "\r\n"
	}
	small, end := part(`name="model"`, "small"), "--b--\r\n"
	for _, c := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"by its name", plain, part(`name="model"`, "large") + end, 422},
		{"in models", plain, part(`name="models"`, "large") + end, 422},
		{"in models[]", plain, part(`name="models[]"`, "large") + end, 422},
		{"repeated", plain, small + part(`name="model"`, "large") + end, 400},
		{"unquoted", plain, small + part(`name=model`, "large") + end, 400},
		{"Model", plain, small + part(`name="Model"`, "large") + end, 400},
		{"modelſ", plain, small + part(`name="modelſ"`, "large") + end, 400},
		{"percent-encoded", plain, small + part(`name="mod%65l"`, "large") + end, 400},
		{"percent-encoded NUL", plain, small + part(`name="model%00"`, "large") + end, 400},
		{"a broken byte", plain, small + part("name=\"mod\xffel\"", "large") + end, 400},
		{"indexed", plain, small + part(`name="model[0]"`, "large") + end, 400},
		{"two names", plain, small + part(`name="x"; name="model"`, "large") + end, 400},
		{"an extended name", plain, small + part(`name="x"; name*=utf-8''model`, "large") + end, 400},
		{"a stray backslash", plain, small + part(`name="mo\del"`, "large") + end, 400},
		{"two dispositions", plain, small + part("name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"", "large") + end, 400},
		{"a folded header", plain, small + part("name=\"x\";\r\n name=\"model\"", "large") + end, 400},
		{"a file", plain, small + part(`name="model"; filename=""`, "large") + end, 400},
		{"a transfer encoding", plain, small + "--b\r\nContent-Disposition: form-data; name=\"x\"\r\nContent-Transfer-Encoding: base64\r\n\r\nbGFyZ2U=\r\n" + end, 400},
		{"a length that cuts the name", plain, part("name=\"model\"\r\nContent-Length: 2", "small") + end, 400},
		{"two lengths", plain, part("name=\"model\"\r\nContent-Length: 5\r\nContent-Length: 2", "small") + end, 400},
		{"lines that end in LF", plain, small + strings.ReplaceAll(part(`name="model"`, "large"), "\r\n", "\n") + end, 400},
		{"a boundary with padding", plain, part(`name="x"`, "1\r\n--b \r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nlarge") + small + end, 400},
		{"behind the end", plain, small + end + part(`name="model"`, "large") + end, 400},
		{"two boundaries", plain + "; boundary=c", small + end, 400},
		{"an extended boundary", plain + "; boundary*=us-ascii''c", small + end, 400},
		{"a second boundary in another case", plain + "; BOUNDARY=c", small + end, 400},
		{"a parameter that comes twice", plain + "; charset=utf-8; charset=utf-7", small + end, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := attackPost(t, url+"/v1/audio/transcriptions", c.contentType, c.body)
			assert.Equal(t, c.status, resp.StatusCode, attackBody(t, resp))
		})
	}
	require.Zero(t, up.Count())

	for _, charset := range []string{"; charset=utf-7", "; charset*=us-ascii''utf-7", "; charset*=utf-7", "; charset*0=utf; charset*1=-7"} {
		resp := attackPost(t, url+"/v1/audio/transcriptions", plain+charset, part(`name="+AG0-odel"`, "large")+small+end)
		require.Equal(t, 200, resp.StatusCode, attackBody(t, resp))
		assert.Equal(t, plain, up.Last().Header.Get("Content-Type"), "the provider reads names in UTF-8 too: %s", charset)
	}
}

// TestAttackModelName sends names of models to break out of their place in a
// URL, a header or a log. The provider takes any name.
func TestAttackModelName(t *testing.T) {
	up, url := attackGateway(t, func(cfg *aigateway.Config) { cfg.OnlyAllowConfiguredModels = false })
	resp := attackPost(t, url+"/v1/chat/completions", "application/json", `{"model":"p:x\r\nX-Evil: 1\u0000\",\"stream\":true,\"x\":\""}`)
	require.Equal(t, 200, resp.StatusCode, attackBody(t, resp))
	assert.Equal(t, `{"model":"x\r\nX-Evil: 1\u0000\",\"stream\":true,\"x\":\""}`, string(up.Last().Body))
	assert.NotContains(t, up.Last().Header, "X-Evil")

	evil := "p:--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nevil"
	resp = attackPost(t, url+"/v1/audio/transcriptions", "multipart/form-data; boundary=b",
		"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"+evil+"\r\n--b--\r\n")
	assert.Equal(t, 503, resp.StatusCode, "a name that would begin a part of its own cannot be written")
	assert.Equal(t, 1, up.Count())
}

// TestAttackPaths asks for paths outside of base_url.
func TestAttackPaths(t *testing.T) {
	up, url := attackGateway(t, nil)
	addr := strings.TrimPrefix(url, "http://")
	const chat = "/base/chat/completions"
	for target, want := range map[string]string{ // empty: refused
		"/v1/chat/completions":                                   chat,
		"/v1/chat/completions/":                                  chat,
		"/v1/../../admin/chat/completions":                       chat,
		"/v1/%2e%2e/%2e%2e/chat/completions":                     chat,
		"/v1/chat%2fcompletions":                                 chat,
		"/..%5c..%5cchat/completions":                            "/base/completions", // "..\\..\\chat" is one segment
		"//169.254.169.254/v1/chat/completions":                  chat,
		"http://169.254.169.254/v1/chat/completions":             chat,
		"https://user:pw@169.254.169.254:80/v1/chat/completions": chat,
		"/v1/images/generations":                                 "/base/images/generations",
		"/v1/chat/completions/..":                                "",
		"/v1/chat/completions/%2e%2e/%2e%2e/admin":               "",
		"/v1/chat/completions%2f..%2f..%2fadmin":                 "",
		"/v1/images/..":                                          "",
		"/v1/images/%2e%2e":                                      "",
		"/v1/images/..%2fadmin":                                  "",
		"/v1/images/a%2f..%2f..%2fadmin":                         "",
		"/v1/images/a%0d%0aX-Evil:%201":                          "",
		"/v1/audio/a%3fb=c":                                      "",
		"/v1/audio/a%23b":                                        "",
		"/v1/audio/a%00":                                         "",
		"/v1/audio/A":                                            "",
		"/v1/chat/completions;admin":                             "",
		"/v1/chat/completions%20":                                "",
	} {
		t.Run(target, func(t *testing.T) {
			before := up.Count()
			status := attackRaw(t, addr, attackRequest("POST "+target, `{"model":"small"}`))
			if want == "" {
				assert.GreaterOrEqual(t, status, 400)
				assert.Equal(t, before, up.Count())
				return
			}
			require.Equal(t, 200, status)
			got := up.Last()
			assert.Equal(t, want, got.URL)
			assert.Equal(t, "p.internal", got.Host)
		})
	}

	t.Run("query", func(t *testing.T) {
		status := attackRaw(t, addr, attackRequest("POST /v1/chat/completions?api_key=mine&Key=mine&a=%0d%0aX:1&tok%65n=mine&/../=1", `{"model":"small"}`))
		require.Equal(t, 200, status)
		assert.Equal(t, chat+"?a=%0d%0aX:1&/../=1", up.Last().URL)
	})

	before := up.Count()
	for _, line := range []string{
		"CONNECT 169.254.169.254:443", "CONNECT /v1/chat/completions", "CONNECT p.internal:80",
		"GET /v1/chat/completions", "TRACE /v1/chat/completions", "PRI *", "OPTIONS *", "POST *", "POST v1/chat/completions",
	} {
		t.Run(line, func(t *testing.T) {
			status := attackRaw(t, addr, attackRequest(line, `{"model":"small"}`))
			assert.True(t, status >= 400 || status == 200 && line == "OPTIONS *", "%d", status) // net/http answers that itself
		})
	}
	assert.Equal(t, before, up.Count())
}

// TestAttackFraming hides one request in another. The gateway frames each
// request anew: it reads the body to its end and counts it.
func TestAttackFraming(t *testing.T) {
	up, url := attackGateway(t, nil)
	addr := strings.TrimPrefix(url, "http://")
	const body = `{"model":"small"}`
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(body), body)
	hidden := "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: hidden\r\nContent-Length: 17\r\n\r\n" + body
	head := "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\n"
	for _, c := range []struct {
		name, request string
		status        int
	}{
		{"chunked with a length", head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + "\r\n", 200},
		{"chunked with a length, and one hidden behind", head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunked + "\r\n" + hidden, 200},
		{"two lengths", head + "Content-Length: 17\r\nContent-Length: 4\r\n\r\n" + body, 400},
		{"a list of lengths", head + "Content-Length: 17, 4\r\n\r\n" + body, 400},
		{"a length with a sign", head + "Content-Length: +17\r\n\r\n" + body, 400},
		{"a negative length", head + "Content-Length: -1\r\n\r\n" + body, 400},
		{"a length in hex", head + "Content-Length: 0x11\r\n\r\n" + body, 400},
		{"another transfer coding", head + "Transfer-Encoding: gzip\r\n\r\n" + chunked + "\r\n", 501},
		{"chunked twice", head + "Transfer-Encoding: chunked, chunked\r\n\r\n" + chunked + "\r\n", 501},
		{"two transfer codings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked + "\r\n", 501},
		{"a transfer coding with a vertical tab", head + "Transfer-Encoding: \vchunked\r\n\r\n" + chunked + "\r\n", 400},
		{"white space before the colon", head + "Transfer-Encoding : chunked\r\nContent-Length: 17\r\n\r\n" + body, 400},
		{"a chunk that is longer than it says", head + "Transfer-Encoding: chunked\r\n\r\n1\r\n" + body + "\r\n0\r\n\r\n", 400},
		{"a chunk size that overflows", head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + body, 400},
		{"no host", "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 17\r\n\r\n" + body, 400},
		{"a host with a path", "POST /v1/chat/completions HTTP/1.1\r\nHost: a/b\r\nContent-Length: 17\r\n\r\n" + body, 400},
		{"a NUL in a header", head + "User-Agent: a\x00b\r\nContent-Length: 17\r\n\r\n" + body, 400},
		{"a folded header", head + "User-Agent: a\r\n X-Evil: 1\r\nContent-Length: 17\r\n\r\n" + body, 200},
		{"trailers", head + "Trailer: Authorization, X-Evil\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + "Authorization: Bearer mine\r\nX-Evil: 1\r\n\r\n", 200},
		{"an upgrade", head + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 17\r\n\r\n" + body, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := up.Count()
			status := attackRaw(t, addr, c.request)
			assert.Equal(t, c.status, status)
			if c.status != 200 {
				assert.Equal(t, before, up.Count())
				return
			}
			require.Equal(t, before+1, up.Count(), "one request in, one out")
			got := up.Last()
			assert.Equal(t, body, string(got.Body))
			delete(got.Header, "X-Request-Id")
			want := http.Header{"Accept-Encoding": {"identity"}, "Authorization": {"Bearer sk-of-p"},
				"Content-Length": {"17"}, "Content-Type": {"application/json"}}
			if agent := got.Header["User-Agent"]; agent != nil {
				assert.Equal(t, []string{"a X-Evil: 1"}, agent, "one line")
				delete(got.Header, "User-Agent")
			}
			assert.Equal(t, want, got.Header)
		})
	}
}

// TestAttackConnectionNames names headers in Connection, to take them away from
// the provider.
func TestAttackConnectionNames(t *testing.T) {
	up, url := attackGateway(t, func(cfg *aigateway.Config) {
		cfg.Headers = map[string]aigateway.Template{"X-Operator": "set"}
	})
	form := "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nsmall\r\n--b--\r\n"
	for _, c := range []struct{ path, contentType, body string }{
		{"chat/completions", "application/json", `{"model":"small"}`},
		{"audio/transcriptions", "multipart/form-data; boundary=b", form},
	} {
		_, status, body := attackDo(t, url+"/v1/"+c.path, c.body, http.Header{
			"Content-Type": {c.contentType}, "Openai-Beta": {"x"}, "Anthropic-Beta": {"y"},
			"Connection": {"content-type, x-operator, authorization, Openai-Beta, content-length"},
		})
		require.Equal(t, 200, status, body)
		got := up.Last().Header
		assert.Equal(t, c.contentType, got.Get("Content-Type"))
		assert.Equal(t, "set", got.Get("X-Operator"))
		assert.Equal(t, "Bearer sk-of-p", got.Get("Authorization"))
		assert.Equal(t, "y", got.Get("Anthropic-Beta"))
		assert.NotContains(t, got, "Openai-Beta", "what concerns the client's connection alone")
	}
}

// TestAttackHalfClosed: a client counts as gone after it closes its half of the
// connection. It does not get an empty answer with a good status.
func TestAttackHalfClosed(t *testing.T) {
	up, url := attackGateway(t, nil)
	before := up.Count()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\n"+`{"model":"small"}`)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Contains(t, []int{400, 499}, resp.StatusCode)
	assert.Contains(t, attackBody(t, resp), `"error"`)
	assert.Equal(t, before, up.Count())
}

// attackGateway serves a gateway with one allowed model.
func attackGateway(t *testing.T, set func(*aigateway.Config)) (*gatewaytest.Upstream, string) {
	t.Helper()
	up := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hello"))
	cfg := aigateway.Config{
		Providers: []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal/base", APIKeys: []aigateway.APIKey{{Value: "sk-of-p"}},
			Models: []aigateway.Model{{ID: "small"}}}},
		OnlyAllowConfiguredProviders: true, OnlyAllowConfiguredModels: true,
		InternalEndpoints: map[string]string{"p.internal": up.URL},
	}
	if set != nil {
		set(&cfg)
	}
	return up, testbed.Serve(t, cfg)
}

func attackServeHandler(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func attackPost(t testing.TB, url, contentType, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func attackBody(t testing.TB, resp *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(data)
}

// attackDo sends a request with all of a header, and returns the answer with
// redirects and compression as they are.
func attackDo(t testing.TB, url, body string, header http.Header) (http.Header, int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header = header.Clone()
	tr := &http.Transport{DisableCompression: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	return resp.Header, resp.StatusCode, string(data)
}

// attackRequest is a request as bytes.
func attackRequest(line, body string) string {
	return fmt.Sprintf("%s HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body)
}

// attackRaw sends bytes over a socket of its own, and reads the first answer.
func attackRaw(t testing.TB, addr, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

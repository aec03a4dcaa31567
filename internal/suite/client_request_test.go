package suite_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestSurfacePaths sends each surface under each way of mounting a gateway. The
// upstream's URL has only the surface's part of the path.
func TestSurfacePaths(t *testing.T) {
	surfaces := []string{
		"chat/completions", "completions", "responses", "embeddings", "moderations", "rerank",
		"images/generations", "images/edits", "images/variations", "images/upscale",
		"audio/speech", "audio/transcriptions", "audio/translations", "audio/voice-changes",
		"messages", "messages/count_tokens", "responses/compact", "responses/input_tokens", "score", "videos",
		"tokenize", "detokenize", "pooling", "classify",
	}
	mounts := []struct {
		name  string
		mount func(h http.Handler) http.Handler
		path  string // before the surface's, and %s after it
	}{
		{"bare", func(h http.Handler) http.Handler { return h }, "/v1/%s"},
		{"without version", func(h http.Handler) http.Handler { return h }, "/%s"},
		{"another version", func(h http.Handler) http.Handler { return h }, "/v4/%s"},
		{"trailing slash", func(h http.Handler) http.Handler { return h }, "/v1/%s/"},
		{"under a prefix", func(h http.Handler) http.Handler { return h }, "/ai/v1/%s"},
		{"deep under a prefix", func(h http.Handler) http.Handler { return h }, "/a/chat/b/models/v1/%s"},
		{"StripPrefix", func(h http.Handler) http.Handler { return http.StripPrefix("/ai", h) }, "/ai/v1/%s"},
		{"StripPrefix to the slash", func(h http.Handler) http.Handler { return http.StripPrefix("/ai/v1/", h) }, "/ai/v1/%s"},
		{"ServeMux", func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/llm/", h)
			return mux
		}, "/llm/v1/%s"},
	}
	up, cfg := requestProvider(t)
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	for _, m := range mounts {
		t.Run(m.name, func(t *testing.T) {
			server := httptest.NewServer(m.mount(g))
			defer server.Close()
			for _, s := range surfaces {
				resp, body := requestPost(t, server.URL+fmt.Sprintf(m.path, s), nil, `{"model":"m"}`)
				if assert.Equal(t, http.StatusOK, resp.StatusCode, "%s: %s", s, body) {
					want := "/v1/" + s
					switch s {
					case "tokenize", "detokenize", "pooling", "classify": // of vLLM, below the root
						want = "/" + s
					}
					assert.Equal(t, want, up.Last().URL)
					assert.Equal(t, http.MethodPost, up.Last().Method)
				}
			}
		})
	}
}

// TestUnknownPaths: the terminal handler answers 404 in the OpenAI format,
// whatever format the client speaks, and Wrap leaves the path to the next one.
func TestUnknownPaths(t *testing.T) {
	up, cfg := requestProvider(t)
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, given := aigateway.ResultFromContext(r.Context())
		assert.False(t, given)
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		w.Write(body)
	})
	for _, path := range []string{
		"/", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/chatcmpl-1", "/v1/chatcompletions", "/v1/Chat/Completions",
		"/v1/responses/resp_1/x", "/v1/messages/batches/b/x", "/v1/images", "/v1/images/", "/v1/images/a.b", "/v1/audio/..%2Fx",
		"/v1/fine_tuning/jobs", "/v1/files/f/x", "/v1/xembeddings", "/v1/embeddings/x",
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			t.Run(method+" "+path, func(t *testing.T) {
				r := httptest.NewRequest(method, path, strings.NewReader(`{"model":"m"}`))
				r.Header.Set("Anthropic-Version", "2023-06-01")
				w := httptest.NewRecorder()
				g.ServeHTTP(w, r)
				assert.Equal(t, http.StatusNotFound, w.Code)
				requestOpenAIError(t, w.Result().Header, w.Body.String(), "invalid_request_error", "not_found")

				r = httptest.NewRequest(method, path, strings.NewReader(`{"model":"m"}`))
				w = httptest.NewRecorder()
				g.Wrap(next).ServeHTTP(w, r)
				assert.Equal(t, http.StatusTeapot, w.Code)
				assert.Equal(t, `{"model":"m"}`, w.Body.String(), "the body is the next handler's, unread")
			})
		}
	}
	assert.Zero(t, up.Count())
}

// TestWrongMethod: a known surface with the wrong method is 405, and names the
// right one.
func TestWrongMethod(t *testing.T) {
	up, cfg := requestProvider(t)
	url := testbed.Serve(t, cfg)
	for _, c := range []struct{ method, path, format, allow string }{
		{http.MethodGet, "/v1/chat/completions", "openai", "POST"},
		{http.MethodPut, "/v1/responses", "openai", "POST"},
		{http.MethodDelete, "/v1/audio/speech", "openai", "POST"},
		{http.MethodOptions, "/v1/embeddings", "openai", "POST"},
		{http.MethodPatch, "/v1/messages", "anthropic", "POST"},
		{http.MethodGet, "/v1/messages/count_tokens", "anthropic", "POST"},
		{http.MethodPost, "/v1/models", "openai", "GET, HEAD"},
		{http.MethodDelete, "/v1/models/m", "openai", "GET, HEAD"},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			resp, body := requestSend(t, c.method, url+c.path, nil, strings.NewReader(`{"model":"m"}`))
			assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
			assert.Equal(t, c.allow, resp.Header.Get("Allow"))
			if c.format == "anthropic" {
				requestAnthropicError(t, resp.Header, body, "invalid_request_error", "method_not_allowed")
			} else {
				requestOpenAIError(t, resp.Header, body, "invalid_request_error", "method_not_allowed")
			}
		})
	}
	assert.Zero(t, up.Count())
}

// TestRefusedBodies: a body with two readings, or without any, is refused in the
// client's format and goes nowhere.
func TestRefusedBodies(t *testing.T) {
	up, cfg := requestProvider(t)
	url := testbed.Serve(t, cfg)
	for _, c := range []struct{ name, body, says string }{
		{"model twice", `{"model":"m","model":"m"}`, "model"},
		{"model twice, apart", `{"model":"m","messages":[{"model":"inner"}],"x":1,"model":"other"}`, "model"},
		{"model twice, once escaped", `{"model":"m","mod\u0065l":"m"}`, "model"},
		{"model twice, both null", `{"model":null,"model":null}`, "model"},
		{"models twice", `{"models":["m"],"models":["m"]}`, "models"},
		{"Model", `{"Model":"m"}`, "Model"},
		{"model and MODEL", `{"model":"m","MODEL":"m"}`, "MODEL"},
		{"an escaped Model", `{"\u004dodel":"m"}`, "Model"},
		{"Models", `{"model":"m","Models":["m"]}`, "Models"},
		{"models with a long s", `{"model":"m","modelſ":["m"]}`, "models"},
		{"model a number", `{"model":4}`, "model"},
		{"model a boolean", `{"model":true}`, "model"},
		{"model an object", `{"model":{"id":"m"}}`, "model"},
		{"model a list", `{"model":["m"]}`, "model"},
		{"models a string", `{"models":"m"}`, "models"},
		{"models an object", `{"models":{"0":"m"}}`, "models"},
		{"models of numbers", `{"models":["m",1]}`, "models"},
		{"models of lists", `{"models":[["m"]]}`, "models"},
		{"models with null", `{"models":["m",null]}`, "models"},
		{"101 models", `{"models":["m"` + strings.Repeat(`,"m"`, 100) + `]}`, "101"},
		{"empty", ``, ""},
		{"white space", " \r\n\t", ""},
		{"text", `hello`, ""},
		{"a form", `model=m&prompt=hi`, "expected an object, found 'm'"},
		{"a form that begins like a boolean", `temperature=1&model=x`, "expected an object, found 't'"},
		{"a form that begins like null", `n=1`, "expected an object, found 'n'"},
		{"dashes", "--b\r\n", "expected an object, found '-'"},
		{"a string", `"model"`, "not a string"},
		{"a number", `1`, "not a number"},
		{"null", `null`, "not null"},
		{"an array", `[{"model":"m"}]`, "not an array"},
		{"truncated", `{"model":"m","messages":[{"role":"us`, ""},
		{"unclosed", `{"model":"m"`, ""},
		{"two objects", `{"model":"m"}{"model":"m"}`, ""},
		{"trailing text", `{"model":"m"} x`, ""},
		{"trailing comma", `{"model":"m",}`, ""},
		{"single quotes", `{'model':'m'}`, ""},
		{"bare key", `{model:"m"}`, ""},
		{"comment", `{"model":"m"/* which */}`, ""},
		{"NaN", `{"model":"m","temperature":NaN}`, ""},
		{"leading zero", `{"model":"m","n":01}`, ""},
		{"line break in a string", "{\"model\":\"m\",\"x\":\"a\nb\"}", ""},
		{"bad escape", `{"model":"m","x":"\q"}`, ""},
		{"byte order mark twice", "\xef\xbb\xbf" + "\xef\xbb\xbf{\"model\":\"m\"}", ""},
		{"too deep", `{"model":"m","x":` + strings.Repeat("[", 100_000), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := requestPost(t, url+"/v1/chat/completions", nil, c.body)
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
			message := requestOpenAIError(t, resp.Header, body, "invalid_request_error", "invalid_request_body")
			assert.Contains(t, message, c.says)

			resp, body = requestPost(t, url+"/v1/messages", nil, c.body)
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
			message = requestAnthropicError(t, resp.Header, body, "invalid_request_error", "invalid_request_body")
			assert.Contains(t, message, c.says)
		})
	}
	assert.Zero(t, up.Count())
}

// TestMaxBodyBytes: the limit is the longest allowed length, announced or not.
func TestMaxBodyBytes(t *testing.T) {
	up, cfg := requestProvider(t)
	cfg.MaxBodyBytes = 100
	url := testbed.Serve(t, cfg)
	fits := `{"model":"m","x":"` + strings.Repeat("x", 80) + `"}`
	require.Len(t, fits, 100)
	for _, c := range []struct {
		name   string
		body   string
		status int
	}{
		{"at the limit", fits, http.StatusOK},
		{"one byte over", fits + "\n", http.StatusRequestEntityTooLarge},
		{"far over", fits + strings.Repeat(" ", 10_000), http.StatusRequestEntityTooLarge},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", c.name, chunked), func(t *testing.T) {
				before := up.Count()
				var reader io.Reader = strings.NewReader(c.body)
				if chunked {
					reader = io.MultiReader(reader) // whose length net/http does not know
				}
				resp, body := requestSend(t, http.MethodPost, url+"/v1/chat/completions", nil, reader)
				require.Equal(t, c.status, resp.StatusCode, body)
				if c.status == http.StatusOK {
					assert.Equal(t, c.body, string(up.Last().Body))
					return
				}
				requestOpenAIError(t, resp.Header, body, "invalid_request_error", "request_too_large")
				assert.Equal(t, before, up.Count())
			})
		}
	}
}

// TestContentEncoding: an encoding that the gateway does not know is refused, and
// so is a body that is not of its encoding.
func TestContentEncoding(t *testing.T) {
	up, cfg := requestProvider(t)
	url := testbed.Serve(t, cfg)
	for _, encoding := range [][]string{{"br"}, {"identity, br"}, {"identity", "compress"}, {"", "x"}} {
		resp, body := requestPost(t, url+"/v1/messages", http.Header{"Content-Encoding": encoding}, `{"model":"m"}`)
		assert.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode)
		requestAnthropicError(t, resp.Header, body, "invalid_request_error", "unsupported_media_type")
	}
	for _, encoding := range [][]string{{"gzip"}, {"zstd"}, {"deflate"}, {"identity, gzip"}, {"identity", "gzip"}, {"", "gzip"}} {
		resp, body := requestPost(t, url+"/v1/messages", http.Header{"Content-Encoding": encoding}, `{"model":"m"}`)
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
		requestAnthropicError(t, resp.Header, body, "invalid_request_error", "invalid_request_body")
	}
	assert.Zero(t, up.Count())

	resp, _ := requestPost(t, url+"/v1/messages", http.Header{"Content-Encoding": {"identity"}}, `{"model":"m"}`)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.NotContains(t, up.Last().Header, "Content-Encoding")
}

// TestContentType: JSON is recognised by its first byte too, and is sent on as
// JSON. An upstream that believed "curl -d" would read a form, with another
// model in it.
func TestContentType(t *testing.T) {
	up, cfg := requestProvider(t)
	url := testbed.Serve(t, cfg)
	const body = " \n{\"model\":\"m\",\"user\":\"a&model=other&b\"}"
	for _, c := range []struct {
		name       string
		sent, want []string
	}{
		{"JSON", []string{"application/json"}, []string{"application/json"}},
		{"JSON with a parameter", []string{"application/json; charset=utf-8"}, []string{"application/json; charset=utf-8"}},
		{"a kind of JSON", []string{"application/vnd.x+json"}, []string{"application/vnd.x+json"}},
		{"curl -d", []string{"application/x-www-form-urlencoded"}, []string{"application/json"}},
		{"text", []string{"text/plain"}, []string{"application/json"}},
		{"a form", []string{"multipart/form-data; boundary=b"}, []string{"application/json"}},
		{"none", nil, []string{"application/json"}},
		{"malformed", []string{"application/json; ="}, []string{"application/json"}},
		{"two", []string{"application/json", "application/x-www-form-urlencoded"}, []string{"application/json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"chat/completions", "audio/transcriptions"} {
				header := http.Header{}
				if c.sent != nil {
					header["Content-Type"] = c.sent
				}
				resp, answer := requestSend(t, http.MethodPost, url+"/v1/"+path, header, strings.NewReader(body))
				require.Equal(t, http.StatusOK, resp.StatusCode, answer)
				assert.Equal(t, c.want, up.Last().Header["Content-Type"])
				assert.Equal(t, body, string(up.Last().Body))
			}
		})
	}
}

// TestMultipart: in a form the model is replaced and models are cut. The file,
// sent first by the SDKs, keeps every byte.
func TestMultipart(t *testing.T) {
	up, cfg := requestProvider(t)
	url := testbed.Serve(t, cfg)
	file := make([]byte, 1<<16)
	for i := range file {
		file[i] = byte(i * 7 >> 3)
	}
	copy(file[1000:], "\r\n--b0undar\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n")
	const head = "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n"
	part := func(name, value string) string {
		return "\r\n--b0undary\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value
	}
	const tail = "\r\n--b0undary--\r\n"
	sent := func(model string, rest ...string) string {
		return head + string(file) + part("model", model) + strings.Join(rest, "") + tail
	}
	withLength := func(length, model string) string {
		return head + string(file) + "\r\n--b0undary\r\ncontent-length:" + length +
			"\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n" + model + tail
	}
	header := http.Header{"Content-Type": {`multipart/form-data; boundary="b0undary"`}}
	for _, c := range []struct {
		name, path, body, want string
	}{
		{"model replaced", "audio/transcriptions", sent("P:alias", part("language", "de")), sent("m", part("language", "de"))},
		{"identical", "audio/translations", sent("m", part("prompt", "")), sent("m", part("prompt", ""))},
		{"models cut", "images/edits",
			sent("p:alias", part("models", "p:m"), part("n", "1"), part("models", "nobody")), sent("m", part("n", "1"))},
		{"models[] cut", "images/variations", sent("m", part("models[]", "p:m"), part("n", "1")), sent("m", part("n", "1"))},
		{"a part with a length", "audio/transcriptions", withLength(" 7 ", "p:alias"), withLength(" 1 ", "m")},
		{"models alone", "audio/speech-to-speech",
			head + string(file) + part("models", "p:alias") + tail, head + string(file) + part("model", "m") + tail},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := requestPost(t, url+"/v1/"+c.path, header, c.body)
			require.Equal(t, http.StatusOK, resp.StatusCode, body)
			got := up.Last()
			assert.Equal(t, header["Content-Type"], got.Header["Content-Type"])
			if !assert.True(t, c.want == string(got.Body), "the body differs") {
				t.Logf("got: …%s", got.Body[max(0, len(got.Body)-300):])
			}
			mr := multipart.NewReader(bytes.NewReader(got.Body), "b0undary")
			p, err := mr.NextPart()
			require.NoError(t, err)
			received, err := io.ReadAll(p)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(file, received), "the file differs")
		})
	}

	before := up.Count()
	for _, c := range []struct{ name, path, contentType, body, says string }{
		{"model twice", "audio/transcriptions", header.Get("Content-Type"), sent("m", part("model", "m")), "twice"},
		{"Model", "audio/transcriptions", header.Get("Content-Type"), sent("m", part("Model", "m")), "Model"},
		{"model[]", "audio/transcriptions", header.Get("Content-Type"), sent("m", part("model[]", "m")), "model[]"},
		{"model as a file", "audio/transcriptions", header.Get("Content-Type"),
			head + "x" + "\r\n--b0undary\r\nContent-Disposition: form-data; name=\"model\"; filename=\"m\"\r\n\r\nm" + tail, "not a file"},
		{"truncated", "audio/transcriptions", header.Get("Content-Type"), strings.TrimSuffix(sent("m"), tail), "the final boundary is missing"},
		{"no boundary", "audio/transcriptions", "multipart/form-data", sent("m"), "the content type names no valid boundary"},
		{"two boundaries", "audio/transcriptions", "multipart/form-data; boundary=b0undary; boundary=b", sent("m"),
			`the content type cannot be read: the header parameter "boundary" appears twice`},
		{"another boundary", "audio/transcriptions", "multipart/form-data; boundary=other", sent("m"), "does not appear"},
		{"empty", "audio/transcriptions", header.Get("Content-Type"), "", "must be a form"},
		{"on a surface without forms", "chat/completions", header.Get("Content-Type"), sent("m"), "this surface takes JSON, not multipart/form-data"},
		{"on a surface without forms, unreadable", "chat/completions", "multipart/form-data; boundary=b; boundary=b", sent("m"), "this surface takes JSON, not multipart/form-data"},
		{"on messages", "messages", header.Get("Content-Type"), sent("m"), "this surface takes JSON, not multipart/form-data"},
	} {
		t.Run("refused/"+c.name, func(t *testing.T) {
			resp, body := requestPost(t, url+"/v1/"+c.path, http.Header{"Content-Type": {c.contentType}}, c.body)
			assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
			var message string
			if c.path == "messages" {
				message = requestAnthropicError(t, resp.Header, body, "invalid_request_error", "invalid_request_body")
			} else {
				message = requestOpenAIError(t, resp.Header, body, "invalid_request_error", "invalid_request_body")
			}
			assert.Contains(t, message, c.says)
		})
	}
	assert.Equal(t, before, up.Count())
}

// TestInternalEndpoints: the request goes to the real place of the host, under
// its .internal name.
func TestInternalEndpoints(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hi"))
	socket := filepath.Join(requestSocketDir(t), "llm.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: up}}
	server.Start()
	t.Cleanup(server.Close)
	for _, c := range []struct{ name, base, key, target, host string }{
		{"TCP", "http://llm.internal", "llm.internal", up.URL, "llm.internal"},
		{"TCP with a port", "http://llm.internal:8080/v1", "llm.internal", up.URL, "llm.internal:8080"},
		{"the port named", "http://llm.internal:8080/v1", "llm.internal:8080", up.URL, "llm.internal:8080"},
		{"https inside", "https://llm.internal", "llm.internal", up.URL, "llm.internal"},
		{"case", "http://LLM.Internal", "llm.INTERNAL", up.URL, "llm.internal"},
		{"unix socket", "http://llm.internal/v1", "llm.internal", "unix://" + socket, "llm.internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, cfg := requestProvider(t)
			cfg.Providers[0].BaseURL = c.base
			cfg.InternalEndpoints = map[string]string{c.key: c.target}
			results := requestResults(&cfg)
			resp, body := requestPost(t, testbed.Serve(t, cfg)+"/v1/chat/completions", nil, `{"model":"m"}`)
			require.Equal(t, http.StatusOK, resp.StatusCode, body)
			assert.True(t, strings.EqualFold(c.host, up.Last().Host), up.Last().Host)
			assert.Equal(t, "/v1/chat/completions", up.Last().URL)
			sent := (<-results).ModelsTried[0].RequestsMade[0].Request.URL
			assert.Contains(t, strings.ToLower(sent), c.host+"/v1/chat/completions", "the Result shows the name, not the place")
		})
	}
}

// requestProvider returns an upstream, and a config with it as its one provider
// "p": it has a key, speaks both formats, and lists the model "m", alias
// "alias".
func requestProvider(t testing.TB) (*gatewaytest.Upstream, aigateway.Config) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hi"))
	return up, aigateway.Config{
		Providers: []aigateway.Provider{{
			ID:                   "p",
			BaseURL:              "http://p.internal",
			APIKeys:              []aigateway.APIKey{{Value: "sk-of-p"}},
			Models:               []aigateway.Model{{ID: "m", IDAliases: []string{"alias"}}},
			SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}},
		}},
		InternalEndpoints: map[string]string{"p.internal": up.URL},
		Registry:          aigateway.NoRegistry(),
	}
}

// requestPost posts a body, as JSON unless the header says otherwise.
func requestPost(t testing.TB, url string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	h := http.Header{"Content-Type": {"application/json"}}
	for name, values := range header {
		h[name] = values
	}
	return requestSend(t, http.MethodPost, url, h, strings.NewReader(body))
}

// requestSend sends a request with exactly the given headers, and reads the
// answer to its end.
func requestSend(t testing.TB, method, url string, header http.Header, body io.Reader) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	if header != nil {
		r.Header = header.Clone()
	}
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header["User-Agent"] = nil // which keeps net/http's own away
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(answer)
}

// requestOpenAIError holds an error to the exact shape of the OpenAI format,
// and returns its message.
func requestOpenAIError(t testing.TB, h http.Header, body, kind, code string) (message string) {
	t.Helper()
	assert.Equal(t, "application/json", h.Get("Content-Type"))
	var got struct{ Error struct{ Message string } }
	require.NoError(t, json.Unmarshal([]byte(body), &got), body)
	assert.NotEmpty(t, got.Error.Message)
	assert.JSONEq(t, fmt.Sprintf(`{"error":{"message":%s,"type":%q,"param":null,"code":%q}}`,
		requestQuote(t, got.Error.Message), kind, code), body)
	return got.Error.Message
}

// requestAnthropicError does so for the Anthropic format. A request id is
// optional: not every refusal comes as far as to have one.
func requestAnthropicError(t testing.TB, h http.Header, body, kind, code string) (message string) {
	t.Helper()
	assert.Equal(t, "application/json", h.Get("Content-Type"))
	var got struct {
		Error     struct{ Message string }
		RequestID *string `json:"request_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got), body)
	assert.NotEmpty(t, got.Error.Message)
	want := fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%s,"details":{"error_code":%q}}`,
		kind, requestQuote(t, got.Error.Message), code)
	if got.RequestID != nil {
		assert.NotEmpty(t, *got.RequestID)
		want += `,"request_id":` + requestQuote(t, *got.RequestID)
	}
	assert.JSONEq(t, want+"}", body)
	return got.Error.Message
}

func requestQuote(t testing.TB, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	require.NoError(t, err)
	return string(b)
}

// requestSocketDir is a directory whose name is short enough for sockets.
func requestSocketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lists is a provider that has a model list for good keys.
func lists(ids ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key")
		switch {
		case r.Method != http.MethodGet || r.URL.Path != "/v1/models" || r.ContentLength > 0:
			http.Error(w, "a question for another thing: "+r.Method+" "+r.URL.Path, http.StatusTeapot)
		case strings.Contains(key, "bad"):
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"Incorrect API key provided: %s","code":"invalid_api_key"}}`, key)
		default:
			fmt.Fprintf(w, `{"object":"list","data":[{"id":"%s"}]}`, strings.Join(ids, `"},{"id":"`))
		}
	}
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestCheckLive(t *testing.T) {
	const models = "    models: [{id: m}]\n"
	oneKey := func(key string) string { return fmt.Sprintf("    api_keys: [{value: %q}]\n", key) }
	for _, row := range []struct {
		name     string
		provider http.HandlerFunc
		config   string // of the provider, beside its id and address
		want     string // each line holds its counterpart
		code     int
	}{
		{"no key", lists("m"), models, "providers[0]: 1 models\nok", exitOK},
		{"a good key", lists("m"), models + oneKey("sk-good"), "providers[0].api_keys[0].value: 1 models\nok", exitOK},
		{"a good and a bad key", lists("m"), models + "    api_keys: [{value: sk-good}, {value: sk-bad-0123456789abcdef}]\n",
			"providers[0].api_keys[0].value: 1 models\nproviders[0].api_keys[1].value: 401 Unauthorized", exitFailed},
		{"a key of its own header", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Key") != "sk-good" || r.Header.Get("X-Team") != "a" || r.URL.Query().Get("v") != "1" {
				answers(http.StatusUnauthorized, `{"error":"no"}`)(w, r)
				return
			}
			lists("m")(w, r)
		}, models + oneKey("sk-good") + "    auth: {header: X-Key}\n    headers: {X-Team: a}\n    query_params: {v: '1'}\n", "providers[0].api_keys[0].value: 1 models\nok", exitOK},
		{"the format of Anthropic", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Api-Key") != "sk-good" || r.Header.Get("Anthropic-Version") == "" {
				answers(http.StatusUnauthorized, `{"type":"error","error":{"type":"authentication_error","message":"no"}}`)(w, r)
				return
			}
			lists("m")(w, r)
		}, models + oneKey("sk-good") + "    supported_api_surfaces: [{format: anthropic}]\n", "providers[0].api_keys[0].value: 1 models\nok", exitOK},
		{"both formats, and a key for one", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer sk-good" {
				answers(http.StatusUnauthorized, `{"error":"no"}`)(w, r)
				return
			}
			lists("m")(w, r)
		}, models + oneKey("sk-good") + "    supported_api_surfaces: [{format: anthropic}, {format: openai}]\n", "providers[0].api_keys[0].value: 1 models\nok", exitOK},
		{"both formats, and a key for neither", lists("m"), models + oneKey("sk-bad-0123456789abcdef") + "    supported_api_surfaces: [{format: anthropic}, {format: openai}]\n",
			"; in the OpenAI format: 401 Unauthorized", exitFailed},
		{"embeddings only", lists("m"), models + "    supported_api_surfaces: [{format: openai, surface: embeddings}]\n", "providers[0]: 1 models\nok", exitOK},
		{"a model that is not listed", lists("models/a", "b:latest"), "    models: [{id: a}, {id: b}, {id: c}, {id: d, disabled: true}]\n",
			"providers[0]: 2 models\nwarning: providers[0].models[2].id: the provider does not list \"c\"\nok", exitOK},
		{"no model list", answers(http.StatusNotFound, "404 page not found"), models, "warning: providers[0]: the provider answered 404 to GET\nok", exitOK},
		{"another thing", answers(http.StatusOK, "<html>sign in</html>"), models, "providers[0]: GET http", exitFailed},
		{"out of order", answers(http.StatusServiceUnavailable, `{"error":{"message":"overloaded"}}`), models, "providers[0]: 503 Service Unavailable: overloaded", exitFailed},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, models, "providers[0]: 302 Found", exitFailed},
		{"a key that cannot be found", lists("m"), models + oneKey("${secrets.get('nobody', 'key')}"), "providers[0].api_keys[0].value: secret", exitFailed},
		{"a key of the request", lists("m"), models + oneKey("${req.headers['x-key'][0]}"), "warning: providers[0].api_keys[0].value: not asked: \nok", exitOK},
		{"disabled", answers(http.StatusTeapot, ""), models + "    disabled: true\n", "ok", exitOK},
	} {
		t.Run(row.name, func(t *testing.T) {
			provider := httptest.NewServer(row.provider)
			defer provider.Close()
			checkLive(t, provider.URL, row.config, row.want, row.code)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		provider := httptest.NewServer(nil)
		provider.Close()
		checkLive(t, provider.URL, models, "providers[0]: ", exitFailed)
	})
	t.Run("a Unix socket", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "s")
		listener, err := net.Listen("unix", socket)
		require.NoError(t, err)
		provider := &httptest.Server{Listener: listener, Config: &http.Server{Handler: lists("m")}}
		provider.Start()
		defer provider.Close()
		checkLive(t, "unix://"+socket, models, "providers[0]: 1 models\nok", exitOK)
	})
}

func checkLive(t *testing.T, address, provider, want string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	config := "providers:\n  - id: p\n    base_url: http://p.internal\n" + provider + "internal_endpoints: {p.internal: '" + address + "'}\n"
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	var stdout, stderr bytes.Buffer
	assert.Equal(t, code, run(t.Context(), nil, []string{"-check", "-live", "-config", file}, &stdout, &stderr), stdout.String())
	assert.Empty(t, stderr.String())
	lines, got := strings.Split(want, "\n"), strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	require.Len(t, got, len(lines), stdout.String())
	for i := range lines {
		assert.Contains(t, got[i], lines[i])
	}
	assert.NotContains(t, stdout.String(), "sk-good")
	assert.NotContains(t, stdout.String(), "0123456789", "a key that the provider repeats")
}

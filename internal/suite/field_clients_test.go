package suite_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// fieldCoded is a body in an encoding.
func fieldCoded(t testing.TB, encoding, body string) string {
	t.Helper()
	var b bytes.Buffer
	switch encoding {
	case "gzip", "x-gzip":
		w := gzip.NewWriter(&b)
		w.Write([]byte(body))
		w.Close()
	case "deflate":
		w := zlib.NewWriter(&b)
		w.Write([]byte(body))
		w.Close()
	case "zstd":
		w, err := zstd.NewWriter(&b)
		require.NoError(t, err)
		w.Write([]byte(body))
		w.Close()
	default:
		return body
	}
	return b.String()
}

// fieldCodedPost sends a body, and returns the status and the upstream's requests.
// It needs no bubble, which decoders out of a pool would leave.
func fieldCodedPost(t *testing.T, path, encoding, body string) (status int, sent []gatewaytest.Request) {
	t.Helper()
	up := gatewaytest.Scripted(gatewaytest.Fitting("ok"))
	cfg := testbed.Config(1, "a")
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		up.ServeHTTP(w, r)
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if encoding != "" {
		r.Header["Content-Encoding"] = strings.Split(encoding, "; ") // a line each
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w.Code, up.Requests()
}

// TestFieldCodedBodies: clients such as Codex send compressed bodies, and do not
// stop for a 415 (sub2api#1990). They go on plain.
func TestFieldCodedBodies(t *testing.T) {
	const body = `{"model":"m","stream":true,"input":"hi","store":false}`
	for _, path := range []string{fieldResponses, fieldChat, fieldMessages, "/v1/responses/compact", "/v1/embeddings"} {
		for _, encoding := range []string{"zstd", "gzip", "x-gzip", "deflate", "identity", "", "ZSTD", "gzip, zstd", "gzip; zstd", "identity; gzip", "UTF-8", "none; zstd"} {
			for _, mark := range []string{"", "\ufeff"} {
				t.Run(fmt.Sprintf("%s/%s/mark %t", path, encoding, mark != ""), func(t *testing.T) {
					coded := mark + body
					for name := range strings.SplitSeq(strings.ToLower(strings.ReplaceAll(encoding, ";", ",")), ", ") {
						coded = fieldCoded(t, name, coded)
					}
					status, sent := fieldCodedPost(t, path, encoding, coded)
					require.Equal(t, http.StatusOK, status)
					require.Len(t, sent, 1)
					assert.Equal(t, body, string(sent[0].Body))
					assert.Empty(t, sent[0].Header["Content-Encoding"])
				})
			}
		}
	}
}

// TestFieldCodedBombs: a body that unfolds beyond the limits is 413, another
// encoding 415, and a broken one 400. Nothing goes out.
func TestFieldCodedBombs(t *testing.T) {
	huge := `{"model":"m","x":"` + strings.Repeat("x", 40<<20) + `"}`
	for _, tt := range []struct {
		name, encoding, body string
		status               int
	}{
		{"zstd of 40 MiB", "zstd", fieldCoded(t, "zstd", huge), 413},
		{"gzip of 40 MiB", "gzip", fieldCoded(t, "gzip", huge), 413},
		{"deflate of 40 MiB", "deflate", fieldCoded(t, "deflate", huge), 413},
		{"a bomb within a bomb", "gzip, gzip", fieldCoded(t, "gzip", fieldCoded(t, "gzip", huge)), 413},
		{"brotli", "br", `{"model":"m"}`, 415},
		{"compress", "compress", `{"model":"m"}`, 415},
		{"not zstd", "zstd", `{"model":"m"}`, 400},
		{"not gzip", "gzip", `{"model":"m"}`, 400},
		{"half a gzip", "gzip", fieldCoded(t, "gzip", `{"model":"m"}`)[:20], 400},
		{"nothing", "gzip", "", 400},
	} {
		for _, path := range []string{fieldResponses, fieldMessages} {
			t.Run(tt.name+path, func(t *testing.T) {
				status, sent := fieldCodedPost(t, path, tt.encoding, tt.body)
				assert.Equal(t, tt.status, status)
				assert.Empty(t, sent)
			})
		}
	}
}

// TestFieldUpgrade: Codex asks for a WebSocket first, and goes over to POST on a
// 426. A plain GET is a 405.
func TestFieldUpgrade(t *testing.T) {
	g, err := aigateway.New(testbed.Config(1, "a"))
	require.NoError(t, err)
	for _, tt := range []struct {
		method, path, upgrade string
		status                int
	}{
		{http.MethodGet, fieldResponses, "websocket", 426},
		{http.MethodGet, fieldResponses + "?model=m", "websocket", 426},
		{http.MethodGet, "/responses", "WebSocket", 426},
		{http.MethodGet, fieldChat, "websocket", 426},
		{http.MethodGet, fieldResponses, "", 405},
		{http.MethodGet, "/v1/responses/compact", "", 405},
		{http.MethodDelete, fieldResponses, "", 405},
		{http.MethodGet, "/v1/realtime", "websocket", 426}, // this ResponseWriter cannot become one
		{http.MethodGet, "/v1/models-live", "websocket", 404},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		if tt.upgrade != "" {
			r.Header.Set("Upgrade", tt.upgrade)
			r.Header.Set("Connection", "Upgrade")
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		assert.Equal(t, tt.status, w.Code, "%s %s", tt.method, tt.path)
		assert.Contains(t, w.Body.String(), `"error"`)
	}
}

// TestFieldModelInPath: a model that the path names is the body's where the body has
// none (openai-python#2900).
func TestFieldModelInPath(t *testing.T) {
	for _, tt := range []struct{ path, body, want string }{
		{"/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21", `{"messages":[]}`, "b"},
		{"/openai/deployments/gpt-4o/chat/completions", `{"messages":[],"stream":false}`, "b"},
		{"/ai/openai/deployments/gpt-4o/chat/completions", `{}`, "b"},
		{"/v1/engines/gpt-4o/chat/completions", `{}`, "b"},
		{"/v1/engines/gpt-4o/completions", `{"prompt":"x"}`, "b"},
		{"/openai/deployments/gpt-4o/embeddings?api-version=1", `{"input":"x"}`, "b"},
		{"/openai/deployments/gpt-4o/images/generations", `{"prompt":"x"}`, "b"},
		{"/openai/deployments/GPT-4o/chat/completions", `{}`, "b"},
		{"/openai/deployments/gpt-4o/chat/completions", `{"model":null}`, "b"},
		{"/openai/deployments/gpt-4o/chat/completions", `{"model":""}`, "b"},
		{"/openai/deployments/gpt-4o/chat/completions", `{"model":"auto"}`, "b"},
		{"/openai/deployments/gpt-4o/chat/completions", `{"model":"cheap"}`, "a"},
		{"/openai/deployments/b:gpt-4o/chat/completions", `{}`, "b"},
		{"/openai/deployments/unheard-of/chat/completions", `{}`, ""},
	} {
		t.Run(tt.path+tt.body, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(0, "a", "b")
				cfg.Providers[0].Models, cfg.Providers[1].Models = []aigateway.Model{{ID: "cheap"}}, []aigateway.Model{{ID: "gpt-4o"}}
				up := gatewaytest.Scripted(gatewaytest.Fitting("ok"))
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": up.ServeHTTP, "b": up.ServeHTTP}, nil)
				got := harness.Post(tt.path, tt.body)
				require.NoError(t, got.Err)
				if tt.want == "" {
					assert.Equal(t, http.StatusUnprocessableEntity, got.Status, got.Body)
					assert.Empty(t, harness.Routes())
					return
				}
				require.Equal(t, http.StatusOK, got.Status, got.Body)
				assert.Equal(t, []string{tt.want}, harness.Routes())
				assert.NotContains(t, up.Last().URL, "api-version")
				assert.NotContains(t, up.Last().URL, "deployments")
				model := map[string]string{"a": "cheap", "b": "gpt-4o"}[tt.want]
				assert.Contains(t, string(up.Last().Body), `"model":"`+model+`"`)
			})
		})
	}
}

// TestFieldNewNames: a name that is newer than the catalog goes to the built-in
// provider of its family, if that one is configured with a key.
func TestFieldNewNames(t *testing.T) {
	sent := ""
	cfg := aigateway.Config{
		Providers: []aigateway.Provider{
			{ID: "openai", APIKeys: []aigateway.APIKey{{Value: "sk-openai"}}},
			{ID: "anthropic", APIKeys: []aigateway.APIKey{{Value: "sk-anthropic"}}},
		},
		Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			sent = r.URL.Host
			w := httptest.NewRecorder()
			gatewaytest.Fitting("ok")(w, r)
			return w.Result(), nil
		}),
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	for _, tt := range []struct{ path, model, host string }{
		{fieldChat, "gpt-9-preview", "api.openai.com"},
		{fieldResponses, "gpt-9-codex", "api.openai.com"},
		{fieldChat, "o3-ultra", "api.openai.com"},
		{fieldMessages, "claude-opus-99", "api.anthropic.com"},
		{fieldChat, "gemini-99-flash", ""}, // no key for it
		{fieldChat, "unheard-of", ""},
	} {
		sent = ""
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodPost, tt.path, strings.NewReader(`{"model":"`+tt.model+`"}`)))
		assert.Equal(t, tt.host, sent, "%s: %s", tt.model, w.Body)
		if tt.host == "" {
			assert.Equal(t, http.StatusUnprocessableEntity, w.Code, tt.model)
		} else {
			assert.Equal(t, http.StatusOK, w.Code, w.Body)
		}
	}
}

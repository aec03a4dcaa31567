package suite_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// idsConfig is a config with two providers and callers: p has two keys, and its model
// stands for %s; q has one key and the model m. A request chooses the key by X-Key.
const idsConfig = `
providers:
  - id: p
    base_url: https://p.internal
    api_keys: [{value: p-one}, {value: p-two}]
    supported_api_surfaces: [{format: openai}, {format: anthropic}]
    models: [{id: %s}]
  - id: q
    base_url: https://q.internal
    api_keys: [{value: q-one}]
    models: [{id: m}]
api_key_selection:
  strategy: ["'x-key' in req.headers ? [ai.keys[int(req.headers['x-key'][0])]] : ai.keys"]
caller: req.headers['x-tenant'][0]
`

// An id is known wherever it stands in an answer that is too large to be held, in a
// coding too.
func TestIDsInLargeAnswers(t *testing.T) {
	long := strings.Repeat("x", 1<<20+1<<19)
	call := `{"type":"code_interpreter_call","container_id":"cntr_big"}`
	front := `{"id":"resp_big","output":[` + call + `,{"type":"message","text":"` + long + `"}]}`
	back := `{"output":[{"type":"message","text":"` + long + `"},` + call + `],"id":"resp_big"}`
	for _, zipped := range []bool{false, true} {
		for name, body := range map[string]string{"front": front, "back": back} {
			t.Run(fmt.Sprintf("%s, gzip %v", name, zipped), func(t *testing.T) {
				g, sent := idsGateway(t, body, zipped)
				w := idsAsk(g, http.MethodPost, "/v1/responses", `{"model":"m","input":"hi"}`, "ann")
				require.Equal(t, http.StatusOK, w.Code)
				assert.Equal(t, http.StatusOK, idsAsk(g, http.MethodGet, "/v1/responses/resp_big", "", "ann").Code)
				assert.Equal(t, http.StatusOK, idsAsk(g, http.MethodGet, "/v1/containers/cntr_big", "", "ann").Code)
				assert.Equal(t, []string{"q.internal", "q.internal", "q.internal"}, *sent)
				assert.Equal(t, http.StatusNotFound, idsAsk(g, http.MethodGet, "/v1/responses/resp_big", "", "bob").Code)
				assert.Equal(t, http.StatusNotFound, idsAsk(g, http.MethodGet, "/v1/containers/cntr_big", "", "bob").Code)
			})
		}
	}
}

// idsGateway is a gateway in front of p and q. Only q has the model m, and answers its
// requests with a body of random filling, so that a coding leaves it large.
func idsGateway(t *testing.T, body string, zipped bool) (*aigateway.Gateway, *[]string) {
	t.Helper()
	sent := new([]string)
	cfg, err := aigateway.ParseConfig([]byte(fmt.Sprintf(idsConfig, "only-p")))
	require.NoError(t, err)
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		*sent = append(*sent, r.URL.Host)
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodGet:
			io.WriteString(w, `{"id":"resp_big","object":"response"}`)
		case zipped:
			w.Header().Set("Content-Encoding", "gzip")
			z, err := gzip.NewWriterLevel(w, gzip.NoCompression)
			require.NoError(t, err)
			io.WriteString(z, body)
			require.NoError(t, z.Close())
		default:
			io.WriteString(w, body)
		}
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g, sent
}

// idsAsk sends a request of a tenant.
func idsAsk(g *aigateway.Gateway, method, path, body, tenant string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Tenant", tenant)
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

// An id leads to its place while the stream that told it still runs.
func TestIDOfARunningStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := aigateway.ParseConfig([]byte(fmt.Sprintf(idsConfig, "m")))
		require.NoError(t, err)
		var sent []string
		upstream, end := io.Pipe()
		cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Method+" "+r.URL.Host+" "+r.Header.Get("Authorization"))
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/responses") {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, ContentLength: -1, Body: upstream, Request: r}, nil
			}
			w := httptest.NewRecorder()
			gatewaytest.JSON(http.StatusOK, `{"id":"resp_live","status":"cancelled"}`)(w, r)
			return w.Result(), nil
		})
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any/v1/responses", strings.NewReader(`{"model":"m","input":"hi","stream":true}`))
		require.NoError(t, err)
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Tenant": {"ann"}, "X-Key": {"1"}}
		go io.WriteString(end, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_live\",\"status\":\"in_progress\"}}\n\n"+
			"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n")
		resp, err := g.Client().Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		line, err := bufio.NewReader(resp.Body).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "event: response.created\n", line)

		assert.Equal(t, http.StatusNotFound, idsAsk(g, http.MethodPost, "/v1/responses/resp_live/cancel", "", "bob").Code)
		w := idsAsk(g, http.MethodPost, "/v1/responses/resp_live/cancel", "", "ann")
		assert.Equal(t, http.StatusOK, w.Code, w.Body)
		w = idsAsk(g, http.MethodGet, "/v1/responses/resp_live", "", "ann")
		assert.Equal(t, http.StatusOK, w.Code, w.Body)
		assert.Equal(t, []string{"POST p.internal Bearer p-two", "POST p.internal Bearer p-two", "GET p.internal Bearer p-two"}, sent)
		end.Close()
	})
}

// What a model's code made is its caller's: the container of a response in the
// background, once it is read, and the files of a message.
func TestIDsOfAModelsWork(t *testing.T) {
	answer := ""
	cfg, err := aigateway.ParseConfig([]byte(fmt.Sprintf(idsConfig, "m")))
	require.NoError(t, err)
	cfg.Transport = gatewaytest.TransportFunc(func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	ask := func(method, path, body, next string) int {
		answer = next
		return idsAsk(g, method, path, body, "ann").Code
	}
	assert.Equal(t, 200, ask("POST", "/v1/responses", `{"model":"p:m","background":true}`, `{"id":"resp_1","status":"queued","output":[]}`))
	assert.Equal(t, 200, ask("GET", "/v1/responses/resp_1/input_items", "", `{"object":"list","data":[{"container_id":"cntr_other"}]}`))
	assert.Equal(t, 404, ask("GET", "/v1/containers/cntr_other", "", `{}`), "a client's own words")
	assert.Equal(t, 200, ask("GET", "/v1/responses/resp_1", "", `{"id":"resp_1","status":"completed","output":[{"container_id":"cntr_1"}]}`))
	assert.Equal(t, 200, ask("GET", "/v1/containers/cntr_1/files", "", `{"object":"list","data":[]}`))
	assert.Equal(t, 200, ask("POST", "/v1/messages", `{"model":"p:m","max_tokens":9}`, `{"type":"message","content":[{"type":"tool_use","input":{"file_id":"file_2"}},
		{"type":"bash_code_execution_tool_result","content":{"content":[{"type":"bash_code_execution_output","file_id":"file_1"}]}}]}`))
	assert.Equal(t, 200, ask("GET", "/v1/files/file_1/content", "", `x`))
	assert.Equal(t, 404, ask("GET", "/v1/files/file_2/content", "", `x`))
	assert.Equal(t, 404, idsAsk(g, "GET", "/v1/files/file_1/content", "", "bob").Code)
}

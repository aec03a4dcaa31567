package aigateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// TestNetworkSettings holds tls and proxy of a provider to their rules.
func TestNetworkSettings(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.pem")
	require.NoError(t, os.WriteFile(garbage, []byte("sk-not-a-certificate"), 0o600))
	missing := aigateway.TLS{CAFile: filepath.Join(dir, "none.pem")}
	named := aigateway.TLS{ServerName: "vllm.example.com"}
	const proxy = "http://user:s3cret@proxy.example.com:3128"
	loopback := aigateway.LoopbackURLPolicy()
	tests := []struct {
		name   string
		p      aigateway.Provider
		target string // of p.internal
		policy aigateway.URLPolicy
		want   []string
		reason string
	}{
		{name: "server name", p: aigateway.Provider{BaseURL: "https://p.example.com", TLS: named}},
		{name: "proxy", p: aigateway.Provider{BaseURL: "https://p.example.com", Proxy: proxy}},
		{name: "no proxy", p: aigateway.Provider{BaseURL: "http://p.internal", Proxy: aigateway.ProxyNone}},
		{name: "tls behind .internal", p: aigateway.Provider{BaseURL: "http://p.internal", TLS: named}, target: "https://10.0.0.1:8443"},
		{name: "missing file", p: aigateway.Provider{BaseURL: "https://p.example.com", TLS: missing}, want: []string{"tls.ca_file"}, reason: "no such file"},
		{
			name: "not a certificate", p: aigateway.Provider{BaseURL: "https://p.example.com", TLS: aigateway.TLS{CAFile: garbage, CertFile: garbage, KeyFile: garbage}},
			want: []string{"tls.ca_file", "tls.cert_file"}, reason: "holds no certificate in PEM",
		},
		{name: "no key", p: aigateway.Provider{BaseURL: "https://p.example.com", TLS: aigateway.TLS{CertFile: garbage}}, want: []string{"tls.key_file"}, reason: "is missing"},
		{name: "http", p: aigateway.Provider{BaseURL: "http://p.internal", TLS: named}, want: []string{"tls"}, reason: "as https:// in base_url"},
		{name: "http behind https", p: aigateway.Provider{BaseURL: "https://p.internal", TLS: named}, target: "http://10.0.0.1", want: []string{"tls"}, reason: "in internal_endpoints"},
		{name: "unix socket", p: aigateway.Provider{BaseURL: "http://p.internal", Proxy: proxy}, target: "unix:///run/p.sock", want: []string{"proxy"}, reason: "unix socket"},
		{name: "internal", p: aigateway.Provider{BaseURL: "https://p.internal", Proxy: proxy}, want: []string{"proxy"}, reason: "without a proxy"},
		{name: "keys in clear", p: aigateway.Provider{BaseURL: "http://localhost:1", Proxy: proxy}, policy: loopback, want: []string{"proxy"}, reason: "in clear"},
		{
			name: "public addresses", p: aigateway.Provider{BaseURL: "https://p.example.com", Proxy: proxy}, policy: aigateway.PublicURLPolicy(),
			want: []string{"proxy"}, reason: "out of its sight",
		},
		{name: "not a proxy", p: aigateway.Provider{BaseURL: "https://p.example.com", Proxy: "socks5://user:s3cret@p:1"}, want: []string{"proxy"}, reason: "must be http://host:port, or none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.p.ID = "p"
			cfg := aigateway.Config{Providers: []aigateway.Provider{tt.p}, Registry: aigateway.NoRegistry(), URLPolicy: tt.policy}
			if tt.target != "" {
				cfg.InternalEndpoints = map[string]string{"p.internal": tt.target}
			}
			_, err := aigateway.New(cfg)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			var problems aigateway.ConfigErrors
			require.ErrorAs(t, err, &problems)
			var paths []string
			for _, p := range problems {
				paths = append(paths, p.Path)
			}
			for i, want := range tt.want {
				tt.want[i] = "providers[0]." + want
			}
			assert.Equal(t, tt.want, paths)
			assert.ErrorContains(t, err, tt.reason)
			assert.NotContains(t, err.Error(), "s3cret")
			assert.NotContains(t, err.Error(), "sk-not")
		})
	}
}

// TestNetworkSettingsNeedOwnTransport refuses a Transport beside the settings that
// only the gateway's own knows.
func TestNetworkSettingsNeedOwnTransport(t *testing.T) {
	_, err := aigateway.New(aigateway.Config{
		Providers:         []aigateway.Provider{{ID: "p", BaseURL: "https://p.example.com", Proxy: "none"}},
		Transport:         http.DefaultTransport,
		ProviderTransport: func(string, *http.Transport) http.RoundTripper { return nil },
	})
	var problems aigateway.ConfigErrors
	require.ErrorAs(t, err, &problems)
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	assert.ElementsMatch(t, []string{"ProviderTransport", "Transport"}, paths)
}

func TestProxyHidesItsPassword(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"none":                           "none",
		"http://proxy:3128":              "http://proxy:3128",
		"http://user:s3cret@proxy:3128/": "http://…@proxy:3128",
		"http://s3cret@proxy":            "http://…@proxy",
		"user:s3cret@proxy:3128":         "…",
		"http://user:s3 cret@proxy":      "…",
	} {
		p := aigateway.Proxy(text)
		assert.Equal(t, want, p.String())
		assert.Equal(t, want, p.LogValue().String())
		raw, err := json.Marshal(aigateway.Provider{Proxy: p})
		require.NoError(t, err)
		for _, shown := range []string{fmt.Sprint(p), fmt.Sprintf("%#v", p), fmt.Sprintf("%+v %#v", aigateway.Provider{Proxy: p}, &aigateway.Config{Providers: []aigateway.Provider{{Proxy: p}}}), string(raw)} {
			assert.NotContains(t, shown, "s3")
		}
	}
}

// costConfig has the prices of testdata/costs.tsv that are not in the catalog.
const costConfig = `
on_http_request:
  - type: ai-gateway
    config:
      providers:
        - id: mine
          base_url: http://mine.internal
          supported_api_surfaces: [{format: openai}, {format: anthropic}]
          models:
            - id: all
              pricing:
                input: 3
                output: 15
                input_cache_read: 0.3
                input_batch: 1.5
                output_batch: 7.5
                tiers: [{above_input_tokens: 200000, input: 6, output: 22.5}]
                tools: {web_search: 0.01}
            - {id: plain, pricing: {input: 0.1, output: 0.7}}
            - {id: embed, pricing: {input: 0.02}}
            - {id: free, pricing: {input: 0, output: 0}}
            - id: unknown
        - id: openai
          api_keys: [{value: sk-openai}]
          models: [{id: gpt-4.1-nano-of-mine, pricing: {input: 0.5, output: 2}}]
`

// TestCosts compares the costs of requests with those that were computed by hand,
// from whole answers and from streams.
func TestCosts(t *testing.T) {
	raw, err := os.ReadFile("testdata/costs.tsv")
	require.NoError(t, err)
	var names []string
	count := 0
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		cells := strings.Split(line, "\t")
		if names == nil {
			names = cells
			continue
		}
		row := map[string]string{}
		require.Len(t, cells, len(names), line)
		for i, name := range names {
			row[name] = cells[i]
		}
		assert.NotEmpty(t, row["prices"], "each row has a source of its prices")
		count++
		t.Run(fmt.Sprintf("%d %s", count, row["model"]), func(t *testing.T) {
			answer := costAnswer(t, row)
			res := costOf(t, row, gatewaytest.JSON(200, answer), false)
			assertCost(t, row, res)
			if row["path"] == "chat/completions" && row["answer"] == "" {
				extra := `data: {"choices":[],"usage":` + row["usage"] + "}\n\n"
				res := costOf(t, row, gatewaytest.Stream(gatewaytest.ChatDelta("a"), gatewaytest.ChatStop, extra, gatewaytest.ChatDone), true)
				assertCost(t, row, res)
			}
		})
	}
	assert.GreaterOrEqual(t, count, 60)
}

// costAnswer is a whole answer with the usage of a row.
func costAnswer(t *testing.T, row map[string]string) string {
	answer := map[string]json.RawMessage{}
	base := map[string]string{
		"chat/completions": `{"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}]}`,
		"messages":         `{"type":"message","role":"assistant","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}`,
		"responses":        `{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"a"}]}]}`,
		"embeddings":       `{"object":"list","data":[{"embedding":[0.1]}]}`,
	}[row["path"]]
	require.NoError(t, json.Unmarshal([]byte(base), &answer), row["path"])
	if row["answer"] != "" {
		require.NoError(t, json.Unmarshal([]byte(row["answer"]), &answer))
	}
	answer["usage"] = json.RawMessage(row["usage"])
	data, err := json.Marshal(answer)
	require.NoError(t, err)
	return string(data)
}

// costOf sends a request to the model of a row, and returns its Result.
func costOf(t *testing.T, row map[string]string, upstream http.HandlerFunc, stream bool) *aigateway.Result {
	cfg, err := aigateway.ParseConfig([]byte(costConfig))
	require.NoError(t, err)
	if !strings.HasPrefix(row["model"], "mine:") && !strings.HasSuffix(row["model"], "-of-mine") {
		cfg = aigateway.Config{}
	}
	var res *aigateway.Result
	cfg.Hooks = testbed.KeepResult(&res)
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		upstream(w, r)
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	body := fmt.Sprintf(`{"model":%q,"messages":[],"stream":%t}`, row["model"], stream)
	r := httptest.NewRequest(http.MethodPost, "/v1/"+row["path"], strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer sk-client")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code, w.Body.String())
	return res
}

func assertCost(t *testing.T, row map[string]string, res *aigateway.Result) {
	t.Helper()
	require.NotNil(t, res.Usage)
	assert.False(t, res.Usage.Estimated)
	if row["cost"] == "" {
		assert.Nil(t, res.Cost, "unknown is absent")
		return
	}
	require.NotNil(t, res.Cost, row["formula"])
	assert.Equal(t, row["cost"], res.Cost.USD.String(), row["formula"])
	assert.Equal(t, row["estimated"] == "estimated", res.Cost.Estimated)
	assert.Equal(t, aigateway.CostSource(row["source"]), res.Cost.Source)
	assert.Equal(t, res.Cost, res.ModelsTried[0].RequestsMade[0].Cost)
}

// TestUsage: each attempt and the request have their usage, from the provider's
// words in any format, or an estimate that says so.
func TestUsage(t *testing.T) {
	long := strings.Repeat("word ", 40)
	for _, tt := range []struct {
		name, path, body string
		answer           http.HandlerFunc
		want             *aigateway.Usage
	}{
		{"chat", "/v1/chat/completions", `{"model":"m"}`,
			gatewaytest.JSON(200, `{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}`),
			&aigateway.Usage{InputTokens: 9, CachedInputTokens: 4, OutputTokens: 3, ReasoningTokens: 2}},
		{"messages", "/v1/messages", `{"model":"m"}`,
			gatewaytest.JSON(200, `{"type":"message","content":[{"type":"text","text":"a"}],"usage":{"input_tokens":9,"cache_read_input_tokens":100,"cache_creation_input_tokens":10,"output_tokens":3}}`),
			&aigateway.Usage{InputTokens: 119, CachedInputTokens: 100, CacheWriteTokens: 10, OutputTokens: 3}},
		{"a silent provider", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"one two three"}]}`,
			gatewaytest.JSON(200, `{"choices":[{"message":{"content":"one two three four"}}]}`),
			&aigateway.Usage{InputTokens: -1, OutputTokens: estimatedOutput("one two three four"), Estimated: true}},
		{"a silent stream", "/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`,
			gatewaytest.Stream(gatewaytest.ChatDelta("one two"), gatewaytest.ChatDelta(" three four"), gatewaytest.ChatStop, gatewaytest.ChatDone),
			&aigateway.Usage{InputTokens: -1, OutputTokens: estimatedOutput("one two three four"), Estimated: true}},
		{"a stream that breaks", "/v1/messages", `{"model":"m","stream":true,"messages":[]}`,
			func(w http.ResponseWriter, r *http.Request) {
				gatewaytest.StartStream(w)
				gatewaytest.Send(w, streamEvent("message_start", `"message":{"usage":{"input_tokens":900,"cache_read_input_tokens":100,"output_tokens":1}}`))
				gatewaytest.Send(w, streamEvent("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"`+long+`"}`))
				panic(http.ErrAbortHandler)
			},
			&aigateway.Usage{InputTokens: 1000, CachedInputTokens: 100, OutputTokens: estimatedOutput(long), Estimated: true}},
		{"a long silent stream", "/v1/chat/completions", `{"model":"m","stream":true,"messages":[]}`,
			gatewaytest.Stream(append(slices.Repeat([]string{gatewaytest.ChatDelta(" one")}, 99), gatewaytest.ChatDelta(" one"), gatewaytest.ChatStop, gatewaytest.ChatDone)...),
			&aigateway.Usage{InputTokens: -1, OutputTokens: -1, Estimated: true}},
		{"embeddings", "/v1/embeddings", `{"model":"m","input":"one two"}`,
			gatewaytest.JSON(200, `{"data":[{"embedding":[1]}]}`), &aigateway.Usage{InputTokens: -1, Estimated: true}},
		{"an error", "/v1/chat/completions", `{"model":"m"}`, gatewaytest.Error(400, "x", "no"), nil},
		{"an error under 200", "/v1/chat/completions", `{"model":"m"}`, gatewaytest.JSON(200, `{"error":{"message":"no"}}`), nil},
		{"a count", "/v1/messages/count_tokens", `{"model":"m"}`, gatewaytest.JSON(200, `{"input_tokens":12}`), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var res *aigateway.Result
				cfg := testbed.Config(1, "a")
				cfg.Hooks = testbed.KeepResult(&res)
				h := testbed.Start(t, cfg, testbed.Hosts{"a": tt.answer}, nil)
				h.Post(tt.path, tt.body)
				if tt.want != nil && tt.want.InputTokens < 0 {
					tt.want.InputTokens = usage.Estimate([]byte(tt.body))
				}
				if tt.want != nil && tt.want.OutputTokens < 0 {
					exact := estimatedOutput(strings.Repeat(" one", 100))
					assert.InDelta(t, exact, res.Usage.OutputTokens, 0.1*float64(exact), "from a sample")
					tt.want.OutputTokens = res.Usage.OutputTokens
				}
				assert.Equal(t, tt.want, res.Usage)
				assert.Equal(t, tt.want, res.ModelsTried[0].RequestsMade[0].Usage)
				assert.Nil(t, res.Cost)
			})
		})
	}
}

// estimatedOutput is the estimate of a text that a model wrote.
func estimatedOutput(text string) int64 {
	var e usage.OutputEstimate
	e.Body([]byte(`{"choices":[{"message":{"content":"` + text + `"}}]}`))
	return e.Tokens()
}

// TestUsageOfSeveralAttempts: an attempt that failed after it cost something
// counts, and so does a stream that its client left.
func TestUsageOfSeveralAttempts(t *testing.T) {
	priced := func(cfg *aigateway.Config) {
		for i := range cfg.Providers {
			cfg.Providers[i].Models[0].Pricing = &aigateway.Pricing{Input: new(1.0), Output: new(2.0)}
		}
	}
	t.Run("failed over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var res *aigateway.Result
			cfg := testbed.Config(1, "a", "b")
			cfg.Hooks, cfg.EmptyAnswers = testbed.KeepResult(&res), aigateway.EmptyAnswersFail
			priced(&cfg)
			h := testbed.Start(t, cfg, testbed.Hosts{
				"a": gatewaytest.JSON(200, `{"choices":[{"message":{"content":""}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`),
				"b": gatewaytest.JSON(200, `{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":10,"completion_tokens":2}}`),
			}, nil)
			require.Equal(t, 200, h.Post("/v1/chat/completions", `{"model":"m"}`).Status)
			assert.Equal(t, &aigateway.Usage{InputTokens: 19, OutputTokens: 3}, res.Usage)
			assert.Equal(t, "0.000025", res.Cost.USD.String())
			assert.EqualValues(t, 10, res.InputTokens, "of the attempt that answered")
		})
	})
	t.Run("the client left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			done := make(chan *aigateway.Result, 1)
			cfg := testbed.Config(1, "a")
			cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { done <- r }}
			priced(&cfg)
			h := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.SlowEvents(0, gatewaytest.ChatDelta("one two three"))}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := h.Open(ctx, "/v1/chat/completions", `{"model":"m","stream":true}`)
			require.NoError(t, err)
			io.ReadFull(resp.Body, make([]byte, 10))
			cancel()
			res := <-done
			resp.Body.Close()
			require.NotNil(t, res.Usage)
			assert.True(t, res.Usage.Estimated)
			assert.Equal(t, estimatedOutput("one two three"), res.Usage.OutputTokens)
			require.NotNil(t, res.Cost)
			assert.True(t, res.Cost.Estimated)
		})
	})
}

// TestPrice looks prices up by ids and aliases, of the config over the catalog's.
func TestPrice(t *testing.T) {
	g, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{
		{ID: "openai", APIKeys: []aigateway.APIKey{{Value: "sk-a"}}, Models: []aigateway.Model{{ID: "gpt-4o", Pricing: &aigateway.Pricing{Input: new(1.5)}}}},
		{ID: "mine", IDAliases: []string{"m"}, BaseURL: "http://mine.internal", Models: []aigateway.Model{{ID: "a", IDAliases: []string{"b"}, Pricing: &aigateway.Pricing{Output: new(2.0)}}, {ID: "c"}}},
	}})
	require.NoError(t, err)
	p, ok := g.Price("OpenAI", "gpt-4o")
	require.True(t, ok)
	assert.Equal(t, []float64{1.5, 10, 1.25}, []float64{*p.Input, *p.Output, *p.InputCacheRead})
	*p.Input = 7
	p, ok = g.Price("openai", "gpt-4o")
	require.True(t, ok)
	assert.Equal(t, 1.5, *p.Input, "the caller's own")
	p, ok = g.Price("gemini", "gemini-2.5-pro")
	require.True(t, ok)
	assert.Equal(t, 1.25, *p.Input)
	assert.Len(t, p.Tiers, 1)
	p, ok = g.Price("m", "B")
	require.True(t, ok)
	assert.Nil(t, p.Input)
	for _, unknown := range [][2]string{{"m", "c"}, {"m", "d"}, {"x", "a"}} {
		_, ok = g.Price(unknown[0], unknown[1])
		assert.False(t, ok, unknown)
	}
}

package suite_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestHeaderPrecedence: the provider's config, then the gateway's, then the
// client. A name is the same in any case.
func TestHeaderPrecedence(t *testing.T) {
	for _, c := range []struct{ name, gateway, provider, client, want string }{
		{"client alone", "", "", "client", "client"},
		{"gateway alone", "OpenAI-Beta: gateway", "", "", "gateway"},
		{"gateway over client", "openai-beta: gateway", "", "client", "gateway"},
		{"provider alone", "", "OPENAI-BETA: provider", "", "provider"},
		{"provider over client", "", "OpenAI-Beta: provider", "client", "provider"},
		{"provider over gateway", "OpenAI-Beta: gateway", "openai-beta: provider", "client", "provider"},
		{"empty is a value", "OpenAI-Beta: gateway", `openai-beta: ""`, "client", ""},
		{"without a value, the client's is no substitute", `openai-beta: "${req.headers['x-not-sent'][0]}"`, "", "client", "-"},
		{"without a value, the gateway's is none", "OpenAI-Beta: gateway", `openai-beta: "${req.headers['x-not-sent'][0]}"`, "client", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			if c.client != "" {
				header.Set("OpenAI-Beta", c.client)
			}
			got, _ := precedenceSend(t, `
headers: {`+c.gateway+`}
providers: [{id: p, base_url: "http://p.internal", headers: {`+c.provider+`}}]`, "/v1/chat/completions", header, `{"model":"m"}`)
			if c.want == "-" {
				assert.NotContains(t, got.Header, "Openai-Beta")
				return
			}
			assert.Equal(t, []string{c.want}, got.Header["Openai-Beta"])
		})
	}
}

// TestQueryPrecedence: the provider's config, then the gateway's, the client,
// and the base URL.
func TestQueryPrecedence(t *testing.T) {
	for _, c := range []struct{ name, gateway, provider, client, base, want string }{
		{"base alone", "", "", "", "a=base", "a=base"},
		{"client over base", "", "", "a=client", "a=base", "a=client"},
		{"gateway over client", "a: gateway", "", "a=client", "a=base", "a=gateway"},
		{"provider over gateway", "a: gateway", "a: provider", "a=client", "a=base", "a=provider"},
		{"each its own", "b: gateway", "a: provider", "c=client", "d=base", "a=provider&b=gateway&c=client&d=base"},
		{"each value of a name is replaced", "a: gateway", "", "a=1&x=2&a=3&%61=4", "a=5", "a=gateway&x=2"},
		{"another case is the same name", "a: gateway", "", "A=client", "", "a=gateway"},
		{"escaped", `"a b&c": "d=e f"`, "", "", "", "a+b%26c=d%3De+f"},
		{"empty is a value", `a: ""`, "", "a=client", "", "a="},
		{"a credential of the operator's", "key: op", "", "key=client&x=1", "", "key=op&x=1"},
		{"without a value, the client's is no substitute", `a: "${req.headers['x-not-sent'][0]}"`, "", "a=client&x=1", "a=base", "x=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := precedenceSend(t, `
query_params: {`+c.gateway+`}
providers: [{id: p, base_url: "http://p.internal/v1?`+c.base+`", query_params: {`+c.provider+`}}]`,
				"/v1/chat/completions?"+c.client, nil, `{"model":"m"}`)
			assert.Equal(t, "/v1/chat/completions?"+c.want, got.URL)
		})
	}
}

// TestBodyPrecedence: the provider's config, then the gateway's, then the
// client. An existing field is replaced in its place; a new one comes last.
func TestBodyPrecedence(t *testing.T) {
	for _, c := range []struct{ name, gateway, provider, client, want string }{
		{"nothing", "", "", `{ "model": "m", "a":1 }`, `{ "model": "m", "a":1 }`},
		{"gateway over client", "a: 2", "", `{"a": 1, "model": "m"}`, `{"a": 2, "model": "m"}`},
		{"provider over gateway", "a: 2", "a: 3", `{"a": 1, "model": "m"}`, `{"a": 3, "model": "m"}`},
		{"added", "b: 2", "", `{"model": "m" }`, `{"model": "m","b":2 }`},
		{"fields are not merged", "a: {y: 1}", "", `{"a": {"x": 1}, "model":"m"}`, `{"a": {"y":1}, "model":"m"}`},
		{"nested fields are not the same", "a: 2", "", `{"x": {"a": 1}, "model":"m"}`, `{"x": {"a": 1}, "model":"m","a":2}`},
		{"an escaped name", "temperature: 0.5", "", `{"temper\u0061ture": 1, "model":"m"}`, `{"temper\u0061ture": 0.5, "model":"m"}`},
		{"each repetition is replaced", "a: 2", "", `{"a": 1, "model":"m", "a": 3}`, `{"model":"m", "a": 2}`},
		{"null", "a: null", "", `{"a": 1, "model":"m"}`, `{"a": null, "model":"m"}`},
		{"kinds", `a: [1, 2.5, true, null, "x", {b: {c: ""}}]`, "", `{"model":"m"}`,
			`{"model":"m","a":[1,2.5,true,null,"x",{"b":{"c":""}}]}`},
		{"a large number", "a: 9007199254740993", "", `{"model":"m"}`, `{"model":"m","a":9007199254740993}`},
		{"literal ${", `a: "$${x}"`, "", `{"model":"m"}`, `{"model":"m","a":"${x}"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := precedenceSend(t, `
body: {`+c.gateway+`}
providers: [{id: p, base_url: "http://p.internal", body: {`+c.provider+`}}]`, "/v1/chat/completions", nil, c.client)
			assert.Equal(t, c.want, string(got.Body))
		})
	}
}

// TestTemplates: expressions in headers and parameters are written as text. In a
// body an expression without text around it keeps its type.
func TestTemplates(t *testing.T) {
	for _, c := range []struct{ name, value, text, json string }{
		{"integer", "${1 + 1}", "2", `2`},
		{"a large integer", "${9007199254740993}", "9007199254740993", `9007199254740993`},
		{"float", "${0.5}", "0.5", `0.5`},
		{"boolean", "${req.method == 'POST'}", "true", `true`},
		{"string", "${req.method}", "POST", `"POST"`},
		{"digits are a string", "${string(12)}", "12", `"12"`},
		{"number in text", "n=${1 + 1}!", "n=2!", `"n=2!"`},
		{"two", "${1}${2}", "12", `"12"`},
		{"path", "${req.url.path}", "/ai/v1/chat/completions", `"/ai/v1/chat/completions"`},
		{"header", "${req.headers['x-tenant'][0]}", "acme <1>", `"acme <1>"`},
		{"header or default", "${'x-none' in req.headers ? req.headers['x-none'][0] : 'none'}", "none", `"none"`},
		{"id", "${req.id}", "req-1", `"req-1"`},
		{"client", "${conn.client_ip}", "127.0.0.1", `"127.0.0.1"`},
		{"secret", "${secrets.get('vault', 'name')}", "s3cret", `"s3cret"`},
		{"secret in text", "a ${secrets.get('vault', 'name')}", "a s3cret", `"a s3cret"`},
		{"secret by header", "${secrets.get('vault', req.headers['x-secret'][0])}", "s3cret", `"s3cret"`},
		{"literal", "$${1 + 1} ${'}'}", "${1 + 1} }", `"${1 + 1} }"`},
		{"list", "${dyn([1, 'a'])}", "", `[1,"a"]`},
		{"map", "${dyn({'a': [true]})}", "", `{"a":[true]}`},
		{"null", "${dyn(null)}", "", `null`},
	} {
		t.Run(c.name, func(t *testing.T) {
			yaml := `"` + strings.ReplaceAll(c.value, `"`, `\"`) + `"`
			got, res := precedenceSend(t, `
headers: {X-Value: `+yaml+`}
query_params: {value: `+yaml+`}
body: {value: `+yaml+`, nested: {deep: [0, `+yaml+`]}}
providers: [{id: p, base_url: "http://p.internal"}]`, "/ai/v1/chat/completions",
				http.Header{"X-Tenant": {"acme <1>"}, "X-Request-Id": {"req-1"}, "X-Secret": {"name"}}, `{"model":"m"}`)
			assert.JSONEq(t, `{"model":"m","value":`+c.json+`,"nested":{"deep":[0,`+c.json+`]}}`, string(got.Body))
			if c.text == "" {
				assert.NotContains(t, got.Header, "X-Value", "no text can be made of it")
				assert.Equal(t, "/v1/chat/completions", got.URL)
				assert.Len(t, res.Notes, 2)
				return
			}
			assert.Equal(t, []string{c.text}, got.Header["X-Value"])
			r, err := http.NewRequest(http.MethodPost, got.URL, nil)
			require.NoError(t, err)
			assert.Equal(t, c.text, r.URL.Query().Get("value"))
			assert.Empty(t, res.Notes)
		})
	}
}

// TestTemplateWithoutValue: if an expression reads a header that the client did
// not send, its header or parameter is left out, with a note. In a body it fails
// the candidate.
func TestTemplateWithoutValue(t *testing.T) {
	const missing = `"${req.headers['x-not-sent'][0]}"`
	got, res := precedenceSend(t, `
headers: {X-A: `+missing+`, X-B: b, User-Agent: `+missing+`}
query_params: {a: `+missing+`, b: b}
providers: [{id: p, base_url: "http://p.internal"}]`, "/v1/chat/completions",
		http.Header{"User-Agent": {"client"}}, `{"model":"m"}`)
	assert.NotContains(t, got.Header, "X-A")
	assert.NotContains(t, got.Header, "User-Agent")
	assert.Equal(t, "b", got.Header.Get("X-B"))
	assert.Equal(t, "/v1/chat/completions?b=b", got.URL)
	notes := strings.Join(res.Notes, "\n")
	assert.Len(t, res.Notes, 3)
	for _, what := range []string{`header "X-A"`, `header "User-Agent"`, `query parameter "a"`} {
		assert.Contains(t, notes, what)
	}

	for _, c := range []struct{ name, field string }{
		{"body", `body: {a: ` + missing + `}`},
		{"nested body", `body: {a: {b: [1, "x ${req.headers['x-not-sent'][0]}"]}}`},
		{"key", `api_keys: [{value: ` + missing + `}]`},
		{"secret of the body", `body: {a: "${secrets.get('vault', 'missing')}"}`},
		{"secret of a header", `headers: {X-A: "${secrets.get('vault', 'missing')}"}`},
		{"secret of a parameter", `query_params: {a: "${secrets.get('vault', 'missing')}"}`},
		{"secret of a key", `api_keys: [{value: "${secrets.get('vault', 'missing')}"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, res := precedenceSend(t, `
providers:
  - {id: broken, base_url: "http://p.internal", `+c.field+`}
  - {id: p, base_url: "http://p.internal"}`, "/v1/chat/completions", nil, `{"model":"broken:m","models":["p:m"]}`)
			assert.Equal(t, `{"model":"m"}`, string(got.Body))
			require.Len(t, res.ModelsTried, 2)
			require.Len(t, res.ModelsTried[0].RequestsMade, 1)
			assert.Nil(t, res.ModelsTried[0].RequestsMade[0].Response, "nothing was sent")
			assert.NotEmpty(t, res.ModelsTried[0].RequestsMade[0].Error)
			assert.Equal(t, 1, res.Success.ModelIndex)
		})
	}
}

// TestProviderSettingsStay: the settings for one provider do not travel to
// another on failover.
func TestProviderSettingsStay(t *testing.T) {
	first := gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusInternalServerError, "down", "down"))
	second := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hi"))
	cfg, err := aigateway.ParseConfig([]byte(`
headers: {X-All: all}
query_params: {all: all}
body: {all: all}
providers:
  - id: one
    base_url: http://one.internal/v1?base=one
    api_keys: [{value: sk-one}]
    headers: {X-One: one, X-All: one}
    query_params: {one: one}
    body: {one: one, all: one}
    auth: {header: api-key}
    models: [{id: m-one, id_aliases: [m], unsupported_params: [{name: seed}]}]
  - id: two
    base_url: http://two.internal
    api_keys: [{value: sk-two}]
    models: [{id: m-two, id_aliases: [m]}]
`))
	require.NoError(t, err)
	cfg.Registry = aigateway.NoRegistry()
	cfg.InternalEndpoints = map[string]string{"one.internal": first.URL, "two.internal": second.URL}
	resp, body := requestPost(t, testbed.Serve(t, cfg)+"/v1/chat/completions", nil, `{"model":"m","seed":1}`)
	require.Equal(t, http.StatusOK, resp.StatusCode, body)

	one, two := first.Last(), second.Last()
	assert.Equal(t, "/v1/chat/completions?one=one&all=all&base=one", one.URL)
	assert.Equal(t, http.Header{
		"Accept-Encoding": {"identity"}, "Content-Length": one.Header["Content-Length"], "Content-Type": {"application/json"},
		"Api-Key": {"sk-one"}, "X-One": {"one"}, "X-All": {"one"},
	}, one.Header)
	assert.JSONEq(t, `{"model":"m-one","all":"one","one":"one"}`, string(one.Body))

	assert.Equal(t, "/v1/chat/completions?all=all", two.URL)
	assert.Equal(t, http.Header{
		"Accept-Encoding": {"identity"}, "Content-Length": two.Header["Content-Length"], "Content-Type": {"application/json"},
		"Authorization": {"Bearer sk-two"}, "X-All": {"all"},
	}, two.Header)
	assert.Equal(t, `{"model":"m-two","seed":1,"all":"all"}`, string(two.Body))
}

// TestMaxOutputTokens caps the surface's own field, and sets it if the client
// did not.
func TestMaxOutputTokens(t *testing.T) {
	const chat = "chat/completions"
	for _, c := range []struct{ name, provider, path, client, want string }{
		{"below", "p", chat, `{"max_tokens": 5,"model":"m"}`, `{"max_tokens": 5,"model":"m"}`},
		{"equal", "p", chat, `{"max_tokens": 1e2,"model":"m"}`, `{"max_tokens": 1e2,"model":"m"}`},
		{"zero", "p", chat, `{"max_tokens": 0,"model":"m"}`, `{"max_tokens": 0,"model":"m"}`},
		{"above", "p", chat, `{"max_tokens": 101,"model":"m"}`, `{"max_tokens": 100,"model":"m"}`},
		{"a fraction above", "p", chat, `{"max_tokens": 100.5,"model":"m"}`, `{"max_tokens": 100,"model":"m"}`},
		{"beyond all numbers", "p", chat, `{"max_tokens": 1e999,"model":"m"}`, `{"max_tokens": 100,"model":"m"}`},
		{"minus one means no limit", "p", chat, `{"max_tokens": -1,"model":"m"}`, `{"max_tokens": 100,"model":"m"}`},
		{"text is taken for a number", "p", chat, `{"max_tokens": "1000","model":"m"}`, `{"max_tokens": 100,"model":"m"}`},
		{"max_completion_tokens", "p", chat, `{"max_completion_tokens": 101,"model":"m"}`, `{"max_completion_tokens": 100,"model":"m"}`},
		{"both", "p", chat, `{"max_tokens":101,"max_completion_tokens":102,"model":"m"}`, `{"max_tokens":100,"max_completion_tokens":100,"model":"m"}`},
		{"one of both", "p", chat, `{"max_tokens":9,"max_completion_tokens":102,"model":"m"}`, `{"max_tokens":9,"max_completion_tokens":100,"model":"m"}`},
		{"none", "p", chat, `{"model":"m"}`, `{"model":"m","max_tokens":100}`},
		{"null", "p", chat, `{"max_tokens":null,"model":"m"}`, `{"max_tokens":100,"model":"m"}`},
		{"nested is not it", "p", chat, `{"x":{"max_tokens":1},"model":"m"}`, `{"x":{"max_tokens":1},"model":"m","max_tokens":100}`},
		{"none at another host by the name of openai", "openai", chat, `{"model":"m"}`, `{"model":"m","max_tokens":100}`},
		{"max_tokens at openai", "openai", chat, `{"max_tokens":101,"model":"m"}`, `{"max_tokens":100,"model":"m"}`},
		{"completions", "p", "completions", `{"model":"m"}`, `{"model":"m","max_tokens":100}`},
		{"completions at openai", "openai", "completions", `{"model":"m"}`, `{"model":"m","max_tokens":100}`},
		{"responses", "p", "responses", `{"model":"m","max_output_tokens":101}`, `{"model":"m","max_output_tokens":100}`},
		{"responses, none", "openai", "responses", `{"model":"m","max_tokens":7}`, `{"model":"m","max_tokens":7,"max_output_tokens":100}`},
		{"messages", "p", "messages", `{"model":"m","max_tokens":101}`, `{"model":"m","max_tokens":100}`},
		{"messages, none", "p", "messages", `{"model":"m"}`, `{"model":"m","max_tokens":100}`},
		{"count_tokens has none", "p", "messages/count_tokens", `{"model":"m"}`, `{"model":"m"}`},
		{"embeddings have none", "p", "embeddings", `{"model":"m","max_tokens":101}`, `{"model":"m","max_tokens":101}`},
		{"of the config's body", "capped", chat, `{"model":"m"}`, `{"model":"m","max_tokens":100}`},
		{"of the config's body, over the client's", "capped", chat, `{"max_tokens":1,"model":"m"}`, `{"max_tokens":100,"model":"m"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			surfaces := `supported_api_surfaces: [{format: openai}, {format: anthropic}]`
			if c.provider == "capped" {
				surfaces += `, body: {max_tokens: 100000}`
			}
			// The catalog's openai stands in for the built-in one.
			got, _ := precedenceSend(t, `
max_output_tokens: 100
providers: [{id: `+c.provider+`, base_url: "http://p.internal", models: [{id: m, max_output_tokens: 1}], `+surfaces+`}]`,
				"/v1/"+c.path, nil, c.client)
			assert.Equal(t, c.want, string(got.Body))
		})
	}
}

// TestMaxInputTokens: a prompt over the limit fails each candidate with 413. If
// the byte length decides, the tokens are not counted.
func TestMaxInputTokens(t *testing.T) {
	const limit = 100
	long := func(n int) string { return `{"model":"m","x":"` + strings.Repeat("x", n-20) + `"}` }
	require.Len(t, long(limit), limit)
	for _, c := range []struct {
		name    string
		body    string
		tokens  int64
		err     error
		counted int32
		status  int
	}{
		{"as many bytes as tokens", long(limit), 1 << 40, nil, 0, http.StatusOK},
		{"a byte more", long(limit + 1), limit, nil, 1, http.StatusOK},
		{"a token over", long(limit + 1), limit + 1, nil, 1, http.StatusRequestEntityTooLarge},
		{"cannot be counted", long(limit + 1), 0, errors.New("the tokenizer knows K3Y"), 1, http.StatusRequestEntityTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, cfg := requestProvider(t)
			var counted atomic.Int32
			cfg.MaxInputTokens = limit
			cfg.TokenCounter = aigateway.TokenCounterFunc(func(_ context.Context, model string, body []byte) (int64, error) {
				counted.Add(1)
				assert.Equal(t, "m", model)
				assert.Equal(t, c.body, string(body))
				return c.tokens, c.err
			})
			url := testbed.Serve(t, cfg)
			resp, body := requestPost(t, url+"/v1/chat/completions", nil, c.body)
			assert.Equal(t, c.status, resp.StatusCode)
			assert.Equal(t, c.counted, counted.Load())
			if c.status == http.StatusOK {
				assert.Equal(t, 1, up.Count())
				return
			}
			requestOpenAIError(t, resp.Header, body, "invalid_request_error", "input_too_large")
			assert.NotContains(t, body, "K3Y")
			assert.Zero(t, up.Count())
		})
	}

	t.Run("each candidate refuses", func(t *testing.T) {
		up, cfg := requestProvider(t)
		cfg.MaxInputTokens = limit
		cfg.TokenCounter = aigateway.TokenCounterFunc(func(context.Context, string, []byte) (int64, error) { return limit + 1, nil })
		resp, body := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", nil, strings.Replace(long(200), `"m"`, `"m","models":["p:other"]`, 1))
		assert.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
		requestAnthropicError(t, resp.Header, body, "invalid_request_error", "input_too_large")
		assert.Zero(t, up.Count())
	})
	t.Run("one candidate refuses, the next answers", func(t *testing.T) {
		up, cfg := requestProvider(t)
		cfg.MaxInputTokens = limit
		cfg.TokenCounter = aigateway.TokenCounterFunc(func(_ context.Context, model string, _ []byte) (int64, error) {
			if model == "m" {
				return limit + 1, nil
			}
			return limit, nil
		})
		url := testbed.Serve(t, cfg)
		resp, _ := requestPost(t, url+"/v1/chat/completions", nil, strings.Replace(long(200), `"m"`, `"m","models":["p:other"]`, 1))
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		require.Equal(t, 1, up.Count())
		assert.Contains(t, string(up.Last().Body), `"model":"other"`)
	})
}

// TestParams: the client's fields, then the config's and the caps, are held to
// the surface's allowlist and then to the model's denylist. The model survives.
func TestParams(t *testing.T) {
	const all = `{"model":"x","messages":[{"seed":1}],"seed":1,"top_p":1,"vendor":{"seed":1}}`
	for _, c := range []struct{ name, config, surfaces, denied, path, want string }{
		{"no lists", "", `{format: openai}`, "", "chat/completions",
			`{"model":"m","messages":[{"seed":1}],"seed":1,"top_p":1,"vendor":{"seed":1}}`},
		{"allowlist", "", `{format: openai, supported_params: [{name: messages}, {name: top_p}]}`, "", "chat/completions",
			`{"model":"m","messages":[{"seed":1}],"top_p":1}`},
		{"denylist", "", `{format: openai}`, `{name: seed}, {name: absent}`, "chat/completions",
			`{"model":"m","messages":[{"seed":1}],"top_p":1,"vendor":{"seed":1}}`},
		{"both", "", `{format: openai, supported_params: [{name: messages}, {name: top_p}]}`, `{name: top_p}`, "chat/completions",
			`{"model":"m","messages":[{"seed":1}]}`},
		{"the model is on neither list's terms", "", `{format: openai, supported_params: [{name: none}]}`,
			`{name: model}, {name: models}`, "chat/completions", `{"model":"m"}`},
		{"the surface's own entry before the format's", "",
			`{format: openai, supported_params: [{name: seed}]}, {format: openai, surface: chat-completions, supported_params: [{name: top_p}]}`,
			"", "chat/completions", `{"model":"m","top_p":1}`},
		{"another surface's entry is not it", "",
			`{format: openai, surface: responses, supported_params: [{name: seed}]}, {format: openai}`, `{name: vendor}`,
			"chat/completions", `{"model":"m","messages":[{"seed":1}],"seed":1,"top_p":1}`},
		{"the other format's entry is not it", "",
			`{format: openai, supported_params: [{name: seed}]}, {format: anthropic, supported_params: [{name: top_p}]}`, "",
			"messages", `{"model":"m","top_p":1}`},
		{"the config's body is held to the allowlist", "body: {extra: 1, top_p: 0}",
			`{format: openai, supported_params: [{name: top_p}]}`, "", "chat/completions", `{"model":"m","top_p":0}`},
		{"and to the denylist", "body: {extra: 1, top_p: 0}", `{format: openai}`, `{name: extra}, {name: messages}, {name: vendor}`,
			"chat/completions", `{"model":"m","seed":1,"top_p":0}`},
		{"the cap is held to the allowlist", "max_output_tokens: 10", `{format: openai, supported_params: [{name: seed}]}`, "",
			"chat/completions", `{"model":"m","seed":1}`},
		{"the cap is held to the denylist", "max_output_tokens: 10", `{format: openai, supported_params: [{name: max_tokens}]}`,
			`{name: max_tokens}`, "chat/completions", `{"model":"m"}`},
		{"the cap is allowed", "max_output_tokens: 10", `{format: openai, supported_params: [{name: max_tokens}]}`, "",
			"chat/completions", `{"model":"m","max_tokens":10}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := precedenceSend(t, c.config+`
providers:
  - id: p
    base_url: http://p.internal
    supported_api_surfaces: [`+c.surfaces+`]
    models: [{id: m, id_aliases: [x], unsupported_params: [`+c.denied+`]}]`, "/v1/"+c.path, nil, all)
			assert.Equal(t, c.want, string(got.Body))
		})
	}
}

// TestRequestID: a sane id of the client is used, else a new one is made. It is
// the same in expressions, in the Result and in an error's body.
func TestRequestID(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		kept       bool
	}{
		{"the client's", "trace/1:a=b", true},
		{"none", "", false},
		{"128 bytes", strings.Repeat("x", 128), true},
		{"too long", strings.Repeat("x", 129), false},
		{"with a space", "a b", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			if c.sent != "" {
				header.Set("X-Request-Id", c.sent)
			}
			const config = `
headers: {X-Id: "${req.id}"}
providers: [{id: p, base_url: "http://p.internal", supported_api_surfaces: [{format: anthropic}]}]`
			got, res := precedenceSend(t, config, "/v1/messages", header, `{"model":"m"}`)
			id := got.Header.Get("X-Id")
			if c.kept {
				assert.Equal(t, c.sent, id)
			} else {
				assert.Regexp(t, `^req_[0-9a-f]{24}$`, id)
			}
			assert.Equal(t, id, res.RequestID)

			_, cfg := requestProvider(t)
			results := requestResults(&cfg)
			_, body := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", header, `{"model":4}`)
			assert.Contains(t, body, `"request_id":`+requestQuote(t, (<-results).RequestID))
			if c.kept {
				assert.Contains(t, body, `"request_id":`+requestQuote(t, c.sent))
			}
		})
	}
}

// precedenceSend posts a body to a gateway of the given YAML, with an upstream
// at p.internal, and returns the upstream's request and the Result.
func precedenceSend(t *testing.T, yaml, path string, header http.Header, body string) (gatewaytest.Request, *aigateway.Result) {
	t.Helper()
	up := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hi"))
	cfg, err := aigateway.ParseConfig([]byte(yaml))
	require.NoError(t, err)
	cfg.InternalEndpoints = map[string]string{"p.internal": up.URL}
	cfg.Registry = aigateway.StaticRegistry(aigateway.Provider{ID: "openai", BaseURL: "https://openai.internal"})
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"vault": {"name": "s3cret"}})
	results := requestResults(&cfg)
	if !strings.Contains(yaml, "models:") {
		body = strings.Replace(body, `"model":"m"`, `"model":"p:m"`, 1)
		body = strings.Replace(body, `"model": "m"`, `"model": "p:m"`, 1)
	}
	resp, answer := requestPost(t, testbed.Serve(t, cfg)+path, header, body)
	require.Equal(t, http.StatusOK, resp.StatusCode, answer)
	require.Equal(t, 1, up.Count())
	return up.Last(), <-results
}

package suite_test

import (
	"fmt"
	"maps"
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

// costs checks that something takes less than factor times the time of something else. Other
// work on the machine only adds to a time: the least of each counts, and it may take a few
// rounds.
func costs(t *testing.T, factor int, cheap, dear func() time.Duration) {
	t.Helper()
	const rounds = 10
	little, much := time.Hour, time.Hour
	for range rounds {
		little, much = min(little, cheap()), min(much, dear())
		if much < time.Duration(factor)*little {
			return
		}
	}
	assert.Less(t, much, time.Duration(factor)*little)
}

// serving is the time that the gateway takes for a request.
func serving(t *testing.T, g http.Handler, path, body string, header http.Header) time.Duration {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	begin := time.Now()
	g.ServeHTTP(w, r)
	took := time.Since(begin)
	assert.Equal(t, http.StatusOK, w.Code, w.Body)
	return took
}

// Fields that must not go out cost about as much as fields that do, and not the square of
// their number: those beside an allowlist, and those that a lenient provider would take for
// a limit. Small requests with thousands of them cost seconds otherwise, with each attempt.
func TestAttackManyFields(t *testing.T) {
	const most = 9_990
	chat := func(field string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, field+":1,", i)
		}
		return `{` + b.String() + `"model":"m","max_tokens":5,"messages":[]}`
	}
	batch := func(field string, n int) string {
		params := strings.Replace(chat(field, n), "[]", `[{"role":"user","content":"hi"}]`, 1)
		return `{"requests":[{"custom_id":"a","params":` + params + `},{"custom_id":"b","params":` + params + `}]}`
	}
	gateway := func(speaks ...aigateway.APISurface) http.Handler {
		g, err := aigateway.New(aigateway.Config{
			Registry: aigateway.NoRegistry(), MaxOutputTokens: 100,
			Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				gatewaytest.Fitting("hi")(w, r)
				return w.Result(), nil
			}),
			Providers: []aigateway.Provider{{
				ID: "p", BaseURL: "http://p.internal", SupportedAPISurfaces: speaks,
				Models: []aigateway.Model{{ID: "m", UnsupportedParams: []aigateway.Param{{Name: "top_k"}}}},
			}},
		})
		assert.NoError(t, err)
		return g
	}
	listed := []aigateway.Param{{Name: "messages"}, {Name: "max_tokens"}}
	strict := gateway(aigateway.APISurface{Format: "openai", SupportedParams: listed}, aigateway.APISurface{Format: "anthropic", SupportedParams: listed})
	lenient := gateway(aigateway.APISurface{Format: "openai"}, aigateway.APISurface{Format: "anthropic"})
	for _, c := range []struct {
		name    string
		gateway http.Handler
		path    string
		body    func(field string, n int) string
		field   string
	}{
		{"beside an allowlist", strict, "/v1/chat/completions", chat, `"x%05d"`},
		{"like a limit", lenient, "/v1/chat/completions", chat, `"Max_tokens\u0000%05d"`},
		{"like a denied field", lenient, "/v1/chat/completions", chat, `"TOP_K\u0000%05d"`},
		{"in a batch, beside an allowlist", strict, "/v1/messages/batches", batch, `"x%05d"`},
		{"in a batch, like a limit", lenient, "/v1/messages/batches", batch, `"Max_tokens\u0000%05d"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			pass, must := c.body(`"go_out\u0000%05d"`, most), c.body(c.field, most)
			costs(t, 12,
				func() time.Duration { return serving(t, lenient, c.path, pass, nil) },
				func() time.Duration { return serving(t, c.gateway, c.path, must, nil) })
		})
	}
}

// A Connection header with many names, beside many other fields, costs what it weighs: the
// client's as well as the provider's. Headers below net/http's limit of 1 MiB cost minutes
// otherwise.
func TestAttackManyHeaders(t *testing.T) {
	header := func(n int) http.Header {
		h := http.Header{"Connection": {strings.Repeat("a, ", 4*n)}}
		for i := range n {
			h[fmt.Sprintf("X-Stainless-%d", i)] = []string{"1"}
		}
		return h
	}
	var answers http.Header
	g, err := aigateway.New(aigateway.Config{
		Registry: aigateway.NoRegistry(),
		Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			gatewaytest.Chat("hi")(w, r)
			resp := w.Result()
			maps.Copy(resp.Header, answers)
			return resp, nil
		}),
		Providers: []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "m"}}}},
	})
	require.NoError(t, err)
	took := func(client, provider int) func() time.Duration {
		sent, answered := header(client), header(provider)
		return func() time.Duration {
			answers = answered
			return serving(t, g, "/v1/chat/completions", testbed.ChatRequest, sent)
		}
	}
	const few, many = 50, 1000
	costs(t, 80, took(few, 0), took(many, 0))
	costs(t, 80, took(0, few), took(0, many))
}

// Results far from their calls, thousands of results of one call, and thousands of tools
// that nobody offered cost a translation about as much as a tidy conversation of the same
// length.
func TestAttackTranslatedCalls(t *testing.T) {
	const turns = 6_000
	call := func(i int) string {
		return fmt.Sprintf(`{"role":"assistant","tool_calls":[{"id":"call_%d","type":"function","function":{"name":"tool_%d","arguments":"{}"}}]},`, i, i)
	}
	result := func(i int) string { return fmt.Sprintf(`{"role":"tool","tool_call_id":"call_%d","content":"ok"},`, i) }
	chat := func(each ...func(int) string) string {
		var b strings.Builder
		for _, write := range each {
			for i := range turns {
				b.WriteString(write(i))
			}
		}
		return `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"},` + b.String() + `{"role":"user","content":"on"}]}`
	}
	one := func(i int) string { return strings.ReplaceAll(call(i), fmt.Sprintf(`"tool_%d"`, i), `"tool"`) }
	g, err := aigateway.New(aigateway.Config{
		Registry: aigateway.NoRegistry(),
		Transport: gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			gatewaytest.Fitting("hi")(w, r)
			return w.Result(), nil
		}),
		Providers: []aigateway.Provider{{
			ID: "p", BaseURL: "http://p.internal", Translate: aigateway.TranslateOn, Models: []aigateway.Model{{ID: "m"}},
			SupportedAPISurfaces: []aigateway.APISurface{{Format: "anthropic"}},
		}},
	})
	require.NoError(t, err)
	took := func(body string) func() time.Duration {
		return func() time.Duration { return serving(t, g, "/v1/chat/completions", body, nil) }
	}
	tidy := took(chat(func(i int) string { return one(i) + result(i) }))
	costs(t, 4, tidy, took(chat(one, result)))
	costs(t, 4, tidy, took(chat(func(i int) string { return call(i) + result(i) })))
	costs(t, 4, tidy, took(chat(one, func(int) string { return result(0) })))
}

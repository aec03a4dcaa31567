package aigateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// debugState is the tested part of the JSON, by its documented names.
type debugState struct {
	WindowSeconds int       `json:"window_seconds"`
	SlotSeconds   int       `json:"slot_seconds"`
	Total         debugLoad `json:"total"`
	Providers     []struct {
		ID               string    `json:"id"`
		BaseURL          string    `json:"base_url"`
		Endpoint         string    `json:"endpoint"`
		Configured       bool      `json:"configured"`
		ModelsInCooldown int       `json:"models_in_cooldown"`
		ModelsProbing    int       `json:"models_probing"`
		ModelsDue        int       `json:"models_due"`
		KeysInCooldown   int       `json:"keys_in_cooldown"`
		Load             debugLoad `json:"load"`
	} `json:"providers"`
	OtherProviders []string `json:"other_providers"`
	Models         []struct {
		Provider string      `json:"provider"`
		ID       string      `json:"id"`
		Unlisted bool        `json:"unlisted"`
		Health   debugHealth `json:"health"`
		Load     debugLoad   `json:"load"`
	} `json:"models"`
	OtherModels []struct {
		Provider string   `json:"provider"`
		Count    int      `json:"count"`
		IDs      []string `json:"ids"`
	} `json:"other_models"`
	Keys []struct {
		Provider string      `json:"provider"`
		ID       string      `json:"id"`
		Health   debugHealth `json:"health"`
		Requests struct {
			Remaining *int64  `json:"remaining"`
			Limit     *int64  `json:"limit"`
			ResetMS   float64 `json:"reset_ms"`
		} `json:"quota_requests"`
		Load debugLoad `json:"load"`
	} `json:"keys"`
	Requests []debugRequest `json:"requests"`
	Config   map[string]any `json:"config"`
	Runtime  struct {
		Secrets string `json:"secrets"`
	} `json:"runtime"`
	Explain *struct {
		Error  string            `json:"error"`
		Result *aigateway.Result `json:"result"`
	} `json:"explain"`
}

type debugLoad struct {
	Requests  int64 `json:"requests"`
	InFlight  int64 `json:"in_flight"`
	ErrorRate struct {
		Total  float64 `json:"total"`
		Server float64 `json:"server"`
	} `json:"error_rate"`
	Latency struct {
		Avg float64 `json:"upstream_ms_avg"`
	} `json:"latency"`
	Tokens struct {
		Input  int64 `json:"input"`
		Output int64 `json:"output"`
	} `json:"tokens"`
	Slots []struct {
		Requests int64 `json:"requests"`
		Failed   int64 `json:"failed"`
	} `json:"slots"`
}

type debugHealth struct {
	State      string  `json:"state"`
	CooldownMS float64 `json:"cooldown_ms"`
	OfKeys     bool    `json:"cooldown_of_keys"`
	Failures   int     `json:"failures"`
}

type debugRequest struct {
	Number  uint64   `json:"number"`
	ID      string   `json:"request_id"`
	Names   []string `json:"models_asked"`
	More    int      `json:"models_asked_omitted"`
	Auto    bool     `json:"auto"`
	OK      bool     `json:"ok"`
	Code    string   `json:"code"`
	Status  int      `json:"status"`
	Message string   `json:"message"`
	Tries   int      `json:"attempts"`
	Model   string   `json:"model"`
	Input   int64    `json:"input_tokens"`
	Omitted int      `json:"omitted"`
	Trail   []struct {
		Provider   string  `json:"provider"`
		Model      string  `json:"model"`
		Key        string  `json:"api_key"`
		KeyID      string  `json:"key_id"`
		Outcome    string  `json:"outcome"`
		Status     int     `json:"status"`
		Kind       string  `json:"kind"`
		Reason     string  `json:"reason"`
		CooldownMS float64 `json:"cooldown_ms"`
	} `json:"trail"`
	Rejected []struct{ Model, Reason string } `json:"rejected"`
	Notes    []string                         `json:"notes"`
}

func TestDebugPageShowsRequests(t *testing.T) {
	broken := gatewaytest.NewUpstream(t, gatewaytest.Error(500, "", "CUDA error: out of memory"))
	good := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ratelimit-Limit-Requests", "500")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "477")
		gatewaytest.Chat("Good day.")(w, r)
	})
	g := debugGateway(t, `
providers:
  - {id: broken, base_url: "http://broken.internal", models: [{id: big}]}
  - {id: good, base_url: "http://good.internal", api_keys: [{value: "${secrets.get('good', 'key')}"}], models: [{id: small}]}
only_allow_configured_models: true
`, broken, good)
	debug := g.DebugHandler()
	debugAsk(g, `{"models": ["broken:big", "good:small", "nobody"], "messages": []}`, "X-Request-Id", "first")
	debugAsk(g, `{"model": "nobody", "messages": []}`, "X-Request-Id", "second")
	debugAsk(g, `{"model": `, "X-Request-Id", "third")

	var failed debugState
	require.NoError(t, json.Unmarshal(debugGet(t, debug, "?format=json&only=failed").Body.Bytes(), &failed))
	assert.Len(t, failed.Requests, 3)
	state := debugJSON(t, debug)
	require.Len(t, state.Requests, 3)
	first, second, third := state.Requests[2], state.Requests[1], state.Requests[0]
	assert.Equal(t, []string{"third", "second", "first"}, []string{third.ID, second.ID, first.ID}, "the newest first")

	assert.True(t, first.OK)
	assert.Equal(t, 200, first.Status)
	assert.Equal(t, []string{"broken:big", "good:small", "nobody"}, first.Names)
	assert.Equal(t, "small", first.Model)
	assert.Equal(t, int64(9), first.Input)
	require.Len(t, first.Trail, 2)
	assert.Equal(t, "failed", first.Trail[0].Outcome)
	assert.Equal(t, 500, first.Trail[0].Status)
	assert.Contains(t, first.Trail[0].Reason, "CUDA error: out of memory")
	assert.Equal(t, "success", first.Trail[1].Outcome)
	assert.Equal(t, "sk-good…cccc", first.Trail[1].Key)
	assert.Equal(t, state.Keys[0].ID, first.Trail[1].KeyID, "so that the trail leads to the table of keys")
	assert.Equal(t, 2, first.Tries)
	require.Len(t, first.Rejected, 1)
	assert.Equal(t, "nobody", first.Rejected[0].Model)
	assert.Equal(t, "no_matching_models", first.Rejected[0].Reason)

	assert.False(t, second.OK)
	assert.Equal(t, "no_matching_models", second.Code)
	assert.Equal(t, 422, second.Status)
	assert.Contains(t, second.Message, "nobody")
	assert.Empty(t, second.Trail)
	assert.Equal(t, "invalid_request_body", third.Code)

	assert.Equal(t, int64(2), state.Total.Requests)
	assert.Equal(t, 0.5, state.Total.ErrorRate.Server)
	assert.Equal(t, int64(9), state.Total.Tokens.Input)
	require.Len(t, state.Providers, 2)
	assert.Equal(t, "http://broken.internal/v1", state.Providers[0].BaseURL)
	assert.Equal(t, strings.TrimPrefix(broken.URL, "http://"), state.Providers[0].Endpoint)
	assert.Contains(t, state.OtherProviders, "openai", "what was not used is named and no more")
	require.Len(t, state.Keys, 1)
	assert.Regexp(t, "^[0-9a-f]{12}$", state.Keys[0].ID)
	assert.Equal(t, int64(477), *state.Keys[0].Requests.Remaining)
	assert.Zero(t, state.Keys[0].Requests.ResetMS, "the provider did not say")
	assert.Equal(t, int64(1), state.Keys[0].Load.Requests)

	page := debugGet(t, debug, "").Body.String()
	for _, want := range []string{"CUDA error: out of memory", "477", "failed over", "no_matching_models", "key <code>" + state.Keys[0].ID + "</code> (<code>sk-good…cccc</code>)"} {
		assert.Contains(t, page, want)
	}
}

// Cooldowns come and go on the page as they do for the requests of all callers.
func TestDebugPageShowsHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := gatewaytest.NewHarness(t)
		refused := false
		harness.Host("a", gatewaytest.Scripted(gatewaytest.Error(500, "", "no")))
		harness.Host("b", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refused {
				w.Header().Set("Retry-After", "20")
				gatewaytest.Error(401, "", "no")(w, r)
				return
			}
			<-time.After(100 * time.Millisecond) // in the bubble's time
			gatewaytest.Chat("Hi.")(w, r)
		}))
		cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - {id: a, base_url: "http://a.internal", models: [{id: m}]}
  - {id: b, base_url: "http://b.internal", models: [{id: m}], api_keys: [{value: sk-b-0123456789abcdef}]}
`))
		require.NoError(t, err)
		cfg.Transport, cfg.Caller = harness, testbed.EachCaller()
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		debug := g.DebugHandler()
		harness.ServeGateway(g)
		ask := func() { harness.Post("/v1/chat/completions", `{"model":"m","messages":[]}`) }

		for range 4 {
			ask()
		}
		state := debugJSON(t, debug)
		require.Len(t, state.Models, 2)
		assert.Equal(t, debugHealth{State: "healthy", Failures: 4}, state.Models[0].Health)
		assert.Equal(t, 100., state.Models[1].Load.Latency.Avg)
		ask()
		refused = true
		harness.Post("/v1/chat/completions", `{"model":"b:m","messages":[]}`)

		state = debugJSON(t, debug)
		assert.Equal(t, debugHealth{State: "cooldown", CooldownMS: 4900, Failures: 5}, state.Models[0].Health)
		assert.Equal(t, 1, state.Providers[0].ModelsInCooldown)
		assert.Equal(t, debugHealth{State: "cooldown", CooldownMS: 20_000}, state.Keys[0].Health)
		assert.Equal(t, debugHealth{State: "cooldown", CooldownMS: 20_000, OfKeys: true}, state.Models[1].Health, "as no request goes there")
		assert.Contains(t, debugGet(t, debug, "").Body.String(), "its keys in cooldown, 20\u00a0s")
		assert.Equal(t, 1, state.Providers[1].KeysInCooldown)
		assert.Equal(t, 20_000., state.Requests[0].Trail[0].CooldownMS)
		assert.Contains(t, debugGet(t, debug, "").Body.String(), "1 of 1 keys in cooldown")
		require.Len(t, state.Total.Slots, state.WindowSeconds/state.SlotSeconds)
		assert.Equal(t, int64(11), state.Total.Slots[9].Requests)

		<-time.After(10 * time.Second)
		state = debugJSON(t, debug)
		assert.Equal(t, "due", state.Models[0].Health.State)
		assert.Equal(t, 1, state.Providers[0].ModelsDue)
		assert.Contains(t, debugGet(t, debug, "").Body.String(), "1 of 1 models due for a probe")
		assert.Equal(t, 10_000., state.Keys[0].Health.CooldownMS)
		<-time.After(20 * time.Second)
		state = debugJSON(t, debug)
		assert.Equal(t, "due", state.Keys[0].Health.State)
		assert.Equal(t, int64(11), state.Total.Slots[8].Requests, "a slot on")
		<-time.After(5 * time.Minute)
		state = debugJSON(t, debug)
		assert.Zero(t, state.Total.Requests)
		assert.Empty(t, state.Total.Slots)
		assert.Len(t, state.Requests, 6, "requests do not age")
	})
}

// Whatever is secret, or could be, stands nowhere on the page.
func TestDebugPageHoldsNoSecret(t *testing.T) {
	echo := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.Error(401, "invalid_api_key", "Incorrect API key provided: "+r.Header.Get("Authorization")+" "+r.Header.Get("X-Own-Key"))(w, r)
	})
	cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - id: echo
    base_url: "http://echo.internal/v1?token=canary-in-base-url"
    api_keys:
      - value: ${secrets.get('echo', 'key')}
      - value: sk-literal-canary-in-api-keys-123456
    models: [{id: m, metadata: {note: sk-canary-in-model-metadata}}]
    metadata: {deep: [{password: canary-in-metadata}]}
    headers: {X-Own-Key: "sk-canary-in-provider-header-12345"}
    auth: {header: Authorization, scheme: Bearer}
    body: {nested: [{text: "use sk-canary-in-text-0001 for it"}]}
headers: {X-Plain: "canary in a header"}
query_params: {key: canary-in-query}
body: {api_key: canary-in-body, deep: {token: {value: canary-in-deep}}, mixed: "canary-in-mixed-${req.id}", max_tokens: 7}
`))
	require.NoError(t, err)
	cfg.InternalEndpoints = map[string]string{"echo.internal": echo.URL}
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"echo": {"key": "sk-echo-canary-in-secret-0123456789"}})
	cfg.Body["sk-canary-as-a-name-0123456789"] = "x"
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	debug := g.DebugHandler()
	debugAsk(g, `{"model": "m", "messages": [{"role": "user", "content": "canary in a prompt"}]}`, "Authorization", "Bearer sk-client-canary-0123456789", "Cookie", "session=canary")
	require.NotZero(t, echo.Count())

	for _, shown := range []string{
		debugGet(t, debug, "").Body.String(),
		debugGet(t, debug, "?format=json").Body.String(),
		debugPost(debug, "", "/v1/chat/completions", "Authorization: Bearer sk-pasted-canary-0123456789\nX-Session: canary-too", `{"model":"m"}`).Body.String(),
		debugPost(debug, "?format=json", "/v1/chat/completions", "Authorization: Bearer sk-pasted-canary-0123456789", `{"model":"m"}`).Body.String(),
	} {
		for _, line := range strings.Split(shown, "\n") {
			assert.NotContains(t, line, "canary")
		}
		assert.Contains(t, shown, "max_tokens", "what is no secret is shown")
	}
}

func TestDebugPageShowsConfig(t *testing.T) {
	g := debugGateway(t, `
providers:
  - {id: a, base_url: "http://a.internal", models: [{id: "1e3", display_name: "yes", description: "two\nlines"}]}
model_selection: {strategy: ["ai.models.filter(m, m.id < 'x')"]}
body: {user: mine, temperature: 0.25}
total_timeout: 90s
`, gatewaytest.NewUpstream(t, gatewaytest.Chat("")))
	debug := g.DebugHandler()
	state := debugJSON(t, debug)
	assert.Equal(t, "90s", state.Config["total_timeout"])
	assert.Equal(t, "3m0s", state.Config["per_request_timeout"], "defaults are filled in")
	assert.Equal(t, 10., state.Config["max_attempts"])
	assert.Equal(t, "halt", state.Config["on_error"])
	assert.Equal(t, map[string]any{"user": "mine", "temperature": 0.25}, state.Config["body"])
	assert.Contains(t, state.Runtime.Secrets, "mapSecrets")

	// The text is YAML with the same meaning.
	page := debugGet(t, debug, "").Body.String()
	_, text, _ := strings.Cut(page, `<pre`)
	_, text, _ = strings.Cut(text, ">")
	text, _, _ = strings.Cut(text, `</pre>`)
	cfg, err := aigateway.ParseConfig([]byte(strings.NewReplacer("&#39;", "'", "&lt;", "<", "&#34;", `"`, "&gt;", ">", "&amp;", "&").Replace(text)))
	require.NoError(t, err)
	assert.Equal(t, "1e3", cfg.Providers[0].Models[0].ID)
	assert.Equal(t, "yes", cfg.Providers[0].Models[0].DisplayName)
	assert.Equal(t, "two\nlines", cfg.Providers[0].Models[0].Description)
	assert.Equal(t, []string{"ai.models.filter(m, m.id < 'x')"}, cfg.ModelSelection.Strategy)

	// A reload shows at once, and the requests stay.
	debugAsk(g, `{"model":"nobody"}`)
	cfg.InternalEndpoints, cfg.TotalTimeout = nil, "45s"
	require.NoError(t, g.Reload(cfg))
	state = debugJSON(t, debug)
	assert.Equal(t, "45s", state.Config["total_timeout"])
	assert.Len(t, state.Requests, 1)
}

func TestDebugPageExplains(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Chat(""))
	g := debugGateway(t, `
providers: [{id: a, base_url: "http://a.internal", models: [{id: big}, {id: small}]}]
model_selection: {strategy: ["req.headers['x-tier'][0] == 'gold' ? ai.models.only('big') : ai.models.only('small')"]}
`, up)
	debug := g.DebugHandler()
	for name, c := range map[string]struct {
		path, header, body string
		turn, err          string
	}{
		"by header":        {path: "/v1/chat/completions", header: "x-tier: gold\n\n", body: "{}", turn: "big"},
		"another header":   {path: "/v1/chat/completions", header: "X-Tier: tin\r\nX-Other: 1", body: "{}", turn: "small"},
		"with a query":     {path: " /v1/chat/completions?beta=1 ", header: "X-Tier: tin", body: "{}", turn: "small"},
		"fails":            {path: "/v1/chat/completions", body: "{}", err: "model_selection_failed"},
		"no such model":    {path: "/v1/chat/completions", header: "X-Tier: tin", body: `{"model":"nobody"}`, err: "no_matching_models"},
		"no JSON":          {path: "/v1/chat/completions", body: "hello", err: "invalid_request_body"},
		"no such path":     {path: "/v1/nothing", body: "{}", err: "/v1/nothing"},
		"no path":          {body: "{}", err: "not_found"},
		"a path of spaces": {path: "%zz\x00", body: "{}", err: "not_found"},
		"header, no colon": {path: "/v1/chat/completions", header: "gold", body: "{}", err: "a line of the headers"},
		"header, injected": {path: "/v1/chat/completions", header: "X-A: a\x00b", body: "{}", err: "a line of the headers"},
	} {
		t.Run(name, func(t *testing.T) {
			w := debugPost(debug, "?format=json", c.path, c.header, c.body)
			var state debugState
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &state))
			require.NotNil(t, state.Explain)
			if c.err != "" {
				assert.Contains(t, state.Explain.Error, c.err)
				return
			}
			assert.Empty(t, state.Explain.Error)
			assert.Equal(t, aigateway.StatusDryRun, state.Explain.Result.Status)
			require.Len(t, state.Explain.Result.ModelsTried, 1)
			assert.Equal(t, c.turn, state.Explain.Result.ModelsTried[0].Model)
			assert.Contains(t, debugPost(debug, "", c.path, c.header, c.body).Body.String(), "a:"+c.turn)
		})
	}
	state := debugJSON(t, debug)
	assert.Nil(t, state.Explain)
	assert.Empty(t, state.Requests, "a dry run is no request")
	assert.Zero(t, up.Count(), "and reaches nobody")
}

// Who does not mount the page pays nothing for it.
func TestDebugPageRemembersFromMount(t *testing.T) {
	g := debugGateway(t, `providers: [{id: a, base_url: "http://a.internal", models: [{id: m}]}]`, gatewaytest.NewUpstream(t, gatewaytest.Chat("")))
	debugAsk(g, `{"model":"m"}`)
	debug := g.DebugHandler()
	assert.Empty(t, debugJSON(t, debug).Requests)
	debugAsk(g, `{"model":"m"}`)
	assert.Len(t, debugJSON(t, debug).Requests, 1)
	assert.Len(t, debugJSON(t, g.DebugHandler()).Requests, 1, "all handlers show the same")
}

// The page's memory is bounded, however large the clients' requests are.
func TestDebugPageMemory(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Error(500, "", strings.Repeat("very broken ", 500)))
	g := debugGateway(t, `
providers: [{id: a, base_url: "http://a.internal", models: [{id: m}]}]
max_attempts: 100
`, up)
	debug := g.DebugHandler()
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("%q", fmt.Sprintf("a:%d-%s", i, strings.Repeat("x", 1000))))
	}
	body := `{"models":[` + strings.Join(names, ",") + `],"messages":[]}`
	debugAsk(g, body)
	state := debugJSON(t, debug)
	require.Len(t, state.Requests, 1)
	r := state.Requests[0]
	assert.Len(t, r.Names, 8)
	assert.Equal(t, 32, r.More)
	assert.Len(t, r.Trail, 24)
	assert.Equal(t, 32+16, r.Omitted)
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	assert.Less(t, len(raw), 32<<10)

	before := debugHeap()
	long := "/" + strings.Repeat("y", 200_000) + "/v1/chat/completions"
	for range 150 {
		g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, long, strings.NewReader(`{"model":"nobody"}`)))
	}
	grown := debugHeap() - before
	assert.Less(t, grown, int64(2<<20), "texts are cut, and what they were cut from is let go")
	assert.Len(t, debugJSON(t, debug).Requests, 50)
}

// A catalog of any size makes a page of a bounded one.
func TestDebugPageOfManyModels(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Chat(""))
	cfg := aigateway.Config{Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal"}}, InternalEndpoints: map[string]string{"a.internal": up.URL}}
	for i := range 2000 {
		cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: fmt.Sprintf("m%d", i)})
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	debug := g.DebugHandler()
	debugAsk(g, `{"model":"m1999"}`)
	debugAsk(g, `{"model":"a:made-up"}`)
	state := debugJSON(t, debug)
	require.Len(t, state.Models, 200)
	assert.ElementsMatch(t, []string{"m1999", "made-up"}, []string{state.Models[0].ID, state.Models[1].ID}, "the busiest have the rows")
	assert.Equal(t, 1801, state.OtherModels[0].Count)
	assert.Len(t, state.OtherModels[0].IDs, 500)
	w := debugPost(debug, "", "/v1/chat/completions", "", `{"model":"m1"}`)
	assert.Less(t, w.Body.Len(), 400<<10)
	assert.Regexp(t, `<p class="note">And \d+ more`, w.Body.String())
}

func TestDebugPageConcurrently(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Chat("Hi."))
	const config = `providers: [{id: a, base_url: "http://a.internal", models: [{id: m}], api_keys: [{value: sk-a-0123456789abcdef}]}]`
	g := debugGateway(t, config, up)
	debug := g.DebugHandler()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 15 {
				debugAsk(g, fmt.Sprintf(`{"model":"a:m%d-%d"}`, i, j))
				debugAsk(g, `{"model":"m"}`)
			}
		})
		wg.Go(func() {
			for range 2 {
				debugGet(t, debug, "")
				debugJSON(t, debug)
				debugPost(debug, "", "/v1/chat/completions", "", `{"model":"m"}`)
			}
		})
	}
	wg.Go(func() {
		for range 10 {
			cfg, err := aigateway.ParseConfig([]byte(config))
			assert.NoError(t, err)
			cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
			assert.NoError(t, g.Reload(cfg))
			g.DebugHandler()
		}
	})
	wg.Wait()
	state := debugJSON(t, debug)
	assert.Len(t, state.Requests, 50)
	assert.Equal(t, int64(120), state.Total.Requests)
	assert.Zero(t, state.Total.InFlight)
}

// Mount the page for operators only.
func ExampleGateway_DebugHandler() {
	gateway, err := aigateway.New(aigateway.Config{})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", gateway)
	operators := http.NewServeMux() // to be served on localhost, or behind a sign-in
	operators.Handle("/debug/aigateway", gateway.DebugHandler())

	w := httptest.NewRecorder()
	operators.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug/aigateway?format=json", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 application/json
}

// debugGateway is a gateway whose providers are upstreams, in the config's order.
func debugGateway(t *testing.T, config string, upstreams ...*gatewaytest.Upstream) *aigateway.Gateway {
	cfg, err := aigateway.ParseConfig([]byte(config))
	require.NoError(t, err)
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"good": {"key": "sk-good-aaaabbbbcccc"}})
	cfg.InternalEndpoints = map[string]string{}
	for i, up := range upstreams {
		cfg.InternalEndpoints[cfg.Providers[i].ID+".internal"] = up.URL
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	return g
}

func debugAsk(g http.Handler, body string, header ...string) {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	g.ServeHTTP(httptest.NewRecorder(), r)
}

func debugGet(t *testing.T, debug http.Handler, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	debug.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/debug"+query, nil))
	assert.Equal(t, http.StatusOK, w.Code)
	return w
}

func debugPost(debug http.Handler, query, path, header, body string) *httptest.ResponseRecorder {
	form := url.Values{"path": {path}, "header": {header}, "body": {body}}
	r := httptest.NewRequest(http.MethodPost, "/debug"+query, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	debug.ServeHTTP(w, r)
	return w
}

func debugJSON(t *testing.T, debug http.Handler) debugState {
	var state debugState
	raw, err := io.ReadAll(debugGet(t, debug, "?format=json").Body)
	assert.NoError(t, err)
	assert.NoError(t, json.Unmarshal(raw, &state))
	return state
}

func debugHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

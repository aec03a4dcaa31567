package aigateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// Regression: a candidate that was passed over, in cooldown or during a probe,
// was missing from the trail.
func TestDebugPageShowsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := gatewaytest.NewHarness(t)
		slow := false
		harness.Host("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if slow {
				<-time.After(3 * time.Second)
			}
			gatewaytest.Error(500, "", "no")(w, r)
		}))
		harness.Host("b", gatewaytest.Scripted(gatewaytest.Chat("Hi.")))
		cfg, err := aigateway.ParseConfig([]byte(`
providers:
  - {id: a, base_url: "http://a.internal", models: [{id: m}]}
  - {id: b, base_url: "http://b.internal", models: [{id: m}]}
`))
		require.NoError(t, err)
		cfg.Transport, cfg.Caller = harness, testbed.EachCaller()
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		debug := g.DebugHandler()
		harness.ServeGateway(g)
		ask := func() { harness.Post("/v1/chat/completions", `{"model":"m","messages":[]}`) }

		for range 5 {
			ask()
		}
		<-time.After(800 * time.Millisecond)
		ask()
		r := debugJSON(t, debug).Requests[0]
		require.Len(t, r.Trail, 2)
		assert.Equal(t, []string{"a", "skipped", "in cooldown for 4.2 s"}, []string{r.Trail[0].Provider, r.Trail[0].Outcome, r.Trail[0].Reason})
		assert.Equal(t, "success", r.Trail[1].Outcome)
		assert.Equal(t, 1, r.Tries)
		assert.NotContains(t, debugGet(t, debug, "?only=failed").Body.String(), "skipped</span>", "it is no trouble of this request")
		page := debugGet(t, debug, "").Body.String()
		assert.Contains(t, page, `<span class="tag ">ok, 1 skipped</span>`)
		assert.Contains(t, page, "1\u00a0attempt ·")

		// One request probes it, and meanwhile another comes.
		slow = true
		<-time.After(5 * time.Second)
		probe := make(chan struct{})
		go func() {
			defer close(probe)
			debugAsk(g, `{"model":"m","messages":[]}`)
		}()
		synctest.Wait()
		ask()
		state := debugJSON(t, debug)
		assert.Equal(t, debugHealth{State: "probing", Failures: 5}, state.Models[0].Health)
		assert.Equal(t, 1, state.Providers[0].ModelsProbing)
		r = state.Requests[0]
		assert.Equal(t, []string{"skipped", "being probed"}, []string{r.Trail[0].Outcome, r.Trail[0].Reason})
		page = debugGet(t, debug, "").Body.String()
		assert.Contains(t, page, `<span class="tag warn">1 of 1 models being probed</span>`)
		explained := debugPost(debug, "", "/v1/chat/completions", "", `{"model":"m"}`).Body.String()
		assert.Contains(t, explained, "is being probed, and so comes last; without a key")
		<-probe
	})
}

// The steps without an attempt leave room for the others.
func TestDebugPageSkippedByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		harness := gatewaytest.NewHarness(t)
		harness.Host("a", gatewaytest.Scripted(gatewaytest.Error(500, "", "no")))
		harness.Host("b", gatewaytest.Scripted(gatewaytest.Chat("Hi.")))
		cfg := aigateway.Config{Transport: harness, MaxAttempts: 100, Providers: []aigateway.Provider{
			{ID: "a", BaseURL: "http://a.internal"}, {ID: "b", BaseURL: "http://b.internal"},
		}}
		var names []string
		for i := range 30 {
			id := fmt.Sprintf("m%d", i)
			cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: id})
			names = append(names, fmt.Sprintf("%q", "a:"+id))
		}
		cfg.Providers[1].Models = []aigateway.Model{{ID: "m"}}
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		debug := g.DebugHandler()
		body := `{"models":[` + strings.Join(names, ",") + `,"b:m"],"messages":[]}`
		for range 6 {
			debugAsk(g, body)
		}
		r := debugJSON(t, debug).Requests[0]
		require.Len(t, r.Trail, 9)
		assert.Equal(t, "skipped", r.Trail[7].Outcome)
		assert.Equal(t, "success", r.Trail[8].Outcome)
		assert.Equal(t, 22+23, r.Omitted, "of the trail and of the names")
	})
}

// Regression: a request with a broken answer was shown as 499, though its client
// had got 200; and one with an unreadable body as "auto".
func TestDebugPageShowsBrokenRequests(t *testing.T) {
	cut := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		gatewaytest.StartStream(w)
		gatewaytest.Send(w, `data: {"choices":[{"index":0,"delta":{"content":"Half an"},"finish_reason":null}]}`+"\n\n")
		panic(http.ErrAbortHandler)
	})
	g := debugGateway(t, `providers: [{id: cut, base_url: "http://cut.internal", models: [{id: m}]}]`, cut)
	debug := g.DebugHandler()
	w := httptest.NewRecorder()
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"stream":true,"messages":[]}`)))
	})
	require.Equal(t, 200, w.Code)
	debugAsk(g, `{"model": `)
	left, leave := context.WithCancel(t.Context())
	leave()
	g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"m"}`)).WithContext(left))

	requests := debugJSON(t, debug).Requests
	require.Len(t, requests, 3)
	gone, unread, broken := requests[0], requests[1], requests[2]
	assert.Equal(t, []any{"stream_broken", 200, false, true, "m"}, []any{broken.Code, broken.Status, broken.OK, broken.Auto, broken.Model})
	assert.Equal(t, []any{"invalid_request_body", 400, false}, []any{unread.Code, unread.Status, unread.Auto})
	assert.Equal(t, []any{"client_gone", 499}, []any{gone.Code, gone.Status})
	page := debugGet(t, debug, "").Body.String()
	assert.Contains(t, page, "200 stream_broken")
	assert.Contains(t, page, "<bdi>–</bdi>")
	assert.Contains(t, page, "<bdi>auto</bdi>")
}

// Elements left out by a strategy for one reason share one note.
func TestDebugPageGroupsNotes(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Chat("Hi."))
	cfg := aigateway.Config{
		Providers:         []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal", DisplayName: "The rack"}},
		ModelSelection:    aigateway.ModelSelection{Strategy: []string{"ai.models.filter(m, m.metadata.gpu == 'A100') + ai.models"}},
		InternalEndpoints: map[string]string{"a.internal": up.URL},
	}
	for i := range 17 {
		cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: fmt.Sprintf("m%d", i)})
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	debug := g.DebugHandler()
	debugAsk(g, `{"messages":[]}`)
	assert.Equal(t, []string{"17 models left out: no such key: gpu"}, debugJSON(t, debug).Requests[0].Notes)
	page := debugPost(debug, "", "/v1/chat/completions", "", `{}`).Body.String()
	assert.Equal(t, 2, strings.Count(page, "17 models left out"), "in the trail and in the answer")
	assert.Contains(t, page, "<h3>Notes</h3>")
	assert.Contains(t, page, "<bdi>The rack</bdi>")
	assert.Contains(t, page, "16 idle")
	assert.Contains(t, page, "64\u00a0MiB")
	assert.Regexp(t, `Not tried, and why \(\d+\)`, page)
}

// Keys that look the same when redacted are told apart by their ids.
func TestDebugPageNamesKeys(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Error(401, "", "no"), gatewaytest.Chat("Hi."))
	g := debugGateway(t, `
providers: [{id: a, base_url: "http://a.internal", models: [{id: m}], api_keys: [{value: sk-aa-0123456789-tail}, {value: sk-aa-0876543210-tail}]}]
`, up)
	debug := g.DebugHandler()
	debugAsk(g, `{"model":"m","messages":[]}`)
	state := debugJSON(t, debug)
	trail := state.Requests[0].Trail
	require.Len(t, trail, 2)
	require.Equal(t, trail[0].Key, trail[1].Key)
	assert.Equal(t, []string{state.Keys[0].ID, state.Keys[1].ID}, []string{trail[0].KeyID, trail[1].KeyID})
}

package browsertest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/sharedtest"
)

const longName = "a-name-that-nobody-would-ever-want-to-type-but-that-somebody-will-1234567890"

// newFleetScene is a gateway with two replicas, money, and providers that discover. Its
// store has gone.
func newFleetScene(t *testing.T) *scene {
	used := func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/models") {
			gatewaytest.JSON(http.StatusOK, `{"data":[{"id":"llama3.2"},{"id":"qwen3"}]}`)(w, r)
			return
		}
		gatewaytest.JSON(http.StatusOK, `{"choices":[{"message":{"role":"assistant","content":"Good day."},"finish_reason":"stop"}],`+
			`"usage":{"prompt_tokens":183000,"completion_tokens":4200}}`)(w, r)
	}
	up, sulky := gatewaytest.NewUpstream(t, used), gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusServiceUnavailable, "", "The list is being made"))
	input, output := 2.5, 10.0
	store := sharedtest.Memory()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	config := func(name string) aigateway.Config {
		return aigateway.Config{
			Providers: []aigateway.Provider{
				{ID: "cloud", BaseURL: "http://cloud.internal/v1", Models: []aigateway.Model{
					{ID: "large", Pricing: &aigateway.Pricing{Input: &input, Output: &output}}, {ID: longName},
				}},
				{ID: "rack", BaseURL: "http://rack.internal", Discover: "true"},
				{ID: "sulky", BaseURL: "http://sulky.internal", Discover: "true"},
			},
			InternalEndpoints: map[string]string{"cloud.internal": up.URL, "rack.internal": up.URL, "sulky.internal": sulky.URL},
			Labels: func(r *http.Request) []slog.Attr {
				return []slog.Attr{slog.String("team", r.Header.Get("X-Team")), slog.String("project", longName)}
			},
			Caller: func(r *http.Request) string { return r.Header.Get("X-Team") },
			Shared: store, SharedSecret: []byte("0123456789abcdef0123456789abcdef"), ReplicaName: name,
		}
	}
	var gateway *aigateway.Gateway
	for _, name := range []string{"replica-1", longName} {
		g, err := aigateway.New(config(name))
		require.NoError(t, err)
		if gateway == nil {
			gateway = g
		}
		ended := make(chan struct{})
		go func() { defer close(ended); g.Run(ctx) }()
		t.Cleanup(func() { stop(); <-ended })
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", gateway)
	mux.Handle(mount, gateway.DebugHandler())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s := &scene{t, server.URL}
	for i, model := range []string{"cloud:large", "cloud:large", "cloud:" + longName, "rack:qwen3", "cloud:large"} {
		req, err := http.NewRequest(http.MethodPost, server.URL+"/v1/chat/completions", strings.NewReader(`{"model":"`+model+`"}`))
		require.NoError(t, err)
		req.Header.Set("X-Team", "team-"+strconv.Itoa(i%3))
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
	}
	require.Eventually(t, func() bool { return len(gateway.Fleet().Replicas) == 2 }, 10*time.Second, 10*time.Millisecond)
	store.Fail(errors.New("dial tcp 10.0.0.7:6379: connect: connection refused"))
	require.Eventually(t, func() bool { return !gateway.Fleet().StoreUp }, 10*time.Second, 10*time.Millisecond)
	return s
}

// The fleet, the money and the lists of models are readable on a desk and on a
// telephone, by day and by night.
func TestPageOfAFleet(t *testing.T) {
	s := newFleetScene(t)
	for _, width := range []int64{wide, 390} {
		b := newTab(t, width)
		b.do(chromedp.Navigate(s.page()))
		assert.Equal(t, []string{"total", "fleet", "providers", "models", "keys", "money", "requests", "explain", "config"},
			eval[[]string](b, `[...document.querySelectorAll("main > section")].map(s => s.id)`))
		assert.Equal(t, float64(width), eval[float64](b, `document.documentElement.scrollWidth`), "nothing sticks out")
		assert.Empty(t, eval[[]string](b, `[...document.querySelectorAll("main *")]
			.filter(e => !e.closest(".scroll, .chart") && e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 80))`))
		assert.Empty(t, eval[[]string](b, `[...document.querySelectorAll("#fleet :is(th, td), #money :is(th, td)")]
			.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))`), "no cell runs into the next")
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			assert.Empty(t, eval[[]string](b, faint), scheme)
			for _, id := range []string{"fleet", "providers", "money"} {
				b.shotOf(id+"-"+scheme+"-"+strconv.FormatInt(width, 10), "#"+id)
			}
		}
	}
}

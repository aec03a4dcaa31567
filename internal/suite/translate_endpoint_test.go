package suite_test

import (
	"net/http"
	"slices"
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

// someEndpoints is a server with some endpoints. For other paths its router answers.
type someEndpoints struct {
	has    map[string]http.HandlerFunc
	status int
	body   string

	mu    sync.Mutex
	asked []string
}

func (s *someEndpoints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path)
	s.mu.Unlock()
	if h := s.has[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	w.WriteHeader(s.status)
	_, _ = w.Write([]byte(s.body))
}

// since returns the paths asked since the last look.
func (s *someEndpoints) since() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// endpointBench is a gateway before a server with some endpoints.
func endpointBench(t *testing.T, mode aigateway.Translate, format string, server *someEndpoints) (*gatewaytest.Harness, <-chan *aigateway.Result) {
	cfg := testbed.Config(1, "a")
	cfg.Providers[0].Translate = mode
	cfg.Providers[0].SupportedAPISurfaces = []aigateway.APISurface{{Format: format}}
	cfg.Providers[0].Models[0].IDAliases = []string{"claude-x", "gpt-x"}
	cfg.MaxAttempts = 1
	results := requestResults(&cfg)
	return testbed.Start(t, cfg, testbed.Hosts{"a": server.ServeHTTP}, nil), results
}

// TestEndpointThatIsNotThere: an entry for the whole of a format says little about one of
// its endpoints. A server without responses gets the request translated, at once, and is
// not to blame. For ten minutes the next ones go there directly.
func TestEndpointThatIsNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"FastAPI":   {404, `{"detail":"Not Found"}`},
		"net/http":  {404, "404 page not found\n"},
		"a method":  {405, "Method Not Allowed"},
		"llama.cpp": {501, `{"error":{"code":501,"message":"not implemented","type":"not_supported_error"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &someEndpoints{has: map[string]http.HandlerFunc{"/v1/chat/completions": gatewaytest.JSON(200, translateOfChat)}, status: c.status, body: c.body}
				harness, results := endpointBench(t, aigateway.TranslateOn, "openai", server)
				ask := func(want ...string) {
					t.Helper()
					got := harness.Post("/v1/responses", translateAskResps)
					require.Equal(t, 200, got.Status, got.Body)
					assert.Equal(t, "responses-to-chat", got.Header.Get(translateMark))
					assert.Contains(t, got.Body, `"object":"response"`)
					assert.Equal(t, want, server.since())
					res := <-results
					assert.Equal(t, "responses-to-chat", res.Translation.Pair)
					for _, a := range res.ModelsTried[0].RequestsMade {
						assert.Zero(t, a.CooldownMS)
					}
				}
				ask("/v1/responses", "/v1/chat/completions")
				for range 10 {
					ask("/v1/chat/completions")
					gatewaytest.Pass(59 * time.Second)
				}
				gatewaytest.Pass(11 * time.Second)
				ask("/v1/responses", "/v1/chat/completions")
			})
		})
	}
}

// TestCountThatIsNotThere: a server of messages that does not count, and says so by a 404
// alone, has its tokens estimated.
func TestCountThatIsNotThere(t *testing.T) {
	for _, c := range []struct{ format, path, ask, pair string }{
		{"anthropic", "/v1/messages/count_tokens", translateAskMsgs, "messages-to-messages"},
		{"openai", "/v1/responses/input_tokens", translateAskResps, "responses-to-responses"},
	} {
		t.Run(c.path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &someEndpoints{status: 404, body: "404 page not found\n"}
				harness, results := endpointBench(t, aigateway.TranslateOn, c.format, server)
				for _, want := range [][]string{{c.path}, nil} {
					got := harness.Post(c.path, c.ask)
					require.Equal(t, 200, got.Status, got.Body)
					assert.Contains(t, got.Body, `"input_tokens":`)
					assert.Equal(t, c.pair+"; estimated", got.Header.Get(translateMark))
					assert.Equal(t, want, server.since())
					res := <-results
					assert.Equal(t, aigateway.StatusSuccess, res.Status)
					assert.Equal(t, &aigateway.Translation{Pair: c.pair, Estimated: true}, res.Translation)
				}
				gatewaytest.Pass(10 * time.Minute)
				harness.Post(c.path, c.ask)
				assert.Equal(t, []string{c.path}, server.since())
			})
		})
	}
}

// TestEndpointsAtAWrongAddress: where nothing answers, nothing is learned, and the answer
// is the provider's.
func TestEndpointsAtAWrongAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &someEndpoints{status: 404, body: `{"detail":"Not Found"}`}
		harness, _ := endpointBench(t, aigateway.TranslateOn, "openai", server)
		for range 2 {
			got := harness.Post("/v1/responses", translateAskResps)
			assert.Equal(t, 404, got.Status)
			assert.Contains(t, got.Body, "Not Found")
			assert.Equal(t, []string{"/v1/responses", "/v1/chat/completions"}, server.since())
		}
	})
}

// TestEndpointsThatNothingStandsInFor: without translate, for a request that cannot be
// translated, and for an error of the API, the 404 is the answer.
func TestEndpointsThatNothingStandsInFor(t *testing.T) {
	stored := strings.Replace(translateAskResps, "{", `{"previous_response_id":"resp_1",`, 1)
	lossy := strings.Replace(translateAskResps, "{", `{"truncation":"auto",`, 1)
	for name, c := range map[string]struct {
		mode    aigateway.Translate
		surface string
		ask     string
		body    string
	}{
		"off":               {aigateway.TranslateOff, "", translateAskResps, "404 page not found\n"},
		"a stored answer":   {aigateway.TranslateOn, "", stored, "404 page not found\n"},
		"a loss":            {aigateway.TranslateStrict, "", lossy, "404 page not found\n"},
		"an error":          {aigateway.TranslateOn, "", translateAskResps, `{"error":{"message":"the model m does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}`},
		"a surface by name": {aigateway.TranslateOn, "responses", translateAskResps, "404 page not found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &someEndpoints{has: map[string]http.HandlerFunc{"/v1/chat/completions": gatewaytest.JSON(200, translateOfChat)}, status: 404, body: c.body}
				cfg := testbed.Config(1, "a")
				cfg.Providers[0].Translate = c.mode
				cfg.Providers[0].SupportedAPISurfaces = []aigateway.APISurface{{Format: "openai", Surface: c.surface}}
				cfg.Providers[0].Models[0].IDAliases = []string{"gpt-x"}
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": server.ServeHTTP}, nil)
				got := harness.Post("/v1/responses", c.ask)
				assert.Equal(t, 404, got.Status, got.Body)
				assert.NotContains(t, got.Header, translateMark)
				asked := slices.Compact(server.since())
				assert.Equal(t, []string{"/v1/responses"}, asked)
			})
		})
	}
}

// TestModelsThatDoNotReason: the features of a model, as the config or the catalog tells
// them, decide on whether the provider is asked to have it reason.
func TestModelsThatDoNotReason(t *testing.T) {
	ask := strings.Replace(translateAskMsgs, "{", `{"thinking":{"type":"enabled","budget_tokens":2000},`, 1)
	for _, c := range []struct {
		features []string
		lost     bool
	}{{nil, false}, {[]string{"tool-calling", "reasoning"}, false}, {[]string{"tool-calling"}, true}} {
		var cfg aigateway.Config
		up := translateProvider(t, &cfg, "p", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, translateOfChat))
		cfg.Providers[0].Models[0].SupportedFeatures = c.features
		resp, got := requestPost(t, testbed.Serve(t, cfg)+"/v1/messages", nil, ask)
		require.Equal(t, 200, resp.StatusCode, got)
		assert.Equal(t, !c.lost, strings.Contains(string(up.Last().Body), "reasoning_effort"))
		assert.Equal(t, c.lost, strings.Contains(resp.Header.Get(translateMark), "lost=thinking"))
	}
}

// TestStreamsOfAnotherEndpoint: a stream, too, is translated once the provider turns out
// not to have messages. The key goes where the other format wants it.
func TestStreamsOfAnotherEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var header http.Header
		server := &someEndpoints{status: 404, body: "404 page not found\n", has: map[string]http.HandlerFunc{"/v1/chat/completions": func(w http.ResponseWriter, r *http.Request) {
			header = r.Header.Clone()
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte(`data: {"id":"c","choices":[{"index":0,"delta":{"content":"It rains."},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"))
		}}}
		cfg := testbed.Config(1, "a")
		cfg.Providers[0].Translate = aigateway.TranslateOn
		cfg.Providers[0].SupportedAPISurfaces = []aigateway.APISurface{{Format: "anthropic"}, {Format: "openai", Surface: "chat-completions"}}
		cfg.Providers[0].Models[0].IDAliases = []string{"claude-x"}
		cfg.MaxAttempts = 1
		harness := testbed.Start(t, cfg, testbed.Hosts{"a": server.ServeHTTP}, nil)
		got := harness.Post("/v1/messages", strings.Replace(translateAskMsgs, "{", `{"stream":true,`, 1), "Anthropic-Version", "2023-06-01")
		require.Equal(t, 200, got.Status, got.Body)
		assert.Equal(t, "messages-to-chat", got.Header.Get(translateMark))
		assert.Contains(t, got.Body, "event: message_stop")
		assert.Contains(t, got.Body, "It rains.")
		assert.Equal(t, []string{"/v1/messages", "/v1/chat/completions"}, server.since())
		assert.Equal(t, "Bearer sk-a1-0123456789abcdef", header.Get("Authorization"))
		assert.Empty(t, header.Get("X-Api-Key"))
		assert.Empty(t, header.Get("Anthropic-Version"))
	})
}

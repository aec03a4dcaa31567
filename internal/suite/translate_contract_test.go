package suite_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// translateWith adds a member to a request.
func translateWith(request, member string) string {
	return strings.Replace(request, `{"model":`, `{`+member+`,"model":`, 1)
}

// TestTranslateHints: a hint is not a reason to pass a provider over, and the answer
// says nothing of it.
func TestTranslateHints(t *testing.T) {
	hints := map[string][]string{
		"/v1/chat/completions": {`"store":false`, `"prompt_cache_key":"k"`, `"metadata":{"a":"b"}`, `"user":"u"`, `"safety_identifier":"s"`, `"service_tier":"auto"`},
		"/v1/responses": {`"include":["reasoning.encrypted_content"]`, `"prompt_cache_key":"k"`, `"metadata":{"a":"b"}`, `"user":"u"`,
			`"safety_identifier":"s"`, `"service_tier":"auto"`},
		"/v1/messages": {`"cache_control":{"type":"ephemeral"}`, `"metadata":{"user_id":"u"}`, `"service_tier":"auto"`},
	}
	for _, c := range translateCases() {
		var cfg aigateway.Config
		translateProvider(t, &cfg, "p", aigateway.TranslateStrict, c.speaks, gatewaytest.JSON(200, c.answer))
		results := requestResults(&cfg)
		url := testbed.Serve(t, cfg) + c.path
		for _, hint := range hints[c.path] {
			t.Run(c.pair+"/"+hint, func(t *testing.T) {
				resp, got := requestPost(t, url, nil, translateWith(c.request, hint))
				require.Equal(t, 200, resp.StatusCode, got)
				assert.Equal(t, c.pair, resp.Header.Get(translateMark))
				assert.Empty(t, (<-results).Translation.Lost)
			})
		}
	}
}

// TestTranslatePassesOver: a request that a provider could serve only with a loss, or not
// at all, goes to the next one.
func TestTranslatePassesOver(t *testing.T) {
	for _, tt := range []struct {
		name, path, request, member, answer string
		mode                                aigateway.Translate
		speaks, next                        []aigateway.APISurface
		says                                string
	}{
		{"two answers", "/v1/chat/completions", translateAskChat, `"n":2`, translateOfChat, aigateway.TranslateOn, translateMessages, translateChat, "n is over 1"},
		{"an earlier response", "/v1/responses", translateAskResps, `"previous_response_id":"resp_9"`, translateOfResps, aigateway.TranslateOn, translateChat, translateResponses, "previous_response_id"},
		{"a loss", "/v1/messages", translateAskMsgs, `"top_k":3`, translateOfMsgs, aigateway.TranslateStrict, translateChat, translateMessages, "top_k"},
		{"a clamped temperature", "/v1/chat/completions", translateAskChat, `"temperature":1.5`, translateOfChat, aigateway.TranslateStrict, translateMessages, translateChat, "temperature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var cfg aigateway.Config
			first := translateProvider(t, &cfg, "first", tt.mode, tt.speaks, gatewaytest.JSON(500, `{}`))
			translateProvider(t, &cfg, "next", tt.mode, tt.next, gatewaytest.JSON(200, tt.answer))
			results := requestResults(&cfg)
			body := translateWith(tt.request, tt.member)
			body = regexp.MustCompile(`"model":"[^"]*"`).ReplaceAllString(body, `"models":["first:m","next:m"]`)
			resp, got := requestPost(t, testbed.Serve(t, cfg)+tt.path, nil, body)
			require.Equal(t, 200, resp.StatusCode, got)
			assert.NotContains(t, resp.Header, translateMark, "the answer is native")
			assert.Zero(t, first.Count())
			tried := (<-results).ModelsTried
			require.Len(t, tried, 2)
			said, err := json.Marshal(tried[0])
			require.NoError(t, err)
			assert.Contains(t, string(said), tt.says)
		})
	}
}

// TestTranslatedTemperature: a temperature over the range of the other format is clamped
// and named.
func TestTranslatedTemperature(t *testing.T) {
	for _, c := range translateCases() {
		t.Run(c.pair, func(t *testing.T) {
			var cfg aigateway.Config
			up := translateProvider(t, &cfg, "p", aigateway.TranslateOn, c.speaks, gatewaytest.JSON(200, c.answer))
			want, lost := `"temperature":1.5}`, ""
			if strings.HasSuffix(c.pair, "-to-messages") {
				want, lost = `"temperature":1}`, "; lost=temperature"
			}
			resp, got := requestPost(t, testbed.Serve(t, cfg)+c.path, nil, translateWith(c.request, `"temperature":1.5`))
			require.Equal(t, 200, resp.StatusCode, got)
			assert.Equal(t, c.pair+lost, resp.Header.Get(translateMark))
			assert.Contains(t, strings.ReplaceAll(string(up.Last().Body), ",", "}"), want)
		})
	}
}

// TestTranslatedRefusals: a filtered answer and a refusal tell a client of messages that
// the model refused.
func TestTranslatedRefusals(t *testing.T) {
	filtered := `{"id":"c","choices":[{"index":0,"%s":{"role":"assistant","content":"I"},"finish_reason":"content_filter"}]}`
	refused := `{"id":"c","choices":[{"index":0,"%s":{"role":"assistant","content":null,"refusal":"I"},"finish_reason":"stop"}]}`
	for name, answer := range map[string]string{"content_filter": filtered, "refusal": refused} {
		t.Run(name, func(t *testing.T) {
			var cfg aigateway.Config
			translateProvider(t, &cfg, "p", aigateway.TranslateOn, translateChat, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.Header.Get("Accept"), "event-stream") {
					gatewaytest.Stream("data: "+fmt.Sprintf(answer, "delta")+"\n\n", "data: [DONE]\n\n")(w, r)
					return
				}
				gatewaytest.JSON(200, fmt.Sprintf(answer, "message"))(w, r)
			})
			url := testbed.Serve(t, cfg) + "/v1/messages"
			for _, body := range []string{translateAskMsgs, translateAskStream(translateAskMsgs)} {
				h := http.Header{}
				if body != translateAskMsgs {
					h.Set("Accept", "text/event-stream")
				}
				resp, got := requestPost(t, url, h, body)
				require.Equal(t, 200, resp.StatusCode, got)
				assert.Contains(t, got, `"stop_reason":"refusal"`)
				assert.Contains(t, got, `"text":"I"`)
			}
		})
	}
}

// TestTranslatedStreamTokens: chat tells the tokens of a prompt at the end of a stream.
// message_start makes nothing up, and message_delta has the provider's counts.
func TestTranslatedStreamTokens(t *testing.T) {
	for _, c := range translateCases() {
		if c.path != "/v1/messages" {
			continue
		}
		t.Run(c.pair, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := translateStart(t, c, nil, gatewaytest.Stream(translateEvents(c.pair)...))
				got := h.Post(c.path, translateAskStream(c.request))
				start, rest, ok := strings.Cut(got.Body, "\n\n")
				require.True(t, ok)
				assert.Contains(t, start, `"type":"message_start"`)
				assert.Contains(t, start, `"input_tokens":0`)
				_, end, ok := strings.Cut(rest, `"type":"message_delta"`)
				require.True(t, ok, rest)
				assert.Contains(t, end, `"input_tokens":30`)
				assert.Contains(t, end, `"output_tokens":12`)
			})
		})
	}
}

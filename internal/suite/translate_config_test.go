package suite_test

import (
	"bytes"
	"io"
	"net/http"
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

// TestTranslatedCountsAtLimits: an estimate needs no room, because nothing is sent.
func TestTranslatedCountsAtLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := translateCases()[0]
		h, results := translateStart(t, c, func(cfg *aigateway.Config) {
			cfg.Providers[0].Limits = aigateway.Limits{RequestsPerMinute: 1, Wait: "30s"}
		}, gatewaytest.JSON(200, c.answer))
		require.Equal(t, 200, h.Post(c.path, c.request).Status)
		<-results
		begin := time.Now()
		a := h.Post(c.path+"/count_tokens", c.request)
		assert.Equal(t, 200, a.Status, a.Body)
		assert.Equal(t, "messages-to-chat; estimated", a.Header.Get(translateMark))
		assert.Zero(t, time.Since(begin))
	})
}

// TestTranslatedStreamOptions: a server that refuses the stream_options of a translated
// stream gets the request once more without them, and later ones without them at once.
func TestTranslatedStreamOptions(t *testing.T) {
	for _, c := range translateCases() {
		if c.speaks[0].Surface != "chat-completions" {
			continue
		}
		for _, status := range []int{400, 422, 500} {
			t.Run(c.pair+"/"+http.StatusText(status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					up := gatewaytest.Scripted(func(w http.ResponseWriter, r *http.Request) {
						body, _ := io.ReadAll(r.Body)
						if bytes.Contains(body, []byte("stream_options")) {
							gatewaytest.Error(status, "unknown_parameter", "Unrecognized request argument supplied: stream_options")(w, r)
							return
						}
						gatewaytest.Stream(translateEvents(c.pair)...)(w, r)
					})
					h, results := translateStart(t, c, func(cfg *aigateway.Config) { cfg.MaxAttempts = 1 }, up.ServeHTTP)
					for _, want := range []int{2, 1, 1} {
						a := h.Post(c.path, translateAskStream(c.request))
						require.Equal(t, 200, a.Status, a.Body)
						assert.Contains(t, a.Body, translateEnd[c.path])
						res := <-results
						made := res.ModelsTried[0].RequestsMade
						require.Len(t, made, want)
						assert.Equal(t, want == 2, made[0].StreamOptionsRefused)
						assert.Zero(t, made[0].CooldownMS)
						assert.Equal(t, []int64{30, 12}, []int64{res.InputTokens, res.OutputTokens}, "it tells usage unasked")
					}
				})
			})
		}
	}
	t.Run("those of the config are its own", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := translateCases()[0]
			up := gatewaytest.Scripted(gatewaytest.Error(400, "unknown_parameter", "Unrecognized request argument supplied: stream_options"))
			h, _ := translateStart(t, c, func(cfg *aigateway.Config) {
				cfg.Providers[0].Body = map[string]any{"stream_options": map[string]any{"include_usage": true}}
			}, up.ServeHTTP)
			assert.Equal(t, 400, h.Post(c.path, translateAskStream(c.request)).Status)
			assert.Equal(t, 1, up.Count())
		})
	})
}

// TestTranslatedParams: a field of the translated request that a list of parameters
// drops is lost, unless it is a hint.
func TestTranslatedParams(t *testing.T) {
	params := func(names ...string) (out []aigateway.Param) {
		for _, name := range names {
			out = append(out, aigateway.Param{Name: name})
		}
		return out
	}
	hinted := strings.Replace(translateAskChat, `"max_tokens"`, `"user":"u","metadata":{"a":"b"},"max_tokens"`, 1)
	for _, tt := range []struct {
		name, path, body string
		edit             func(*aigateway.Provider)
		lost             []string
	}{
		{"supported", "/v1/messages", translateAskMsgs, func(p *aigateway.Provider) {
			p.SupportedAPISurfaces[0].SupportedParams = params("model", "messages", "max_tokens")
		}, []string{"tools"}},
		{"all supported", "/v1/messages", translateAskStream(translateAskMsgs), func(p *aigateway.Provider) {
			p.SupportedAPISurfaces[0].SupportedParams = params("model", "messages", "max_tokens", "tools", "stream")
		}, nil},
		{"unsupported", "/v1/messages", translateAskMsgs, func(p *aigateway.Provider) {
			p.Models[0].UnsupportedParams = params("tools", "max_tokens", "top_p")
		}, []string{"max_tokens", "tools"}},
		{"hints", "/v1/chat/completions", hinted, func(p *aigateway.Provider) {
			p.SupportedAPISurfaces = []aigateway.APISurface{{Format: "openai", Surface: "responses"}}
			p.Models[0].UnsupportedParams = params("user", "metadata", "store", "include")
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, mode := range []aigateway.Translate{aigateway.TranslateOn, aigateway.TranslateStrict} {
				answer := translateOfChat
				if tt.name == "hints" {
					answer = translateOfResps
				}
				script := gatewaytest.JSON(200, answer)
				if strings.Contains(tt.body, `"stream":true`) {
					script = gatewaytest.Stream(translateEvents("messages-to-chat")...)
				}
				var cfg aigateway.Config
				up := translateProvider(t, &cfg, "p", mode, []aigateway.APISurface{{Format: "openai", Surface: "chat-completions"}}, script)
				tt.edit(&cfg.Providers[0])
				results := requestResults(&cfg)
				resp, got := requestPost(t, testbed.Serve(t, cfg)+tt.path, nil, tt.body)
				res := <-results
				if mode == aigateway.TranslateStrict && tt.lost != nil {
					assert.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
					assert.Contains(t, got, "would lose "+strings.Join(tt.lost, ", "))
					assert.Zero(t, up.Count(), "nothing is sent")
					continue
				}
				require.Equal(t, 200, resp.StatusCode, got)
				assert.ElementsMatch(t, tt.lost, res.Translation.Lost)
			}
		})
	}
}

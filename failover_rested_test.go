package aigateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// Where strategies choose among the keys, those chosen decide whether a candidate
// rests: another that is awake is of no use.
func TestRestOfChosenKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := failoverConfig(2, "a", "b")
		cfg.APIKeySelection.Strategy = []string{"ai.keys[0]"}
		h := newHealth(t, cfg)
		h.script["a1"] = []http.HandlerFunc{failoverLimited("60"), gatewaytest.Chat("")}
		h.walk(t, []healthStep{{0, "a1 b1"}, {time.Second, "b1"}, {59 * time.Second, "a1"}})
	})
}

// What others came before is named, with the reason.
func TestSkippedInResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		cfg := failoverConfig(1, "a", "b")
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		h := newHealth(t, cfg)
		h.tire(t)
		pass(1200 * time.Millisecond)
		failoverAsk(h.rig)
		assert.Equal(t, []aigateway.SkippedModel{{Model: "m", Provider: "a", CooldownMS: 3800}}, h.result.Skipped)
		assert.Contains(t, log.String(), `"aigateway.skipped":["a:m: in cooldown for 3.8s"]`)

		// A probe that hangs, and another request meanwhile.
		pass(3800 * time.Millisecond)
		h.set("a1", failoverSilence)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var probe sync.WaitGroup
		probe.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(failoverBody)).WithContext(ctx)
			h.gateway.ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait()
		assert.Equal(t, 200, h.send().Code)
		assert.Equal(t, []aigateway.SkippedModel{{Model: "m", Provider: "a", Probed: true}}, h.result.Skipped)
		res, err := selectionExplain(h.gateway, "/v1/chat/completions", failoverBody)
		require.NoError(t, err)
		last := res.ModelsTried[1]
		assert.True(t, last.Provider == "a" && last.Probed && last.CooldownMS == 0, "%+v", last)
		leave()
		probe.Wait()

		// A probe that fails leads to a longer rest, which its attempt tells.
		h.set("a1", failoverStatus(500, ""))
		failoverAsk(h.rig)
		assert.Equal(t, 10000.0, h.result.ModelsTried[0].RequestsMade[0].CooldownMS)
		assert.Empty(t, h.result.Skipped)

		// A request that fails beside a probe tells of no rest.
		pass(10 * time.Second)
		h.set("a1", failoverSilence)
		ctx, leave = context.WithCancel(t.Context())
		defer leave()
		probe.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(failoverBody)).WithContext(ctx)
			h.gateway.ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait()
		h.set("a1", failoverStatus(500, ""))
		h.set("b1", failoverStatus(500, ""))
		h.send()
		assert.Zero(t, h.result.ModelsTried[1].RequestsMade[0].CooldownMS)
		leave()
		probe.Wait()
		h.set("b1", gatewaytest.Chat(""))
		failoverAsk(h.rig) // the next probe, which fails

		// Where nothing else answers, what rests has its turn after all.
		h.set("b1", failoverStatus(500, ""))
		failoverAsk(h.rig)
		assert.Empty(t, h.result.Skipped)
		assert.Equal(t, 15000.0, h.result.ModelsTried[1].CooldownMS)

		// And where no attempt is left for it, it had none.
		cfg.MaxAttempts, cfg.Transport = 1, h.rig
		cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { h.result = res }}
		require.NoError(t, h.gateway.Reload(cfg))
		failoverAsk(h.rig)
		require.Len(t, h.result.Skipped, 1)
		assert.Len(t, h.result.ModelsTried, 1)
	})
}

// What a key strategy left out by itself is in the Result.
func TestNotesOfKeyStrategies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := failoverConfig(1, "a")
		cfg.APIKeySelection.Strategy = []string{"ai.keys.filter(k, k.quota.remaining_requests > 5)", "ai.keys"}
		h := newHealth(t, cfg)
		failoverAsk(h.rig)
		require.Len(t, h.result.Notes, 1)
		assert.Contains(t, h.result.Notes[0], `api_key_selection.strategy[0] for provider "a": filter: `)
	})
}

// A stream shows at its first content that the provider answers: who comes later
// does not wait for its end, be it minutes away. Whether the provider is well
// again is told by the first answer that is whole.
func TestRestProbeByStream(t *testing.T) {
	tests := []struct {
		name  string
		end   []string     // what the stream ends with
		steps []healthStep // after it
	}{
		{"whole", []string{gatewaytest.ChatStop, gatewaytest.ChatDone}, []healthStep{{0, "a1"}, {0, "a1"}}},
		{"broken", nil, []healthStep{{0, "b1"}, {9999 * time.Millisecond, "b1"}, {time.Millisecond, "a1"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHealth(t, failoverConfig(1, "a", "b"))
				h.tire(t)
				pass(5 * time.Second)
				content, end := make(chan bool), make(chan bool)
				h.set("a1", func(w http.ResponseWriter, _ *http.Request) {
					gatewaytest.StartStream(w)
					gatewaytest.Send(w, gatewaytest.ChatRole)
					<-content
					gatewaytest.Send(w, gatewaytest.ChatDelta("much"))
					<-end
					for _, event := range tt.end {
						gatewaytest.Send(w, event)
					}
				})
				var stream sync.WaitGroup
				stream.Go(func() {
					defer func() { _ = recover() }() // of a stream that breaks
					h.send()
				})
				synctest.Wait()
				assert.Contains(t, h.send().Body.String(), "from b1", "nothing is known of the primary yet")
				content <- true
				synctest.Wait()
				h.set("a1", failoverStatus(400, ""))
				for range 3 {
					assert.Contains(t, h.send().Body.String(), "from b1")
					routes := h.rig.Routes()
					assert.Equal(t, "a1", routes[len(routes)-2], "asked, though the stream goes on")
				}
				end <- true
				stream.Wait()
				h.set("a1", gatewaytest.Chat("from a1"))
				h.walk(t, tt.steps)
			})
		})
	}
}

package suite_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestEqualCallersShareNothing has two callers with equal sessions, prompts and limits.
// One moves its pin, provokes failures, stores a response and uses up its limit. The
// other finds everything as it was.
func TestEqualCallersShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(0, "a", "b", "c")
		cfg.CallerExpr = "req.headers['x-team'][0]"
		cfg.ClientLimits = []aigateway.ClientLimit{{Key: "req.headers['x-team'][0]", RequestsPerMinute: 20}}
		cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.session)"}
		s := testbed.NewScripts(t, cfg)
		ask := func(team string) (route string, answer gatewaytest.Answer) {
			answer = s.Post("/v1/chat/completions", testbed.ChatRequest, "X-Team", team, "X-Session-Id", "s")
			if routes := s.Routes(); len(routes) > 0 {
				route = routes[len(routes)-1]
			}
			return route, answer
		}
		first, _ := ask("blue")

		// The pin of one caller moves, and its failures are its own.
		s.Set(first, gatewaytest.Error(http.StatusNotFound, "not_found", "no such vector store"), gatewaytest.Fitting("ok"))
		moved := first
		for range 3 {
			moved, _ = ask("red")
		}
		require.NotEqual(t, first, moved)
		route, answer := ask("blue")
		assert.Equal(t, first, route)
		assert.Equal(t, "18", answer.Header.Get("X-Ratelimit-Remaining-Requests"))

		// What one stores the other does not find. Nothing of it is sent.
		stored := s.Post("/v1/responses", `{"model":"m","input":"hi"}`, "X-Team", "red", "X-Session-Id", "s")
		require.Equal(t, http.StatusOK, stored.Status, stored.Body)
		var response struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(stored.Body), &response))
		require.NotEmpty(t, response.ID)
		for team, sent := range map[string]int{"blue": 0, "red": 1} {
			before := len(s.Sent())
			r := httptest.NewRequest(http.MethodGet, "/v1/responses/"+response.ID, nil)
			r.Header.Set("X-Team", team)
			s.Gateway.ServeHTTP(httptest.NewRecorder(), r)
			assert.Equal(t, sent, len(s.Sent())-before, team)
		}

		// The limit of one is used up.
		for range 20 {
			_, answer = ask("red")
		}
		assert.Equal(t, http.StatusTooManyRequests, answer.Status)
		route, answer = ask("blue")
		assert.Equal(t, http.StatusOK, answer.Status)
		assert.Equal(t, first, route)
	})
}

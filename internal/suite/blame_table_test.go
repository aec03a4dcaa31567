package suite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
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

// The places that a cooldown may concern: what failed, another endpoint of the
// same model, and another model.
var failureSpots = []string{"here", "other surface", "other model"}

// failureRow is a row of the failure table, as an embedder sees it.
type failureRow struct {
	cause  aigateway.FailureCause
	name   string // of one of several ways to fail so
	fail   http.HandlerFunc
	err    error // of the transport, in place of fail
	set    func(*aigateway.Config)
	step   aigateway.Step
	again  bool // max_retries applies
	health string
	key    string
	words  int           // callers that it takes for the key to cool down
	first  time.Duration // cooldown of the key
	class  string        // of the metrics; empty: nothing was sent
}

// Whom a failure concerns.
const (
	nobody     = ""
	theModel   = "here, other surface"              // all endpoints of the model
	theSurface = "here"                             // this endpoint of the model
	theKey     = "here, other model, other surface" // all that the key is for
)

// TestFailureTable walks the failure table from outside: for each cause the next
// step, the health of the candidate and of the key, and the class of the metrics.
func TestFailureTable(t *testing.T) {
	const next, candidate, stop = aigateway.StepNextKey, aigateway.StepNextCandidate, aigateway.StepStop
	unresolved := func(c *aigateway.Config) {
		c.Providers[0].APIKeys[0].Value, c.Secrets = "${secrets.get('vault', 'key')}", aigateway.MapSecrets(nil)
	}
	silentStore := func(c *aigateway.Config) {
		c.Providers[0].APIKeys[0].Value = "${secrets.get('vault', 'key')}"
		c.Secrets = aigateway.SecretResolverFunc(func(ctx context.Context, _, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
	}
	unmade := func(c *aigateway.Config) { c.Providers[0].Body = map[string]any{"user": "${req.headers['x-none'][0]}"} }
	retried := func(r failureRow) failureRow { r.again = true; return r }
	rows := []failureRow{
		{cause: aigateway.CauseSecret, set: unresolved, step: next},
		{cause: aigateway.CauseSecret, name: "silent store", set: silentStore, step: next},
		{cause: aigateway.CauseRequest, set: unmade, step: candidate},
		{cause: aigateway.CauseConnect, err: &net.OpError{Op: "dial", Err: errors.New("refused")}, step: next, health: theModel, class: "server"},
		{cause: aigateway.CauseConnect, name: "DNS", err: &net.DNSError{Err: "no such host", IsNotFound: true}, step: next, health: theModel, class: "server"},
		retried(failureRow{cause: aigateway.CauseNetwork, fail: gatewaytest.Abort, step: next, health: theModel, class: "server"}),
		{cause: aigateway.CauseTimeout, fail: gatewaytest.Silence, step: next, health: theModel, class: "timeout"},
		{cause: aigateway.CauseAnswer, fail: gatewaytest.JSON(200, `{"choices":[`), step: next, health: theModel, class: "server"},
		{cause: aigateway.CauseAnswer, name: "an error under 200", fail: gatewaytest.JSON(200, `{"error":{"message":"no"}}`), step: next, health: theModel, class: "server"},
		retried(failureRow{cause: aigateway.CauseServer, fail: gatewaytest.KeyError(500, ""), step: next, health: theModel, class: "server"}),
		retried(failureRow{cause: aigateway.CauseServer, name: "424", fail: gatewaytest.KeyError(424, ""), step: next, health: theModel, class: "server"}),
		retried(failureRow{cause: aigateway.CauseServer, name: "499", fail: gatewaytest.KeyError(499, ""), step: next, health: theModel, class: "server"}),
		{cause: aigateway.CauseRedirect, fail: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) },
			step: next, health: theModel, class: "server"},
		{cause: aigateway.CauseDeadKey, fail: gatewaytest.KeyError(401, ""), step: next, key: theKey, words: 1, first: time.Minute, class: "server"},
		{cause: aigateway.CauseDeadKey, name: "402", fail: gatewaytest.KeyError(402, ""), step: next, key: theKey, words: 1, first: time.Minute, class: "server"},
		{cause: aigateway.CauseDeadKey, name: "400", fail: gatewaytest.KeyError(400, "invalid_api_key"), step: next, key: theKey, words: 1, first: time.Minute, class: "server"},
		{cause: aigateway.CauseDeadKey, name: "429", fail: gatewaytest.KeyError(429, "insufficient_quota"), step: next, key: theKey, words: 1, first: time.Minute, class: "server"},
		{cause: aigateway.CauseScope, fail: gatewaytest.Error(401, "", "You have insufficient permissions for this operation. Missing scopes: model.request."),
			step: next, key: theSurface, words: 2, first: time.Minute, class: "server"},
		{cause: aigateway.CauseForbidden, fail: gatewaytest.KeyError(403, ""), step: next, key: theModel, words: 2, first: time.Minute, class: "server"},
		{cause: aigateway.CauseRateLimit, fail: gatewaytest.KeyError(429, ""), step: next, key: theModel, words: 1, first: 5 * time.Second, class: "rate_limit"},
		retried(failureRow{cause: aigateway.CauseRateLimit, name: "for 7 s", fail: gatewaytest.RateLimited("7"), step: next, key: theModel, words: 1, first: 7 * time.Second, class: "rate_limit"}),
		{cause: aigateway.CauseQuota, fail: gatewaytest.Error(402, "", "This request would exceed your available credits"),
			step: next, key: theKey, words: 1, first: 5 * time.Second, class: "rate_limit"},
		{cause: aigateway.CauseModel, fail: gatewaytest.KeyError(404, "model_not_found"), step: next, health: theModel, class: "server"},
		{cause: aigateway.CauseEndpoint, fail: http.NotFound, step: next, health: theSurface, class: "server"},
		{cause: aigateway.CauseEndpoint, name: "501", fail: gatewaytest.KeyError(501, ""), step: next, health: theSurface, class: "server"},
		{cause: aigateway.CauseEndpoint, name: "405 without an error", fail: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusMethodNotAllowed) },
			step: next, health: theSurface, class: "server"},
		{cause: aigateway.CauseNotFound, fail: gatewaytest.Error(404, "", "No file found with id file_1"), step: next, class: "client"},
		{cause: aigateway.CauseConflict, fail: gatewaytest.KeyError(409, ""), step: next, class: "client"},
		{cause: aigateway.CauseConflict, name: "408", fail: gatewaytest.KeyError(408, ""), step: next, class: "client"},
		{cause: aigateway.CauseConflict, name: "another organization's", fail: gatewaytest.KeyError(400, "invalid_encrypted_content"), step: next, class: "client"},
		{cause: aigateway.CauseTooLarge, fail: gatewaytest.KeyError(413, ""), step: candidate, class: "client"},
		{cause: aigateway.CauseTooLarge, name: "told by 429", fail: gatewaytest.Error(429, "", "Request too large for m: Limit 1, Requested 2."), step: candidate, class: "client"},
		{cause: aigateway.CauseClient, fail: gatewaytest.KeyError(400, ""), step: candidate, class: "client"},
		{cause: aigateway.CauseClient, name: "422", fail: gatewaytest.KeyError(422, ""), step: candidate, class: "client"},
		{cause: aigateway.CauseRefusal, fail: gatewaytest.KeyError(400, "content_filter"), step: stop, class: "client"},
		{cause: aigateway.CauseRefusal, name: "403", fail: gatewaytest.KeyError(403, "content_filter"), step: stop, class: "client"},
	}
	causes := map[aigateway.FailureCause]bool{}
	for _, row := range rows {
		causes[row.cause] = true
		t.Run(strings.TrimSpace(string(row.cause)+" "+row.name), func(t *testing.T) {
			for _, check := range []func(*testing.T){row.checkStep, row.checkKey, row.checkCandidate} {
				synctest.Test(t, func(t *testing.T) {
					check(t)
					gatewaytest.Pass(time.Minute) // a question to a store may outlive its request
				})
			}
		})
	}
	assert.Len(t, causes, 20, "every cause has a row: %v", slices.Sorted(maps.Keys(causes)))
}

// start makes a gateway whose provider "a" fails as the row says.
func (row failureRow) start(t *testing.T, policy aigateway.FailoverPolicy, retries int) blameBench {
	cfg := testbed.Config(1, "a", "b")
	cfg.PerRequestTimeout, cfg.FailoverPolicy, cfg.MaxRetries = "5s", policy, retries
	for i := range cfg.Providers {
		cfg.Providers[i].Models = append(cfg.Providers[i].Models, aigateway.Model{ID: "m2"})
	}
	if row.set != nil {
		row.set(&cfg)
	}
	b := newBlameBench(t, cfg)
	if row.err != nil {
		b.Unreachable("a", row.err)
	}
	b.Set("a1", row.fail)
	return b
}

// checkStep asks the policy for the next step, with max_retries and without, and
// looks the metrics up.
func (row failureRow) checkStep(t *testing.T) {
	var first aigateway.Failure
	rules := aigateway.DefaultFailoverPolicy()
	policy := aigateway.FailoverPolicyFunc(func(f aigateway.Failure) aigateway.Step {
		if first.Provider == "" {
			first = f
		}
		return rules.NextStep(f)
	})
	b := row.start(t, policy, 0)
	b.asks("ann")
	assert.Equal(t, row.cause, first.Cause)
	assert.Equal(t, row.step, rules.NextStep(first))
	first.MaxRetries = 1
	want := row.step
	if row.again {
		want = aigateway.StepRetry
	}
	assert.Equal(t, want, rules.NextStep(first), "with max_retries")
	first.NoRetry = true
	assert.Equal(t, row.step, rules.NextStep(first), "with x-should-retry: false")

	w := httptest.NewRecorder()
	b.Gateway.DebugHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?format=json", nil))
	var page struct {
		Models []struct {
			Provider string
			Load     struct {
				Requests int
				Rates    map[string]float64 `json:"error_rate"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
	for _, m := range page.Models {
		if m.Provider != "a" || m.Load.Requests == 0 {
			continue
		}
		for _, class := range []string{"server", "timeout", "rate_limit", "client"} {
			rate := 0.0
			if class == row.class {
				rate = 1
			}
			assert.Equal(t, rate, m.Load.Rates[class], "the rate of %s", class)
		}
		return
	}
	assert.Empty(t, row.class, "the model has no requests on the page")
}

// checkKey has one caller, and then another, be refused, and looks where the key
// cools down.
func (row failureRow) checkKey(t *testing.T) {
	b := row.start(t, nil, 0)
	b.asks("ann")
	made := b.Result().ModelsTried[0].RequestsMade[0].CooldownMS
	one := b.cooldowns(t, func(m aigateway.TriedModel) float64 {
		if len(m.APIKeySelection) == 0 {
			return 0
		}
		return m.APIKeySelection[0].CooldownMS
	})
	if row.words != 1 {
		assert.Empty(t, one, "on one caller's word")
		assert.Zero(t, made)
		b.asks("ann")
		b.asks("bob")
		if row.words == 2 {
			made = b.Result().ModelsTried[0].RequestsMade[0].CooldownMS
		}
		one = b.cooldowns(t, func(m aigateway.TriedModel) float64 { return m.APIKeySelection[0].CooldownMS })
	}
	assert.Equal(t, row.key, strings.Join(slices.Sorted(maps.Keys(one)), ", "))
	for _, ms := range one {
		assert.EqualValues(t, row.first.Milliseconds(), ms)
	}
	assert.EqualValues(t, row.first.Milliseconds(), made, "as the attempt shows it")
}

// checkCandidate has two callers fail in turn, five times in a row, and looks
// where the candidate cools down. The cooldowns of the key end in between.
func (row failureRow) checkCandidate(t *testing.T) {
	b := row.start(t, nil, 0)
	for i := range 5 {
		gatewaytest.Pass(11 * time.Minute)
		assert.Empty(t, b.cooldowns(t, func(m aigateway.TriedModel) float64 { return m.CooldownMS }), "after %d failures", i)
		b.asks([]string{"ann", "bob"}[i%2])
	}
	got := b.cooldowns(t, func(m aigateway.TriedModel) float64 { return m.CooldownMS })
	assert.Equal(t, row.health, strings.Join(slices.Sorted(maps.Keys(got)), ", "))
	for _, ms := range got {
		assert.Equal(t, 5000.0, ms)
	}
}

// cooldowns returns the spots at which a third caller finds provider "a" in
// cooldown, with what is left.
func (b blameBench) cooldowns(t *testing.T, of func(aigateway.TriedModel) float64) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	for i, spot := range failureSpots {
		path, model := "/v1/chat/completions", "m"
		switch i {
		case 1:
			path = "/v1/completions"
		case 2:
			model = "m2"
		}
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fmt.Sprintf(`{"model":%q,"messages":[],"prompt":"x"}`, model)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Caller", "cleo")
		res, err := b.Gateway.Explain(r)
		if i == 2 && err != nil {
			continue // there is no other model
		}
		require.NoError(t, err)
		for _, m := range res.ModelsTried {
			if m.Provider == "a" && of(m) > 0 {
				found[spot] = of(m)
			}
		}
	}
	return found
}

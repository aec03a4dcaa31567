package suite_test

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

// fieldDeadKeys are answers to a key that is dead, in providers' own words.
var fieldDeadKeys = []struct {
	name   string
	status int
	body   string
}{
	{"DeepSeek", 402, `{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}`},
	{"OpenAI's quota", 429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`},
	{"OpenAI's credit", 429, `{"error":{"message":"Your credit is used up.","type":"insufficient_quota","code":"credit_balance_exhausted"}}`},
	{"OpenAI's hard limit", 400, `{"error":{"message":"Billing hard limit has been reached","type":"invalid_request_error","code":"billing_hard_limit_reached"}}`},
	{"OpenAI", 401, `{"error":{"message":"Incorrect API key provided: sk-a1.","type":"invalid_request_error","code":"invalid_api_key"}}`},
	{"OpenAI's closed account", 401, `{"error":{"message":"The account is closed.","code":"account_deactivated"}}`},
	{"Google", 400, `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]`},
	{"Google's expired key", 400, `{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT"}}`},
	{"Google's leaked key", 403, `{"error":{"code":403,"message":"Your API key was reported as leaked. Please use another API key.","status":"PERMISSION_DENIED"}}`},
	{"Google's suspended project", 403, `{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED","details":[{"reason":"CONSUMER_SUSPENDED"}]}}`},
	{"Anthropic's credit", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."}}`},
	{"Anthropic's organization", 403, `{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}`},
	{"xAI", 400, `{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***1f. You can obtain an API key from https://console.x.ai."}`},
	{"xAI's credit", 403, `{"code":"The caller does not have permission to execute the specified operation","error":"Your team x has either used all available credits or reached its monthly spending limit."}`},
	{"Fireworks", 412, `{"error":{"object":"error","type":"invalid_request_error","code":"invalid_request_error","message":"Account x is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices."}}`},
	{"Groq", 400, `{"error":{"message":"Organization has been restricted. Please reach out to support.","type":"invalid_request_error","code":"organization_restricted"}}`},
	{"Moonshot", 429, `{"error":{"message":"Your account is suspended due to insufficient balance","type":"exceeded_current_quota_error"}}`},
	{"OpenRouter", 402, `{"error":{"code":402,"message":"Insufficient credits"}}`},
	{"Mistral", 401, `{"detail":"Unauthorized"}`},
	{"Cerebras", 401, `{"message":"Wrong API Key","type":"invalid_request_error","param":"api_key","code":"wrong_api_key"}`},
}

// fieldAnswer answers with a status and a body.
func fieldAnswer(status int, body string) http.HandlerFunc { return gatewaytest.JSON(status, body) }

// fieldEvent answers a stream whose first event is an error.
func fieldEvent(body string) http.HandlerFunc {
	return gatewaytest.Stream("event: error\ndata: " + strings.Trim(body, "[]") + "\n\n")
}

// TestFieldDeadKeys: a pool of 14 keys, of which only the last is good, serves from
// the second request on, and then without a detour.
func TestFieldDeadKeys(t *testing.T) {
	for _, dead := range fieldDeadKeys {
		for form, ask := range map[string]func(*gatewaytest.Harness) gatewaytest.Answer{"JSON": testbed.Ask, "a stream": testbed.AskStream} {
			for _, event := range []bool{false, true} {
				if event && form == "JSON" {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/event %t", dead.name, form, event), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := testbed.NewScripts(t, testbed.Config(14, "a"))
						for i := range 13 {
							h := fieldAnswer(dead.status, dead.body)
							if event {
								h = fieldEvent(dead.body)
							}
							s.Set(fmt.Sprintf("a%d", i+1), h)
						}
						got := ask(s.Harness)
						assert.Len(t, s.Routes(), 10, "max_attempts")
						assert.Equal(t, http.StatusBadGateway, got.Status, got.Body)
						assert.Contains(t, got.Body, "upstream_authentication_failed")
						for i := range 19 {
							gatewaytest.Pass(2 * time.Second)
							got := ask(s.Harness)
							assert.Equal(t, http.StatusOK, got.Status, got.Body)
							if i > 0 {
								assert.Equal(t, []string{"a14"}, s.Routes())
							}
						}
					})
				})
			}
		}
	}
}

// TestFieldDeadKeyOfTwo: whatever the status that says so, a dead key leads to the
// next key, and then is left in peace. With a second provider nothing differs.
func TestFieldDeadKeyOfTwo(t *testing.T) {
	for _, dead := range fieldDeadKeys {
		for _, providers := range [][]string{{"a"}, {"a", "b"}} {
			for _, path := range []string{fieldChat, fieldMessages} {
				t.Run(fmt.Sprintf("%s/%d%s", dead.name, len(providers), path), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := testbed.NewScripts(t, testbed.Config(2, providers...))
						s.Set("a1", fieldAnswer(dead.status, dead.body))
						got := s.Post(path, testbed.ChatRequest)
						assert.Equal(t, http.StatusOK, got.Status, got.Body)
						assert.Contains(t, got.Body, "from a2")
						got = s.Post(path, testbed.ChatRequest)
						assert.Contains(t, got.Body, "from a2")
						assert.Equal(t, []string{"a2"}, s.Routes())
						gatewaytest.Pass(11 * time.Minute)
						got = s.Post(path, testbed.ChatRequest)
						assert.Equal(t, http.StatusOK, got.Status, got.Body)
					})
				})
			}
		}
	}
}

// TestFieldDeadKeyAlone: the gateway's own dead key is not the client's fault.
func TestFieldDeadKeyAlone(t *testing.T) {
	for _, dead := range fieldDeadKeys {
		for _, path := range []string{fieldChat, fieldMessages} {
			t.Run(dead.name+path, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := testbed.NewScripts(t, testbed.Config(1, "a"))
					s.Set("a1", fieldAnswer(dead.status, dead.body))
					got := s.Post(path, testbed.ChatRequest)
					assert.Equal(t, http.StatusBadGateway, got.Status)
					assert.Contains(t, got.Body, "upstream_authentication_failed")
					assert.Equal(t, "false", got.Header.Get("X-Should-Retry"))
					assert.NotContains(t, got.Body, "sk-a1")
					assert.NotContains(t, got.Body, "credit")
				})
			})
		}
	}
}

// TestFieldTenants: a key that depends on the request has a health for each of its
// values. One tenant's refusal does not move another.
func TestFieldTenants(t *testing.T) {
	tenants := map[string]string{"a": "sk-ta-0123456789abcdef", "b": "sk-tb-0123456789abcdef", "c": "sk-tc-0123456789abcdef"}
	for _, tt := range []struct {
		name    string
		refusal http.HandlerFunc
	}{
		{"429", gatewaytest.RateLimited("60")},
		{"429 of the whole key", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "60")
			gatewaytest.Error(429, "usage_limit_reached", "the limit of the account")(w, r)
		}},
		{"401", gatewaytest.Error(401, "invalid_api_key", "no such key")},
		{"402", gatewaytest.Error(402, "", "Insufficient Balance")},
		{"429 without money", gatewaytest.Error(429, "insufficient_quota", "no money")},
		{"400 of a dead key", gatewaytest.Error(400, "invalid_api_key", "no such key")},
	} {
		for _, template := range []aigateway.Template{
			"${secrets.get('tenants', req.headers['x-tenant'][0])}",
			"sk-t${req.headers['x-tenant'][0]}-0123456789abcdef",
		} {
			t.Run(fmt.Sprintf("%s/%.10s", tt.name, template), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := testbed.Config(1, "a", "spare")
					cfg.Providers[0].APIKeys[0].Value = template
					cfg.Secrets = aigateway.SecretResolverFunc(func(_ context.Context, _, name string) (string, error) { return tenants[name], nil })
					s := testbed.NewScripts(t, cfg)
					s.Set("ta", tt.refusal)
					ask := func(tenant string) string {
						got := s.Post(fieldChat, testbed.ChatRequest, "X-Tenant", tenant)
						assert.Equal(t, http.StatusOK, got.Status, got.Body)
						return strings.Join(s.Routes(), " ")
					}
					assert.Equal(t, "tb", ask("b"))
					assert.Equal(t, "ta spare1", ask("a"))
					for range 3 {
						assert.Equal(t, "tb", ask("b"), "the other tenant stays")
						assert.Equal(t, "tc", ask("c"), "and so does one who is new")
						assert.Equal(t, "spare1", ask("a"))
					}
				})
			})
		}
	}
}

// TestFieldOperatorsWords: a client is not told the source of a strategy, the
// address of a provider, or advice that only an operator can follow.
func TestFieldOperatorsWords(t *testing.T) {
	for _, tt := range []struct {
		name   string
		set    func(*aigateway.Config)
		a      http.HandlerFunc
		status int
		hides  []string
	}{
		{"a strategy that fails", func(c *aigateway.Config) {
			c.ModelSelection.Strategy = []string{`ai.models.filter(m, {'customer-acme': true}[req.headers['x-none'][0]])`}
		}, nil, 422, []string{"customer-acme", "filter", "x-none"}},
		{"a key strategy that fails", func(c *aigateway.Config) {
			c.APIKeySelection.Strategy = []string{`ai.keys.filter(k, {'customer-acme': true}[req.headers['x-none'][0]])`}
		}, nil, 400, []string{"customer-acme", "filter", "x-none"}},
		{"a secret that is not there", func(c *aigateway.Config) {
			c.Providers[0].APIKeys[0].Value = "${secrets.get('vault-acme', 'name-acme')}"
			c.Secrets = aigateway.MapSecrets(nil)
		}, nil, 502, []string{"vault-acme", "name-acme", "secrets"}},
		{"a page", nil, gatewaytest.Content("text/html", "<html>"), 503, []string{"a.internal", "base_url"}},
		{"an answer without choices", nil, gatewaytest.JSON(200, `{}`), 503, []string{"a.internal", "base_url"}},
		{"a 404 of a router", nil, gatewaytest.Content("text/plain", ""), 503, []string{"a.internal", "base_url"}},
		{"a dead key", nil, gatewaytest.Error(401, "invalid_api_key", "no such key in organization acme"), 502, []string{"a.internal", "acme"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				if tt.set != nil {
					tt.set(&cfg)
				}
				s := testbed.NewScripts(t, cfg)
				if tt.a != nil {
					s.Set("a1", tt.a)
				}
				got := testbed.Ask(s.Harness)
				assert.Equal(t, tt.status, got.Status, got.Body)
				for _, word := range tt.hides {
					assert.NotContains(t, got.Body, word)
				}
			})
		})
	}
}

// TestFieldRotatedSecret: a secret that was rotated is seen by the request that
// finds the old one refused.
func TestFieldRotatedSecret(t *testing.T) {
	value := "sk-old-0123456789abcdef"
	cfg := testbed.Config(1, "a")
	cfg.Providers[0].APIKeys[0].Value = "${secrets.get('v', 'k')}"
	cfg.Secrets = aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) { return value, nil })
	var sent []string
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, strings.Split(r.Header.Get("Authorization"), "-")[1])
		w := httptest.NewRecorder()
		if r.Header.Get("Authorization") == "Bearer sk-old-0123456789abcdef" && value != "sk-old-0123456789abcdef" {
			gatewaytest.Error(401, "invalid_api_key", "no")(w, r)
		} else {
			gatewaytest.Fitting("ok")(w, r)
		}
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	for i, next := range []string{"sk-old-0123456789abcdef", "sk-new-0123456789abcdef", "sk-new-0123456789abcdef"} {
		value = next
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodPost, fieldChat, strings.NewReader(testbed.ChatRequest)))
		assert.Equal(t, http.StatusOK, w.Code, "%d: %s", i, w.Body)
	}
	assert.Equal(t, []string{"old", "old", "new", "new"}, sent)
}

// TestFieldOtherOrganization: two keys of two organizations share a conversation. What
// one of them encrypted, the other refuses with 400 (sub2api#3038, litellm#18094). The
// request goes on to the key that can read it, and no health changes.
func TestFieldOtherOrganization(t *testing.T) {
	const input = `{"model":"m","input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"},{"role":"user","content":"go on"}]}`
	for name, refusal := range map[string]string{
		"by its code":     `{"error":{"message":"no","type":"invalid_request_error","param":null,"code":"invalid_encrypted_content"}}`,
		"by its words":    `{"error":{"message":"The encrypted content gAAA...xWBV could not be verified.","type":"invalid_request_error","param":null,"code":null}}`,
		"without a right": `{"error":{"message":"Your organization must be verified to generate reasoning summaries. Please go to: https://platform.openai.com/settings","type":"invalid_request_error","param":"reasoning.summary","code":"unsupported_value"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				harness := testbed.Start(t, testbed.Config(2, "a"), testbed.Hosts{"a": func(w http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.Header.Get("Authorization"), "sk-a1") {
						gatewaytest.JSON(400, refusal)(w, r)
						return
					}
					gatewaytest.Fitting("read by a2")(w, r)
				}}, nil)
				for range 8 {
					got := harness.Post("/v1/responses", input)
					assert.Equal(t, 200, got.Status, got.Body)
					assert.Equal(t, []string{"a1", "a2"}, harness.Routes(), "a1 stays healthy")
				}
			})
		})
	}
}

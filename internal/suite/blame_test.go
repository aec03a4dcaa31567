package suite_test

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// blameBench is a gateway in a bubble whose callers are named by X-Caller.
type blameBench struct{ *testbed.Scripts }

func newBlameBench(t *testing.T, cfg aigateway.Config) blameBench {
	cfg.Caller = func(r *http.Request) string { return r.Header.Get("X-Caller") }
	return blameBench{testbed.NewScripts(t, cfg)}
}

// asks sends a chat request of a caller, and returns the routes that it went.
func (b blameBench) asks(caller string, header ...string) string {
	return b.sends(caller, testbed.ChatRequest, header...)
}

func (b blameBench) sends(caller, body string, header ...string) string {
	b.Post("/v1/chat/completions", body, append([]string{"X-Caller", caller}, header...)...)
	return strings.Join(b.Routes(), " ")
}

func times(n int, f func()) {
	for range n {
		f()
	}
}

// TestBlameOfOneClient has one client fail at a provider, in ways that it can
// provoke. The others keep the provider.
func TestBlameOfOneClient(t *testing.T) {
	const file = "No vector store found with id vs_1"
	for _, tt := range []struct {
		name string
		fail http.HandlerFunc
		// itself is the client's own way after twenty failures, and others the way
		// of the next client.
		itself, others string
	}{
		{"404 of a file", gatewaytest.Error(404, "", file), "a1 b1", "a1"},
		{"404 of the model", gatewaytest.Error(404, "model_not_found", "no such model"), "b1", "a1"},
		{"404 without an error", http.NotFound, "b1", "a1"},
		{"402 for its max_tokens", gatewaytest.Error(402, "402", "This request requires more credits, or fewer max_tokens. You requested up to 65536."), "a1 b1", "a1"},
		{"403", gatewaytest.KeyError(403, ""), "a1 b1", "a1"},
		{"405", gatewaytest.KeyError(405, ""), "a1 b1", "a1"},
		{"408", gatewaytest.KeyError(408, ""), "a1 b1", "a1"},
		{"409", gatewaytest.KeyError(409, ""), "a1 b1", "a1"},
		{"400", gatewaytest.KeyError(400, ""), "a1 b1", "a1"},
		{"429 of this request alone", gatewaytest.Error(429, "rate_limit_exceeded", "Request too large for m: Limit 1, Requested 2."), "a1 b1", "a1"},
		{"500", gatewaytest.KeyError(500, ""), "b1", "a1"},
		{"501", gatewaytest.KeyError(501, ""), "b1", "a1"},
		{"503", gatewaytest.KeyError(503, ""), "b1", "a1"},
		{"424", gatewaytest.KeyError(424, ""), "b1", "a1"},
		{"499", gatewaytest.KeyError(499, ""), "b1", "a1"},
		{"302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "b1", "a1"},
		{"reset", gatewaytest.Abort, "b1", "a1"},
		{"silence", gatewaytest.Silence, "b1", "a1"},
		{"broken JSON", gatewaytest.JSON(200, `{"choices":[`), "b1", "a1"},
		{"error under 200", gatewaytest.JSON(200, `{"error":{"message":"no capacity"}}`), "b1", "a1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBlameBench(t, testbed.Config(1, "a", "b"))
				b.Set("a1", tt.fail)
				times(20, func() {
					b.asks("hostile")
					gatewaytest.Pass(200 * time.Millisecond)
				})
				assert.Equal(t, tt.itself, b.asks("hostile"))
				b.Set("a1", gatewaytest.Chat(""))
				assert.Equal(t, tt.others, b.asks("ann"))
				assert.Equal(t, tt.others, b.asks("bob"))
			})
		})
	}
}

// TestBlameOfLeaving: clients that leave say nothing about the provider, whoever
// and however many they are.
func TestBlameOfLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlameBench(t, testbed.Config(1, "a", "b"))
		b.Set("a1", gatewaytest.Silence)
		for i := range 20 {
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			_, err := b.Open(ctx, "/v1/chat/completions", testbed.ChatRequest, "X-Caller", fmt.Sprint("caller ", i))
			leave()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			synctest.Wait()
		}
		b.Set("a1", gatewaytest.Chat(""))
		assert.Equal(t, "a1", b.asks("ann"))
	})
}

// TestBlameOfAddresses: if no caller is named, clients are told apart by their
// addresses, whatever their ports. Of IPv6 a client has a whole /64.
func TestBlameOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.Caller = nil
		h := gatewaytest.NewHarness(t)
		down := true
		h.Host("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if down {
				gatewaytest.KeyError(500, "")(w, r)
				return
			}
			gatewaytest.Chat("")(w, r)
		}))
		h.Host("b", gatewaytest.Chat(""))
		cfg.Transport = h
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		ask := func(addr string) string {
			before := len(h.Sent())
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest))
			r.RemoteAddr = addr
			g.ServeHTTP(httptest.NewRecorder(), r)
			var routes []string
			for _, s := range h.Sent()[before:] {
				routes = append(routes, s.Route)
			}
			return strings.Join(routes, " ")
		}
		for port := range 5 {
			assert.Equal(t, "a1 b1", ask(fmt.Sprintf("10.0.0.1:%d", 1000+port)))
		}
		for host := range 3 {
			assert.Equal(t, "b1", ask(fmt.Sprintf("10.0.0.1:%d", 2000+host)))
		}
		assert.Equal(t, "a1 b1", ask("10.0.0.2:1000"), "the second caller's failure completes the row")
		assert.Equal(t, "b1", ask("10.0.0.3:1000"), "and the provider cools down for everybody")
		down = false
		gatewaytest.Pass(5 * time.Second)
		assert.Equal(t, "a1", ask("10.0.0.3:1000"))

		down = true
		for host := range 5 {
			assert.Equal(t, "a1 b1", ask(fmt.Sprintf("[2001:db8::%d]:1000", host)))
		}
		assert.Equal(t, "b1", ask("[2001:db8::abcd]:1000"), "of the same network")
		assert.Equal(t, "a1 b1", ask("[2001:db8:0:1::1]:1000"), "of another")
	})
}

// TestBlameIsTakenBack: failures that a request met at each of its candidates are
// its own fault, whoever sent it, unless nothing could have provoked them.
func TestBlameIsTakenBack(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	for _, tt := range []struct {
		name  string
		a, b  http.HandlerFunc
		down  bool // connections fail, at both
		stays bool // the failures of "a" stay
	}{
		{"500 everywhere", gatewaytest.KeyError(500, ""), gatewaytest.KeyError(500, ""), false, false},
		{"500 and 503", gatewaytest.KeyError(500, ""), gatewaytest.KeyError(503, ""), false, false},
		{"500 and a broken answer", gatewaytest.KeyError(500, ""), gatewaytest.JSON(200, "{"), false, false},
		{"500 and silence", gatewaytest.KeyError(500, ""), gatewaytest.Silence, false, false},
		{"silence everywhere", gatewaytest.Silence, gatewaytest.Silence, false, false},
		{"500 and 400", gatewaytest.KeyError(500, ""), gatewaytest.KeyError(400, ""), false, true},
		{"500 and 409", gatewaytest.KeyError(500, ""), gatewaytest.KeyError(409, ""), false, true},
		{"500 and 429", gatewaytest.KeyError(500, ""), gatewaytest.KeyError(429, ""), false, true},
		{"500, and the other answers", gatewaytest.KeyError(500, ""), gatewaytest.Chat(""), false, true},
		{"no connection anywhere", nil, nil, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBlameBench(t, testbed.Config(1, "a", "b"))
				b.Set("a1", tt.a)
				b.Set("b1", tt.b)
				if tt.down {
					b.Unreachable("a", refused)
					b.Unreachable("b", refused)
				}
				for i := range 20 {
					b.asks(fmt.Sprint("caller ", i))
				}
				found := b.cooldowns(t, func(m aigateway.TriedModel) float64 { return m.CooldownMS })
				assert.Equal(t, tt.stays, found["here"] > 0, "a cooldown: %v", found)
			})
		})
	}
	t.Run("attempts ran out before the last candidate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cfg := testbed.Config(1, "a", "b", "c")
			cfg.MaxAttempts = 2
			b := newBlameBench(t, cfg)
			b.Set("a1", gatewaytest.KeyError(500, ""))
			b.Set("b1", gatewaytest.KeyError(500, ""))
			for i := range 5 {
				assert.Equal(t, "a1 b1", b.asks(fmt.Sprint("caller ", i)))
			}
			assert.Equal(t, "c1", b.asks("ann"), "two dead providers do not hide the third")
		})
	})
}

// TestBlameOfModels: a 429 of one model says nothing about the others, and never
// lasts longer than 10 minutes.
func TestBlameOfModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		for i := range cfg.Providers {
			cfg.Providers[i].Models = append(cfg.Providers[i].Models, aigateway.Model{ID: "small"})
		}
		b := newBlameBench(t, cfg)
		small := strings.Replace(testbed.ChatRequest, `"m"`, `"small"`, 1)
		b.Set("a1", gatewaytest.RateLimited("86400"), gatewaytest.Chat(""))
		assert.Equal(t, "a1 b1", b.asks("ann"))
		assert.Equal(t, "b1", b.asks("bob"))
		assert.Equal(t, "a1", b.sends("bob", small))
		assert.Equal(t, "b1", b.asks("bob"), "a success of one model says nothing about the others")
		gatewaytest.Pass(10*time.Minute - time.Second)
		assert.Equal(t, "b1", b.asks("bob"))
		gatewaytest.Pass(time.Second)
		assert.Equal(t, "a1", b.asks("bob"))

		// The account is another matter.
		b.Set("a1", gatewaytest.Error(429, "insufficient_quota", "You exceeded your current quota"), gatewaytest.Chat(""))
		assert.Equal(t, "a1 b1", b.asks("ann"))
		assert.Equal(t, "b1", b.sends("bob", small))

		// Another key ends it.
		cfg.Providers[0].APIKeys[0].Value = "sk-a2-0123456789abcdef"
		cfg.Transport, cfg.Hooks = b.Harness, b.Hooks()
		require.NoError(t, b.Gateway.Reload(cfg))
		assert.Equal(t, "a2", b.sends("bob", small))
		assert.Equal(t, "a2", b.asks("bob"))
	})
}

// TestBlameOfForm: a client that sends its credential in a form that the provider
// does not take is not the end of the key.
func TestBlameOfForm(t *testing.T) {
	for _, tt := range []struct {
		name, takes, header, value string
	}{
		{"Bearer at a provider of x-api-key", "X-Api-Key", "Authorization", "Bearer sk-client-0123456789"},
		{"x-api-key at a provider of Bearer", "Authorization", "X-Api-Key", "sk-client-0123456789"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.Caller = func(r *http.Request) string { return r.Header.Get("X-Caller") }
				wants, answer := tt.takes, gatewaytest.Content("application/json", `{"type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}`)
				host := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get(wants) == "" {
						gatewaytest.Error(401, "", "no credential")(w, r)
						return
					}
					answer(w, r)
				})
				h := gatewaytest.NewHarness(t)
				h.Host("a", host)
				h.Host("b", answer)
				cfg.Transport = h
				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				h.ServeGateway(g)
				ask := func(header ...string) string {
					h.Post("/v1/messages", `{"model":"m","max_tokens":9,"messages":[]}`, header...)
					return strings.Join(h.Routes(), " ")
				}
				assert.Equal(t, "a1 a1", ask("X-Caller", "hostile", tt.header, tt.value), "once more in the other form")
				times(5, func() {
					assert.Equal(t, "a1", ask("X-Caller", "hostile", tt.header, tt.value), "the form is remembered")
				})
				assert.Equal(t, "a1", ask("X-Caller", "ann"))
				require.NoError(t, g.Reload(cfg))
				assert.Equal(t, "a1", ask("X-Caller", "hostile", tt.header, tt.value), "after a Reload too")

				// If both forms are refused, the key is.
				wants = "X-None"
				g2, err := aigateway.New(cfg)
				require.NoError(t, err)
				h2 := gatewaytest.NewHarness(t)
				h2.ServeGateway(g2)
				post := func(header ...string) string {
					before := len(h.Sent())
					h2.Post("/v1/messages", `{"model":"m","max_tokens":9,"messages":[]}`, header...)
					var routes []string
					for _, s := range h.Sent()[before:] {
						routes = append(routes, s.Route)
					}
					return strings.Join(routes, " ")
				}
				assert.Equal(t, "a1 a1 b1", post("X-Caller", "hostile", tt.header, tt.value))
				assert.Equal(t, "b1", post("X-Caller", "ann"))
			})
		})
	}
}

// TestBlameOfNames: a flood of made-up names does not end the memory of models
// that the config does not list.
func TestBlameOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBlameBench(t, testbed.Config(1, "a", "b"))
		named := func(caller, model string) string {
			return b.sends(caller, fmt.Sprintf(`{"models":[%q,"b:m"],"messages":[]}`, "a:"+model))
		}
		b.Set("a1", gatewaytest.Error(404, "model_not_found", "no such model"))
		for i := range 600 { // over its share of the names
			times(5, func() { named("hostile", fmt.Sprint("made-up-", i)) })
		}
		gatewaytest.Pass(time.Minute)
		for i := range 5 {
			assert.Equal(t, "a1 b1", named(fmt.Sprint("caller ", i), "real"))
		}
		assert.Equal(t, "b1", named("ann", "real"), "five failures in a row are remembered")
		b.Set("a1", gatewaytest.Chat(""))
		gatewaytest.Pass(5 * time.Second)
		assert.Equal(t, "a1", named("ann", "real"))
		assert.Equal(t, "a1", named("bob", "real"))
	})
}

// TestBlameOfReload: a Reload while the secret store is down keeps the keys that
// are known, and with them all that was learnt.
func TestBlameOfReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.Providers[0].APIKeys[0].Value = "${secrets.get('vault', 'key')}"
		sealed := false
		cfg.Secrets = aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
			if sealed {
				return "", errors.New("the vault is sealed")
			}
			return "sk-a1-0123456789abcdef", nil
		})
		b := newBlameBench(t, cfg)
		cfg.Caller = func(r *http.Request) string { return r.Header.Get("X-Caller") }
		cfg.Transport, cfg.Hooks = b.Harness, b.Hooks()
		assert.Equal(t, "a1", b.asks("ann"))
		sealed = true
		for range 3 {
			gatewaytest.Pass(time.Hour)
			require.NoError(t, b.Gateway.Reload(cfg))
			assert.Equal(t, "a1", b.asks("ann"))
		}
		b.Set("a1", gatewaytest.RateLimited("60"))
		assert.Equal(t, "a1 b1", b.asks("ann"))
		require.NoError(t, b.Gateway.Reload(cfg))
		assert.Equal(t, "b1", b.asks("bob"), "the key cools down after the Reload too")
	})
}

// TestBlameOfValues: a client that makes up tenants does not end the cooldown of
// another tenant's key.
func TestBlameOfValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.Providers[0].APIKeys[0].Value = "sk-${req.headers['x-tenant'][0]}-0123456789abcdef"
		b := newBlameBench(t, cfg)
		b.Set("ann", gatewaytest.RateLimited("300"))
		assert.Equal(t, "ann b1", b.asks("ann", "X-Tenant", "ann"))
		for i := range 5000 { // more than there are places
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest))
			r.Header.Set("X-Caller", "hostile")
			r.Header.Set("X-Tenant", fmt.Sprint("made-up ", i))
			_, err := b.Gateway.Explain(r)
			require.NoError(t, err)
		}
		assert.Equal(t, "b1", b.asks("ann", "X-Tenant", "ann"))
	})
}

// TestDeadKeys: keys that are dead cost one request, whatever their provider says
// of them, and then nothing.
func TestDeadKeys(t *testing.T) {
	const dead = 13
	for _, tt := range []struct {
		name string
		fail http.HandlerFunc
		cost int // requests that meet the dead keys
	}{
		{"401", gatewaytest.KeyError(401, ""), 1},
		{"402 of DeepSeek", gatewaytest.JSON(402, `{"error":{"message":"Insufficient Balance"}}`), 1},
		{"403 on two callers' word", gatewaytest.KeyError(403, ""), 2},
		{"403 that speaks of the key", gatewaytest.KeyError(403, "invalid_api_key"), 1},
		{"429 of OpenAI", gatewaytest.Error(429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details."), 1},
		{"400 of Google", gatewaytest.JSON(400, `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]`), 1},
		{"400 of Anthropic", gatewaytest.JSON(400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."}}`), 1},
		{"400 of xAI", gatewaytest.JSON(400, `{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***1f. You can obtain an API key from https://console.x.ai."}`), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(dead+1, "a")
				cfg.MaxAttempts = 20
				b := newBlameBench(t, cfg)
				for i := range dead {
					b.Set(fmt.Sprint("a", i+1), tt.fail)
				}
				for i := range tt.cost {
					got := b.Post("/v1/chat/completions", testbed.ChatRequest, "X-Caller", fmt.Sprint("caller ", i))
					assert.Equal(t, 200, got.Status, got.Body)
					assert.Len(t, b.Routes(), dead+1)
				}
				for range 20 {
					assert.Equal(t, "a14", b.asks("ann"))
				}
			})
			synctest.Test(t, func(t *testing.T) {
				b := newBlameBench(t, testbed.Config(11, "a"))
				for i := range 10 {
					b.Set(fmt.Sprint("a", i+1), tt.fail)
				}
				for i := range tt.cost {
					b.asks(fmt.Sprint("caller ", i))
					assert.Len(t, b.Routes(), 10, "max_attempts")
				}
				for range 20 {
					assert.Equal(t, "a11", b.asks("ann"))
				}
			})
		})
	}
}

// TestTenantsKeys: a key whose value depends on the request has a health for each
// value.
func TestTenantsKeys(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail http.HandlerFunc
		back time.Duration
	}{
		{"429", gatewaytest.RateLimited("60"), time.Minute},
		{"401", gatewaytest.KeyError(401, ""), time.Minute},
		{"402", gatewaytest.KeyError(402, ""), time.Minute},
		{"429 of the account", gatewaytest.Error(429, "insufficient_quota", "You exceeded your current quota"), time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a", "b")
				cfg.Providers[0].APIKeys[0].Value = "${secrets.get('tenants', req.headers['x-tenant'][0])}"
				cfg.Secrets = aigateway.SecretResolverFunc(func(_ context.Context, _, name string) (string, error) {
					return "sk-" + name + "-0123456789abcdef", nil
				})
				b := newBlameBench(t, cfg)
				b.Set("ann", tt.fail, gatewaytest.Chat(""))
				tenant := func(name string) string { return b.asks("the service", "X-Tenant", name) }
				assert.Equal(t, "ann b1", tenant("ann"))
				assert.Equal(t, "b1", tenant("ann"))
				for range 3 {
					assert.Equal(t, "bob", tenant("bob"))
				}
				assert.Equal(t, "b1", tenant("ann"), "the success of another tenant's key does not end it")
				gatewaytest.Pass(tt.back)
				assert.Equal(t, "ann", tenant("ann"))
			})
		})
	}
}

package aigateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// Which answers under a success status are none, and lead to the next provider.
func TestAnswerOrNot(t *testing.T) {
	const (
		chat, speech  = "/v1/chat/completions", "/v1/audio/speech"
		transcription = "/v1/audio/transcriptions"
		images        = "/v1/images/generations"
		html          = "<!DOCTYPE html><html><title>Sign in</title></html>"
		stream        = `{"model":"m","stream":true}`
	)
	jsonBody := `{"choices":[{"message":{"content":"` + strings.Repeat("x", 1<<20) + `"}}]}`
	plain := `{"id":1, "error": null}`
	cut := func(w http.ResponseWriter, length int, body string) {
		w.Header().Set("Content-Type", "application/json")
		if length > 0 {
			w.Header().Set("Content-Length", strconv.Itoa(length))
		}
		gatewaytest.Send(w, body)
		panic(http.ErrAbortHandler)
	}
	coded := func(coding, kind string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Encoding", coding)
			w.Write(body)
		}
	}
	tests := []struct {
		name, path, body string // the client's
		a                http.HandlerFunc
		want             string // what reaches the client; empty: the next provider's
	}{
		{"JSON", chat, "", gatewaytest.JSON(200, plain), plain},
		{"JSON under another type", chat, "", failoverTyped("text/plain", plain), plain},
		{"201", chat, "", gatewaytest.JSON(201, plain), plain},
		{"JSON for a stream", chat, stream, gatewaytest.JSON(200, plain), plain},
		{"large JSON", chat, "", gatewaytest.JSON(200, jsonBody), jsonBody},
		{"gzip", chat, "", coded("gzip", "application/json", failoverGzip(plain)), string(failoverGzip(plain))},
		{"unknown coding", chat, "", coded("br", "application/json", []byte("\x0b\x01\x80{}\x03")), "\x0b\x01\x80{}\x03"},
		{"speech", speech, "", failoverTyped("audio/mpeg", "\xff\xfb\x90d"), "\xff\xfb\x90d"},
		{"speech of no known type", speech, "", failoverTyped("application/octet-stream", "\x00\x01"), "\x00\x01"},
		{"text of a transcription", transcription, "", failoverTyped("text/plain; charset=utf-8", "Hello.\n"), "Hello.\n"},
		{"subtitles", transcription, "", failoverTyped("text/vtt", "WEBVTT\n\n"), "WEBVTT\n\n"},
		{"JSON of a transcription", transcription, "", gatewaytest.JSON(200, plain), plain},
		{"images as JSON", images, "", gatewaytest.JSON(200, jsonBody), jsonBody},

		{"cut under a length", chat, "", func(w http.ResponseWriter, _ *http.Request) { cut(w, 1000, `{"id":1}`) }, ""},
		{"cut in a chunk", chat, "", func(w http.ResponseWriter, _ *http.Request) { cut(w, 0, `{"id":1}`) }, ""},
		{"cut and no JSON", chat, "", gatewaytest.JSON(200, `{"id":1`), ""},
		{"empty", chat, "", gatewaytest.JSON(200, ""), ""},
		{"blank", chat, "", gatewaytest.JSON(200, " \n"), ""},
		{"error", chat, "", gatewaytest.JSON(200, `{"error":{"message":"x"}}`), ""},
		{"error as text", chat, "", gatewaytest.JSON(200, `{"id":1,"error":"x"}`), ""},
		{"error for a stream", chat, stream, gatewaytest.JSON(200, `{"error":{"message":"x"}}`), ""},
		{"error in gzip", chat, "", coded("gzip", "application/json", failoverGzip(`{"error":"x"}`)), ""},
		{"empty gzip", chat, "", coded("gzip", "application/json", nil), ""},
		{"empty in an unknown coding", chat, "", coded("br", "application/json", nil), ""},
		{"page", chat, "", failoverTyped("text/html", html), ""},
		{"page called JSON", chat, "", gatewaytest.JSON(200, html), ""},
		{"page in gzip", chat, "", coded("gzip", "text/html", failoverGzip(html)), ""},
		{"page in an unknown coding", chat, "", coded("br", "text/html", []byte("\x0b\x01\x80\x03")), ""},
		{"large page", chat, "", failoverTyped("text/html", html+strings.Repeat(" ", 2<<20)), ""},
		{"large page called JSON", chat, "", gatewaytest.JSON(200, html+strings.Repeat(" ", 2<<20)), ""},
		{"large text", chat, "", failoverTyped("text/plain", strings.Repeat("x", 2<<20)), ""},
		{"text", chat, "", failoverTyped("text/plain", "OK"), ""},
		{"text for embeddings", "/v1/embeddings", "", failoverTyped("text/plain", "OK"), ""},
		{"page for speech", speech, "", failoverTyped("text/html", html), ""},
		{"error for speech", speech, "", gatewaytest.JSON(200, `{"error":{"message":"x"}}`), ""},
		{"empty speech", speech, "", failoverTyped("audio/mpeg", ""), ""},
		{"speech cut before its first byte", speech, "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "audio/mpeg")
			gatewaytest.Send(w, "")
			panic(http.ErrAbortHandler)
		}, ""},
		{"page for a transcription", transcription, "", failoverTyped("text/html", html), ""},
		{"empty transcription", transcription, "", failoverTyped("text/plain", ""), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := tt.body
				if body == "" {
					body = failoverBody
				}
				next := `{"from":"b"}`
				rig := failoverRig(t, failoverConfig(1, "a", "b"), failoverHosts{"a": tt.a, "b": gatewaytest.JSON(200, next)}, nil)
				got := rig.Post(tt.path, body)
				require.NoError(t, got.Err)
				if tt.want == "" {
					assert.Equal(t, []string{"a1", "b1"}, rig.Routes())
					assert.Equal(t, next, got.Body)
					return
				}
				assert.Equal(t, []string{"a1"}, rig.Routes())
				assert.Equal(t, 2, got.Status/100)
				assert.True(t, tt.want == got.Body, "%d bytes for %d", len(got.Body), len(tt.want))
				if strings.HasPrefix(tt.want, string(failoverGzip("")[:2])) {
					assert.Equal(t, "gzip", got.Header.Get("Content-Encoding"))
				}
			})
		})
	}
}

// A silent upstream of a binary surface has not committed anything yet either.
func TestAnswerSpeechSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := failoverConfig(1, "a", "b")
		cfg.PerRequestTimeout = "10s"
		rig := failoverRig(t, cfg, failoverHosts{
			"a": failoverSend("audio/mpeg", 0, true, []string{""}),
			"b": failoverTyped("audio/mpeg", "\xff\xfb"),
		}, nil)
		got := rig.Post("/v1/audio/speech", failoverBody)
		require.NoError(t, got.Err)
		assert.Equal(t, "\xff\xfb", got.Body)
		assert.Equal(t, 10*time.Second, got.Took)
		assert.Equal(t, []string{"a1", "b1"}, rig.Routes())
	})
}

// Sound plays as it comes: each piece goes on before the next one exists, and
// only a silence, not the length, ends it.
func TestAnswerSpeechPlaysAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := failoverConfig(1, "a", "b")
		cfg.PerRequestTimeout, cfg.TotalTimeout = "5s", "6s"
		rig := failoverRig(t, cfg, failoverHosts{
			"a": failoverSend("audio/mpeg", 4*time.Second, false, []string{"one", "two", "three"}), "b": gatewaytest.Abort,
		}, nil)
		begin := time.Now()
		resp, err := rig.Open(t.Context(), "/v1/audio/speech", failoverBody)
		require.NoError(t, err)
		defer resp.Body.Close()
		for i, piece := range []string{"one", "two", "three"} {
			got := make([]byte, len(piece))
			_, err := io.ReadFull(resp.Body, got)
			require.NoError(t, err)
			assert.Equal(t, piece, string(got))
			assert.Equal(t, time.Duration(i+1)*4*time.Second, time.Since(begin))
		}
		_, err = resp.Body.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
	})
}

// An answer over 1 MiB is committed before its end: it is then bounded by
// per_request_timeout as a whole, and aborted where it breaks.
func TestAnswerLarge(t *testing.T) {
	front := `{"data":"` + strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name string
		a    http.HandlerFunc
		took time.Duration
		err  bool
	}{
		{"whole", failoverSend("application/json", 2*time.Second, false, []string{front, `yy`, `"}`}), 6 * time.Second, false},
		{"too slow", failoverSend("application/json", 4*time.Second, false, []string{front, `yy`, `"}`}), 10 * time.Second, true},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			gatewaytest.Send(w, front)
			panic(http.ErrAbortHandler)
		}, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := failoverConfig(1, "a", "b")
				cfg.PerRequestTimeout, cfg.TotalTimeout = "10s", "10s"
				rig := failoverRig(t, cfg, failoverHosts{"a": tt.a, "b": gatewaytest.Chat("b")}, nil)
				got := rig.Post("/v1/chat/completions", failoverBody)
				assert.Equal(t, 200, got.Status)
				assert.Equal(t, tt.took, got.Took)
				assert.Equal(t, []string{"a1"}, rig.Routes())
				assert.True(t, strings.HasPrefix(got.Body, front))
				if tt.err {
					assert.ErrorIs(t, got.Err, io.ErrUnexpectedEOF)
					return
				}
				assert.NoError(t, got.Err)
				assert.Equal(t, front+`yy"}`, got.Body)
			})
		})
	}
}

// Which of an upstream's response headers reach the client, on every way out.
func TestAnswerHeaders(t *testing.T) {
	pass := map[string]string{
		"X-Request-Id": "req_1", "X-Ratelimit-Remaining-Requests": "59", "Retry-After": "3", "Openai-Processing-Ms": "42",
		"Anthropic-Ratelimit-Tokens-Limit": "9", "Cf-Ray": "1", "Etag": `"v"`,
	}
	drop := map[string]string{
		"Set-Cookie": "session=1", "Alt-Svc": `h3=":443"`, "Strict-Transport-Security": "max-age=1", "Access-Control-Allow-Origin": "*",
		"Access-Control-Expose-Headers": "X", "Connection": "X-Internal", "X-Internal": "1", "Keep-Alive": "timeout=5", "Proxy-Authenticate": "Basic",
		"Upgrade": "h2c",
	}
	for name, then := range map[string]http.HandlerFunc{
		"JSON":          gatewaytest.Chat("hi"),
		"large JSON":    gatewaytest.JSON(200, `"`+strings.Repeat("x", 1<<20)+`"`),
		"stream":        gatewaytest.Stream(streamChat...),
		"relayed error": failoverStatus(400, ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig := failoverRig(t, failoverConfig(1, "a"), failoverHosts{"a": func(w http.ResponseWriter, r *http.Request) {
					for _, set := range []map[string]string{pass, drop} {
						for name, value := range set {
							w.Header().Set(name, value)
						}
					}
					then(w, r)
				}}, nil)
				got := failoverAsk(rig)
				require.NoError(t, got.Err)
				for name, value := range pass {
					assert.Equal(t, []string{value}, got.Header.Values(name), name)
				}
				for name := range drop {
					assert.Empty(t, got.Header.Values(name), name)
				}
			})
		})
	}
}

const failoverBody = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`

type (
	failoverHosts  map[string]http.HandlerFunc
	failoverErrors map[string]error
)

// failoverConfig has a model "m" at each provider; the keys of "a" are those of
// the routes a1, a2 and so on.
func failoverConfig(keys int, providers ...string) aigateway.Config {
	cfg := aigateway.Config{Registry: aigateway.NoRegistry()}
	for _, id := range providers {
		p := aigateway.Provider{
			ID: id, BaseURL: "http://" + id + ".internal", Models: []aigateway.Model{{ID: "m"}},
			SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}},
		}
		for i := range keys {
			p.APIKeys = append(p.APIKeys, aigateway.APIKey{Value: aigateway.Template(fmt.Sprintf("sk-%s%d-0123456789abcdef", id, i+1))})
		}
		cfg.Providers = append(cfg.Providers, p)
	}
	return cfg
}

// failoverRig starts a gateway in a bubble.
func failoverRig(t *testing.T, cfg aigateway.Config, hosts failoverHosts, errs failoverErrors) *gatewaytest.Rig {
	t.Helper()
	rig := gatewaytest.NewRig(t)
	for name, h := range hosts {
		if errs[name] != nil {
			rig.Unreachable(name, errs[name])
			continue
		}
		rig.Host(name, h)
	}
	cfg.Transport = rig
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	rig.Gateway(g)
	return rig
}

func failoverAsk(rig *gatewaytest.Rig) gatewaytest.Answer {
	return rig.Post("/v1/chat/completions", failoverBody)
}

// failoverStatus answers with an error that names the key that it was asked with.
func failoverStatus(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, key, _ := strings.Cut(r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"), "-")
		route, _, _ := strings.Cut(key, "-")
		gatewaytest.Error(status, code, "asked by "+route)(w, r)
	}
}

func failoverLimited(retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		failoverStatus(429, "rate_limit_exceeded")(w, r)
	}
}

func failoverSilence(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// failoverPart sends the front of a JSON answer, and then nothing.
func failoverPart(body string) http.HandlerFunc { return failoverDrip(0, body) }

// failoverDrip sends a JSON answer in parts, each after a pause. It ends only
// after four of them.
func failoverDrip(pause time.Duration, parts ...string) http.HandlerFunc {
	return failoverSend("application/json", pause, len(parts) < 4, parts)
}

// failoverEvents sends events, each after a pause, and then nothing more.
func failoverEvents(pause time.Duration, events ...string) http.HandlerFunc {
	return failoverSend("text/event-stream", pause, true, events)
}

func failoverSend(kind string, pause time.Duration, stall bool, parts []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		for _, part := range parts {
			select {
			case <-time.After(pause):
				gatewaytest.Send(w, part)
			case <-r.Context().Done():
				return
			}
		}
		if stall {
			<-r.Context().Done()
		}
	}
}

func failoverTyped(kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		io.WriteString(w, body)
	}
}

// failoverHijack answers with bytes that are no HTTP.
func failoverHijack(bytes string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(conn, bytes)
		conn.Close()
	}
}

// failoverCode is the code of an error in the OpenAI format.
func failoverCode(t *testing.T, a gatewaytest.Answer) string {
	t.Helper()
	return failoverError(t, a.Body).Error.Code
}

package suite_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// The limits on the data of a client, a provider or a config, each at its edge:
// the last allowed value, and one more. TestMaxBodyBytes, TestStreamHeld and
// TestParseConfigBounds test further limits.

// TestLimitsOfRequests: the limits of a client's request.
func TestLimitsOfRequests(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Fitting("hello"))
	gateway := testbed.Serve(t, aigateway.Config{
		Registry:          aigateway.NoRegistry(),
		Providers:         []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "m"}}}},
		InternalEndpoints: map[string]string{"p.internal": up.URL},
	})
	many := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	same := func(s string) func(int) string { return func(int) string { return s } }
	const form = "multipart/form-data; boundary=b"
	part := func(name, value string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
	}
	header := func(n int) string { // a part whose header has n bytes
		const disposition = "Content-Disposition: form-data; name=\"x\"\r\nX-Y: "
		return "--b\r\n" + disposition + strings.Repeat("y", n-len(disposition)) + "\r\n\r\nx\r\n"
	}
	for _, c := range []struct {
		name, contentType string
		body              func(n int) string
		limit             int
		says              string
	}{
		{"models", "", func(n int) string { return `{"models":["m"` + strings.Repeat(`,"m"`, n-1) + `]}` }, 100, "at most 100"},
		{"nesting", "", func(n int) string { // the object itself is the first level
			return `{"model":"m","x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + "}"
		}, 1000, "1000"},
		{"nesting of objects", "", func(n int) string {
			return `{"model":"m","x":` + strings.Repeat(`{"a":`, n-2) + "{}" + strings.Repeat("}", n-2) + "}"
		}, 1000, "1000"},
		{"fields", "", func(n int) string {
			return `{"model":"m"` + many(n-1, func(i int) string { return fmt.Sprintf(`,"x%d":1`, i) }) + "}"
		}, 10_000, "10000"},
		{"parts of a form", form, func(n int) string { return part("model", "m") + many(n-1, same(part("x", "1"))) + "--b--\r\n" }, 10_000, "10000 parts"},
		{"header of a part", form, func(n int) string { return part("model", "m") + header(n) + "--b--\r\n" }, 16 << 10, "16384 bytes"},
		{"before a form", form, func(n int) string { return strings.Repeat("x", n-2) + "\r\n" + part("model", "m") + "--b--\r\n" }, 1 << 10, "1024 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := "/v1/chat/completions"
			contentType := "application/json"
			if c.contentType != "" {
				path, contentType = "/v1/audio/transcriptions", c.contentType
			}
			resp := attackPost(t, gateway+path, contentType, c.body(c.limit))
			assert.Equal(t, 200, resp.StatusCode, attackBody(t, resp))
			before := up.Count()
			resp = attackPost(t, gateway+path, contentType, c.body(c.limit+1))
			body := attackBody(t, resp)
			assert.Equal(t, 400, resp.StatusCode)
			assert.Contains(t, strings.ReplaceAll(body, ",", ""), strings.ReplaceAll(c.says, ",", ""))
			assert.Contains(t, body, `"code":"invalid_request_body"`)
			assert.Equal(t, before, up.Count())
		})
	}
}

// TestLimitOfAttempts: max_attempts ends the attempts before the candidates and
// keys do. A config may ask for at most a hundred.
func TestLimitOfAttempts(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusServiceUnavailable, "", "down"))
	cfg := aigateway.Config{Registry: aigateway.NoRegistry(), InternalEndpoints: map[string]string{}, MaxAttempts: 100}
	for i := range 40 { // 40 candidates with 3 keys each
		id := fmt.Sprint("p", i)
		cfg.InternalEndpoints[id+".internal"] = up.URL
		cfg.Providers = append(cfg.Providers, aigateway.Provider{ID: id, BaseURL: "http://" + id + ".internal", Models: []aigateway.Model{{ID: "m"}},
			APIKeys: []aigateway.APIKey{{Value: "k-1"}, {Value: "k-2"}, {Value: "k-3"}}})
	}
	for _, c := range []struct{ max, want int }{{100, 100}, {99, 99}, {1, 1}, {0, 10}} {
		cfg.MaxAttempts = c.max
		before := up.Count()
		resp := attackPost(t, testbed.Serve(t, cfg)+"/v1/chat/completions", "application/json", `{"model":"m"}`)
		assert.Equal(t, 503, resp.StatusCode)
		if body := attackBody(t, resp); c.want > 1 {
			assert.Contains(t, body, fmt.Sprintf("after %d attempts (max_attempts)", c.want))
		}
		assert.Equal(t, c.want, up.Count()-before)
	}
	cfg.MaxAttempts = 101
	_, err := aigateway.New(cfg)
	assert.ErrorContains(t, err, `max_attempts: "101": must be from 1 to 100`)
}

// TestLimitsOfAnswers: the limits of a provider's answer. Beyond them some
// answers are relayed without being held, and some are failures.
func TestLimitsOfAnswers(t *testing.T) {
	const mib = 1 << 20
	text := func(n int) string { // an answer of n bytes
		front, back := `{"choices":[{"message":{"content":"`, `"}}]}`
		return front + strings.Repeat("y", n-len(front)-len(back)) + back
	}
	cut := func(kind string, parts ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			for _, p := range parts {
				gatewaytest.Send(w, p)
			}
			panic(http.ErrAbortHandler)
		}
	}
	fields := func(n int) http.HandlerFunc { // a header of about n bytes in lines of 1 KiB
		return func(w http.ResponseWriter, r *http.Request) {
			for i := range n >> 10 {
				w.Header().Set(fmt.Sprintf("X-Pad-%03d", i), strings.Repeat("y", 1<<10-len("X-Pad-000: \r\n")))
			}
			gatewaytest.Fitting("a")(w, r)
		}
	}
	const event = "text/event-stream"
	role := func(n int) string { // an event of n bytes without content
		const front, back = `data: {"choices":[{"index":0,"delta":{"role":"`, "\"}}]}\n\n"
		return front + strings.Repeat("y", n-len(front)-len(back)) + back
	}
	held := func(n int) []string { // a stream of n bytes, but for its end
		out := []string{gatewaytest.ChatDelta("x")}
		for size := len(out[0]); size < n; {
			next := ": " + strings.Repeat("y", min(n-size, mib)-3) + "\n"
			out, size = append(out, next), size+len(next)
		}
		return out
	}
	for _, c := range []struct {
		name     string
		complete bool
		a        http.HandlerFunc
		rescued  bool   // by the second provider
		reason   string // why the first one failed
	}{
		{"a header below 256 KiB", false, fields(255 << 10), false, ""},
		{"a header above 256 KiB", false, fields(257 << 10), true, "262144"},
		{"an endless header", false, fields(4 << 20), true, "262144"},
		{"a whole answer of 1 MiB", false, gatewaytest.JSON(200, text(mib)), false, ""},
		{"1 MiB, and then cut", false, cut("application/json", text(mib - 1)[:mib-2]), true, "closed before the answer was complete"},
		{"128 KiB over 1 MiB, and then cut", false, cut("application/json", text(2 * mib)[:mib+128<<10]), false, "closed before"},
		{"an event of 64 KiB less one while held", false, cut(event, role(64<<10-1)), true, "closed before"},
		{"an event of 64 KiB while held", false, cut(event, role(64<<10)), false, "closed before"},
		{"half an event of 64 KiB while held", false, cut(event, role(128 << 10)[:64<<10]), false, "closed before"},
		{"31 events while held", false, cut(event, strings.Repeat(role(100), 31)), true, "closed before"},
		{"32 events while held", false, cut(event, strings.Repeat(role(100), 32)), false, "closed before"},
		{"held whole, below 32 MiB", true, cut(event, held(32*mib-1024)...), true, "closed before"},
		{"held whole, above 32 MiB", true, cut(event, held(32*mib+64<<10)...), false, "closed before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := gatewaytest.NewUpstream(t, c.a), gatewaytest.NewUpstream(t, gatewaytest.Fitting("b"))
			results := make(chan *aigateway.Result, 1)
			cfg := aigateway.Config{
				Registry: aigateway.NoRegistry(),
				Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal", Models: []aigateway.Model{{ID: "m"}}},
					{ID: "b", BaseURL: "http://b.internal", Models: []aigateway.Model{{ID: "m"}}}},
				InternalEndpoints: map[string]string{"a.internal": a.URL, "b.internal": b.URL},
				Hooks:             &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { results <- res }},
			}
			if c.complete {
				cfg.StreamCommit = aigateway.StreamCommitComplete
			}
			resp := attackPost(t, testbed.Serve(t, cfg)+"/v1/chat/completions", "application/json", `{"model":"m","stream":true}`)
			io.Copy(io.Discard, resp.Body)
			assert.Equal(t, 200, resp.StatusCode)
			assert.Equal(t, c.rescued, b.Count() == 1)
			first := (<-results).ModelsTried[0].RequestsMade[0]
			assert.Contains(t, first.Error, c.reason)
			assert.Equal(t, c.reason == "", first.Error == "", first.Error)
		})
	}
}

// TestLimitOfErrorBodies: an error is relayed unchanged up to 1 MiB. The gateway
// reports a longer one itself: a 4xx with its status, and others as a failure.
func TestLimitOfErrorBodies(t *testing.T) {
	for _, tt := range []struct{ size, status, want int }{
		{1 << 20, 400, 400}, {1<<20 + 1, 400, 400}, {1<<20 + 1, 422, 422}, {1<<20 + 1, 500, 503},
	} {
		size, whole := tt.size, tt.size == 1<<20
		body := `{"error":{"message":"no"},"x":"` + strings.Repeat("y", size-33) + `"}`
		require.Len(t, body, size)
		up := gatewaytest.NewUpstream(t, gatewaytest.JSON(tt.status, body))
		resp := attackPost(t, testbed.Serve(t, aigateway.Config{
			Registry:          aigateway.NoRegistry(),
			Providers:         []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "m"}}}},
			InternalEndpoints: map[string]string{"p.internal": up.URL},
		})+"/v1/chat/completions", "application/json", `{"model":"m"}`)
		assert.Equal(t, tt.want, resp.StatusCode, size)
		got := attackBody(t, resp)
		assert.Equal(t, whole, got == body)
		if !whole {
			assert.Less(t, len(got), 1<<10)
			assert.Contains(t, got, `"error":{"message":"`)
		}
	}
}

// TestLimitsOfConfig: documents that just fit. TestParseConfigBounds has those
// beyond.
func TestLimitsOfConfig(t *testing.T) {
	nested := func(n int) string { return "body: {a: " + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	for _, c := range []struct {
		name      string
		fits, not string
	}{
		{"bytes", "# " + strings.Repeat("x", 16<<20-3) + "\n", "# " + strings.Repeat("x", 16<<20-2) + "\n"},
		{"depth", nested(63), nested(64)},
	} {
		_, err := aigateway.ParseConfig([]byte(c.fits))
		if c.name == "bytes" {
			require.ErrorContains(t, err, "empty", "a document of comments alone, which is read to its end")
		} else {
			require.NoError(t, err, c.name)
		}
		_, err = aigateway.ParseConfig([]byte(c.not))
		require.Error(t, err, c.name)
		require.NotContains(t, err.Error(), "empty")
	}
}

// BenchmarkHeldMemory measures the memory of a request with a large body while
// its provider thinks: all bodies are held at once.
func BenchmarkHeldMemory(b *testing.B) {
	const bodies = 32
	for _, size := range []int{1 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("%dx%dMiB", bodies, size>>20), func(b *testing.B) {
			var arrived sync.WaitGroup
			var release chan struct{}
			transport := limitsTransport(func(r *http.Request) (*http.Response, error) {
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				arrived.Done()
				<-release
				return &http.Response{
					StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
					Body: io.NopCloser(strings.NewReader(`{"choices":[]}`)), ContentLength: -1,
				}, nil
			})
			g, err := aigateway.New(aigateway.Config{
				Registry: aigateway.NoRegistry(), Transport: transport,
				Providers: []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "llama3"}}}},
			})
			require.NoError(b, err)
			body := `{"model":"llama3","x":"` + strings.Repeat("y", size-26) + `"}`
			var held, total uint64
			for b.Loop() {
				release = make(chan struct{})
				arrived.Add(bodies)
				before := limitsHeap()
				var all sync.WaitGroup
				for range bodies {
					all.Go(func() {
						// Without a length, as the worst case: the buffer has to grow.
						r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", io.MultiReader(strings.NewReader(body)))
						g.ServeHTTP(httptest.NewRecorder(), r)
					})
				}
				arrived.Wait()
				held += limitsHeap() - before
				total++
				close(release)
				all.Wait()
			}
			b.ReportMetric(float64(held)/float64(total)/float64(bodies)/float64(size), "held/body")
		})
	}
}

type limitsTransport func(*http.Request) (*http.Response, error)

func (f limitsTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// limitsHeap returns the live bytes of the heap.
func limitsHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

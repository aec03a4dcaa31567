package sdksuite

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/sdksuite/standin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain keeps the SDKs from finding keys and addresses in the environment.
func TestMain(m *testing.M) {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "OPENAI_") || strings.HasPrefix(name, "ANTHROPIC_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// clientKey is what clients of the gateway authenticate with. The upstream
// would refuse it.
const clientKey = "sk-client-of-the-gateway"

// leg is one of the two ways that a request takes.
type leg struct {
	name string
	url  string // without /v1
	key  string
	up   *standin.Server
	// client sends the requests of Go SDKs. Nil: their own.
	client *http.Client
}

// http is the client for the options of an SDK.
func (l leg) http() *http.Client {
	if l.client == nil {
		return http.DefaultClient
	}
	return l.client
}

// directly is the way without the gateway.
func directly(t *testing.T) leg {
	up := standin.New()
	t.Cleanup(up.Close)
	return leg{name: "direct", url: up.URL(), key: standin.Key, up: up}
}

// throughGateway is the way that the suite is about. The upstream's models are
// the gateway's, under the same names.
func throughGateway(t *testing.T) leg {
	up, gateway := newGateway(t)
	server := httptest.NewServer(gateway)
	t.Cleanup(func() {
		up.Close() // first: what still waits for it would keep the gateway open
		server.Close()
	})
	return leg{name: "gateway", url: server.URL, key: clientKey, up: up}
}

// inProcess is the way through the gateway without a socket.
func inProcess(t *testing.T) leg {
	up, gateway := newGateway(t)
	t.Cleanup(up.Close)
	return leg{name: "in process", url: "https://any.example.com", key: clientKey, up: up, client: gateway.Client()}
}

func newGateway(t *testing.T) (*standin.Server, *aigateway.Gateway) {
	up := standin.New()
	var b strings.Builder
	fmt.Fprintf(&b, `
on_http_request:
  - type: ai-gateway
    config:
      only_allow_configured_providers: true
      only_allow_configured_models: true
      internal_endpoints:
        upstream.internal: %s
      providers:
        - id: standin
          base_url: http://upstream.internal
          api_keys: [{value: %[2]s}]
          models: [%[3]s]
        - id: standin-impatient
          base_url: http://upstream.internal
          per_request_timeout: 100ms
          api_keys: [{value: %[2]s}]
          models: [{id: gpt-standin-silent, author_id: standin}]
        - id: standin-impatient-anthropic
          base_url: http://upstream.internal
          per_request_timeout: 100ms
          api_keys: [{value: %[2]s}]
          supported_api_surfaces: [{format: anthropic}]
          models: [{id: claude-standin-silent}]
        - id: standin-anthropic
          base_url: http://upstream.internal
          api_keys: [{value: %[2]s}]
          supported_api_surfaces: [{format: anthropic}]
          models: [%[4]s]
`, up.URL(), standin.Key, modelList(standin.OpenAIModels()), modelList(standin.AnthropicModels()))
	cfg, err := aigateway.ParseConfig([]byte(b.String()))
	require.NoError(t, err)
	cfg.Logger = slog.New(slog.DiscardHandler)
	gateway, err := aigateway.New(cfg)
	require.NoError(t, err)
	return up, gateway
}

// modelList is the YAML of all models but those that another provider has.
func modelList(ids []string) string {
	var out []string
	for _, id := range ids {
		if !strings.HasSuffix(id, "-silent") {
			out = append(out, "{id: "+id+", author_id: standin}")
		}
	}
	return strings.Join(out, ", ")
}

// outcome is what one case looked like to the program that used the SDK, in one
// line.
type outcome struct{ name, text string }

// step is one case of a Go SDK.
type step struct {
	name string
	run  func() string
}

// play runs the cases of a Go SDK.
func play(up *standin.Server, steps []step) []outcome {
	var out []outcome
	for _, s := range steps {
		up.Begin(s.name)
		out = append(out, outcome{s.name, s.run()})
	}
	return out
}

// compare drives an SDK both ways and holds the two together: what the program
// saw, against each other and against testdata, and what the upstream received,
// byte for byte.
func compare(t *testing.T, sdk string, drive func(*testing.T, leg) []outcome) {
	direct, gateway := directly(t), throughGateway(t)
	var outcomes [2][]outcome
	t.Run("drive", func(t *testing.T) { // both at once: some SDKs wait between retries
		for i, l := range []leg{direct, gateway} {
			t.Run(l.name, func(t *testing.T) {
				t.Parallel()
				outcomes[i] = drive(t, l)
			})
		}
	})
	d, g := outcomes[0], outcomes[1]
	require.NotEmpty(t, d)
	require.Len(t, g, len(d), "the same cases must run both ways")

	var golden strings.Builder
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tdirect\tthrough the gateway\t\n", sdk)
	for i := range d {
		name := d[i].name
		require.Equal(t, name, g[i].name)
		allowed := allowedDifference(sdk, name)
		fmt.Fprintf(&golden, "%s: %s\n", name, d[i].text)
		verdict := "equal"
		if d[i].text != g[i].text {
			verdict = "DIFFERS"
			fmt.Fprintf(&golden, "  gateway: %s\n", g[i].text)
		}
		if allowed != nil {
			assert.NotEqual(t, d[i].text, g[i].text, "%s: is no difference any more: take it off the list", name)
			verdict = "allowed: " + allowed.spec
			fmt.Fprintf(&golden, "  SPEC: %s\n", allowed.spec)
		} else {
			assert.Equal(t, d[i].text, g[i].text, "%s: the program must see the same", name)
		}
		if allowed == nil || !allowed.requests {
			compareRequests(t, name, direct.up.Requests(name), gateway.up.Requests(name))
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", name, short(d[i].text), short(g[i].text), verdict)
	}
	require.NoError(t, w.Flush())
	t.Log("\n" + table.String())
	// The gateway makes an id of its own for each request without one.
	id := regexp.MustCompile(`req_[0-9a-f]{24}`)
	checkGolden(t, sdk, id.ReplaceAllString(golden.String(), "req_of_the_gateway"))
}

// compareInProcess drives an SDK through the gateway over a socket and without one.
// The program must see the same, and so must the upstream.
func compareInProcess(t *testing.T, drive func(*testing.T, leg) []outcome) {
	legs := []leg{throughGateway(t), inProcess(t)}
	var outcomes [2][]outcome
	t.Run("drive", func(t *testing.T) {
		for i, l := range legs {
			t.Run(l.name, func(t *testing.T) {
				t.Parallel()
				outcomes[i] = drive(t, l)
			})
		}
	})
	require.NotEmpty(t, outcomes[0])
	require.Len(t, outcomes[1], len(outcomes[0]))
	id := regexp.MustCompile(`req_[0-9a-f]{24}`)
	for i, want := range outcomes[0] {
		got := outcomes[1][i]
		assert.Equal(t, id.ReplaceAllString(want.text, "req_of_the_gateway"), id.ReplaceAllString(got.text, "req_of_the_gateway"), want.name)
		compareRequests(t, want.name, legs[0].up.Requests(want.name), legs[1].up.Requests(want.name))
	}
}

func short(s string) string {
	if utf8.RuneCountInString(s) > 64 {
		return string([]rune(s)[:63]) + "…"
	}
	return s
}

//nolint:gochecknoglobals // a flag of the test binary
var update = flag.Bool("update", false, "write testdata anew")

// checkGolden keeps both ways from being equal and wrong.
func checkGolden(t *testing.T, sdk, got string) {
	path := filepath.Join("testdata", sdk+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "see -update")
}

// compareRequests holds what the upstream received through the gateway to what
// it received directly.
func compareRequests(t *testing.T, name string, direct, gateway []standin.Request) {
	if !assert.Len(t, gateway, len(direct), "%s: the upstream must get as many requests", name) {
		return
	}
	for i := range direct {
		d, g := unbound(direct[i]), unasked(unbound(gateway[i]), direct[i])
		assert.Equal(t, d.Method+" "+d.Path, g.Method+" "+g.Path, name)
		if !bytes.Equal(d.Body, g.Body) {
			assert.Fail(t, name+": the body must arrive byte for byte", "direct  %s\ngateway %s", short(string(d.Body)), short(string(g.Body)))
		}
		assert.Equal(t, relevant(d.Header), relevant(g.Header), "%s: headers", name)
		for h, v := range g.Header {
			assert.NotContains(t, strings.Join(v, ","), clientKey, "%s: the client's key must not leave, in %s", name, h)
		}
		assert.Equal(t, []string{"identity"}, g.Header.Values("Accept-Encoding"), "%s: SPEC 9: upstream is asked for identity encoding", name)
	}
}

// unbound puts a fixed word in place of the random boundary of a form.
func unbound(r standin.Request) standin.Request {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return r
	}
	r.Header = r.Header.Clone()
	r.Header.Set("Content-Type", strings.ReplaceAll(r.Header.Get("Content-Type"), params["boundary"], "BOUNDARY"))
	r.Header.Del("Content-Length") // fetch's boundaries differ in length
	r.Body = bytes.ReplaceAll(r.Body, []byte(params["boundary"]), []byte("BOUNDARY"))
	return r
}

// unasked takes the gateway's question for usage out of a stream's request. SPEC 14:
// the gateway asks for the usage of a stream, and hides it from the client.
func unasked(r, direct standin.Request) standin.Request {
	const question = `,"stream_options":{"include_usage":true}}`
	if !bytes.HasSuffix(r.Body, []byte(question)) || bytes.Contains(direct.Body, []byte("stream_options")) {
		return r
	}
	r.Body = append(bytes.TrimSuffix(r.Body, []byte(question)), '}')
	r.Header = r.Header.Clone()
	r.Header.Set("Content-Length", strconv.Itoa(len(r.Body)))
	return r
}

// relevant leaves out the headers that the two ways may differ in.
func relevant(h http.Header) http.Header {
	out := maps.Clone(h)
	for _, name := range []string{
		"Accept-Encoding", // SPEC 9: "Upstream is asked for identity encoding"
		// SPEC 9: "Headers forwarded from the client: … Nothing else"
		"Accept-Language", "Sec-Fetch-Mode",
		// One connection each; fetch says keep-alive.
		"Connection",
	} {
		out.Del(name)
	}
	return out
}

// difference is a case in which the gateway is meant to be noticed.
type difference struct {
	sdks, cases string // regular expressions
	spec        string // the sentence of the contract that wants it
	requests    bool   // the upstream's side differs too
}

func allowedDifference(sdk, name string) *difference {
	list := differences()
	i := slices.IndexFunc(list, func(d difference) bool {
		return regexp.MustCompile("^("+d.sdks+")$").MatchString(sdk) && regexp.MustCompile("^("+d.cases+")$").MatchString(name)
	})
	if i < 0 {
		return nil
	}
	return &list[i]
}

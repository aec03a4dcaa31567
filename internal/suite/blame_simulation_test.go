package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/section"
)

// updateBlame writes the simulation's table into docs/faults.md.
var updateBlame = flag.Bool("update", false, "write the tables of simulations into docs")

const (
	blameFile     = "../../docs/faults.md"
	blameLong     = 45 * time.Second // of a run
	blameTimeout  = 4 * time.Second  // per_request_timeout
	blamePatience = 3 * time.Second  // client_timeout
)

// blameTenants are the tenants of the simulation. The first is the hostile one.
var blameTenants = []string{"hostile", "ann", "bob", "cleo", "dan", "eve", "fay", "gus"}

// blameLatency is how long each provider takes. A request may add up to 100 ms.
var blameLatency = map[string]time.Duration{"good": 200 * time.Millisecond, "other": 450 * time.Millisecond, "spare": 600 * time.Millisecond}

// blameWay is one way in which a tenant can be hostile.
type blameWay struct {
	name string
	// upstream answers the hostile tenant's request. Nil is a good answer.
	upstream func(provider string, r *http.Request) (*http.Response, error)
	// client changes the hostile tenant's request, by its number.
	client func(c *blameClient, n int)
	// every is the pause between two requests. Zero is 200 ms.
	every time.Duration
	// got are the ends that the hostile tenant must meet at least once: statuses,
	// "left" for a request that it aborted, and "cut" for a broken answer.
	got string
}

// TestBlameSimulation lets one tenant of eight be hostile, in each way. The other
// tenants must keep the good provider, and their answers must be as fast as
// without the hostile tenant.
func TestBlameSimulation(t *testing.T) {
	var table strings.Builder
	fmt.Fprintln(&table, "| one tenant | it gets | by address: share, p99 | by `caller`: share, p99 |")
	fmt.Fprintln(&table, "| --- | --- | --- | --- |")
	quiet := map[bool]*blameRun{}
	for _, named := range []bool{false, true} {
		quiet[named] = runBlame(t, nil, named)
		require.Zero(t, quiet[named].failed)
		require.Equal(t, 1.0, quiet[named].share())
	}
	for _, way := range blameWays() {
		cells := map[bool]string{}
		for _, named := range []bool{false, true} {
			name := way.name + "/by address"
			if named {
				name = way.name + "/by caller"
			}
			t.Run(name, func(t *testing.T) {
				run := runBlame(t, &way, named)
				slower := float64(run.p99()) / float64(quiet[named].p99())
				assert.Zero(t, run.failed, "requests of others")
				assert.GreaterOrEqual(t, run.share(), 0.95, "the others' share at the good provider")
				assert.LessOrEqual(t, slower, 1.2, "the others' p99")
				for _, end := range strings.Split(way.got, ", ") {
					assert.Contains(t, run.ends, end, "the hostile tenant's ends")
				}
				cells[named] = fmt.Sprintf("%.0f %%, × %.2f", 100*run.share(), slower)
			})
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", way.name, way.got, cells[false], cells[true])
	}
	checkBlameTable(t, "blame", table.String())
}

// checkBlameTable compares a table with its part of the document, or writes it.
func checkBlameTable(t *testing.T, name, table string) {
	t.Helper()
	if t.Failed() {
		return
	}
	if *updateBlame {
		require.NoError(t, section.Write(blameFile, name, table))
		return
	}
	doc, err := os.ReadFile(blameFile)
	require.NoError(t, err)
	text, err := section.Text(string(doc), name)
	require.NoError(t, err)
	assert.Equal(t, text, table, "go test ./internal/suite -run Blame -update")
}

// blameRun is one run of the simulation.
type blameRun struct {
	way   *blameWay
	named bool // callers are told apart by Config.Caller, not by their address
	// down answers requests of all tenants. It returns nils for a good answer.
	down func(provider string, r *http.Request) (*http.Response, error)
	long time.Duration

	gateway *aigateway.Gateway
	begun   time.Time

	mu     sync.Mutex
	took   []time.Duration // by the others' requests
	at     []blameServed
	asked  map[string][]time.Duration // when a provider was asked for others, from the beginning
	failed int
	ends   map[string]bool
}

// blameServed is a request of the others: when it was sent, and who answered it.
type blameServed struct {
	sent     time.Duration
	provider string
	took     time.Duration
}

func runBlame(t *testing.T, way *blameWay, named bool) *blameRun {
	run := &blameRun{way: way, named: named, long: blameLong}
	run.play(t)
	return run
}

func (b *blameRun) play(t *testing.T) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b.ends, b.asked = map[string]bool{}, map[string][]time.Duration{}
		cfg := aigateway.Config{
			Registry: aigateway.NoRegistry(), Transport: b,
			PerRequestTimeout: aigateway.Duration(blameTimeout.String()), TotalTimeout: "20s", ClientTimeout: aigateway.Duration(blamePatience.String()),
		}
		for _, id := range []string{"good", "other", "spare"} {
			cfg.Providers = append(cfg.Providers, aigateway.Provider{
				ID: id, BaseURL: "http://" + id + ".internal", Models: []aigateway.Model{{ID: "m"}, {ID: "m2"}},
				APIKeys:              []aigateway.APIKey{{Value: aigateway.Template("sk-" + id + "-0123456789")}},
				SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}},
			})
		}
		if b.named {
			cfg.Caller = func(r *http.Request) string { return r.Header.Get("X-Tenant") }
		}
		var err error
		b.gateway, err = aigateway.New(cfg)
		require.NoError(t, err)
		b.begun = time.Now()
		var all sync.WaitGroup
		for i, tenant := range blameTenants {
			if i == 0 && b.way == nil {
				continue
			}
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 12))
				var requests sync.WaitGroup
				defer requests.Wait()
				if i == 0 {
					<-time.After(3 * time.Second)
				}
				for n := 0; ; n++ {
					pause := 300*time.Millisecond + time.Duration(random.Int64N(int64(400*time.Millisecond)))
					if i == 0 {
						pause = b.way.every
						if pause == 0 {
							pause = 200 * time.Millisecond
						}
						pause += time.Duration(random.Int64N(int64(time.Millisecond)))
					}
					<-time.After(pause)
					if time.Since(b.begun) > b.long {
						return
					}
					seed := random.Int64N(int64(100 * time.Millisecond))
					requests.Go(func() { b.ask(tenant, i, n, seed) })
				}
			})
		}
		all.Wait()
	})
}

// ask sends a request of a tenant, and notes its end.
func (b *blameRun) ask(tenant string, i, n int, seed int64) {
	c := &blameClient{
		path:   "/v1/chat/completions",
		body:   fmt.Sprintf(`{"model":"m","stream":%t,"user":"%s","seed":%d,"messages":[{"role":"user","content":"hi"}]}`, n%2 == 0, tenant, seed),
		header: http.Header{"Content-Type": {"application/json"}, "X-Tenant": {tenant}},
		w:      &blameWriter{header: http.Header{}},
	}
	ctx := context.WithValue(context.Background(), blameBegun{}, b.begun)
	if i == 0 && b.way.client != nil {
		b.way.client(c, n)
	}
	if c.leaves > 0 {
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, c.leaves)
		defer leave()
	}
	body := c.reader
	if body == nil {
		body = strings.NewReader(c.body)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway"+c.path, body)
	if err != nil {
		panic(err)
	}
	r.Header = c.header
	r.RemoteAddr = "10.0.0.1:1234"
	if !b.named {
		r.RemoteAddr = fmt.Sprintf("10.0.0.%d:1234", i+1)
	}
	sent := time.Now()
	cut := func() (cut bool) {
		defer func() {
			if recover() == http.ErrAbortHandler { //nolint:errorlint // as net/http compares
				cut = true
			}
		}()
		b.gateway.ServeHTTP(c.w, r)
		return false
	}()
	took := time.Since(sent)
	b.mu.Lock()
	defer b.mu.Unlock()
	if i == 0 {
		switch {
		case ctx.Err() != nil:
			b.ends["left"] = true
		case cut:
			b.ends["cut"] = true
		default:
			b.ends[fmt.Sprint(c.w.status)] = true
		}
		return
	}
	_, from, _ := strings.Cut(c.w.body.String(), "from ")
	if c.w.status != http.StatusOK || cut || from == "" {
		b.failed++
		return
	}
	provider := from[:strings.IndexAny(from, ` "\`)]
	b.took = append(b.took, took)
	b.at = append(b.at, blameServed{sent.Sub(b.begun), provider, took})
}

// share is the part of the others' requests that the good provider answered.
func (b *blameRun) share() float64 {
	good := 0
	for _, s := range b.at {
		if s.provider == "good" {
			good++
		}
	}
	return float64(good) / float64(len(b.at)+b.failed)
}

func (b *blameRun) p99() time.Duration {
	slices.Sort(b.took)
	return b.took[len(b.took)*99/100]
}

// RoundTrip is all providers.
func (b *blameRun) RoundTrip(r *http.Request) (*http.Response, error) {
	data, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	var body struct {
		User   string
		Stream bool
		Seed   int64
		System string
	}
	if err := json.Unmarshal(data, &body); err != nil && !strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		return nil, err
	}
	provider, _, _ := strings.Cut(r.URL.Host, ".")
	hostile := body.User == blameTenants[0] || body.System == blameTenants[0]
	if !hostile {
		b.mu.Lock()
		b.asked[provider] = append(b.asked[provider], time.Since(b.begun))
		b.mu.Unlock()
	}
	for _, answer := range b.answers(hostile) {
		if resp, err := answer(provider, r); resp != nil || err != nil {
			return resp, err
		}
	}
	if err := blameWait(r.Context(), blameLatency[provider]/2); err != nil {
		return nil, err
	}
	rest := blameLatency[provider]/2 + time.Duration(body.Seed)
	if strings.HasSuffix(r.URL.Path, "/messages") {
		return blameAnswer(r, 200, "application/json", blamePart{rest,
			`{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"from ` + provider + `"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}`}), nil
	}
	if body.Stream {
		return blameAnswer(r, 200, "text/event-stream",
			blamePart{rest, `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"from ` + provider + ` "},"finish_reason":null}]}` + "\n\n"},
			blamePart{20 * time.Millisecond, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"}), nil
	}
	return blameAnswer(r, 200, "application/json", blamePart{rest,
		`{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"from ` + provider + ` "},"finish_reason":"stop"}]}`}), nil
}

// answers are what the providers say in place of a good answer, the first first.
func (b *blameRun) answers(hostile bool) (list []func(string, *http.Request) (*http.Response, error)) {
	if b.down != nil {
		list = append(list, b.down)
	}
	if hostile && b.way.upstream != nil {
		list = append(list, b.way.upstream)
	}
	return list
}

func blameWait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// blamePart is a part of an answer, after a pause.
type blamePart struct {
	after time.Duration
	text  string
}

// blameAnswer is an answer in parts. An error ends it if the last part is "!".
func blameAnswer(r *http.Request, status int, contentType string, parts ...blamePart) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {contentType}},
		ContentLength: -1, Body: &blameBody{ctx: r.Context(), parts: parts}, Request: r,
	}
}

func blameError(r *http.Request, status int, code, message string) (*http.Response, error) {
	if err := blameWait(r.Context(), 50*time.Millisecond); err != nil {
		return nil, err
	}
	text, _ := json.Marshal(map[string]any{"error": map[string]any{"message": message, "type": "some_error", "code": code}})
	return blameAnswer(r, status, "application/json", blamePart{0, string(text)}), nil
}

type blameBody struct {
	ctx   context.Context //nolint:containedctx // of the request, as with net/http's bodies
	parts []blamePart
	left  string
}

func (b *blameBody) Read(p []byte) (int, error) {
	if b.left == "" {
		if len(b.parts) == 0 {
			return 0, io.EOF
		}
		if err := blameWait(b.ctx, b.parts[0].after); err != nil {
			return 0, err
		}
		b.left, b.parts = b.parts[0].text, b.parts[1:]
		if b.left == "!" {
			return 0, io.ErrUnexpectedEOF
		}
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *blameBody) Close() error { return nil }

// blameClient is a request to the gateway.
type blameClient struct {
	path, body string
	header     http.Header
	reader     io.Reader     // in place of body
	leaves     time.Duration // after the request was begun; zero: it stays
	w          *blameWriter
}

// blameWriter is the client's side of an answer. Slow is its pause before each
// write. It has deadlines as a server's writer has them.
type blameWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
	slow   time.Duration

	mu          sync.Mutex
	write, read time.Time // deadlines
}

func (w *blameWriter) Header() http.Header { return w.header }

func (w *blameWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *blameWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.mu.Lock()
	until := w.write
	w.mu.Unlock()
	if err := blameUntil(until, w.slow); err != nil {
		return 0, err
	}
	if w.body.Len() < 1<<10 {
		w.body.Write(p)
	}
	return len(p), nil
}

func (w *blameWriter) Flush() {}

func (w *blameWriter) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.write = t
	return nil
}

func (w *blameWriter) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = t
	return nil
}

// blameUntil waits, at most until a deadline.
func blameUntil(deadline time.Time, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if left := time.Until(deadline); !deadline.IsZero() && left < d {
		<-time.After(left)
		return os.ErrDeadlineExceeded
	}
	<-time.After(d)
	return nil
}

// blameDrip sends a body byte by byte.
type blameDrip struct {
	w    *blameWriter
	text string
	slow time.Duration
}

func (d *blameDrip) Read(p []byte) (int, error) {
	if d.text == "" {
		return 0, io.EOF
	}
	d.w.mu.Lock()
	until := d.w.read
	d.w.mu.Unlock()
	if err := blameUntil(until, d.slow); err != nil {
		return 0, err
	}
	p[0] = d.text[0]
	d.text = d.text[1:]
	return 1, nil
}

// errBlameReset is what a transport says of a connection that was reset.
var errBlameReset = errors.New("read: connection reset by peer")

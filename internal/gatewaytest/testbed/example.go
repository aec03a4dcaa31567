package testbed

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// Example is an example folder with a config and a README. The config is served
// unchanged, between a client and stand-ins for its servers, and the README is
// compared with the results. It works inside a synctest bubble and outside.
type Example struct {
	t       testing.TB
	dir     string
	client  *http.Client
	results chan *aigateway.Result
}

// exampleHost is the gateway's address in the README.
const exampleHost = "127.0.0.1:8080"

// OpenExample serves the gateway.yaml of a folder. The servers are given by
// their addresses, such as "127.0.0.1:11434"; every other address refuses
// connections. If servers is nil, edit sets the transport. edit may change the
// config and may be nil.
func OpenExample(t testing.TB, dir string, servers map[string]http.Handler, edit func(*aigateway.Config)) *Example {
	t.Helper()
	g := &Example{t: t, dir: dir, results: make(chan *aigateway.Result, 1)}
	cfg, err := aigateway.LoadConfig(filepath.Join(dir, "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	network := gatewaytest.NewNetwork()
	if servers != nil {
		for addr, h := range servers {
			network.Serve(t, addr, h)
		}
		cfg.Transport = refusing(t, network)
	}
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { g.results <- res }}
	if edit != nil {
		edit(&cfg)
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	network.Serve(t, exampleHost, gateway)
	g.client = &http.Client{Transport: network.Transport(t)}
	return g
}

// refusing is the network's transport, with the error of Linux for a refused
// connection.
func refusing(t testing.TB, n *gatewaytest.Network) *http.Transport {
	tr := n.Transport(t)
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := n.Dial(ctx, network, addr)
		if at, bad := netip.ParseAddrPort(addr); err != nil && bad == nil && ctx.Err() == nil {
			err = &net.OpError{
				Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(at),
				Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
			}
		}
		return conn, err
	}
	return tr
}

// Post sends a request to a path of the gateway, and returns the answer and the
// Result.
func (g *Example) Post(path, body string, header ...string) (gatewaytest.Answer, *aigateway.Result) {
	g.t.Helper()
	a := g.send(http.MethodPost, path, body, header)
	if a.Err != nil && a.Status == 0 {
		g.t.Fatal(a.Err)
	}
	return a, <-g.results
}

// Failed sends a chat request whose attempts must all fail, and returns the
// logged error of the first attempt.
func (g *Example) Failed(body string) string {
	g.t.Helper()
	a, res := g.Post("/v1/chat/completions", body)
	if res.Status != aigateway.StatusError || len(res.ModelsTried) == 0 || len(res.ModelsTried[0].RequestsMade) == 0 {
		g.t.Fatalf("status %d, %s: no attempt has failed", a.Status, a.Body)
	}
	return res.ModelsTried[0].RequestsMade[0].Error
}

func (g *Example) send(method, path, body string, header []string) gatewaytest.Answer {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+exampleHost+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	begin := time.Now()
	resp, err := g.client.Do(req)
	if err != nil {
		return gatewaytest.Answer{Err: err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return gatewaytest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(data), Err: err, Took: time.Since(begin)}
}

// Curls sends the README's curl requests to the gateway, and returns the answers
// in order. The README must have at least one.
func (g *Example) Curls() []gatewaytest.Answer {
	g.t.Helper()
	var answers []gatewaytest.Answer
	for _, c := range curls(g.README()) {
		method := http.MethodGet
		if c.body != "" {
			method = http.MethodPost
		}
		a := g.send(method, c.path, c.body, c.header)
		if method == http.MethodPost {
			<-g.results
		}
		answers = append(answers, a)
	}
	if len(answers) == 0 {
		g.t.Fatal("the README shows no curl to " + exampleHost)
	}
	return answers
}

type curl struct {
	path, body string
	header     []string
}

// curls reads the curl commands for the gateway, in the quoting of the READMEs.
func curls(readme string) []curl {
	var list []curl
	for _, line := range gatewaytest.Commands(readme) {
		rest, ok := strings.CutPrefix(line, "curl ")
		at := regexp.MustCompile(`http://` + regexp.QuoteMeta(exampleHost) + `(/\S*)`).FindStringSubmatch(rest)
		if !ok || at == nil {
			continue
		}
		c := curl{path: at[1]}
		if d := regexp.MustCompile(`-d '([^']*)'`).FindStringSubmatch(rest); d != nil {
			c.body = d[1]
		}
		for _, h := range regexp.MustCompile(`-H '([^:']+): ([^']*)'`).FindAllStringSubmatch(rest, -1) {
			c.header = append(c.header, h[1], h[2])
		}
		list = append(list, c)
	}
	return list
}

// README returns the text of the README.
func (g *Example) README() string {
	g.t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, "README.md"))
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// Says fails the test unless the README shows a message in full.
func (g *Example) Says(message string) {
	g.t.Helper()
	fields := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if message == "" || !strings.Contains(fields(g.README()), fields(message)) {
		g.t.Errorf("the README does not show this message:\n%s", message)
	}
}

// ConfigError makes a gateway of the example's config after an edit, and returns
// the text of its error. The config must be refused.
func ConfigError(t testing.TB, dir string, edit func(*aigateway.Config)) string {
	t.Helper()
	cfg, err := aigateway.LoadConfig(filepath.Join(dir, "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	edit(&cfg)
	_, err = aigateway.New(cfg)
	var problem *aigateway.ConfigError
	if !errors.As(err, &problem) {
		t.Fatalf("got %v, want a config that is refused", err)
	}
	return problem.Error()
}

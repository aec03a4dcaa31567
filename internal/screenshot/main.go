// Command screenshot takes the picture of the debug page in the docs. It shows a
// gateway with three providers after a hundred requests of two callers. One provider
// is broken, and one has a key out of quota.
//
//	go run ./internal/screenshot   # writes docs/images/debug-page.png
//
// It needs Chromium, and reaches only loopback.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway"
)

const config = `
providers:
  - id: rack-a
    base_url: http://rack-a.internal
    models:
      - id: llama3.3-70b
  - id: rack-b
    base_url: http://rack-b.internal
    models:
      - id: llama3.3-70b
  - id: cloud
    base_url: http://cloud.internal
    api_keys:
      - value: ${secrets.get('cloud', 'one')}
      - value: ${secrets.get('cloud', 'two')}
    models:
      - id: large
      - id: small
only_allow_configured_providers: true
caller: req.headers['x-team'][0]
`

// teams are the callers. A model cools down for all when two of them meet its failures:
// one could have caused them itself.
var teams = [...]string{"search", "support"}

func main() {
	log.SetFlags(0)
	browser := flag.String("browser", "chromium", "the `COMMAND` of a Chromium")
	out := flag.String("o", "docs/images/debug-page.png", "the `FILE` to write")
	size := flag.String("size", "1180,1170", "`WIDTH,HEIGHT` of the window")
	flag.Parse()
	if err := run(context.Background(), *browser, *out, *size); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, browser, out, size string) error {
	gateway, err := newGateway()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", gateway)
	mux.Handle("/debug/aigateway", gateway.DebugHandler())
	server := httptest.NewServer(mux)
	defer server.Close()
	for i := range 90 {
		body := `{"model":"small"}`
		switch {
		case i >= 83:
			body = `{"models":["rack-b:llama3.3-70b","cloud:large"]}`
		case i%3 == 0:
			body = `{"model":"llama3.3-70b"}`
		case i%3 == 1:
			body = `{"model":"large"}`
		}
		if err := ask(ctx, server, teams[i%2], body); err != nil {
			return err
		}
	}
	shot := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--window-size="+size, "--virtual-time-budget=500", "--screenshot="+out, server.URL+"/debug/aigateway")
	if text, err := shot.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", browser, err, text)
	}
	return nil
}

// newGateway makes the gateway and its providers, which end with the process.
func newGateway() (*aigateway.Gateway, error) {
	cfg, err := aigateway.ParseConfig([]byte(config))
	if err != nil {
		return nil, err
	}
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"cloud": {"one": "sk-cloud-of-the-picture-0001", "two": "sk-cloud-of-the-picture-0002"}})
	cfg.InternalEndpoints = map[string]string{}
	for name, provider := range map[string]http.HandlerFunc{
		"rack-a": answers(25 * time.Millisecond),
		"rack-b": fails(http.StatusInternalServerError, `{"error":{"message":"CUDA error: out of memory"}}`),
		"cloud":  outOfQuota(answers(60 * time.Millisecond)),
	} {
		cfg.InternalEndpoints[name+".internal"] = httptest.NewServer(provider).URL
	}
	return aigateway.New(cfg)
}

// answers is a provider that takes up to twice the given time.
func answers(least time.Duration) http.HandlerFunc {
	var count atomic.Int64
	return func(w http.ResponseWriter, _ *http.Request) {
		n := count.Add(1)
		<-time.After(least + least*time.Duration(n*37%100)/100)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Ratelimit-Limit-Requests", "500")
		w.Header().Set("X-Ratelimit-Remaining-Requests", fmt.Sprint(480-n))
		w.Header().Set("X-Ratelimit-Limit-Tokens", "200000")
		w.Header().Set("X-Ratelimit-Remaining-Tokens", fmt.Sprint(180000-n*900))
		fmt.Fprintf(w, `{"choices":[{"message":{"role":"assistant","content":"Good day."},"finish_reason":"stop"}],`+
			`"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`, 300+n*53%700, 40+n*31%160)
	}
}

// outOfQuota refuses the first key after fifty requests: its account is empty.
func outOfQuota(next http.HandlerFunc) http.HandlerFunc {
	var count atomic.Int64
	refuse := fails(http.StatusTooManyRequests, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`)
	return func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) > 50 && strings.HasSuffix(r.Header.Get("Authorization"), "0001") {
			refuse(w, r)
			return
		}
		next(w, r)
	}
}

// fails is a provider with one answer.
func fails(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func ask(ctx context.Context, server *httptest.Server, team, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Team", team)
	resp, err := server.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// Command quickstart shows a gateway at work, without keys and without a network:
// its providers are stand-ins on loopback, and everything between the client and
// them is real.
//
// Read main.go for making a gateway, gateway.yaml for its config, and scenes.go for
// the requests.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway"
)

//go:embed gateway.yaml
var gatewayYAML []byte

// cloudKey is the key of the provider "cloud".
const cloudKey = "sk-quickstart-5f0c6f3b2315"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart: not as it should be:", err)
		os.Exit(1)
	}
}

// run plays the scenes. It returns an error if one of them contradicts its text.
func run(ctx context.Context, out io.Writer) error {
	// The limit is far above the need: it ends a hanging quickstart.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()

	cfg, err := aigateway.ParseConfig(gatewayYAML)
	if err != nil {
		return err
	}
	// Stand-ins take the places of the providers. A config of yours leaves
	// internal_endpoints as they are in the file.
	stand := &standIns{seen: make(chan struct{})}
	defer stand.close()
	for host := range cfg.InternalEndpoints {
		if cfg.InternalEndpoints[host], err = stand.start(host); err != nil {
			return err
		}
	}
	// The source of secrets is not part of the file. By default it is the
	// environment: this one would be CLOUD_API_KEY.
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"cloud": {"api-key": cloudKey}})
	// The hook is called at the end of each request, and the request waits for it.
	// Here there is one request at a time, so waiting does not matter.
	results := make(chan *aigateway.Result, 1)
	cfg.Hooks = &aigateway.Hooks{
		RequestDone: func(_ context.Context, res *aigateway.Result) { results <- res },
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("/v1/", gateway)
	url, closeServer, err := serve(mux)
	if err != nil {
		return err
	}
	defer closeServer()

	fmt.Fprintf(out, "A gateway listens on %s, before %d stand-ins for providers.\n", url, len(cfg.InternalEndpoints))
	v := &visitor{url: url + "/v1/chat/completions", out: out, results: results}
	v.seen = sync.OnceFunc(func() { close(stand.seen) })
	for i, s := range scenes() {
		fmt.Fprintf(out, "\n%d. %s\n", i+1, s.title)
		if err := s.play(ctx, v); err != nil {
			return fmt.Errorf("%d. %s: %w", i+1, s.title, err)
		}
	}
	fmt.Fprintf(out, "\nAll as it should be. gateway.yaml is what the gateway was told.\n")
	return nil
}

// serve serves on a free port of loopback until it is closed.
func serve(h http.Handler) (url string, closeServer func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Print(err)
		}
	}()
	return "http://" + listener.Addr().String(), func() { server.Close() }, nil
}

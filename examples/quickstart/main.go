// Command quickstart shows what a gateway does, without keys and without a
// network: its providers are stand-ins on loopback, and everything between the
// client and them is real.
//
// Read main.go for how a gateway is made, gateway.yaml for what it is told, and
// scenes.go for what is asked of it.
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

// cloudKey is the key that the provider "cloud" asks for.
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

// run plays the scenes, and returns an error if one of them did not go as its
// text says.
func run(ctx context.Context, out io.Writer) error {
	// Far more than is needed: it ends a quickstart that would hang.
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
	// Where a secret comes from is no matter of the file. If nothing is said, it
	// is the environment: this one would be CLOUD_API_KEY.
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"cloud": {"api-key": cloudKey}})
	// The hook is told of each request when it is over. The request waits for
	// it, which is no matter here: there is one at a time.
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

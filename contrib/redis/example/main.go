// Command example is a gateway that is one replica of a fleet. The fleet's state is in
// Redis or Valkey.
//
//	example -config FILE [-redis URL] [-listen ADDR] [-admin-listen ADDR] [-name NAME] [-prefix PREFIX]
//	        [-drain-delay TIME] [-drain TIME] [-log-level LEVEL]
//
// Without -redis the gateway works alone.
//
// The environment's AIGATEWAY_SHARED_SECRET is the key of all hashes in the store, the
// same in all replicas: `openssl rand -hex 32` makes one.
//
// Like examples/server it does not authenticate its clients, and listens on loopback
// unless told otherwise. See there for names of hosts, CORS and reloads.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/aigateway-go/aigateway"
	gatewayredis "github.com/aigateway-go/aigateway/contrib/redis"
)

// secretName is the variable of the environment that holds the fleet's secret.
const secretName = "AIGATEWAY_SHARED_SECRET"

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, drain := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	// The first signal drains. Before anybody sees that, signals have their default effect
	// again: a second one ends the process.
	go func() {
		<-signals
		signal.Stop(signals)
		drain()
	}()
	// The gateway logs once when the store goes. go-redis would log each connection.
	redis.SetLogger(&logging.VoidLogger{})
	os.Exit(run(ctx, os.Args[1:], os.Getenv(secretName), os.Stdout, os.Stderr))
}

// run is the command without the process around it. It serves until ctx ends, and
// returns the exit code.
func run(ctx context.Context, args []string, secret string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	logger := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: o.logLevel}))
	fail := func(message string, err error) int {
		logger.Error(message, "problem", err.Error())
		return exitFailed
	}
	cfg, err := o.load(logger)
	if err != nil {
		return fail("config refused", err)
	}
	if o.redis != "" {
		store, err := o.share(&cfg, secret)
		if err != nil {
			return fail("config refused", err)
		}
		defer func() { _ = store.Close() }()
	}
	gateway, err := aigateway.New(cfg) //nolint:contextcheck // New compiles a config; there is no request yet
	if err != nil {
		return fail("config refused", err)
	}
	// Run goes on while requests drain, so that the others know of them.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = gateway.Run(running) // it ends with its context
	}()
	defer func() { stop(); <-ended }()

	s := newService(gateway, logger) //nolint:contextcheck // its requests bring their own
	if err := s.listen(o.listen, o.adminListen, gateway); err != nil {
		return fail("cannot listen", err)
	}
	s.announce(stdout)
	select {
	case err := <-s.ended:
		return fail("serving ended", err)
	case <-ctx.Done():
	}
	if err := s.drain(o.drainDelay, o.drain); err != nil { //nolint:contextcheck // the context has ended, and the drain has a time of its own
		return fail("requests cut off", err)
	}
	return exitOK
}

// load reads the config file, and adds what no file says.
func (o *options) load(logger *slog.Logger) (aigateway.Config, error) {
	cfg, err := aigateway.LoadConfig(o.config)
	cfg.Secrets = aigateway.NewSecretCache(aigateway.EnvSecrets(), 0)
	cfg.Logger = logger
	return cfg, err
}

// share makes the gateway of a config a replica of the fleet.
func (o *options) share(cfg *aigateway.Config, secret string) (*gatewayredis.Store, error) {
	if secret == "" {
		return nil, fmt.Errorf("%s is not set: it is the key of all hashes in the store, the same in all replicas", secretName)
	}
	store, err := gatewayredis.New(gatewayredis.Options{URL: o.redis, Prefix: o.prefix})
	if err != nil {
		return nil, fmt.Errorf("-redis: %w", err)
	}
	cfg.Shared, cfg.SharedSecret, cfg.ReplicaName = store, []byte(secret), o.name
	return store, nil
}

// options are the command's flags.
type options struct {
	config      string // a file
	listen      string // host:port
	adminListen string // empty if the debug page is not served
	redis       string // a URL
	name        string // of this replica
	prefix      string // of the keys in the store
	drainDelay  time.Duration
	drain       time.Duration
	logLevel    slog.Level
}

// parseOptions reads the flags. It has told the user of the error it returns.
func parseOptions(args []string, stderr io.Writer) (*options, error) {
	o := new(options)
	host, _ := os.Hostname() // without a name the replica has none
	flags := flag.NewFlagSet("example", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.config, "config", "", "configuration `FILE`, YAML or JSON (required)")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`ADDR` to listen on; port 0 takes a free one")
	flags.StringVar(&o.adminListen, "admin-listen", "", "serve /debug/aigateway on `ADDR`, beside /healthz and /readyz")
	flags.StringVar(&o.redis, "redis", "", "`URL` of the store: redis://HOST:PORT, rediss://… with TLS, …?master_name=NAME behind Sentinel, …?cluster=true; without it the gateway works alone")
	flags.StringVar(&o.name, "name", host, "`NAME` of this replica for people")
	flags.StringVar(&o.prefix, "prefix", "", "`PREFIX` of the keys in the store, the same in all replicas (default aigateway)")
	flags.DurationVar(&o.drainDelay, "drain-delay", 0, "how long after SIGTERM requests are still taken, while /readyz answers 503")
	flags.DurationVar(&o.drain, "drain", 25*time.Second, "how long requests under way may take to end after that")
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "log at `LEVEL` and above: debug, info, warn or error")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.config == "":
		err = errors.New("-config is missing")
	case o.drainDelay < 0:
		err = errors.New("-drain-delay must not be below zero")
	case o.drain <= 0:
		err = errors.New("-drain must be above zero")
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		flags.Usage()
	}
	return o, err
}

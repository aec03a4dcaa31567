// Command server runs a gateway as a service of its own.
//
//	server -config FILE [-listen ADDR] [-hosts NAMES] [-cors ORIGINS] [-admin-listen ADDR] [-secrets-dir DIR]
//	       [-drain-delay TIME] [-drain TIME] [-log-level LEVEL]
//	server -config FILE [-secrets-dir DIR] -check [-live]
//	server -config FILE [-secrets-dir DIR] -explain REQUEST.json [-path PATH] [-v]
//	server -schema
//
// It is meant to be copied: all that a gateway needs around it in production is here.
// It does not authenticate its clients, so it listens on loopback unless told
// otherwise. Whoever reaches it spends your keys. Whoever reaches the admin address
// sees the requests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway"
)

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
	// again: a second one ends a drain that takes too long.
	go func() {
		<-signals
		signal.Stop(signals)
		drain()
	}()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	os.Exit(run(ctx, reload, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command without the process around it. It serves until ctx ends,
// reloads whenever reload delivers, and returns the exit code.
func run(ctx context.Context, reload <-chan os.Signal, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	switch {
	case o.schema:
		return printSchema(stdout)
	case o.check:
		return check(ctx, o, stdout)
	case o.explain != "":
		return explain(ctx, o, stdout)
	}
	defer runtime.KeepAlive(ballast())
	logger := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: o.logLevel}))
	cfg, err := o.loadUntil(ctx, logger)
	if err != nil {
		return fail(logger, "config refused", err)
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		return fail(logger, "config refused", err)
	}
	debugPage := http.NotFoundHandler()
	if o.adminListen != "" { // the handler has each request remembered
		debugPage = gateway.DebugHandler()
	}
	s := newService(gateway, debugPage, &guard{o.hosts, o.origins, logger})
	if err := s.listen(o.listen, o.adminListen); err != nil {
		return fail(logger, "cannot listen", err)
	}
	// The kernel has been accepting connections since listen.
	s.announce(stdout)
	var checks checker
	checks.start(ctx, gateway, cfg, logger)

	var loading <-chan loaded // nil unless a reload is under way
	for {
		select {
		case <-reload:
			// One that is under way is given up: it may wait for a file for ever.
			logger.Info("reloading the config")
			loading = o.loadAside(logger)
		case l := <-loading:
			loading = nil
			if l.takeUp(gateway, logger) {
				checks.start(ctx, gateway, l.cfg, logger)
			}
		case err := <-s.ended:
			return fail(logger, "serving ended", err)
		case <-ctx.Done():
			return s.drain(o.drainDelay, o.drain)
		}
	}
}

// ballast is an object of 32 MiB that is never written, so it takes no memory. The
// garbage collector counts it. With the few MiB of a gateway's heap alone it would run
// hundreds of times a second under load. Now the heap grows by up to 32 MiB in between.
//
// GOGC says how often the collector should run, and a small GOMEMLIMIT leaves no room.
// With either there is no ballast.
func ballast() []byte {
	const size, roomy = 32 << 20, 256 << 20
	if os.Getenv("GOGC") != "" || debug.SetMemoryLimit(-1) < roomy {
		return nil
	}
	return make([]byte, size)
}

// options are the command's flags. At most one of check, schema and explain holds, in
// the order of run; without them the command serves.
type options struct {
	config      string // a file
	listen      string // host:port
	hosts       hosts
	origins     *origins
	adminListen string // empty if the debug page is not served
	logLevel    slog.Level
	secretsDir  string
	drainDelay  time.Duration
	drain       time.Duration
	check       bool
	live        bool
	schema      bool
	explain     string
	path        string
	verbose     bool
}

// parseOptions reads the flags. It has told the user of the error it returns.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{origins: noOrigins()}
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.config, "config", "", "configuration `FILE`, YAML or JSON (required)")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`ADDR` to listen on; port 0 takes a free one")
	flags.StringVar(&o.adminListen, "admin-listen", "", "serve /debug/aigateway on `ADDR`, beside /healthz and /readyz")
	flags.Func("hosts", "`NAMES` with commas that clients may reach the server by; beside them loopback names, and beyond loopback IP addresses; * for any", func(list string) (err error) {
		o.hosts, err = parseHosts(list)
		return err
	})
	flags.Func("cors", "`ORIGINS` with commas, such as https://app.example, of pages that may use the server", func(list string) (err error) {
		o.origins, err = parseOrigins(list)
		return err
	})
	flags.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "log at `LEVEL` and above: debug, info, warn or error")
	flags.StringVar(&o.secretsDir, "secrets-dir", "", "look for secrets in the files `DIR`/vault/name before the environment")
	flags.DurationVar(&o.drainDelay, "drain-delay", 0, "how long after SIGTERM requests are still taken, while /readyz answers 503")
	flags.DurationVar(&o.drain, "drain", 25*time.Second, "how long requests under way may take to end after that")
	flags.BoolVar(&o.check, "check", false, "check the configuration, resolve every secret, and exit")
	flags.BoolVar(&o.live, "live", false, "have -check ask each provider for its models, with each key")
	flags.BoolVar(&o.schema, "schema", false, "print the JSON Schema of the configuration, for editors, and exit")
	flags.StringVar(&o.explain, "explain", "", "list the models that would be tried for the request body in `FILE`, send nothing, and exit")
	flags.StringVar(&o.path, "path", "/v1/chat/completions", "`PATH` that the request of -explain is for")
	flags.BoolVar(&o.verbose, "v", false, "have -explain list every model that would not be tried")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.config == "" && !o.schema:
		err = errors.New("-config is missing")
	case o.adminListen == o.listen && !strings.HasSuffix(o.listen, ":0"):
		err = errors.New("-admin-listen must not be the address of -listen, which is for clients")
	case o.live && !o.check:
		err = errors.New("-live goes with -check")
	case o.drainDelay < 0:
		err = errors.New("-drain-delay must not be below zero")
	case o.drain <= 0:
		err = errors.New("-drain must be above zero")
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		flags.Usage()
	}
	return o, err
}

// printSchema prints what editors complete and check a configuration by.
func printSchema(stdout io.Writer) int {
	if _, err := stdout.Write(aigateway.ConfigSchema()); err != nil {
		return exitFailed
	}
	return exitOK
}

// fail logs an error with all of its problems, and returns the exit code of one that ends the command.
func fail(logger *slog.Logger, message string, err error) int {
	logger.Error(message, "problems", problems(err))
	return exitFailed
}

// problems takes apart the errors of a config, as they come all at once. Another error is
// one problem.
func problems(err error) []string {
	var all aigateway.ConfigErrors
	if !errors.As(err, &all) {
		return []string{err.Error()}
	}
	texts := make([]string, len(all))
	for i, e := range all {
		texts[i] = e.Error()
	}
	return texts
}

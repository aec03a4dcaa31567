package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway"
)

// checkTimeout bounds a check, should a store of secrets not answer.
const checkTimeout = 30 * time.Second

// check says whether the configuration can be served, one problem a line. What
// only looks wrong is a warning, and no reason not to start.
func check(ctx context.Context, o options, stdout io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var gateway *aigateway.Gateway
	cfg, err := o.load(nil)
	if err == nil {
		gateway, err = aigateway.New(cfg)
	}
	if err == nil {
		for _, slip := range slips(cfg) {
			fmt.Fprintln(stdout, "warning: "+slip)
		}
		err = gateway.Check(ctx)
	}
	if err != nil {
		for _, problem := range problems(err) {
			fmt.Fprintln(stdout, problem)
		}
		return exitFailed
	}
	fmt.Fprintln(stdout, "ok")
	return exitOK
}

// checker logs what -check would print of the config that is served. A gateway
// with a key too few works for the other models, so nothing waits for it.
type checker struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// start begins a check. One that is under way is about a config that is served
// no more, and is given up.
func (c *checker) start(ctx context.Context, gateway *aigateway.Gateway, cfg aigateway.Config, logger *slog.Logger) {
	if c.cancel != nil {
		c.cancel()
		<-c.done // at once: a check ends with its context
	}
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	c.cancel, c.done = cancel, done
	go func() {
		defer close(done)
		defer cancel()
		for _, slip := range slips(cfg) {
			logger.Warn("config looks wrong", "problem", slip)
		}
		err := gateway.Check(ctx)
		var missing aigateway.ConfigErrors
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
		case errors.As(err, &missing):
			for _, e := range missing {
				logger.Warn("secret does not resolve", "problem", e.Error())
			}
		default:
			logger.Info("every secret resolves")
		}
	}()
}

// slips are what New cannot refuse, as it could be meant, and what nearly always
// is a mistake. They are for a config that New has taken: what is wrong with
// another may be that a secret stands where a name belongs.
func slips(cfg aigateway.Config) []string {
	return slices.Concat(unusedEndpoints(cfg), variablesAsKeys(cfg), unknownNames(cfg))
}

// unusedEndpoints are internal_endpoints that no request is sent to.
func unusedEndpoints(cfg aigateway.Config) (found []string) {
	used := map[string]bool{}
	for _, p := range cfg.Providers {
		host, port := hostPort(p.BaseURL)
		used[host], used[host+":"+port] = true, true
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.InternalEndpoints)) {
		host, port := hostPort("http://" + name)
		if strings.Contains(name, ":") {
			host += ":" + port
		}
		if !used[host] {
			found = append(found, fmt.Sprintf("internal_endpoints[%q]: no provider's base_url leads there", name))
		}
	}
	return found
}

// hostPort are the parts of an address as the gateway compares them.
func hostPort(address string) (host, port string) {
	u, err := url.Parse(address)
	if err != nil {
		return "", ""
	}
	port = u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port
}

// variable is a key that names where it should have come from: $name or $${name} in
// lower case (New refuses them in capitals), %NAME%, or NAME_OF_IT.
var variable = regexp.MustCompile(`^(\$[A-Za-z_]\w*|\$\$\{\w+\}|%\w+%|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+)$`)

func variablesAsKeys(cfg aigateway.Config) (found []string) {
	for i, p := range cfg.Providers {
		for j, key := range p.APIKeys {
			if variable.MatchString(string(key.Value)) {
				found = append(found, fmt.Sprintf("providers[%d].api_keys[%d].value: looks like the name of a variable, and is sent as the key itself: "+
					"write ${secrets.get('openai', 'api-key')} to have OPENAI_API_KEY read", i, j))
			}
		}
	}
	return found
}

var (
	// With a literal name or list; others are known only with a request.
	selector = regexp.MustCompile(`\.(only|ignore|onlyProviders|ignoreProviders)\(\s*('[^']*'|"[^"]*"|\[[^\[\]()]*\])\s*\)`)
	literal  = regexp.MustCompile(`'([^']*)'|"([^"]*)"`)
)

// unknownNames are those in strategies that nothing has: they select nothing, and
// ignore nothing.
func unknownNames(cfg aigateway.Config) (found []string) {
	builtin, err := aigateway.BuiltinRegistry().Providers(context.Background())
	if err != nil {
		return nil
	}
	models, providers := map[string]bool{}, map[string]bool{}
	for _, p := range slices.Concat(cfg.Providers, builtin) {
		for _, name := range append([]string{p.ID}, p.IDAliases...) {
			providers[strings.ToLower(name)] = true
		}
		for _, m := range p.Models {
			for _, name := range append([]string{m.ID}, m.IDAliases...) {
				models[strings.ToLower(name)] = true
			}
		}
	}
	for i, strategy := range cfg.ModelSelection.Strategy {
		for _, call := range selector.FindAllStringSubmatch(strategy, -1) {
			what, known := "model", models
			if strings.HasSuffix(call[1], "Providers") {
				what, known = "provider", providers
			}
			for _, name := range literal.FindAllStringSubmatch(call[2], -1) {
				if name := name[1] + name[2]; !known[strings.ToLower(name)] {
					found = append(found, fmt.Sprintf("model_selection.strategy[%d]: %s(…): there is no %s %q", i, call[1], what, name))
				}
			}
		}
	}
	return found
}

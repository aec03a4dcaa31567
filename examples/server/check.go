package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway"
)

// checkTimeout bounds a check: a secret store or a provider may not answer.
const checkTimeout = 30 * time.Second

// check reports whether the configuration can be served, one problem a line. Warnings
// do not keep it from starting, so they do not change the exit code. Everything goes to
// stdout: a pipeline reads one stream. Secrets are resolved, but never printed.
func check(ctx context.Context, o options, stdout io.Writer) int {
	checking, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var gateway *aigateway.Gateway
	cfg, err := o.loadUntil(checking, nil)
	if err == nil {
		gateway, err = aigateway.New(cfg)
	}
	if err != nil {
		return printProblems(stdout, err)
	}
	// Warnings come first, for the last line to be the verdict.
	for _, slip := range slips(gateway, cfg) {
		fmt.Fprintln(stdout, "warning: "+slip)
	}
	code := exitOK
	err = gateway.Check(checking)
	if err != nil {
		code = printProblems(stdout, err)
	}
	// Providers get a time of their own: a slow secret store must not take it.
	if o.live && !printLive(ctx, stdout, cfg, err) {
		code = exitFailed
	}
	if code == exitOK {
		fmt.Fprintln(stdout, "ok")
	}
	return code
}

// printProblems returns the exit code of a failed check.
func printProblems(stdout io.Writer, err error) int {
	for _, problem := range problems(err) {
		fmt.Fprintln(stdout, problem)
	}
	return exitFailed
}

// checker logs the findings of -check about the config that is served. A gateway with
// a missing key works for the other models, so nothing waits for it. It belongs to one
// goroutine. The zero checker is ready.
type checker struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// start begins a check. One that is under way is about an older config, and is given
// up.
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
		for _, slip := range slips(gateway, cfg) {
			logger.Warn("config looks wrong", "problem", slip)
		}
		err := gateway.Check(ctx)
		var missing aigateway.ConfigErrors
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			// Stopped or overtaken. The errors are those of the context.
		case errors.As(err, &missing):
			for _, e := range missing {
				logger.Warn("secret does not resolve", "problem", e.Error())
			}
		default:
			logger.Info("every secret resolves")
		}
	}()
}

// slips are likely mistakes in a config that New has accepted. They hold no secret. The
// gateway's own warnings come first.
func slips(gateway *aigateway.Gateway, cfg aigateway.Config) []string {
	var found []string
	for _, w := range gateway.Warnings() {
		found = append(found, w.Error())
	}
	return append(found, unusedEndpoints(cfg)...)
}

// unusedEndpoints are internal_endpoints that no provider's base_url leads to.
func unusedEndpoints(cfg aigateway.Config) (found []string) {
	used := map[string]bool{} // host and host:port of each base_url
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

// hostPort splits an address as the gateway compares it: in lower case, without a final
// dot. Both are empty if the address is not a URL.
func hostPort(address string) (host, port string) {
	u, err := url.Parse(address)
	if err != nil {
		return "", ""
	}
	// Without a port, that of the scheme counts: ollama.internal:80 is ollama.internal.
	port = u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")), port
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/aigateway-go/aigateway"
)

// load reads the file and adds the fields outside of a file's reach. Faults of the
// document stay in the Config: New and Reload report them with all others.
func (o options) load(logger *slog.Logger) (aigateway.Config, error) {
	cfg, err := aigateway.LoadConfig(o.config)
	var faults aigateway.ConfigErrors
	if err != nil && !errors.As(err, &faults) {
		return cfg, err
	}
	store := aigateway.EnvSecrets()
	if o.secretsDir != "" {
		store = aigateway.ChainSecrets(secretsIn(o.secretsDir), store)
	}
	// A new cache makes a reload read every secret again. It inherits the last good
	// values, which serve while the store is down.
	cfg.Secrets = aigateway.NewSecretCache(store, 0)
	cfg.Logger = logger
	return cfg, nil
}

// secretsIn reads secrets from the files of a directory. While the directory itself
// is away, the store is down: its secrets are not deleted.
func secretsIn(dir string) aigateway.SecretResolver {
	files := aigateway.DirSecrets(dir)
	return aigateway.SecretResolverFunc(func(ctx context.Context, vault, name string) (string, error) {
		if _, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("-secrets-dir: %w", err)
		}
		return files.ResolveSecret(ctx, vault, name)
	})
}

// loaded is the end of a load.
type loaded struct {
	cfg aigateway.Config
	err error
}

// loadAside loads in a goroutine: a pipe or a dead network disk can keep its reader
// waiting. The channel is buffered: the result may be left in it.
func (o options) loadAside(logger *slog.Logger) <-chan loaded {
	done := make(chan loaded, 1)
	go func() {
		cfg, err := o.load(logger)
		done <- loaded{cfg, err}
	}()
	return done
}

// loadUntil loads, unless the context ends first.
func (o options) loadUntil(ctx context.Context, logger *slog.Logger) (aigateway.Config, error) {
	select {
	case l := <-o.loadAside(logger):
		return l.cfg, l.err
	case <-ctx.Done():
		return aigateway.Config{}, fmt.Errorf("%s: stopped before it was read", o.config)
	}
}

// takeUp has the gateway serve by the new config. A bad one changes nothing: a typo
// must not stop a working gateway.
func (l loaded) takeUp(gateway *aigateway.Gateway, logger *slog.Logger) bool {
	err := l.err
	if err == nil {
		err = gateway.Reload(l.cfg)
	}
	if err != nil {
		logger.Error("config refused, the old one stays", "problems", problems(err))
		return false
	}
	logger.Info("config reloaded")
	return true
}

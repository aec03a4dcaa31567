package main

import (
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway"
)

// clientTimeout is short, for clients that stall.
const clientTimeout = 300 * time.Millisecond

// keepalive is the shortest that a config may have.
const keepalive = time.Second

// writeCA makes the file of the authority that the providers' certificates are of.
func (s *soak) writeCA() error {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	s.dir = dir
	block := &pem.Block{Type: "CERTIFICATE", Bytes: s.encrypted.Certificate().Raw}
	return os.WriteFile(s.caFile(), pem.EncodeToMemory(block), 0o600)
}

func (s *soak) caFile() string { return filepath.Join(s.dir, "ca.pem") }

// config is one of several that are taken in turn.
func (s *soak) config(n int) aigateway.Config {
	cfg := aigateway.Config{
		PerRequestTimeout: "1500ms", TotalTimeout: "5s", FirstTokenTimeout: "1s", MaxAttempts: 6, MaxRetries: n % 2,
		ClientTimeout:     aigateway.Duration(clientTimeout.String()),
		ModelSelection:    aigateway.ModelSelection{Strategy: []string{"ai.models.sortBy(m, m.metrics.endpoint.error_rate.total)"}},
		InternalEndpoints: map[string]string{},
		Secrets:           s.secrets,
		Hooks:             s.hooks.hooks(),
		Logger:            slog.New(slog.DiscardHandler), // hooks panic
	}
	if n%2 == 0 { // else the providers of HTTP/2 are asked last: all their streams fail at once
		cfg.ModelSelection.Strategy = []string{"ai.models.randomize()"}
	}
	if n%3 == 0 {
		cfg.StreamCommit = aigateway.StreamCommitComplete
	}
	if n%2 == 1 {
		cfg.StreamKeepalive, cfg.TotalTimeout = aigateway.Duration(keepalive.String()), "6s"
		cfg.FirstTokenTimeout = "1300ms" // beyond a pause for the keepalive
	}
	if n%5 > 2 {
		cfg.Secrets = s.cache
	}
	for i, host := range s.hosts {
		id := fmt.Sprintf("p%d", i)
		scheme, _, _ := strings.Cut(host.URL, ":")
		p := aigateway.Provider{
			ID: id, BaseURL: scheme + "://" + id + ".internal", Models: []aigateway.Model{{ID: "m"}},
			APIKeys:              []aigateway.APIKey{{Value: "${secrets.get('v', 'one')}"}, {Value: "${secrets.get('v', 'two')}"}},
			SupportedAPISurfaces: []aigateway.APISurface{{Format: "openai"}, {Format: "anthropic"}},
		}
		if scheme == "https" {
			p.TLS = aigateway.TLS{CAFile: s.caFile(), ServerName: "example.com"}
		}
		if i > 1 && n%3 < 2 { // one of chat, one of messages
			p.Translate, p.SupportedAPISurfaces = aigateway.TranslateOn, []aigateway.APISurface{{Format: "openai"}}
			if i == 3 {
				p.SupportedAPISurfaces[0].Format = "anthropic"
			}
		}
		if i == 0 && n%4 == 1 {
			p.Limits = aigateway.Limits{InFlight: 4, Wait: "50ms"}
		}
		cfg.InternalEndpoints[id+".internal"] = host.URL
		cfg.Providers = append(cfg.Providers, p)
	}
	return cfg
}

// reload takes the next config. Each fourth one is not valid.
func (s *soak) reload(n int) {
	cfg := s.config(n)
	if n%4 == 0 {
		cfg.MaxAttempts = -1
	}
	if err := s.gateway.Reload(cfg); (err != nil) != (n%4 == 0) {
		s.fault("reload %d: %v", n, err)
	}
}

package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"os/exec"

	"github.com/aigateway-go/aigateway"
)

// comparisons are rows for one question each. The name of a row that is not compared
// with the twin says with which server it is.
func comparisons() []load {
	const (
		small = 1 << 10
		whole = "1 KB → 1.2 KB, 8 connections"
		event = "1 KB → 41 events, 8 connections"
	)
	list := []load{
		{name: "examples/server with its log, " + whole, variant: "server", model: modelSmall, size: small, conns: 8, cpu: 1},
		{name: "examples/server with its log, " + event, variant: "server", model: modelFast, size: small, conns: 8, cpu: 1},
		{name: "examples/server without its log, " + whole, variant: "server-quiet", model: modelSmall, size: small, conns: 8, rate: 1.05, cpu: 0.90},
		{name: "TLS and HTTP/2 upstream, " + whole, variant: "tls", base: "tls twin", model: modelSmall, size: small, conns: 8, rate: 1},
		{name: "TLS and HTTP/2 upstream, " + event, variant: "tls", base: "tls twin", model: modelFast, size: small, conns: 8, rate: 1},
		{name: "all features on, " + whole + ", to all off", variant: "features", base: "bare", model: modelSmall, size: small, conns: 8, cpu: 1.15},
		{name: "all features on, " + event + ", to all off", variant: "features", base: "bare", model: modelFast, size: small, conns: 8, cpu: 1.15},
		{name: "messages → chat, " + whole + ", to chat", variant: "translated", base: "plain", format: "messages", model: modelSmall, size: small, conns: 8, cpu: 2},
		{name: "messages → chat, 215 KB → 1.2 KB, 8 connections, to chat", variant: "translated", base: "plain", format: "messages", model: modelSmall, size: 215 << 10, conns: 8, cpu: 2},
		{name: "messages → chat, " + event + ", to chat", variant: "translated", base: "plain", format: "messages", model: modelFast, size: small, conns: 8, cpu: 2},
		{name: "responses → chat, 215 KB → 1.2 KB, 8 connections, to chat", variant: "translated", base: "plain", format: "responses", model: modelSmall, size: 215 << 10, conns: 8, cpu: 2},
		{name: "responses → chat, " + event + ", to chat", variant: "translated", base: "plain", format: "responses", model: modelFast, size: small, conns: 8, cpu: 2},
	}
	if !hasNginx() {
		return list
	}
	return append(list,
		load{name: whole + ", to nginx as a plain proxy", base: "nginx", model: modelSmall, size: small, conns: 8},
		load{name: "215 KB → 1.2 KB, 8 connections, to nginx as a plain proxy", base: "nginx", model: modelSmall, size: 215 << 10, conns: 8},
		load{name: event + ", to nginx as a plain proxy", base: "nginx", model: modelFast, size: small, conns: 8},
	)
}

func hasNginx() bool {
	_, err := exec.LookPath("nginx")
	return err == nil
}

// inFormat is a request with a chat body, in the format of a client.
func inFormat(format string, chat []byte) []byte {
	switch format {
	case "messages":
		return requestTo("/v1/messages", append(chat[:len(chat)-1], `,"max_tokens":100}`...))
	case "responses":
		return requestTo("/v1/responses", bytes.Replace(chat, []byte(`"messages":`), []byte(`"input":`), 1))
	default:
		return request(chat)
	}
}

// allFeatures turns on what a service with tenants turns on, with limits that it does
// not reach. The log has rows of its own.
func allFeatures(cfg *aigateway.Config, p *aigateway.Provider) {
	const plenty = 1_000_000_000
	limits := aigateway.Limits{InFlight: plenty, RequestsPerMinute: plenty, TokensPerMinute: plenty, Wait: "1s"}
	in, out := 1.0, 2.0
	p.Limits, p.APIKeys[0].Limits = limits, limits
	for i := range p.Models {
		p.Models[i].Limits, p.Models[i].Pricing = limits, &aigateway.Pricing{Input: &in, Output: &out}
	}
	// Sticky requests need providers to choose from.
	other := *p
	other.ID, other.BaseURL = "q", "http://p.internal/v1"
	cfg.Providers = append(cfg.Providers, other)
	cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.session)"}
	cfg.CallerExpr = "req.headers['authorization'][0]"
	cfg.ClientLimits = []aigateway.ClientLimit{{RequestsPerMinute: plenty, TokensPerMinute: plenty, USDPerDay: 1_000_000}}
	cfg.Labels = func(*http.Request) []slog.Attr { return []slog.Attr{slog.String("team", "search")} }
	cfg.ResponseHeaders = []aigateway.ResponseHeader{
		aigateway.HeaderRequestID, aigateway.HeaderModel, aigateway.HeaderAttempts,
		aigateway.HeaderRemovedParams, aigateway.HeaderRejectedModels, aigateway.HeaderAffinity, aigateway.HeaderCost,
	}
}

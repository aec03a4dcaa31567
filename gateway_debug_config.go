package aigateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/debugpage"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// debugSettings is the part of the debug page that comes from the Config.
type debugSettings struct {
	ledger  *debugpage.Ledger
	history *debugpage.History // the gateway's
	config  json.RawMessage
	runtime debugpage.Runtime
}

// newDebugSettings notes what may be shown of a Config that New accepts. It is
// done then and not when somebody looks, because the Config may change.
func newDebugSettings(history *debugpage.History, ledger *debugpage.Ledger, cfg Config) debugSettings {
	raw, err := json.Marshal(shownConfig(cfg))
	if err != nil {
		raw = []byte("{}") // New refuses what does not marshal
	}
	return debugSettings{history: history, ledger: ledger, config: raw, runtime: debugpage.Runtime{
		Secrets:        shownType(cfg.Secrets, "EnvSecrets, by default"),
		Registry:       shownType(cfg.Registry, "BuiltinRegistry, by default"),
		URLPolicy:      shownType(cfg.URLPolicy, "StrictURLPolicy, by default"),
		Transport:      shownType(cfg.Transport, "the gateway's own"),
		FailoverPolicy: shownType(cfg.FailoverPolicy, "DefaultFailoverPolicy, by default"),
		TokenCounter:   shownType(cfg.TokenCounter, "an estimate, by default"),
		Hooks:          cfg.Hooks != nil, Logger: cfg.Logger != nil,
		Region: cfg.Region, Account: cfg.Account, MaxBodyBytes: given(cfg.MaxBodyBytes, bounds.Of("Config", "MaxBodyBytes").Number()),
	}}
}

// shownType is the type of a dependency: its value may hold a secret.
func shownType(v any, none string) string {
	if v == nil {
		return none
	}
	return fmt.Sprintf("%T", v)
}

// shownConfig is a copy of a Config with the defaults of what is not given, and
// without what could be a secret. Templates cut themselves when they are
// marshaled; this is about what is free in its form.
func shownConfig(cfg Config) Config {
	cfg = withDefaults(cfg)
	cfg.Headers, cfg.QueryParams, cfg.Body = shownKeys(cfg.Headers), shownKeys(cfg.QueryParams), shownMap(cfg.Body)
	cfg.Providers = slices.Clone(cfg.Providers)
	for i := range cfg.Providers {
		p := &cfg.Providers[i]
		if base, _, ok := strings.Cut(p.BaseURL, "?"); ok {
			p.BaseURL = base + "?…"
		}
		p.Headers, p.QueryParams, p.Body = shownKeys(p.Headers), shownKeys(p.QueryParams), shownMap(p.Body)
		p.Metadata = shownMap(p.Metadata)
		if redact.LooksSecret(p.Auth.Scheme) {
			p.Auth.Scheme = "…"
		}
		p.Models = slices.Clone(p.Models)
		for j := range p.Models {
			p.Models[j].Metadata = shownMap(p.Models[j].Metadata)
		}
	}
	return cfg
}

// shownKey is the name of a header or a field, unless it is a credential that
// was put in the wrong place.
func shownKey(name string) string {
	if redact.IsKey(name) {
		return "…"
	}
	return name
}

func shownKeys(values map[string]Template) map[string]Template {
	out := maps.Clone(values)
	for name, v := range values {
		if shown := shownKey(name); shown != name {
			delete(out, name)
			out[shown] = v
		}
	}
	return out
}

// shownMap cuts what could be a secret from a value of any shape.
func shownMap(m map[string]any) map[string]any {
	if len(m) == 0 {
		return nil
	}
	// What a Go program put in may be of any type. As JSON it is of a few.
	raw, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	var copied map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&copied); err != nil {
		return nil
	}
	return shownValue(copied, false).(map[string]any)
}

// shownValue is v, cut. What stands under a name that tells of a secret is one,
// but for numbers and truths: those are more often limits and switches, as in
// max_tokens.
func shownValue(v any, secret bool) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, child := range v {
			out[shownKey(name)] = shownValue(child, secret || redact.IsSecretName(name))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = shownValue(child, secret)
		}
		return out
	case string:
		switch {
		case strings.Contains(v, "${"):
			return Template(v)
		case v != "" && (secret || redact.HasSecret(v)):
			return "…"
		}
		return v
	default:
		return v
	}
}

// configText is the config as people write it.
func configText(config json.RawMessage) string {
	if text, ok := confdoc.YAML(config); ok {
		return text
	}
	return string(config)
}

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

// newDebugSettings notes the presentable part of a Config that New accepts. New
// calls it, because the Config may change later.
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

// shownType is the type of a dependency. Its value may hold a secret, and is not
// shown.
func shownType(v any, none string) string {
	if v == nil {
		return none
	}
	return fmt.Sprintf("%T", v)
}

// shownConfig is a copy of a Config with its defaults, and without possible
// secrets. Templates redact themselves when they are marshaled. This function
// redacts the free-form parts.
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

// shownKey is the name of a header or a field. A name that is a credential, put
// into the wrong place, is redacted.
func shownKey(name string) string {
	if redact.IsKey(name) {
		return "…"
	}
	return name
}

// shownKeys redacts the names of headers and parameters. The values redact
// themselves.
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

// shownMap redacts possible secrets in a value of any shape.
func shownMap(m map[string]any) map[string]any {
	if len(m) == 0 {
		return nil
	}
	// A Go program may have put any type into the map. JSON has only a few.
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

// shownValue is v, redacted. Values under secret-sounding names are redacted,
// except for numbers and booleans: they are more often limits and switches, such as
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

// configText is the config as YAML, for people.
func configText(config json.RawMessage) string {
	if text, ok := confdoc.YAML(config); ok {
		return text
	}
	return string(config)
}

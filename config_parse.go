package aigateway

import (
	_ "embed"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/limit"
)

// ParseConfig reads a Config from a YAML or JSON document of at most 16 MiB, in
// UTF-8. The document holds the settings themselves. It may also be an
// on_http_request list with one action of type ai-gateway, and the settings under
// its config.
//
// It reports every fault of shape at once, each as a [*ConfigError] with its path
// and line: unknown fields, keys given twice, values of the wrong type. [New]
// checks the meaning of the values. A null means a field that is not given.
//
// On an error the Config holds the readable part of the document. New refuses it,
// and reports the faults of shape together with those of meaning. To show all
// faults, a program calls New in either case. After a syntax error the Config is
// empty.
//
// Paths start at the settings in both forms of the document, and so agree with
// those of New. They start at on_http_request only if that wrapping is at fault.
func ParseConfig(doc []byte) (Config, error) {
	cfg, faults := parseConfig(doc)
	return cfg, faults.err()
}

// LoadConfig reads the file and parses it like [ParseConfig]. Its errors name
// the file.
//
// A pipe or a device, such as /dev/stdin or the <(…) of a shell, must deliver the
// whole document within five seconds.
func LoadConfig(path string) (Config, error) {
	doc, err := confdoc.ReadFile(path, pipePatience)
	if err != nil {
		return Config{}, fmt.Errorf("aigateway: %w", err)
	}
	cfg, faults := parseConfig(doc)
	if len(faults) > 0 {
		return cfg, fmt.Errorf("aigateway: %s: invalid config:\n%w", path, faults.list())
	}
	return cfg, nil
}

// pipePatience bounds the wait for a config in a pipe. A reload must not hang for ever.
const pipePatience = 5 * time.Second

// parseConfig is ParseConfig with the problems as a list.
func parseConfig(doc []byte) (Config, problems) {
	var cfg Config
	d, fault := confdoc.Parse(doc, confdoc.Options{
		Text:     reflect.TypeFor[Template](),
		Duration: reflect.TypeFor[Duration](),
		Switches: []reflect.Type{reflect.TypeFor[Translate](), reflect.TypeFor[Discover]()},
		Secret:   func(field string) bool { return slices.Contains(credentialFields, field) },
		Nearest:  nearestField,
		Home:     homeOf,
	})
	if fault != nil {
		cfg.shape = []confdoc.Fault{*fault}
	} else {
		d.DecodeSettings(&cfg)
		cfg.shape = d.Faults()
	}
	return cfg, shapeProblems(cfg.shape)
}

// otherNames are names of fields in other tools, with the names here.
var otherNames = map[string][]string{
	"name": {"id"}, "model_name": {"id"}, "alias": {"id_aliases", "aliases"}, "enabled": {"disabled"},
	"url": {"base_url"}, "endpoint": {"base_url"}, "api_base": {"base_url"}, "host": {"base_url"},
	"key": {"api_keys"}, "keys": {"api_keys"}, "token": {"api_keys"},
	"timeout": {"per_request_timeout"}, "retries": {"max_retries"}, "num_retries": {"max_retries"},
	"price": {"pricing"}, "prices": {"pricing"}, "cost": {"pricing"}, "max_tokens": {"max_output_tokens"},
	"context_window": {"max_context_window"}, "context_length": {"max_context_window"}, "features": {"supported_features"},
	"rpm": {"requests_per_minute", "limits"}, "tpm": {"tokens_per_minute", "limits"}, "max_concurrency": {"in_flight", "limits"}, "concurrency": {"in_flight", "limits"},
	"max_parallel_requests": {"in_flight", "limits"}, "max_concurrent_requests": {"in_flight", "limits"}, "fallback_models": {"fallbacks"},
	"prompt": {"input"}, "completion": {"output"}, "cache_read": {"input_cache_read"}, "cache_write": {"input_cache_write"},
	"routing_strategy": {"model_selection"}, "routing": {"model_selection"}, "load_balancing": {"model_selection"},
	"budget": {"client_limits"}, "max_budget": {"client_limits"},
	"strategies": {"strategy", "model_selection"}, "strategy": {"model_selection"}, "rate_limit": {"limits"}, "rate_limits": {"limits", "client_limits"},
	"model_list": {"providers"}, "surfaces": {"supported_api_surfaces"},
}

// nearestField is the field that a misspelt one probably means: a similar name, or the
// name of the same thing in another tool.
func nearestField(field string, known []string) string {
	if near := expr.Nearest(field, known); near != "" {
		return near
	}
	for _, name := range otherNames[strings.ToLower(field)] {
		if slices.Contains(known, name) {
			return name
		}
	}
	return ""
}

// homeOf names the part of a document that has a field, or one that differs from it by a
// slip.
func homeOf(field string) string {
	parts := [...]struct {
		name   string
		fields []string
	}{
		{"the config, outside of its lists", confdoc.FieldNames(&Config{})},
		{"providers[]", confdoc.FieldNames(&Provider{})},
		{"providers[].models[]", confdoc.FieldNames(&Model{})},
	}
	for _, part := range parts {
		if slices.Contains(part.fields, field) {
			return part.name
		}
	}
	for _, part := range parts {
		if near := expr.Misspelt(field, part.fields); near != "" {
			return fmt.Sprintf("%s, written %q", part.name, near)
		}
	}
	return ""
}

// credentialFields are the fields of a document with credentials among their values.
var credentialFields = []string{"api_keys", "headers", "query_params", "body"}

//go:generate go run ./internal/schema/gen

//go:embed config.schema.json
var configSchema string

// ConfigSchema returns the JSON Schema (draft 2020-12) of the documents that
// [ParseConfig] reads, for editors that complete and check YAML. It constrains each
// field by itself. [New] checks the fields together, and the expressions. The caller
// owns the bytes.
func ConfigSchema() []byte { return []byte(configSchema) }

// duration reads a duration of the Config. Empty and zero mean the default of its
// row in the table of bounds.
func (p *problems) duration(field string, v Duration) time.Duration {
	return v.parse(p, field, bounds.Of("Config", field).Duration())
}

// number checks a number of the Config. Zero is the default of its row.
func (p *problems) number(field string, v int) int {
	s := bounds.Of("Config", field)
	if !s.Allows(int64(v)) {
		p.add(field, fmt.Sprint(v), "must be from %d to %d", s.Min, s.Max)
	}
	if v == 0 {
		return int(s.Number())
	}
	return v
}

// withDefaults returns a copy of a Config with the defaults in its empty fields.
// It is for the debug page. New takes defaults field by field, from the same
// table.
func withDefaults(cfg Config) Config {
	v := reflect.ValueOf(&cfg).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		for _, s := range bounds.Table() {
			if s.Struct != "Config" || s.Field != name || !f.IsZero() {
				continue
			}
			switch def := s.Default.(type) {
			case time.Duration:
				f.SetString(def.String())
			case int64:
				f.SetInt(def)
			case string:
				f.SetString(def)
			}
		}
	}
	return cfg
}

// parse reads a duration. Empty and zero mean the default.
// A bad one becomes a problem, and reads as the default, so that the checks
// after it have a value to work with.
func (d Duration) parse(p *problems, path string, def time.Duration) time.Duration {
	if d == "" {
		return def
	}
	v, err := time.ParseDuration(string(d))
	switch {
	case err != nil && strings.Trim(string(d), "0123456789.hmsµun") == "" && len(d) > 6:
		p.add(path, string(d), "is too long, or not a duration: write it like \"90s\" or \"3m\"")
	case err != nil:
		p.add(path, string(d), "is not a duration: write it like \"90s\" or \"3m\"")
	case v < 0:
		p.add(path, string(d), "must not be negative")
	case v > 0:
		return v
	}
	return def
}

// oneOf checks a word; the first one is the default.
// An unknown word becomes a problem, and is returned as it is: the config is
// refused by then.
func oneOf[T ~string](p *problems, path string, v T, words ...T) T {
	if v == "" {
		return words[0]
	}
	if !slices.Contains(words, v) {
		p.add(path, string(v), "%s", notOneOf(string(v), words))
	}
	return v
}

// notOneOf lists the valid words, and suggests the most similar one.
func notOneOf[T ~string](v string, words []T) string {
	known := make([]string, len(words))
	for i, w := range words {
		known[i] = string(w)
	}
	if near := expr.Nearest(v, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "must be one of " + strings.Join(known, ", ")
}

// sortedKeys returns the keys of a map in order. Errors and compiled lists then do
// not change from run to run.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// limits compiles the limits of a provider, a model or a key.
//
// Zero means unlimited. A wait or an exact without a limit beside it is a slip: it
// would have no effect.
func (p *problems) limits(path string, l Limits) limit.Limits {
	out := limit.Limits{
		InFlight:          p.atLeastZero(path+".in_flight", l.InFlight),
		RequestsPerMinute: p.atLeastZero(path+".requests_per_minute", l.RequestsPerMinute),
		TokensPerMinute:   p.atLeastZero(path+".tokens_per_minute", l.TokensPerMinute),
		Wait:              l.Wait.parse(p, path+".wait", 0),
		Exact:             l.Exact,
	}
	if out.Exact && l.InFlight == 0 {
		p.add(path+".exact", "true", "has no limit beside it to be exact: give in_flight")
	}
	if out.Wait > 0 && l.InFlight == 0 && l.RequestsPerMinute == 0 && l.TokensPerMinute == 0 {
		p.add(path+".wait", string(l.Wait), "has no limit beside it to wait at: give in_flight, requests_per_minute or tokens_per_minute")
	}
	return out
}

// atLeastZero reports a negative number, and returns it as zero, so that the checks go
// on to find the other problems.
func (p *problems) atLeastZero(path string, n int64) int64 {
	if n < 0 {
		p.add(path, fmt.Sprint(n), "must not be negative")
	}
	return max(n, 0)
}

// namedPrice is a price with its name in the configuration.
// A nil value is an unknown price; zero is free.
type namedPrice struct {
	name  string
	value *float64
}

// prices checks that costs can be counted by each price, and that tiers ascend.
func (p *problems) prices(path string, of *Pricing) {
	check := func(path string, prices ...namedPrice) {
		for _, n := range prices {
			switch {
			case n.value == nil:
			case !(*n.value >= 0):
				p.add(path+"."+n.name, fmt.Sprint(*n.value), "a price must not be negative")
			case *n.value > bounds.MaxPrice:
				p.add(path+"."+n.name, fmt.Sprint(*n.value), "is too high: a price is in USD per million tokens, up to %d", bounds.MaxPrice)
			}
		}
	}
	check(path, namedPrice{"input", of.Input}, namedPrice{"output", of.Output}, namedPrice{"input_cache_read", of.InputCacheRead},
		namedPrice{"input_cache_write", of.InputCacheWrite}, namedPrice{"input_cache_write_1h", of.InputCacheWrite1h},
		namedPrice{"input_batch", of.InputBatch}, namedPrice{"output_batch", of.OutputBatch})
	for i, t := range of.Tiers {
		at := fmt.Sprintf("%s.tiers[%d]", path, i)
		switch {
		case t.AboveInputTokens <= 0:
			p.add(at+".above_input_tokens", fmt.Sprint(t.AboveInputTokens), "must be above zero: the prices of short prompts stand beside the tiers")
		case i > 0 && t.AboveInputTokens <= of.Tiers[i-1].AboveInputTokens:
			p.add(at+".above_input_tokens", fmt.Sprint(t.AboveInputTokens), "must be above that of the tier before: tiers ascend")
		}
		check(at, namedPrice{"input", t.Input}, namedPrice{"output", t.Output}, namedPrice{"input_cache_read", t.InputCacheRead},
			namedPrice{"input_cache_write", t.InputCacheWrite}, namedPrice{"input_cache_write_1h", t.InputCacheWrite1h})
	}
	for _, tool := range sortedKeys(of.Tools) {
		switch usd := of.Tools[tool]; {
		case !(usd >= 0):
			p.add(confdoc.JoinKey(path+".tools", tool), fmt.Sprint(usd), "a price must not be negative")
		case usd > bounds.MaxToolPrice:
			p.add(confdoc.JoinKey(path+".tools", tool), fmt.Sprint(usd), "is too high: the price of a tool is in USD per call, up to %d", bounds.MaxToolPrice)
		}
	}
}

// warnings finds the slips of the catalog as a whole.
func (s *selector) warnings(cfg Config, endpoints surfaces) problems {
	var p problems
	if s.catalog == nil {
		return nil
	}
	for i, over := range cfg.Providers {
		if of := s.byName[fold(over.ID)]; of != nil && of.needsKey && !of.disabled && len(over.APIKeys) == 0 {
			p.add(fmt.Sprintf("providers[%d].api_keys", i), "", "are missing: provider %q needs a key, and none of its models is tried without one", of.id)
		}
		for j, m := range over.Models {
			s.warnHidden(&p, fmt.Sprintf("providers[%d].models[%d].id", i, j), over.ID, m.ID)
			for n, alias := range m.IDAliases {
				s.warnHidden(&p, fmt.Sprintf("providers[%d].models[%d].id_aliases[%d]", i, j, n), over.ID, alias)
			}
		}
	}
	var known knownValues
	for i, st := range s.strategies {
		if st.eval == nil {
			continue
		}
		if known.metadata == nil {
			known = valuesOf(s, endpoints)
		}
		found := st.eval.Constants()
		path := fmt.Sprintf("model_selection.strategy[%d]", i)
		warnUnknown(&p, path, "provider", found.Providers, s.providerIDs(), func(name string) bool { return s.byName[fold(name)] != nil })
		warnUnknown(&p, path, "model", found.Models, s.modelIDs(), func(name string) bool { return s.models[fold(name)] != nil })
		warnValues(&p, path, found, known)
	}
	return p
}

// The words that the gateway reads. Others are an operator's own.
var (
	modalityWords = []string{"text", "image", "audio", "video", "pdf", "file", "document", "embedding"}
	featureWords  = []string{"tool-calling", "structured-output", "vision", "reasoning"}
)

// knownValues are the values that facts have, to find slips in a strategy.
type knownValues struct{ metadata, features, modalities, surfaces map[string]bool }

// valuesOf collects the values of all facts of a catalog.
func valuesOf(s *selector, endpoints surfaces) knownValues {
	k := knownValues{metadata: map[string]bool{}, features: setOf(featureWords), modalities: setOf(modalityWords), surfaces: map[string]bool{}}
	for _, of := range s.providers {
		addKeys(k.metadata, of.view.Metadata)
	}
	for _, m := range s.listed {
		addKeys(k.metadata, m.view.Metadata)
		addWords(k.features, m.view.SupportedFeatures)
		addWords(k.modalities, m.view.InputModalities)
		addWords(k.modalities, m.view.OutputModalities)
	}
	for _, e := range endpoints.byPath {
		k.surfaces[e.name] = true
		if twin := endpoints.twins[e]; twin != nil {
			k.surfaces[twin.name] = true
		}
	}
	return k
}

// warnValues warns of constants in a strategy that no fact is equal to.
func warnValues(p *problems, path string, found expr.Constants, known knownValues) {
	for _, of := range []struct {
		constants []expr.Literal
		known     map[string]bool
		reason    string
	}{
		{found.Metadata, known.metadata, "no model and no provider has this metadata"},
		{found.Features, known.features, "no model has this feature"},
		{found.Modalities, known.modalities, "no model has this modality"},
		{found.Surfaces, known.surfaces, "no request has this surface"},
	} {
		for _, n := range of.constants {
			if of.known[n.Value] {
				continue
			}
			if near := expr.Misspelt(n.Value, sortedKeys(of.known)); near != "" {
				p.add(path, n.Value, "%d:%d: %s, did you mean %q?", n.Line, n.Column, of.reason, near)
			}
		}
	}
	for _, n := range found.Countries {
		if !isCountryCode(n.Value) {
			p.add(path, n.Value, "%d:%d: is not the code of a country, such as DE", n.Line, n.Column)
		}
	}
}

// setOf is the set of some words.
func setOf(words []string) map[string]bool {
	set := map[string]bool{}
	addWords(set, words)
	return set
}

func addWords(set map[string]bool, words []string) {
	for _, word := range words {
		set[word] = true
	}
}

func addKeys(set map[string]bool, m map[string]any) {
	for key := range m {
		set[key] = true
	}
}

// isCountryCode reports whether a word has the form of a code in ISO 3166-1 alpha-2.
func isCountryCode(word string) bool {
	return len(word) == 2 && strings.Trim(fold(word), "abcdefghijklmnopqrstuvwxyz") == ""
}

// warnHidden warns of a name that means something else in a request: it begins like
// another provider's prefix, or leaves the choice to the gateway.
func (s *selector) warnHidden(p *problems, path, provider, id string) {
	if id != "" && isAuto(id) {
		p.add(path, id, "is hidden: a request for %q leaves the choice to the gateway; clients reach this model as %q", id, provider+":"+id)
		return
	}
	prefix, rest, _ := strings.Cut(id, ":")
	other := s.byName[fold(prefix)]
	if rest == "" || other == nil || !other.configured || other == s.byName[fold(provider)] {
		return
	}
	p.add(path, id, "is hidden: %q is a provider, so that a client that sends this name asks it for %q; clients reach this model as %q",
		other.id, rest, provider+":"+id)
}

// warnUnknown warns of unknown names in a strategy, if a known name is similar.
// Without a similar one, the name may be an unlisted model.
func warnUnknown(p *problems, path, kind string, names []expr.Literal, known []string, knows func(string) bool) {
	for _, n := range names {
		if knows(n.Value) {
			continue
		}
		if strings.Contains(n.Value, "*") {
			p.add(path, n.Value, "%d:%d: %s: compare a part of an id by startsWith, endsWith, contains or matches", n.Line, n.Column, noPattern)
			continue
		}
		if near := expr.Nearest(n.Value, known); near != "" {
			p.add(path, n.Value, "%d:%d: no %s has this id, did you mean %q?", n.Line, n.Column, kind, near)
		}
	}
}

// providerIDs lists the ids and aliases of all providers.
func (s *selector) providerIDs() []string {
	var ids []string
	for _, p := range s.providers {
		ids = append(append(ids, p.id), p.view.IDAliases...)
	}
	return ids
}

// modelIDs lists the ids and aliases of all listed models.
func (s *selector) modelIDs() []string {
	var ids []string
	for _, m := range s.listed {
		ids = append(append(ids, m.id), m.view.IDAliases...)
	}
	return ids
}

// noTemplate is the error for a template in a field without templates.
const noTemplate = "${…} is evaluated only in api_keys, headers, query_params and body"

// noPattern is the warning for a name with a star.
const noPattern = "is not a pattern, and stands for this very name"

// maxAliasEntries bounds the names of one alias.
// A name of a client becomes at most this many names.
const maxAliasEntries = 100

// nameChecker checks the names of models in a config against its catalog.
//
// A registry that could not be read makes it blind: a name that it lacks may be
// known there.
type nameChecker struct {
	*selector
	problems, warnings *problems
	blind              bool // the registry is not known, and so not who lacks a name
}

// compileAliases checks the aliases of a config, and compiles them.
//
// The first pass collects all names, for an entry must not be an alias itself, wherever
// that alias stands.
func (s nameChecker) compileAliases(cfg Config) {
	p := s.problems
	s.aliases.byName = map[string][]string{}
	for _, name := range sortedKeys(cfg.Aliases) {
		path := confdoc.JoinKey("aliases", name)
		switch {
		case isAuto(name), !header.IsLine(name):
			p.add(path, name, "cannot be an alias: it is empty, means no model in particular, or has spaces around it or control characters")
			continue
		case strings.Contains(name, "${"):
			p.add(path, name, "%s", noTemplate)
			continue
		case len(name) > maxModelName:
			p.add(path, "", "is too long: %d bytes are the limit", maxModelName)
			continue
		case s.aliases.has(name):
			p.add(path, name, "is there twice: case does not count")
			continue
		}
		s.checkAlias(path, name)
		if strings.Contains(name, "*") {
			s.warnings.add(path, name, noPattern)
		}
		entries := cfg.Aliases[name]
		if len(entries) == 0 || len(entries) > maxAliasEntries {
			p.add(path, "", "must list 1 to %d names", maxAliasEntries)
		}
		s.aliases.byName[fold(name)] = append([]string{}, entries...)
		s.aliases.names = append(s.aliases.names, name)
	}
	for _, name := range s.aliases.names {
		for i, entry := range cfg.Aliases[name] {
			at := fmt.Sprintf("%s[%d]", confdoc.JoinKey("aliases", name), i)
			switch {
			case s.aliases.has(entry):
				p.add(at, entry, "is an alias itself: list the names that it stands for")
			case isAuto(entry):
				p.add(at, entry, "is not the name of a model")
			case s.badName(at, entry):
			case !s.blind && !s.knows(entry):
				p.add(at, entry, "%s", s.unknownEntry(entry))
			default:
				s.warnEntry(at, entry)
			}
		}
	}
}

// badName reports a name that no request could carry.
func (s nameChecker) badName(path, name string) bool {
	_, rest, _ := strings.Cut(name, ":")
	switch {
	case strings.Contains(name, "${"):
		s.problems.add(path, name, "%s", noTemplate)
	case !header.IsLine(name), rest != "" && !header.IsLine(rest):
		s.problems.add(path, name, "must not have spaces around a name or contain control characters")
	default:
		return false
	}
	return true
}

// checkAlias reports an alias with another meaning in the catalog.
//
// A model of the config with this name is an error: the operator gave one name
// two meanings. A model of the catalog is a warning, as the next release of the
// catalog may bring any name.
func (s nameChecker) checkAlias(path, name string) {
	p := s.problems
	if other, _ := s.prefixed(name); other != nil {
		p.add(path, name, "reads as a model of provider %q: choose a name without its prefix", other.id)
		return
	}
	known := s.models[fold(name)]
	// A model that only its provider tells must not end the config: the alias was first.
	if i := slices.IndexFunc(known, func(m *model) bool { return m.configured && !m.discovered }); i >= 0 {
		p.add(path, name, "is the name of a configured model of provider %q: choose another name", known[i].provider.id)
	} else if len(known) > 0 {
		s.warnings.add(path, name, "hides the model of the same name of provider %q in the catalog; clients reach that as %q",
			known[0].provider.id, known[0].name())
	}
}

// knows reports whether a name leads to some provider, be it allowed or not.
func (s nameChecker) knows(name string) bool {
	p, _ := s.prefixed(name)
	return p != nil || len(s.models[fold(name)]) > 0 || s.sole != nil || s.familyOf(name) != nil
}

// unknownEntry says why a name leads nowhere, and suggests a near one.
func (s nameChecker) unknownEntry(name string) string {
	if prefix, rest, ok := strings.Cut(name, ":"); ok && rest != "" {
		message := fmt.Sprintf("no provider has the id %q", prefix)
		if near := expr.Nearest(prefix, s.providerIDs()); near != "" {
			message += fmt.Sprintf(", did you mean %q?", near+":"+rest)
		}
		return message
	}
	message := "no provider lists this model"
	if near := expr.Nearest(name, s.modelIDs()); near != "" {
		message += fmt.Sprintf(", did you mean %q?", near)
	}
	return message + `; to send a name on as it is, write it as "provider:model"`
}

// linkFallbacks finds the providers of all fallbacks.
//
// A fallback names its provider, so the model itself may be one that nobody
// lists.
func (s nameChecker) linkFallbacks() {
	p := s.problems
	for _, m := range s.listed {
		for i := range m.fallbacks {
			f := &m.fallbacks[i]
			prefix, rest, _ := strings.Cut(f.name, ":")
			switch f.provider, f.id = s.byName[fold(prefix)], rest; {
			case rest == "" || prefix == "":
				p.add(f.path, f.name, `must be written as "provider:model"`)
			case s.badName(f.path, f.name):
			case f.provider == nil && !s.blind:
				p.add(f.path, f.name, "%s", s.unknownEntry(f.name))
			case f.provider != nil && f.provider.find(f.id) == m:
				s.warnings.add(f.path, f.name, "is the model itself, which is not tried twice")
			case f.provider != nil:
				s.warnTarget(f.path, f.name, f.provider, f.provider.find(f.id))
			}
			s.fallbacks = true
		}
	}
}

// warnEntry warns of an entry of an alias that looks misspelt, or is never tried.
func (s nameChecker) warnEntry(path, name string) {
	if p, rest := s.prefixed(name); p != nil {
		s.warnTarget(path, name, p, p.find(rest))
		return
	}
	// One model that is tried will do.
	var why string
	for _, m := range s.models[fold(name)] {
		if why = s.neverTried(m); why == "" {
			return
		}
	}
	if why != "" {
		s.warnings.add(path, name, "is never tried: %s", why)
	}
}

// warnTarget warns of a model at a provider that looks misspelt, or is never tried.
func (s nameChecker) warnTarget(path, name string, p *provider, m *model) {
	var known []string
	for _, other := range p.models {
		known = append(append(known, other.id), other.view.IDAliases...)
	}
	if m.unlisted && strings.Contains(m.id, "*") {
		s.warnings.add(path, name, noPattern)
	} else if near := expr.Misspelt(m.id, known); m.unlisted && near != "" {
		s.warnings.add(path, name, "provider %q lists no such model, did you mean %q?", p.id, p.id+":"+near)
	} else if why := s.neverTried(m); why != "" {
		s.warnings.add(path, name, "is never tried: %s", why)
	}
}

// neverTried says why no request is sent to a model. It is empty for a model that some
// request may reach, and for one that is disabled: that is meant so.
func (s nameChecker) neverTried(m *model) string {
	switch p := m.provider; {
	case s.bars(m) == reasonProviderNotAllowed:
		return "only_allow_configured_providers is set, and the provider is not in the config"
	case s.bars(m) == reasonModelNotAllowed && p.discover != DiscoverConfigured:
		return "only_allow_configured_models is set, and the model is not in the config"
	case p.needsKey && len(p.keys) == 0 && !s.passThrough && !p.disabled:
		return fmt.Sprintf("provider %q needs an API key and has none", p.id)
	}
	return ""
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway"
)

// upstream is a provider of LiteLLM's, by the prefix of its models.
type upstream struct {
	id     string // here; a built-in one has its address in the catalog
	base   string // without api_base
	suffix string // of the path of each address
	key    bool   // it has one, also if the file does not say so
}

// upstreams are the prefixes that have a counterpart.
var upstreams = map[string]upstream{
	"openai": {id: "openai", key: true}, "anthropic": {id: "anthropic", key: true}, "gemini": {id: "google", key: true},
	"deepseek": {id: "deepseek", key: true}, "groq": {id: "groq", key: true}, "openrouter": {id: "openrouter", key: true},
	"hyperbolic": {id: "hyperbolic", key: true}, "xai": {id: "xai", key: true}, "mistral": {id: "mistral", key: true},
	"cerebras": {id: "cerebras", key: true}, "together_ai": {id: "together", key: true}, "fireworks_ai": {id: "fireworks", key: true},
	"moonshot": {id: "moonshotai", key: true}, "azure": {id: "azure", suffix: "/openai/v1", key: true}, "hosted_vllm": {id: "vllm"},
	"lm_studio": {id: "lmstudio", base: "http://localhost:1234"},
	"ollama":    {id: "ollama", base: "http://localhost:11434"}, "ollama_chat": {id: "ollama", base: "http://localhost:11434"},
}

// provider is a provider of the result: deployments with the same address, key and
// headers.
type provider struct {
	id, prefix string
	builtin    bool // it overlays the catalog's
	base, real string
	format     string
	key        string // the template
	headers    map[string]string
	models     []*model
	notes      []note
}

// model is a deployment, or several of them behind one key.
type model struct {
	id, name            string // name is its model_name
	aliases, fallbacks  []string
	weight              float64
	rpm, tpm, inFlight  float64
	timeout, firstToken float64
	input, output       float64 // USD per million tokens
	notes               []note
}

// result is a config, before it is written.
type result struct {
	*reader
	providers                   []*provider
	groups                      map[string]*provider
	byName                      map[string][]string // provider:model, by model_name
	aliases                     map[string][]string
	strategy                    string
	weighted, spread, wildcards bool
	retries                     float64
	timeout, firstToken, total  float64
	notes                       []note
	catalog                     map[string]aigateway.Provider
}

// convert makes a config of a LiteLLM config. The error lists every fault of the file.
func convert(data []byte) ([]byte, error) {
	r := &result{
		reader: &reader{}, groups: map[string]*provider{}, byName: map[string][]string{}, aliases: map[string][]string{},
		catalog: map[string]aigateway.Provider{},
	}
	listed, err := aigateway.BuiltinRegistry().Providers(context.Background())
	if err != nil {
		return nil, err
	}
	for _, p := range listed {
		r.catalog[p.ID] = p
	}
	root, err := r.open(data)
	if err != nil {
		return nil, err
	}
	for i, v := range root.list("model_list") {
		r.deployment(r.mapping(fmt.Sprintf("model_list[%d]", i), v))
	}
	router, settings := root.section("router_settings"), root.section("litellm_settings")
	r.router(router, settings)
	r.notes = append(r.notes, router.rest()...)
	r.notes = append(r.notes, settings.rest()...)
	r.notes = append(r.notes, root.section("general_settings").rest()...)
	r.notes = append(r.notes, root.rest()...)
	if len(r.faults) == 0 && len(r.providers) == 0 {
		r.fault("model_list", "holds no deployment that can be taken over")
		for _, n := range r.notes {
			r.faults = append(r.faults, errors.New(n.String()))
		}
	}
	if err := errors.Join(r.faults...); err != nil {
		return nil, err
	}
	return r.write(), nil
}

// deployment takes an entry of model_list over.
func (r *result) deployment(entry section) {
	name, params := entry.text("model_name"), entry.section("litellm_params")
	target := params.text("model")
	if name == "" || target == "" {
		r.fault(entry.path, "needs model_name and litellm_params.model")
		return
	}
	prefix, id := split(target, params.text("custom_llm_provider"))
	up, known := upstreams[prefix]
	if !known {
		r.notes = append(r.notes, note{entry.path, "left out: its provider is not in the catalog, see docs/providers.md"})
		return
	}
	p, m := r.provider(entry, prefix, up, params), &model{id: id, name: name}
	if p == nil {
		return
	}
	m.rpm, m.tpm = params.number("rpm"), params.number("tpm")
	m.inFlight, m.weight = params.number("max_parallel_requests"), params.number("weight")
	m.timeout, m.firstToken = params.number("timeout"), params.number("stream_timeout")
	info := entry.section("model_info")
	m.input = 1e6 * max(params.number("input_cost_per_token"), info.number("input_cost_per_token"))
	m.output = 1e6 * max(params.number("output_cost_per_token"), info.number("output_cost_per_token"))
	for _, s := range []section{params, info, entry} {
		m.notes = append(m.notes, s.rest()...)
	}
	r.weighted = r.weighted || m.weight > 0
	if strings.Contains(id, "*") {
		r.wildcards = true
		p.notes = append(p.notes, append(m.notes, note{entry.path, "a wildcard: clients may ask for each model of the provider"})...)
		return
	}
	r.add(entry.path, p, m)
}

// add adds a model to its provider. A second deployment of the same model behind the
// same key is one more name of it.
func (r *result) add(path string, p *provider, m *model) {
	r.spread = r.spread || len(r.byName[m.name]) > 0
	if i := slices.IndexFunc(p.models, func(o *model) bool { return o.id == m.id }); i >= 0 {
		same := p.models[i]
		if same.rpm != m.rpm || same.tpm != m.tpm || same.weight != m.weight || same.timeout != m.timeout {
			same.notes = append(same.notes, note{path, "the same model behind the same key: its limits, weight and timeouts are left out"})
		}
		same.notes = append(same.notes, m.notes...)
		same.called(m.name)
	} else {
		p.models = append(p.models, m)
		m.called(m.name)
	}
	if full := p.id + ":" + m.id; !slices.Contains(r.byName[m.name], full) {
		r.byName[m.name] = append(r.byName[m.name], full)
	}
}

// called adds a name.
func (m *model) called(name string) {
	if name != m.id && !slices.Contains(m.aliases, name) {
		m.aliases = append(m.aliases, name)
	}
}

// split divides openai/gpt-4o. Well-known models go without their prefix.
func split(target, prefix string) (string, string) {
	if prefix != "" {
		return prefix, strings.TrimPrefix(target, prefix+"/")
	}
	if before, id, ok := strings.Cut(target, "/"); ok && id != "" {
		return before, id
	}
	switch {
	case strings.HasPrefix(target, "gpt-"), regexp.MustCompile(`^o\d`).MatchString(target):
		return "openai", target
	case strings.HasPrefix(target, "claude-"):
		return "anthropic", target
	}
	return "", target
}

// provider finds or makes the provider of a deployment. It is nil if there is no
// counterpart.
func (r *result) provider(entry section, prefix string, up upstream, params section) *provider {
	apiBase, notes := params.text("api_base"), []note(nil)
	base := cmp.Or(apiBase, up.base)
	key, keyNote := secret(params.text("api_key"), up)
	if keyNote != "" {
		notes = append(notes, note{params.at("api_key"), keyNote})
	}
	headers := map[string]string{}
	given := params.section("extra_headers").fields
	for _, name := range slices.Sorted(maps.Keys(given)) {
		text, ok := given[name].(string)
		if !ok {
			r.fault(params.at("extra_headers."+name), "is not a text")
		}
		headers[name] = strings.ReplaceAll(text, "${", "$${")
		if strings.HasPrefix(text, environ) {
			headers[name], keyNote = secret(text, up)
			if keyNote != "" {
				notes = append(notes, note{params.at("extra_headers." + name), keyNote})
			}
		}
	}
	listed, builtin := r.catalog[up.id]
	if base == listed.BaseURL {
		base = ""
	}
	p := &provider{id: up.id, prefix: prefix, builtin: builtin && base == "", key: key, headers: headers, notes: notes}
	switch {
	case strings.HasPrefix(apiBase, environ):
		r.notes = append(r.notes, note{entry.path, "left out: base_url cannot come from a variable"})
		return nil
	case base == "" && !builtin:
		r.fault(params.at("api_base"), "is missing")
		return nil
	case base != "" && !p.address(base, up.suffix):
		r.fault(params.at("api_base"), "is not an http or https address without a user and a query")
		return nil
	case base != "" && builtin:
		p.id += "-compatible"
	}
	if prefix == "anthropic" && !p.builtin {
		p.format = "anthropic"
	}
	group := fmt.Sprintf("%s %q %s %q", p.id, base, p.key, headers)
	if old := r.groups[group]; old != nil {
		old.notes = append(old.notes, notes...)
		return old
	}
	r.groups[group] = p
	r.name(p, listed.BaseURL)
	r.providers = append(r.providers, p)
	return p
}

// address sets the base URL. Without TLS, real is the host, and base the path alone until
// the provider has its name.
func (p *provider) address(base, suffix string) bool {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	p.base = strings.TrimSuffix(u.String(), "/") + suffix
	if u.Scheme == "http" {
		p.real, p.base = "http://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")+suffix
	}
	return true
}

// name gives the provider an id of its own.
func (r *result) name(p *provider, listed string) {
	id := p.id
	taken := func(p2 *provider) bool { return p2.id == p.id }
	for n := 2; slices.ContainsFunc(r.providers, taken); n++ {
		p.id = fmt.Sprintf("%s-%d", id, n)
	}
	if p.builtin && p.id != id { // the catalog's again, with another key
		p.base, p.builtin = listed, false
		if p.prefix == "anthropic" {
			p.format = "anthropic"
		}
	}
	if p.real != "" {
		p.base = "http://" + p.id + ".internal" + p.base
	}
}

// environ begins a value that LiteLLM reads from a variable.
const environ = "os.environ/"

// notWord are the bytes that a secret's name does not have here.
var notWord = regexp.MustCompile(`[^a-z0-9]+`)

// secret is the template of a key, and says which variable it reads if that is another
// one than before.
func secret(value string, up upstream) (template, note string) {
	if value == "" && !up.key {
		return "", ""
	}
	variable, isVar := strings.CutPrefix(value, environ)
	vault, name, _ := strings.Cut(strings.ToLower(variable), "_")
	vault, name = strings.Trim(notWord.ReplaceAllString(vault, "-"), "-"), strings.Trim(notWord.ReplaceAllString(name, "-"), "-")
	if !isVar || vault == "" {
		vault, name = up.id, "api-key"
	}
	name = cmp.Or(name, "api-key")
	reads := strings.ToUpper(strings.ReplaceAll(vault+"_"+name, "-", "_"))
	switch {
	case value != "" && !isVar:
		note = "the key is not copied: set " + reads
	case isVar && variable != reads:
		note = "is read from another variable: set " + reads
	}
	return fmt.Sprintf("${secrets.get('%s', '%s')}", vault, name), note
}

// router takes the settings of the router over. LiteLLM reads some of them in
// litellm_settings too.
func (r *result) router(router, settings section) {
	r.retries = either(router, settings, "num_retries")
	if r.retries > 5 {
		r.retries = 5
		r.notes = append(r.notes, note{router.at("num_retries"), "is at most 5 here; further models are tried beside them"})
	}
	r.timeout, r.firstToken = router.number("timeout"), router.number("stream_timeout")
	r.total = settings.number("request_timeout")
	r.order(router)
	r.groupAliases(router)
	for _, s := range []section{router, settings} {
		for i, v := range s.list("fallbacks") {
			at := fmt.Sprintf("%s[%d]", s.at("fallbacks"), i)
			fallbacks := r.mapping(at, v).fields
			for _, from := range slices.Sorted(maps.Keys(fallbacks)) {
				r.fallbacks(at, []string{from}, r.names(at+"."+from, fallbacks[from]))
			}
		}
	}
	for _, s := range []section{router, settings} {
		if v := s.take("default_fallbacks"); v != nil {
			r.fallbacks(s.at("default_fallbacks"), slices.Sorted(maps.Keys(r.byName)), r.names(s.at("default_fallbacks"), v))
		}
	}
}

func either(a, b section, name string) float64 {
	first, second := a.number(name), b.number(name)
	return cmp.Or(first, second)
}

// order takes the routing strategy over. Without one LiteLLM shuffles.
func (r *result) order(router section) {
	shuffle := "ai.models.randomize()"
	if r.weighted {
		shuffle = "ai.models.randomize(m, m.metadata.weight)"
	}
	switch strategy := router.text("routing_strategy"); strategy {
	case "simple-shuffle":
		r.strategy = shuffle
	case "":
		if r.spread || r.weighted {
			r.strategy = shuffle
		}
	case "least-busy":
		r.strategy = "ai.models.leastBusy()"
	case "latency-based-routing":
		r.strategy = "ai.models.sortBy(m, m.metrics.endpoint.latency.upstream_ms_avg)"
	case "cost-based-routing":
		r.strategy = "ai.models.sortBy('price')"
	default:
		r.strategy = "ai.models.leastBusy()"
		r.notes = append(r.notes, note{router.at("routing_strategy"), "has no counterpart, leastBusy() stands in for it"})
	}
}

// groupAliases takes model_group_alias over.
func (r *result) groupAliases(router section) {
	aliases := router.section("model_group_alias")
	for _, alias := range slices.Sorted(maps.Keys(aliases.fields)) {
		target, ok := aliases.fields[alias].(string)
		if !ok {
			long := aliases.section(alias)
			target = long.text("model")
			r.notes = append(r.notes, long.rest()...)
		}
		if len(r.byName[target]) == 0 {
			r.notes = append(r.notes, note{aliases.at(alias), "names a model that is not in model_list"})
			continue
		}
		r.aliases[alias] = []string{target}
	}
}

// fallbacks has the models of some names fall back to those of others.
func (r *result) fallbacks(path string, from, to []string) {
	var targets []string
	for _, name := range to {
		if alias := r.aliases[name]; len(alias) > 0 {
			name = alias[0]
		}
		if len(r.byName[name]) == 0 {
			r.notes = append(r.notes, note{path, "names a model that is not in model_list"})
		}
		targets = append(targets, r.byName[name]...)
	}
	for _, name := range from {
		if len(r.byName[name]) == 0 {
			r.notes = append(r.notes, note{path, "is for a model that is not in model_list"})
		}
		for _, p := range r.providers {
			for _, m := range p.models {
				own := p.id + ":" + m.id
				if !slices.Contains(r.byName[name], own) {
					continue
				}
				for _, target := range targets {
					if !slices.Contains(r.byName[name], target) && !slices.Contains(m.fallbacks, target) {
						m.fallbacks = append(m.fallbacks, target)
					}
				}
			}
		}
	}
}

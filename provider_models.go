package aigateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/discover"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/price"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// merger lays the configured providers over the registry's, and compiles both.
type merger struct {
	*compiler
	listed   []Provider     // the registry's
	owner    map[string]int // which configured provider a name belongs to
	overlaid map[int]int    // from a listed provider to the configured one over it
	all      []*provider
}

// mergeProviders merges and compiles the providers: the configured ones first, in
// the config's order, then the others of the registry.
func mergeProviders(c *compiler, cfg Config, listed []Provider) []*provider {
	m := merger{compiler: c, listed: listed, overlaid: map[int]int{}}
	for _, base := range listed {
		c.known = append(append(c.known, base.ID), base.IDAliases...)
	}
	c.duplicates(listed)
	m.owner = c.owners(cfg.Providers)
	for i, p := range cfg.Providers {
		m.configured(i, p, cfg.Providers)
	}
	for i, base := range listed {
		if _, ok := m.overlaid[i]; !ok {
			c.ownBase = false
			base.IDAliases = unowned(base.IDAliases, m.owner, -1)
			m.all = append(m.all, c.provider(fmt.Sprintf("registry[%q]", base.ID), base, base.Models, nil, false, true))
		}
	}
	return m.all
}

// configured compiles the i-th provider of the config. If the registry has a
// provider of its name, it is laid over that one.
func (m *merger) configured(i int, p Provider, providers []Provider) {
	path := fmt.Sprintf("providers[%d]", i)
	at := m.find(p.ID)
	if at < 0 {
		m.ownBase = false
		m.all = append(m.all, m.provider(path, p, p.Models, nil, true, false))
		return
	}
	base := m.listed[at]
	if first, ok := m.overlaid[at]; !ok {
		m.overlaid[at] = i
	} else if !strings.EqualFold(p.ID, providers[first].ID) { // else owners has said so
		m.add(path+".id", p.ID, "is the built-in %q, which providers[%d] configures already: put both into one", base.ID, first)
	}
	m.ownBase = p.BaseURL != ""
	if !strings.EqualFold(base.ID, p.ID) {
		base.Models = authored(base)
	}
	merged := overlay(base, p)
	merged.IDAliases = unowned(merged.IDAliases, m.owner, i)
	m.all = append(m.all, m.provider(path, merged, p.Models, base.Models, true, true))
}

// find is the index of the listed provider with an id: by its id, otherwise by an
// alias. -1 if the registry has no such provider.
func (m *merger) find(id string) int {
	if id == "" {
		return -1
	}
	if at := slices.IndexFunc(m.listed, func(base Provider) bool { return strings.EqualFold(base.ID, id) }); at >= 0 {
		return at
	}
	return slices.IndexFunc(m.listed, func(base Provider) bool { return hasName(base.ID, base.IDAliases, id) })
}

// authored returns a provider's models. Models without an author get the provider's
// id: an overlay may give the provider another name.
func authored(p Provider) []Model {
	models := slices.Clone(p.Models)
	for i := range models {
		models[i].AuthorID = given(models[i].AuthorID, p.ID)
	}
	return models
}

// unowned returns a provider's aliases without those that the config gives to
// another provider than its i-th.
func unowned(aliases []string, owner map[string]int, i int) []string {
	return slices.DeleteFunc(slices.Clone(aliases), func(a string) bool {
		j, ok := owner[fold(a)]
		return ok && j != i
	})
}

// models compiles a provider's models.
//
// own are the models of the config, or those of the registry for a provider that
// the config does not mention. rest are the registry's others. Models that the
// provider told itself come last, and fill empty facts of the others. Of equal
// names the config's wins.
func (c *compiler) models(path string, p *provider, own, rest []Model, configured, known bool) {
	seen := map[string]string{}
	taken := map[string]bool{} // names of the catalog's models that the config took over
	listed := map[string]bool{}
	// An alias of the catalog's yields to a model of the config with the same name.
	for _, m := range own {
		for _, name := range foldedNames(m.ID, m.IDAliases) {
			listed[name] = true
		}
	}
	found := c.lists.of(p)
	for i, m := range own {
		at := fmt.Sprintf("%s.models[%d]", path, i)
		// A model of a provider outside of the config is one of the registry's own,
		// and counts as known.
		inCatalog := known && !configured
		if j := slices.IndexFunc(rest, func(b Model) bool { return hasName(b.ID, b.IDAliases, m.ID) }); j >= 0 {
			base := rest[j]
			// A name that the config lists as a model of its own is not an alias.
			base.IDAliases = slices.DeleteFunc(slices.Clone(base.IDAliases), func(a string) bool { return listed[fold(a)] })
			c.source = CostOfCatalog
			if configured && m.Pricing != nil {
				c.source = CostOfConfig
			}
			m, inCatalog = overlayModel(base, m), true
		} else {
			c.source = CostOfConfig
			if !configured {
				c.source = CostOfCatalog
			}
		}
		m, offered := found.under(m)
		if configured && known && !inCatalog && !offered && !c.ownBase {
			c.warnMisspelt(at+".id", p.id, m.ID, rest)
		}
		c.model(at, p, m, configured, inCatalog, seen)
		for _, name := range foldedNames(m.ID, m.IDAliases) {
			taken[name] = true
		}
	}
	// Models of the catalog that the config does not mention. Their names yield to
	// the config's.
	for _, m := range rest {
		if taken[fold(m.ID)] {
			continue
		}
		m.IDAliases = slices.DeleteFunc(slices.Clone(m.IDAliases), func(a string) bool { return taken[fold(a)] })
		c.source = CostOfCatalog
		m, offered := found.under(m)
		c.model(fmt.Sprintf("registry[%q].models[%q]", p.id, m.ID), p, m, offered && p.discover == DiscoverConfigured, true, seen)
	}
	for _, m := range found.others(seen) {
		c.source = CostOfCatalog
		c.model(fmt.Sprintf("models of %q", p.id), p, m, p.discover == DiscoverConfigured, false, seen)
		p.models[len(p.models)-1].discovered = true
	}
}

// warnMisspelt warns of a model that a provider of the registry probably has under a
// similar name. It may also be newer than the registry.
func (c *compiler) warnMisspelt(path, provider, id string, listed []Model) {
	var known []string
	for _, m := range listed {
		known = append(append(known, m.ID), m.IDAliases...)
	}
	if near := expr.Misspelt(id, known); near != "" {
		c.warnings.add(path, id, "is not a known model of provider %q, did you mean %q? It is asked for as it is", provider, near)
	}
}

// warnWords warns of slips of the words that the gateway reads.
func (c *compiler) warnWords(path string, words []string, known ...string) {
	for i, word := range words {
		if slices.Contains(known, word) {
			continue
		}
		if near := expr.Misspelt(word, known); near != "" {
			c.warnings.add(fmt.Sprintf("%s[%d]", path, i), word, "is not a known word, did you mean %q?", near)
		}
	}
}

// model compiles one model. seen has the place of each name at this provider, to
// report names that are defined twice.
func (c *compiler) model(path string, p *provider, m Model, configured, known bool, seen map[string]string) {
	if m.ID == "" {
		c.add(path+".id", "", "a model needs an id")
		return
	}
	// The path of a problem names the field itself: the id, or the alias by its
	// index.
	for i, name := range append([]string{m.ID}, m.IDAliases...) {
		at := path + ".id"
		if i > 0 {
			at = fmt.Sprintf("%s.id_aliases[%d]", path, i-1)
		}
		switch {
		case strings.Contains(name, "${"):
			c.add(at, name, "%s", noTemplate)
		case !header.IsLine(name):
			c.add(at, name, "must not be empty, have spaces around it or contain control characters")
		}
		if first, ok := seen[fold(name)]; ok {
			c.add(at, name, "is already the name at %s: ids and aliases of a provider's models must differ (case does not count)", first)
		}
		seen[fold(name)] = at
	}
	for i, param := range m.UnsupportedParams {
		if param.Name == "" {
			c.add(fmt.Sprintf("%s.unsupported_params[%d].name", path, i), "", "is required")
		}
	}
	c.facts(path, m)
	if configured {
		modalities := []string{"text", "image", "audio", "video", "pdf", "file", "document", "embedding"}
		c.warnWords(path+".input_modalities", m.InputModalities, modalities...)
		c.warnWords(path+".output_modalities", m.OutputModalities, modalities...)
		c.warnWords(path+".supported_features", m.SupportedFeatures, "tool-calling", "structured-output", "vision", "reasoning")
		for i, d := range m.Datacenters {
			if d.CountryCode != "" && (len(d.CountryCode) != 2 || strings.Trim(fold(d.CountryCode), "abcdefghijklmnopqrstuvwxyz") != "") {
				c.warnings.add(fmt.Sprintf("%s.datacenters[%d].country_code", path, i), d.CountryCode, "is not the code of a country, such as DE")
			}
		}
	}
	// Only a configured model warns: the catalog's old models are not the
	// operator's concern.
	if end, err := time.Parse(time.DateOnly, m.ShutdownDate); err == nil && configured && end.Sub(c.today) < 60*24*time.Hour {
		c.warnings.add(path+".id", m.ID, "is shut down by its provider on %s", m.ShutdownDate)
	}
	out := &model{
		id: m.ID, full: p.id + ":" + m.ID, names: foldedNames(m.ID, m.IDAliases), provider: p, configured: configured, disabled: m.Disabled,
		pricing: clonePricing(m.Pricing), prices: priceList(m.Pricing), priceSource: c.source,
		limits:     c.limits(path+".limits", m.Limits),
		timeout:    m.PerRequestTimeout.parse(c.problems, path+".per_request_timeout", p.timeout),
		firstToken: m.FirstTokenTimeout.parse(c.problems, path+".first_token_timeout", c.firstToken),
		view: &expr.Model{
			ID: m.ID, IDAliases: slices.Clone(m.IDAliases), Provider: p.view, AuthorID: given(m.AuthorID, p.id),
			DisplayName: m.DisplayName, Description: m.Description, Known: known, Custom: configured && !known,
			Metadata: cloneMap(m.Metadata), InputModalities: slices.Clone(m.InputModalities),
			OutputModalities: slices.Clone(m.OutputModalities), SupportedFeatures: slices.Clone(m.SupportedFeatures),
			MaxContextWindow: m.MaxContextWindow, MaxOutputTokens: m.MaxOutputTokens,
			ParameterCount: m.ParameterCount, Quantization: m.Quantization, DataTrainingPolicy: m.DataTrainingPolicy,
			DataRetentionDays: m.DataRetentionDays, DataRetentionPolicy: m.DataRetentionPolicy, Pricing: pricingView(m.Pricing),
		},
	}
	for _, d := range m.Datacenters {
		out.view.Datacenters = append(out.view.Datacenters, expr.Datacenter(d))
	}
	for _, param := range m.UnsupportedParams {
		out.denied = append(out.denied, param.Name)
	}
	for i, name := range m.Fallbacks {
		out.fallbacks = append(out.fallbacks, fallback{path: fmt.Sprintf("%s.fallbacks[%d]", path, i), name: name})
	}
	p.models = append(p.models, out)
}

// facts checks the numbers of a model.
func (c *compiler) facts(path string, m Model) {
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"max_context_window", m.MaxContextWindow},
		{"max_output_tokens", m.MaxOutputTokens},
		{"parameter_count", m.ParameterCount},
		{"data_retention_days", m.DataRetentionDays},
	} {
		if n.value < 0 {
			c.add(path+"."+n.name, fmt.Sprint(n.value), "must not be negative")
		}
	}
	if m.ShutdownDate != "" {
		if _, err := time.Parse(time.DateOnly, m.ShutdownDate); err != nil {
			c.add(path+".shutdown_date", m.ShutdownDate, "is not a date such as 2026-12-31")
		}
	}
	if m.Pricing != nil {
		c.prices(path+".pricing", m.Pricing)
	}
}

// namedPrice is a price with its name in the configuration.
// A nil value is an unknown price; zero is free.
type namedPrice struct {
	name  string
	value *float64
}

// prices checks that costs can be counted by each price, and that tiers ascend.
func (c *compiler) prices(path string, p *Pricing) {
	check := func(path string, prices ...namedPrice) {
		for _, n := range prices {
			switch {
			case n.value == nil:
			case !(*n.value >= 0):
				c.add(path+"."+n.name, fmt.Sprint(*n.value), "a price must not be negative")
			case *n.value > bounds.MaxPrice:
				c.add(path+"."+n.name, fmt.Sprint(*n.value), "is too high: a price is in USD per million tokens, up to %d", bounds.MaxPrice)
			}
		}
	}
	check(path, namedPrice{"input", p.Input}, namedPrice{"output", p.Output}, namedPrice{"input_cache_read", p.InputCacheRead},
		namedPrice{"input_cache_write", p.InputCacheWrite}, namedPrice{"input_cache_write_1h", p.InputCacheWrite1h},
		namedPrice{"input_batch", p.InputBatch}, namedPrice{"output_batch", p.OutputBatch})
	for i, t := range p.Tiers {
		at := fmt.Sprintf("%s.tiers[%d]", path, i)
		switch {
		case t.AboveInputTokens <= 0:
			c.add(at+".above_input_tokens", fmt.Sprint(t.AboveInputTokens), "must be above zero: the prices of short prompts stand beside the tiers")
		case i > 0 && t.AboveInputTokens <= p.Tiers[i-1].AboveInputTokens:
			c.add(at+".above_input_tokens", fmt.Sprint(t.AboveInputTokens), "must be above that of the tier before: tiers ascend")
		}
		check(at, namedPrice{"input", t.Input}, namedPrice{"output", t.Output}, namedPrice{"input_cache_read", t.InputCacheRead},
			namedPrice{"input_cache_write", t.InputCacheWrite}, namedPrice{"input_cache_write_1h", t.InputCacheWrite1h})
	}
	for _, tool := range sortedKeys(p.Tools) {
		switch usd := p.Tools[tool]; {
		case !(usd >= 0):
			c.add(confdoc.JoinKey(path+".tools", tool), fmt.Sprint(usd), "a price must not be negative")
		case usd > bounds.MaxToolPrice:
			c.add(confdoc.JoinKey(path+".tools", tool), fmt.Sprint(usd), "is too high: the price of a tool is in USD per call, up to %d", bounds.MaxToolPrice)
		}
	}
}

// pricingView copies prices for expressions. It shares nothing with the Config.
func pricingView(p *Pricing) *expr.Pricing {
	if p == nil {
		return nil
	}
	v := expr.Pricing{
		Input: clonePrice(p.Input), Output: clonePrice(p.Output),
		InputCacheRead: clonePrice(p.InputCacheRead), InputCacheWrite: clonePrice(p.InputCacheWrite),
		InputBatch: clonePrice(p.InputBatch), OutputBatch: clonePrice(p.OutputBatch),
	}
	if len(p.Tools) > 0 {
		v.Tools = maps.Clone(p.Tools)
	}
	return &v
}

// foldedNames lists the id and the aliases in the form for comparison, the id
// first.
// Case does not count in names of providers and models, see fold.
func foldedNames(id string, aliases []string) []string {
	names := make([]string, 0, 1+len(aliases))
	names = append(names, fold(id))
	for _, a := range aliases {
		names = append(names, fold(a))
	}
	return names
}

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

// limit gives each provider, model and key with limits its gate. The gates outlive
// the settings: a reload changes limits and keeps counts.
//
// A gate is found by its kind and names. Renaming a provider begins new counts.
func (c *catalog) limit(l *limit.Limiter, now time.Time) {
	wanted := map[string]bool{}
	gate := func(lim limit.Limits, kind string, names ...string) *limit.Gate {
		if lim == (limit.Limits{}) {
			return nil
		}
		name := fmt.Sprintf("%s%q", kind, names)
		wanted[name] = true
		return l.Gate(name, now, lim)
	}
	// Gates have names and not pointers to models, to be found again after a
	// reload.
	for _, p := range c.providers {
		id := fold(p.id)
		p.gate = gate(p.limits, "provider", id)
		p.limited = p.gate != nil
		for _, m := range p.models {
			m.gate = gate(m.limits, "model", id, fold(m.id))
		}
		for _, k := range p.keys {
			k.gate = gate(k.limits, "key", id, k.id)
			p.limited = p.limited || k.gate != nil
		}
	}
	// A gate without limits lets its waiters go. Only then is it forgotten.
	var gone []string
	l.Keep(func(name string) bool {
		if !wanted[name] {
			gone = append(gone, name)
		}
		return true
	})
	for _, name := range gone {
		l.Gate(name, now, limit.Limits{}) // whoever waits there may go
	}
	l.Keep(func(name string) bool { return wanted[name] })
}

// limited reports whether a request for the model can meet a limit.
// It spares most requests the look at gates.
func (m *model) limited() bool { return m.provider.limited || m.gate != nil }

// priceList compiles prices. Nil is unknown.
// The dollars per million tokens of a Config become exact integers here, so that
// sums over many requests do not drift.
func priceList(p *Pricing) *price.List {
	if p == nil {
		return nil
	}
	l := &price.List{
		Tokens: price.Tokens{
			Input: price.PerMillion(p.Input), Output: price.PerMillion(p.Output), CacheRead: price.PerMillion(p.InputCacheRead),
			CacheWrite: price.PerMillion(p.InputCacheWrite), CacheWriteHour: price.PerMillion(p.InputCacheWrite1h),
		},
		InputBatch: price.PerMillion(p.InputBatch), OutputBatch: price.PerMillion(p.OutputBatch),
	}
	for _, t := range p.Tiers {
		l.Tiers = append(l.Tiers, price.Tier{Above: t.AboveInputTokens, Tokens: price.Tokens{
			Input: price.PerMillion(t.Input), Output: price.PerMillion(t.Output), CacheRead: price.PerMillion(t.InputCacheRead),
			CacheWrite: price.PerMillion(t.InputCacheWrite), CacheWriteHour: price.PerMillion(t.InputCacheWrite1h),
		}})
	}
	for name, usd := range p.Tools {
		if l.Tools == nil {
			l.Tools = map[string]price.Rate{}
		}
		l.Tools[name] = price.PerCall(usd)
	}
	return l
}

// cost is what a use of the model costs. It is false if that is unknown.
//
// A cost that the provider tells comes before the list: xAI tells ticks of 10⁻¹⁰
// USD, OpenRouter a decimal. hour is the part of the cache written for an hour.
func (m *model) cost(u Usage, hour int64, b usage.Bill) (c knownCost) {
	if own, ok := price.Parse(b.Cost); ok {
		return knownCost{Cost{USD: USD(own), Source: CostOfProvider}, true}
	}
	if b.Ticks > 0 && b.Ticks < 1<<53 {
		return knownCost{Cost{USD: USD(b.Ticks) * 100, Source: CostOfProvider}, true}
	}
	use := price.Use{
		Input: u.InputTokens, Output: u.OutputTokens,
		CacheRead: u.CachedInputTokens, CacheWrite: u.CacheWriteTokens, CacheWriteHour: hour,
		ServiceTier: b.ServiceTier, Media: b.Media > 0,
	}
	for _, t := range b.Tools {
		use.Tools = append(use.Tools, price.Calls{Tool: t.Name, N: t.Calls})
	}
	usd, estimated, ok := m.prices.Cost(use)
	return knownCost{Cost{USD: USD(usd), Estimated: estimated || u.Estimated, Source: m.priceSource}, ok}
}

// modelLists holds the models that providers answered with, by listKey.
type modelLists map[string]foundModels

// foundModels are the models of one provider's answer, sorted by id.
type foundModels []Model

// listKey stands for a provider at an address. Another address is another server.
func listKey(p *provider) string { return fold(p.id) + " " + p.base.String() }

// isAsked reports whether the provider is to be asked for its models.
func (p *provider) isAsked() bool {
	return p.configured && !p.disabled && p.discover != DiscoverOff
}

// of returns the models of a provider's answer. It is empty before the first one.
func (l modelLists) of(p *provider) foundModels {
	if !p.isAsked() {
		return nil
	}
	return l[listKey(p)]
}

// askKeys are the keys to ask for models with: those whose value does not depend on
// a request.
func (p *provider) askKeys() []*apiKey {
	return slices.DeleteFunc(slices.Clone(p.keys), func(k *apiKey) bool { return k.perRequest })
}

// under fills the empty facts of a listed model with those of the answer. It
// reports whether the answer has the model, by its id or an alias.
func (f foundModels) under(m Model) (Model, bool) {
	i := slices.IndexFunc(f, func(b Model) bool { return hasName(m.ID, nil, b.ID) })
	if i < 0 {
		i = slices.IndexFunc(f, func(b Model) bool { return hasName(m.ID, m.IDAliases, b.ID) })
	}
	if i < 0 {
		return m, false
	}
	id := m.ID
	m = overlayModel(f[i], m)
	m.ID = id // the operator's spelling
	return m, true
}

// others are the models of the answer without a namesake among the seen names.
func (f foundModels) others(seen map[string]string) []Model {
	return slices.DeleteFunc(slices.Clone(f), func(m Model) bool { return seen[fold(m.ID)] != "" })
}

// foundModel is a model of an answer in the terms of a config.
func foundModel(m discover.Model) Model {
	out := Model{
		ID: m.ID, DisplayName: m.DisplayName, Description: m.Description,
		MaxContextWindow: m.ContextWindow, MaxOutputTokens: m.MaxOutput,
		ParameterCount: m.ParameterCount, Quantization: m.Quantization,
		InputModalities: m.InputModalities, OutputModalities: m.OutputModalities, SupportedFeatures: m.Features,
	}
	if m.Prices != (discover.Prices{}) {
		out.Pricing = &Pricing{
			Input: m.Prices.Input, Output: m.Prices.Output, InputCacheRead: m.Prices.CacheRead, InputCacheWrite: m.Prices.CacheWrite,
		}
	}
	return out
}

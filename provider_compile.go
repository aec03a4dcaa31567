package aigateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/builtin"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fields"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// compiler turns Providers into providers, and notes the problems in them. It is
// used by one goroutine, in New.
//
// It goes on after a problem, with an empty value in the place of the broken
// one.
type compiler struct {
	*problems
	warnings  *problems
	today     time.Time
	policy    URLPolicy
	known     []string // ids and aliases of the registry
	surfaces  surfaces
	endpoints address.Endpoints
	total     time.Duration // per_request_timeout of the gateway
	// firstToken is first_token_timeout of the gateway, 0: off.
	firstToken time.Duration
	fields     *fields.Compiler // of templates, with what all of them use
	ownBase    bool             // the provider at hand has a base_url of the config's own
	source     CostSource       // of the prices of the model at hand
	blind      bool             // the registry is not known
	lists      modelLists       // that providers have answered with
	gateway    struct {
		headers, query []fields.Field
		body           []fields.Body
	}
}

// duplicates reports providers of the registry with the same id. An alias of two
// providers belongs to the first.
func (c *compiler) duplicates(listed []Provider) {
	seen := map[string]bool{}
	for _, p := range listed {
		if p.ID != "" && seen[fold(p.ID)] {
			c.add(fmt.Sprintf("registry[%q].id", p.ID), p.ID, "is listed twice (case does not count)")
		}
		seen[fold(p.ID)] = true
	}
}

// owners reports names that two configured providers share. It returns the index of
// the provider of each name.
// Empty names are reported elsewhere. The first owner of a shared name keeps it,
// so that one mistake makes one problem.
func (c *compiler) owners(providers []Provider) (owner map[string]int) {
	seen := map[string]string{}
	owner = map[string]int{}
	for i, p := range providers {
		for j, name := range append([]string{p.ID}, p.IDAliases...) {
			path := fmt.Sprintf("providers[%d].id", i)
			if j > 0 {
				path = fmt.Sprintf("providers[%d].id_aliases[%d]", i, j-1)
			}
			if name == "" {
				continue
			}
			if first, ok := seen[fold(name)]; ok {
				c.add(path, name, "is already the name at %s: ids and aliases of providers must differ (case does not count)", first)
				continue
			}
			seen[fold(name)], owner[fold(name)] = path, i
		}
	}
	return owner
}

// provider compiles one provider. Its own models come first, then models that only
// the catalog lists.
//
// path is the provider's place in the config or the registry, for problems.
// configured tells that the config lists it, known that the registry does.
func (c *compiler) provider(path string, p Provider, own, rest []Model, configured, known bool) *provider {
	c.name(path+".id", p.ID, "a provider needs an id")
	for i, alias := range p.IDAliases {
		c.name(fmt.Sprintf("%s.id_aliases[%d]", path, i), alias, "an alias must not be empty")
	}
	out := &provider{
		id:         p.ID,
		names:      foldedNames(p.ID, p.IDAliases),
		configured: configured,
		known:      known,
		disabled:   p.Disabled,
		auth:       c.auth(path+".auth", p.Auth),
		firstToken: c.firstToken,
		timeout:    p.PerRequestTimeout.parse(c.problems, path+".per_request_timeout", c.total),
		limits:     c.limits(path+".limits", p.Limits),
		view: &expr.Provider{
			ID: p.ID, IDAliases: slices.Clone(p.IDAliases), DisplayName: p.DisplayName, Description: p.Description,
			Website: p.Website, Metadata: cloneMap(p.Metadata), Known: known, Custom: !known,
		},
	}
	c.address(path+".base_url", p, out)
	if configured {
		c.warnBase(path+".base_url", p.BaseURL, out.base.Path)
	}
	out.network = c.network(path, p, out)
	azure := builtin.IsAzure(out.base.Hostname())
	// A given auth wins over the habit of the host.
	if p.Auth == (Auth{}) && azure {
		out.auth.Header = "Api-Key"
	}
	out.sharedLists, out.uncheckedBatches = p.SharedLists, p.UncheckedBatches
	out.refusesMaxTokens = azure || builtin.IsOpenAI(out.base.Hostname())
	out.sendsUsage = known && builtin.AlwaysSendsUsage(p.ID)
	c.apiSurfaces(path+".supported_api_surfaces", p.SupportedAPISurfaces, out)
	c.translate(path+".translate", p.Translate, out)
	c.keys(path+".api_keys", p, out)
	out.headers = fields.Over(c.gateway.headers, fields.Headers(c.fields, path+".headers", p.Headers))
	out.query = fields.Over(c.gateway.query, fields.Query(c.fields, path+".query_params", p.QueryParams))
	if azure {
		c.warnAzure(path+".base_url", p.BaseURL, out)
	}
	out.body = fields.OverBody(c.gateway.body, fields.Bodies[Template](c.fields, path+".body", p.Body))
	out.operatorAuth = out.credentialHeaders()
	// A vendor's own endpoint wants a key. An internal endpoint, or a base_url of
	// the config, may not.
	out.needsKey = known && !(configured && c.ownBase) && len(out.operatorAuth) == 0 && !address.IsInternal(out.base.Hostname())
	c.discover(path+".discover", p.Discover, out)
	c.models(path, out, own, rest, configured, known)
	return out
}

// keys compiles the keys of a provider.
//
// The ids of keys are hashes of their text, so equal keys would share counters
// and cooldowns.
func (c *compiler) keys(path string, p Provider, out *provider) {
	for i, k := range p.APIKeys {
		at := fmt.Sprintf("%s[%d]", path, i)
		if first := slices.IndexFunc(p.APIKeys, func(o APIKey) bool { return o.Value == k.Value }); first < i && k.Value != "" {
			c.add(at+".value", "", "is the same as api_keys[%d]: no key is tried twice", first)
			continue
		}
		if key := c.key(at+".value", p.ID, k); key != nil {
			key.limits = c.limits(at+".limits", k.Limits)
			out.keys = append(out.keys, key)
		}
	}
	// Failover goes over keys. Without keys it goes over this one, which is not
	// sent.
	out.keyless = []*apiKey{{provider: fold(p.ID), none: true}}
}

// credentialHeaders are the configured headers that can carry the provider's
// credential. They replace the key.
func (p *provider) credentialHeaders() (names []string) {
	for _, f := range p.headers {
		if f.Name == "Authorization" || f.Name == p.auth.Header ||
			f.Name == "X-Api-Key" && p.auth.Header == "" && p.speaksFormat(formatAnthropic) {
			names = append(names, f.Name)
		}
	}
	return names
}

// name checks an id or alias of a provider.
// Empty is the message for a name that is missing.
func (c *compiler) name(path, name, empty string) {
	switch {
	case name == "":
		c.add(path, "", "%s", empty)
	case strings.Contains(name, "${"):
		c.add(path, name, "%s", noTemplate)
	case strings.ContainsRune(name, ':'):
		c.add(path, name, "must not contain a colon: it ends the prefix of \"provider:model\"")
	case !header.IsPlain(name):
		c.add(path, name, "must not contain spaces or control characters")
	}
}

// address compiles the base URL, and the real address of its host.
//
// A base without a path gets /v1, as most vendors have it. After a problem base
// and target are empty URLs and never nil.
func (c *compiler) address(path string, p Provider, out *provider) {
	out.base, out.target = &url.URL{}, &url.URL{}
	if p.BaseURL == "" {
		switch {
		case p.ID == "", c.blind:
		case out.known:
			c.add(path, "", "is missing: the registry must say where the provider is")
		default:
			c.add(path, "", "provider %q is not built in and needs a base_url%s", p.ID, c.nearProvider(p.ID))
		}
		return
	}
	if strings.Contains(p.BaseURL, "${") {
		c.add(path, "", "%s", noTemplate)
		return
	}
	u, err := parseBaseURL(p.BaseURL, c.policy)
	if err != nil {
		c.add(path, address.Shown(p.BaseURL), "%v", err)
		return
	}
	// A common slip: the whole URL of a request, copied from a vendor's
	// documentation.
	for _, request := range []string{"/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/messages", "/v1/models"} {
		if strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), request) {
			c.add(path, address.Shown(p.BaseURL), "ends in the path of a request, which is added to it: leave %s out", strings.TrimPrefix(request, "/v1"))
			return
		}
	}
	if u.Path == "" || u.Path == "/" {
		u.Path, u.RawPath = "/v1", ""
	}
	// Surfaces are joined with a slash of their own.
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
	out.base, out.target = u, u
	if target, ok := c.endpoints.Resolve(u); ok {
		out.target, out.hasTarget = target, true
	}
}

// warnBase warns of a path below which every request would probably get 404.
func (c *compiler) warnBase(at, shown, path string) {
	switch {
	case strings.HasSuffix(path, "/anthropic"):
		c.warnings.add(at, address.Shown(shown), "ends in /anthropic: APIs in that format are usually at /anthropic/v1")
	case strings.HasSuffix(path, "/v1/v1"):
		c.warnings.add(at, address.Shown(shown), "has /v1 twice: the path of a request is added behind it")
	case strings.HasSuffix(path, "/v1/chat"):
		c.warnings.add(at, address.Shown(shown), "ends in a part of a request's path, chat/completions, which is added to it: leave /chat out")
	}
}

// nearProvider suggests the built-in provider with the most similar id.
func (c *compiler) nearProvider(id string) string {
	if near := expr.Nearest(id, c.known); near != "" {
		return fmt.Sprintf("; did you mean the built-in %q?", near)
	}
	return ""
}

// warnAzure warns of an address that answers 404 to everything.
func (c *compiler) warnAzure(path, shown string, p *provider) {
	versioned := func(f fields.Field) bool { return f.Name == "api-version" }
	switch {
	case p.base.Path == "/v1" || p.base.Path == "/openai":
		c.warnings.add(path, address.Shown(shown), "is not an API of Azure: most are at /openai/v1")
	case strings.Contains(p.base.Path, "/deployments/") && !p.base.Query().Has("api-version") && !slices.ContainsFunc(p.query, versioned):
		c.warnings.add(path, address.Shown(shown), "lacks the api-version that Azure wants for a deployment: add ?api-version=, or use /openai/v1")
	}
}

// auth checks the header and the scheme of a key. Header names are canonical
// afterwards.
//
// The zero Auth means the habit of the format: Authorization with Bearer for
// openai, X-Api-Key for anthropic.
func (c *compiler) auth(path string, a Auth) Auth {
	if a.Header != "" && !header.IsName(a.Header) {
		c.add(path+".header", a.Header, "is not a header name")
	}
	a.Header = textproto.CanonicalMIMEHeaderKey(a.Header)
	if a.Header != "" && header.IsConnection(a.Header) {
		c.add(path+".header", a.Header, "belongs to the connection and cannot carry a key")
	}
	if a.Scheme != "" && !header.IsName(a.Scheme) {
		c.add(path+".scheme", "", "is not an authentication scheme: write it like Bearer")
	}
	if a.Scheme == "" && a.Header == "Authorization" {
		a.Scheme = "Bearer"
	}
	return a
}

// apiSurfaces compiles supported_api_surfaces. Empty means all surfaces of the
// openai format.
//
// model passes each list of parameters: a request without it would be
// meaningless.
func (c *compiler) apiSurfaces(path string, given []APISurface, out *provider) {
	if len(given) == 0 {
		out.surfaces = []apiSurface{{format: formatOpenAI}}
		return
	}
	for i, g := range given {
		at := fmt.Sprintf("%s[%d]", path, i)
		a := apiSurface{format: format(g.Format), name: g.Surface}
		if g.Format == "" {
			c.add(at+".format", "", "is required: openai or anthropic")
		} else if a.format != formatOpenAI && a.format != formatAnthropic {
			c.add(at+".format", g.Format, "%s", notOneOf(g.Format, []format{formatOpenAI, formatAnthropic}))
		} else if known := c.surfaces.names(a.format); g.Surface != "" && !slices.Contains(known, g.Surface) {
			c.add(at+".surface", g.Surface, "%s", notOneOf(g.Surface, known))
		}
		if first := slices.IndexFunc(out.surfaces, func(o apiSurface) bool { return o.format == a.format && o.name == a.name }); first >= 0 {
			c.warnings.add(at, "", "has no effect: supported_api_surfaces[%d] is for the same surface, and the first one counts", first)
		}
		for j, param := range g.SupportedParams {
			if param.Name == "" {
				c.add(fmt.Sprintf("%s.supported_params[%d].name", at, j), "", "is required")
			}
			if a.params == nil {
				a.params = map[string]bool{"model": true}
			}
			a.params[param.Name] = true
		}
		out.surfaces = append(out.surfaces, a)
	}
}

// translate compiles the provider's translate.
func (c *compiler) translate(path string, t Translate, out *provider) {
	if t = oneOf(c.problems, path, t, TranslateOff, TranslateOn, TranslateStrict); t == TranslateOff {
		return
	}
	out.strict, out.translates, out.unproven = t == TranslateStrict, translations(out.surfaces, c.surfaces, builtin.IsOpenAI(out.base.Hostname())), unproven(out.surfaces, c.surfaces)
	if len(translationTargets(out.surfaces, c.surfaces)) == 0 {
		c.warnings.add(path, string(t), "has no effect: the provider speaks neither chat-completions nor responses nor messages")
	}
}

// discover compiles the provider's discover.
func (c *compiler) discover(path string, d Discover, out *provider) {
	out.discover = oneOf(c.problems, path, d, DiscoverOff, DiscoverOn, DiscoverConfigured)
	if out.isAsked() && len(out.keys) > 0 && len(out.askKeys()) == 0 {
		c.warnings.add(path, string(d), "asks without a key: the value of each key depends on a request, and discovery has none")
	}
}

// key compiles an API key. Its id is a hash of its text in the config, so that logs
// can name a key without showing it.
// A key whose text is an expression over the request has a value for each
// tenant, and perRequest says so.
func (c *compiler) key(path, provider string, k APIKey) *apiKey {
	if k.Value == "" {
		c.add(path, "", "is empty: give the key, or leave api_keys out where the provider needs none")
		return nil
	}
	t := c.fields.Text(path, string(k.Value), header.IsValue, fields.LineRule)
	if t == nil {
		return nil
	}
	if literal, ok := t.Literal(); ok {
		if redact.IsShellVariable(literal) {
			c.add(path, "", "is a shell's variable and not a key: write ${secrets.get('my-provider', 'api-key')}, which reads MY_PROVIDER_API_KEY")
			return nil
		}
		c.fields.WarnForeign(path, literal)
		if literal != strings.TrimSpace(literal) {
			c.warnings.add(path, "", "has spaces around it, which are sent as part of the key: leave them out")
		} else if isSeveralKeys(literal) {
			c.warnings.add(path, "", "looks like several keys, and is sent as one: list each as an entry of api_keys")
		}
	}
	sum := sha256.Sum256([]byte(provider + "\x00" + string(k.Value)))
	return &apiKey{id: hex.EncodeToString(sum[:6]), provider: fold(provider), value: t, perRequest: t.Uses().Request}
}

// isSeveralKeys reports whether a text is a list of keys. Some tools take keys with
// commas between them.
func isSeveralKeys(text string) bool {
	parts := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",; |", r) })
	return len(parts) > 1 && !slices.ContainsFunc(parts, func(part string) bool { return len(part) < 8 || !keyForm.MatchString(part) })
}

// keyForm are the characters of keys.
var keyForm = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// network compiles how the provider is reached. Its address is known.
// Files are read here, so that a missing one is a problem of the config and no
// failure of the first request.
func (c *compiler) network(path string, p Provider, out *provider) dial.Settings {
	s := dial.Settings{
		CAFile: p.TLS.CAFile, CertFile: p.TLS.CertFile, KeyFile: p.TLS.KeyFile, ServerName: p.TLS.ServerName, Proxy: string(p.Proxy),
	}
	if s == (dial.Settings{}) {
		return s
	}
	for _, f := range s.Check() {
		c.add(path+"."+f.Field, "", "%v", f.Err)
	}
	if p.TLS != (TLS{}) && out.target.Scheme == "http" {
		c.add(path+".tls", "", "the provider is reached by http, which has no TLS: give its address as https:// in %s, or leave tls out", addressField(out))
	}
	if p.Proxy != "" && p.Proxy != ProxyNone {
		if rule := c.noProxy(out); rule != "" {
			c.add(path+".proxy", "", "%s", rule)
		}
	}
	return s
}

// noProxy gives the reason if a provider cannot be reached by a proxy. It is empty if
// it can.
func (c *compiler) noProxy(out *provider) string {
	_, addrs := c.policy.(AddrPolicy)
	switch {
	case address.IsUnix(out.target.Host):
		return "the provider is reached over a unix socket, which has no proxy: leave it out"
	case address.IsInternal(out.base.Hostname()):
		return "hosts under .internal are reached without a proxy: leave it out, or use the provider's public name in base_url"
	case out.target.Scheme == "http":
		return "the proxy would see keys in clear: use https in base_url"
	case addrs:
		return "the URLPolicy checks addresses, and a proxy would look them up out of its sight: leave it out"
	}
	return ""
}

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
func (c *compiler) warnWords(path string, words, known []string) {
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
		if strings.Contains(m.ID, "*") {
			c.warnings.add(path+".id", m.ID, "is not a pattern, and is asked for as it is: clients reach unlisted models as %q", p.id+":NAME")
		}
		c.warnWords(path+".input_modalities", m.InputModalities, modalityWords)
		c.warnWords(path+".output_modalities", m.OutputModalities, modalityWords)
		c.warnWords(path+".supported_features", m.SupportedFeatures, featureWords)
		for i, d := range m.Datacenters {
			if d.CountryCode != "" && !isCountryCode(d.CountryCode) {
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

package aigateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/builtin"
	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/expr"
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
	refs       []secretPlace
	uses       expr.Uses  // of all templates
	ownBase    bool       // the provider at hand has a base_url of the config's own
	source     CostSource // of the prices of the model at hand
	blind      bool       // the registry is not known
	lists      modelLists // that providers have answered with
	gateway    struct {
		headers, query []field
		body           []bodyField
	}
}

// secretPlace is the place of a secret in the config, with the secret's names.
// [Gateway.Check] resolves each, and names the path where one fails.
type secretPlace struct{ path, vault, name string }

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
	// Without /v1 every request would probably get 404.
	if configured && strings.HasSuffix(out.base.Path, "/anthropic") {
		c.warnings.add(path+".base_url", address.Shown(p.BaseURL), "ends in /anthropic: APIs in that format are usually at /anthropic/v1")
	}
	out.network = c.network(path, p, out)
	azure := isAzureHost(out.base.Hostname())
	// A given auth wins over the habit of the host.
	if p.Auth == (Auth{}) && azure {
		out.auth.Header = "Api-Key"
	}
	out.sharedLists, out.uncheckedBatches = p.SharedLists, p.UncheckedBatches
	out.refusesMaxTokens = azure || isOpenAIHost(out.base.Hostname())
	out.sendsUsage = known && builtin.AlwaysSendsUsage(p.ID)
	c.apiSurfaces(path+".supported_api_surfaces", p.SupportedAPISurfaces, out)
	c.translate(path+".translate", p.Translate, out)
	c.keys(path+".api_keys", p, out)
	out.headers = over(c.gateway.headers, c.headers(path+".headers", p.Headers))
	out.query = over(c.gateway.query, c.query(path+".query_params", p.QueryParams))
	out.body = overBody(c.gateway.body, c.body(path+".body", p.Body))
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
		if f.name == "Authorization" || f.name == p.auth.Header ||
			f.name == "X-Api-Key" && p.auth.Header == "" && p.speaksFormat(formatAnthropic) {
			names = append(names, f.name)
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
	for _, request := range []string{"/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"} {
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

// nearProvider suggests the built-in provider with the most similar id.
func (c *compiler) nearProvider(id string) string {
	if near := expr.Nearest(id, c.known); near != "" {
		return fmt.Sprintf("; did you mean the built-in %q?", near)
	}
	return ""
}

// isAzureHost reports whether a host is an Azure endpoint that takes a key in a
// header of its own. Behind Bearer such an endpoint wants a token.
// The zones are those of Azure OpenAI and AI Foundry, in the public cloud and in
// the ones of the US government and China.
func isAzureHost(host string) bool {
	for _, zone := range []string{".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com", ".openai.azure.us", ".openai.azure.cn"} {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return false
}

// isOpenAIHost reports whether a host is OpenAI's own, in any region.
// Regional hosts look like eu.api.openai.com.
func isOpenAIHost(host string) bool {
	return host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com")
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
	out.strict, out.translates, out.unproven = t == TranslateStrict, translations(out, c.surfaces), unproven(out, c.surfaces)
	if len(translationTargets(out, c.surfaces)) == 0 {
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

// names lists the names of a format's surfaces.
func (m surfaces) names(f format) []string {
	var names []string
	for _, path := range sortedKeys(m.byPath) {
		for _, s := range []*surface{m.byPath[path], m.twins[m.byPath[path]]} {
			if s != nil && s.format == f && !slices.Contains(names, s.offer()) {
				names = append(names, s.offer())
			}
		}
	}
	return names
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
	t := c.text(path, k.Value, header.IsValue, "must not contain line breaks or control characters")
	if t == nil {
		return nil
	}
	if literal, ok := t.Literal(); ok {
		if isShellVariable(literal) {
			c.add(path, "", "is a shell's variable and not a key: write ${secrets.get('my-provider', 'api-key')}, which reads MY_PROVIDER_API_KEY")
			return nil
		}
		c.warnForeign(path, literal)
		if literal != strings.TrimSpace(literal) {
			c.warnings.add(path, "", "has spaces around it, which are sent as part of the key: leave them out")
		}
	}
	sum := sha256.Sum256([]byte(provider + "\x00" + string(k.Value)))
	return &apiKey{id: hex.EncodeToString(sum[:6]), provider: fold(provider), value: t, perRequest: t.Uses().Request}
}

// warnForeign warns of a credential in the notation of another tool.
func (c *compiler) warnForeign(path, literal string) {
	if looks, remedy := redact.Foreign(literal); looks != "" {
		c.warnings.add(path, "", "looks like %s, and is sent as it is: %s", looks, remedy)
	}
}

// credentialField makes a field of a header or parameter. secret says that its name is
// that of a credential. A credential behind a scheme, as in Authorization, is checked
// without it.
func (c *compiler) credentialField(path, name string, value Template, t *expr.Template, secret bool) field {
	if literal, ok := t.Literal(); ok && secret {
		if scheme, rest, ok := strings.Cut(literal, " "); ok && header.IsName(scheme) {
			literal = rest
		}
		c.warnForeign(path, literal)
	}
	return field{name, t, secret || redact.LooksSecret(string(value))}
}

// isShellVariable reports whether a key is $NAME. The gateway does not expand it,
// so it would be sent as it is.
func isShellVariable(key string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	name, ok := strings.CutPrefix(key, "$")
	return ok && name != "" && strings.IndexByte(letters, name[0]) >= 0 && strings.Trim(name, letters+"0123456789") == ""
}

// text compiles text with ${…}, and checks the literal text between the
// expressions.
// It returns nil after a problem, and the caller leaves the field out.
func (c *compiler) text(path string, text Template, valid func(string) bool, rule string) *expr.Template {
	t, faults := expr.CompileText(string(text))
	if !c.compiled(path, t, faults) {
		return nil
	}
	if slices.ContainsFunc(t.Literals(), func(literal string) bool { return !valid(literal) }) {
		c.add(path, "", "%s", rule)
		return nil
	}
	return t
}

// compiled notes the faults of a template, or the secrets of a template without faults.
func (c *compiler) compiled(path string, t *expr.Template, faults []expr.Problem) bool {
	for _, f := range faults {
		c.add(path, "", "%s", f.Error())
	}
	if len(faults) > 0 {
		return false
	}
	c.uses = c.uses.Or(t.Uses())
	refs, _ := t.Secrets()
	for _, r := range refs {
		c.refs = append(c.refs, secretPlace{path, r.Vault, r.Name})
	}
	return true
}

// headers compiles configured headers, sorted by name. Their names are canonical
// afterwards.
//
// A header is marked as secret if its name or its text looks so. Its value is
// then redacted on the debug page and in errors.
func (c *compiler) headers(path string, values map[string]Template) []field {
	var out []field
	for _, name := range sortedKeys(values) {
		at := confdoc.JoinKey(path, name)
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !header.IsName(name):
			c.add(at, "", "is not a header name")
			continue
		case header.IsConnection(canonical):
			c.add(at, "", "belongs to the connection and cannot be set")
			continue
		}
		if slices.ContainsFunc(out, func(f field) bool { return f.name == canonical }) {
			c.add(at, "", "is set twice: case does not count in header names")
			continue
		}
		if t := c.text(at, values[name], header.IsValue, "must not contain line breaks or control characters"); t != nil {
			out = append(out, c.credentialField(at, canonical, values[name], t, redact.IsCredentialHeader(canonical) || redact.IsSecretName(canonical)))
		}
	}
	return out
}

// query compiles configured query parameters, sorted by name.
// Any text will do as a value: it is escaped when the URL is built.
func (c *compiler) query(path string, values map[string]Template) []field {
	var out []field
	for _, name := range sortedKeys(values) {
		at := confdoc.JoinKey(path, name)
		if name == "" {
			c.add(at, "", "a parameter needs a name")
			continue
		}
		if t := c.text(at, values[name], func(string) bool { return true }, ""); t != nil {
			out = append(out, c.credentialField(at, name, values[name], t, redact.IsCredentialParam(name) || redact.IsSecretName(name)))
		}
	}
	return out
}

// body compiles the configured fields of the body. Constant values are encoded
// here, once.
func (c *compiler) body(path string, values map[string]any) []bodyField {
	var out []bodyField
	for _, name := range sortedKeys(values) {
		at := confdoc.JoinKey(path, name)
		if strings.EqualFold(name, "model") || strings.EqualFold(name, "models") {
			c.add(at, "", "cannot be set: the gateway chooses the model; use model_selection")
			continue
		}
		tree, constant := c.tree(at, values[name])
		f := bodyField{name: name, tree: tree}
		if constant {
			raw, err := json.Marshal(tree)
			if err != nil {
				continue // tree has noted which part cannot be sent
			}
			f.raw = raw
		}
		out = append(out, f)
	}
	return out
}

// tree copies a value of the body, with its templates compiled. It reports whether
// the value is constant: without templates.
// An object is constant if all its values are. Keys are texts as they stand, and
// hold no templates.
func (c *compiler) tree(path string, v any) (out any, constant bool) {
	switch v := plainValue(v).(type) {
	case string:
		t, faults := expr.CompileTemplate(v)
		if !c.compiled(path, t, faults) {
			return nil, true
		}
		if literal, ok := t.Literal(); ok {
			return literal, true
		}
		return t, false
	case map[string]any:
		m, constant := make(map[string]any, len(v)), true
		for _, key := range sortedKeys(v) {
			child, ok := c.tree(confdoc.JoinKey(path, key), v[key])
			m[key], constant = child, constant && ok
		}
		return m, constant
	case []any:
		l, constant := make([]any, len(v)), true
		for i := range v {
			child, ok := c.tree(fmt.Sprintf("%s[%d]", path, i), v[i])
			l[i], constant = child, constant && ok
		}
		return l, constant
	default:
		// Encoding it now checks the value before any request needs it, and copies
		// the parts that the Config shares with its owner.
		raw, err := json.Marshal(v)
		if err != nil {
			c.add(path, "", "is not a JSON value: %v", err)
			return nil, true
		}
		return json.RawMessage(raw), true
	}
}

// over returns the fields of both. The second's replace fields of the same name.
//
// The fields of top come first. Neither slice is changed.
func over(base, top []field) []field {
	out := slices.Clone(top)
	for _, f := range base {
		if !slices.ContainsFunc(top, func(t field) bool { return t.name == f.name }) {
			out = append(out, f)
		}
	}
	return out
}

// overBody is over for fields of the body.
// Objects are replaced as a whole: their fields are not merged.
func overBody(base, top []bodyField) []bodyField {
	out := slices.Clone(top)
	for _, f := range base {
		if !slices.ContainsFunc(top, func(t bodyField) bool { return t.name == f.name }) {
			out = append(out, f)
		}
	}
	return out
}

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

package aigateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fields"
	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/habits"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/plain"
	"github.com/aigateway-go/aigateway/internal/price"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// settings is a Config in the form for serving requests: checked, compiled and
// never changed again. A request keeps its settings to the end.
//
// A reload makes new settings. Parts that are "of the gateway" outlive them, and
// are shared by old and new ones.
type settings struct {
	selector *selector
	surfaces surfaces

	perRequest  time.Duration
	total       time.Duration
	firstToken  time.Duration // 0: off
	maxAttempts int
	maxRetries  int
	holdWhole   bool // stream_commit: complete
	onContinue  bool // on_error: continue
	maxInput    int64
	maxOutput   int64
	maxBody     int64
	forward     map[string]bool // canonical names
	secrets     *SecretCache
	secretRefs  []fields.SecretPlace // for Check
	warnings    problems
	policy      FailoverPolicy
	counter     TokenCounter
	hooks       Hooks
	logger      *slog.Logger
	addrs       AddrPolicy       // nil: any address
	transports  *dial.Transports // nil: Config.Transport
	debug       debugSettings
	callers     callers
	limiter     *limit.Limiter
	uses        expr.Uses // of all expressions

	clientTimeout time.Duration
	keepalive     time.Duration // 0: off
	failEmpty     bool          // empty_answers: fail
	failRefusals  bool          // refusals: fail_over
	answer        answerHeaders
	clientLimits  []clientLimit
	clients       *limit.Clients   // of the gateway
	fleet         *fleet.Fleet     // of the gateway, or nil
	health        *fleet.Health    // likewise
	exact         *fleet.Limits    // likewise
	admission     Admission        // or nil
	askUsage      bool             // stream_usage: always
	habits        *habits.Streams  // of the gateway
	unspoken      *habits.Unspoken // likewise
	origin        *Config          // to compile again with new lists of models; nil if no provider is asked for one
	ids           *ids.Table       // likewise
}

// newSettings checks and compiles a Config, and reports all of its problems. Of the
// Config's interfaces it calls only the registry and the URL policy. The settings
// take over the secrets of the old ones; old is nil at the start. Lists are the
// answers of providers that are asked for their models.
//
// All problems are collected, so later steps must bear the broken parts of
// earlier ones: a strategy that does not compile is nil, and a provider without
// an address has an empty one.
func newSettings(cfg Config, old *settings, lists modelLists) (*settings, error) {
	var p problems
	s := &settings{
		surfaces: newSurfaces(),
		selector: &selector{
			onlyProviders: cfg.OnlyAllowConfiguredProviders,
			onlyModels:    cfg.OnlyAllowConfiguredModels,
			passThrough:   len(cfg.Providers) == 0,
		},
		perRequest:   p.duration("per_request_timeout", cfg.PerRequestTimeout),
		total:        p.duration("total_timeout", cfg.TotalTimeout),
		firstToken:   p.duration("first_token_timeout", cfg.FirstTokenTimeout),
		maxAttempts:  p.number("max_attempts", cfg.MaxAttempts),
		maxRetries:   p.number("max_retries", cfg.MaxRetries),
		maxInput:     int64(p.number("max_input_tokens", cfg.MaxInputTokens)),
		maxOutput:    int64(p.number("max_output_tokens", cfg.MaxOutputTokens)),
		maxBody:      given(cfg.MaxBodyBytes, bounds.Of("Config", "MaxBodyBytes").Number()),
		holdWhole:    oneOf(&p, "stream_commit", cfg.StreamCommit, StreamCommitFirstContent, StreamCommitComplete) == StreamCommitComplete,
		onContinue:   oneOf(&p, "on_error", cfg.OnError, OnErrorHalt, OnErrorContinue) == OnErrorContinue,
		forward:      forwardSet(&p, cfg.ForwardHeaders),
		keepalive:    p.duration("stream_keepalive", cfg.StreamKeepalive),
		failEmpty:    oneOf(&p, "empty_answers", cfg.EmptyAnswers, EmptyAnswersRelay, EmptyAnswersFail) == EmptyAnswersFail,
		failRefusals: oneOf(&p, "refusals", cfg.Refusals, RefusalsRelay, RefusalsFailOver) == RefusalsFailOver,
		askUsage:     oneOf(&p, "stream_usage", cfg.StreamUsage, StreamUsageAlways, StreamUsageClient) == StreamUsageAlways,
	}
	if cfg.MaxBodyBytes < 0 {
		p.add("MaxBodyBytes", fmt.Sprint(cfg.MaxBodyBytes), "must not be negative; leave it zero for 64 MiB")
	}
	// The default follows per_request_timeout, which may be set.
	s.clientTimeout = given(p.duration("client_timeout", cfg.ClientTimeout), s.perRequest)
	if s.keepalive != 0 && s.keepalive < time.Second {
		p.add("stream_keepalive", string(cfg.StreamKeepalive), "must be at least 1s")
	}
	s.depend(&p, cfg, old)
	s.clientLimits = clientLimits(&p, cfg.ClientLimits, cfg.Caller != nil || cfg.CallerExpr != "")
	s.answer.parse(&p, cfg.ResponseHeaders)
	s.selector.compile(&p, cfg)
	s.compileProviders(&p, cfg, lists)
	// The new providers keep the accepted forms of keys, so that a reload costs no
	// failed attempt.
	if old != nil {
		s.selector.learn(old.selector.catalog)
	}
	s.uses = s.uses.Or(s.selector.uses)
	for _, l := range s.clientLimits {
		if l.key != nil {
			s.uses = s.uses.Or(l.key.Uses())
		}
	}
	s.warnings = append(s.warnings, s.selector.warnings(cfg, s.surfaces)...)
	warnTimes(&s.warnings, cfg, s.perRequest, s.total)
	warnValuesOf(&s.warnings, cfg)
	s.warnUnpriced()
	if cfg.Transport != nil {
		s.refuseTransport(&p, cfg)
	}
	return s, p.withShape(cfg.shape).err()
}

// depend takes the dependencies of a Config. One that is nil gets its default, so
// that nobody looks for nil later.
//
// A Config comes anew with each reload, so nothing is taken over from the old
// settings but the values of secrets.
func (s *settings) depend(p *problems, cfg Config, old *settings) {
	s.callers = callers{name: cfg.Caller, id: cfg.RequestID, labels: cfg.Labels}
	if cfg.CallerExpr != "" {
		var faults []expr.Problem
		s.callers.expr, faults = expr.CompileIdentity(cfg.CallerExpr)
		p.addFaults("caller", cfg.CallerExpr, faults)
		if e := s.callers.expr; e != nil && (e.Uses().Session || e.Uses().Facts != 0) {
			p.add("caller", cfg.CallerExpr, "cannot use req.session or req.ai: the caller is found before the body is read; name it by a header, such as req.headers['x-user'][0]")
		}
	}
	s.admission = cfg.Admission
	if s.policy = cfg.FailoverPolicy; s.policy == nil {
		s.policy = defaultPolicy{refusalsFailOver: s.failRefusals}
	}
	if s.counter = cfg.TokenCounter; s.counter == nil {
		s.counter = estimate{}
	}
	if s.logger = cfg.Logger; s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Hooks != nil {
		s.hooks = *cfg.Hooks
	}
	// The values that the old settings read serve on if the store is down.
	var known *SecretCache
	if old != nil {
		known = old.secrets
	}
	s.secrets = cachedSecrets(cfg.Secrets, known)
}

// compile compiles the strategies.
//
// A broken expression keeps its place as nil: New fails anyway, and the numbers
// of the others stay right.
func (s *selector) compile(p *problems, cfg Config) {
	for i, text := range cfg.ModelSelection.Strategy {
		eval, faults := expr.CompileStrategy(text)
		p.addFaults(fmt.Sprintf("model_selection.strategy[%d]", i), text, faults)
		s.strategies = append(s.strategies, strategy{text, eval})
		if eval != nil {
			s.usesMetrics = s.usesMetrics || eval.Uses().Metrics
			s.uses = s.uses.Or(eval.Uses())
		}
	}
	for i, text := range cfg.APIKeySelection.Strategy {
		eval, faults := expr.CompileKeyStrategy(text)
		p.addFaults(fmt.Sprintf("api_key_selection.strategy[%d]", i), text, faults)
		s.keyStrategies = append(s.keyStrategies, keyStrategy{text, eval})
		if eval != nil {
			s.uses = s.uses.Or(eval.Uses())
		}
	}
}

// checkAddr is the check of an address before it is dialled. Nil allows any.
func (s *settings) checkAddr() func(netip.Addr) error {
	if s.addrs == nil {
		return nil
	}
	return s.addrs.CheckAddr
}

// refuseTransport reports settings beyond the power of a Transport of the user's
// own.
func (s *settings) refuseTransport(p *problems, cfg Config) {
	if s.addrs != nil {
		p.add("Transport", "", "the URLPolicy checks addresses when they are dialled, which only the gateway's own transport does: leave Transport nil")
	}
	if cfg.ProviderTransport != nil {
		p.add("ProviderTransport", "", "wraps the gateway's own transport, which Transport replaces: leave one of them nil")
	}
	for _, pr := range s.selector.providers {
		if pr.network != (dial.Settings{}) {
			p.add("Transport", "", "provider %q has tls or proxy, which only the gateway's own transport knows: leave Transport nil, or use ProviderTransport", pr.id)
		}
		if address.IsUnix(pr.target.Host) {
			p.add("Transport", "", "provider %q is reached over a unix socket, which only the gateway's own transport does: leave Transport nil", pr.id)
		}
	}
}

// compileProviders compiles the providers of the config and the registry, and
// indexes them.
//
// The order is fixed. Headers and bodies of the gateway come before the
// providers that inherit them; the catalog comes before fallbacks and aliases,
// which name its models; the useless flags come last.
func (s *settings) compileProviders(p *problems, cfg Config, lists modelLists) {
	registry, policy := cfg.Registry, cfg.URLPolicy
	if registry == nil {
		registry = BuiltinRegistry()
	}
	if policy == nil {
		policy = StrictURLPolicy()
	}
	// The optional power is found once, here.
	s.addrs, _ = policy.(AddrPolicy)
	listed, err := registry.Providers(context.Background())
	if err != nil {
		p.add("Registry", "", "cannot list the providers: %v", err)
		listed = nil // the rest can still be checked
	}
	c := &compiler{
		problems: p, warnings: &s.warnings, today: time.Now(), policy: policy, surfaces: s.surfaces,
		endpoints: parseInternalEndpoints(cfg.InternalEndpoints, p), total: s.perRequest, firstToken: s.firstToken,
		blind: err != nil, lists: lists,
	}
	c.fields = &fields.Compiler{
		Problem: func(path, reason string) { p.add(path, "", "%s", reason) },
		Warning: func(path, reason string) { s.warnings.add(path, "", "%s", reason) },
	}
	c.gateway.headers = fields.Headers(c.fields, "headers", cfg.Headers)
	c.gateway.query = fields.Query(c.fields, "query_params", cfg.QueryParams)
	c.gateway.body = fields.Bodies[Template](c.fields, "body", cfg.Body)
	s.selector.catalog = newCatalog(mergeProviders(c, cfg, listed))
	s.secretRefs, s.uses = c.fields.Secrets, c.fields.Uses
	if slices.ContainsFunc(s.selector.providers, (*provider).isAsked) {
		s.origin = newOrigin(cfg, listed)
	}
	s.selector.sole = s.selector.soleProvider()
	names := nameChecker{s.selector, p, &s.warnings, c.blind}
	names.linkFallbacks()
	names.compileAliases(cfg)
	s.selector.refuseUseless(p)
	s.selector.refuseCostly(p)
}

// newOrigin keeps a Config with the providers of its registry, to compile it again
// when an answer changes. It shares no setting with the caller's Config, and the
// registry is not asked again.
func newOrigin(cfg Config, listed []Provider) *Config {
	kept := plain.Copy(cfg)
	kept.Registry = StaticRegistry(listed...)
	if cfg.Hooks != nil {
		hooks := *cfg.Hooks
		kept.Hooks = &hooks
	}
	return &kept
}

// refuseUseless reports flags with which every request would be refused.
func (s *selector) refuseUseless(p *problems) {
	if s.passThrough && s.onlyProviders {
		p.add("only_allow_configured_providers", "true", "no provider is configured, so that every request would be refused: list some under providers")
	}
	discovers := func(p *provider) bool { return p.discover == DiscoverConfigured }
	if s.onlyModels && !slices.ContainsFunc(s.listed, func(m *model) bool { return m.configured }) && !slices.ContainsFunc(s.providers, discovers) {
		p.add("only_allow_configured_models", "true", "no model is configured, so that every request would be refused: list some under providers[].models")
	}
}

// refuseCostly reports strategies over the cost limit with this catalog: better now
// than at the first request. Costs by the request's own data are stopped then.
//
// The cost of a strategy grows with the catalog, and a loop within a loop with
// its square. Eval stops at the same limit here as at a request.
func (s *selector) refuseCostly(p *problems) {
	if len(*p) > 0 {
		return // the catalog is not what it is meant to be
	}
	// The smallest request: the catalog's own cost is left.
	in := expr.Input{Providers: s.views, Authors: s.authors, Request: &expr.Request{}}
	for _, m := range s.listed {
		if s.bars(m) == reasonNone {
			in.Models = append(in.Models, m.view)
		}
	}
	for i, st := range s.strategies {
		if _, err := st.eval.Eval(context.Background(), &in); errors.Is(err, expr.ErrTooCostly) {
			p.add(fmt.Sprintf("model_selection.strategy[%d]", i), st.text,
				"takes too many steps over the %d models that requests may use: filter them first, or avoid loops within loops", len(in.Models))
		}
	}
}

// soleProvider returns the only allowed provider, if it lists no models.
//
// Every name of a model can go to it, the only place.
// Models that the provider told about itself do not count as listed: the list
// may be incomplete.
func (s *selector) soleProvider() *provider {
	var sole *provider
	for _, p := range s.providers {
		if p.disabled || s.onlyProviders && !p.configured {
			continue
		}
		if sole != nil {
			return nil
		}
		sole = p
	}
	if sole == nil || slices.ContainsFunc(sole.models, func(m *model) bool { return !m.discovered }) {
		return nil
	}
	return sole
}

// addFaults notes the faults of an expression.
// A fault names its line and column within the text.
func (p *problems) addFaults(path, text string, faults []expr.Problem) {
	for _, f := range faults {
		p.append(&ConfigError{Path: path, Value: text, Reason: f.Error()})
	}
}

// forwardSet is the set of forward_headers. It refuses headers that the gateway
// promises to keep from providers.
//
// A refused name still enters the set, for the config is refused with it.
func forwardSet(p *problems, names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for i, name := range names {
		path := fmt.Sprintf("forward_headers[%d]", i)
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !header.IsName(name):
			p.add(path, name, "is not a header name")
		case redact.IsCredentialHeader(canonical):
			p.add(path, name, "holds the client's credentials, which never reach a provider")
		case canonical == "Openai-Organization" || canonical == "Openai-Project":
			p.add(path, name, "belongs to the client's own key, and is sent only with it")
		case header.IsConnection(canonical):
			p.add(path, name, "belongs to the client's connection and is not forwarded")
		}
		set[canonical] = true
	}
	return set
}

// warnTimes warns of each time that another one ends before.
func warnTimes(p *problems, cfg Config, perRequest, total time.Duration) {
	// Bad ones are problems already.
	parsed := func(d Duration, def time.Duration) time.Duration { return d.parse(new(problems), "", def) }
	warn := func(path string, d Duration, field, other string, ends string, after time.Duration) {
		if parsed(d, 0) > after {
			p.add(path+field, string(d), "is longer than %s, which ends %s after %s: raise both", other, ends, after)
		}
	}
	attempt := func(path string, d Duration) {
		warn(path, d, "per_request_timeout", "total_timeout", "a request", total)
	}
	wait := func(path string, l Limits) { warn(path, l.Wait, "limits.wait", "total_timeout", "a request", total) }
	firstToken := func(path string, d Duration, of time.Duration) {
		warn(path, d, "first_token_timeout", "per_request_timeout", "an attempt without content", of)
	}
	attempt("", cfg.PerRequestTimeout)
	firstToken("", cfg.FirstTokenTimeout, perRequest)
	for i, over := range cfg.Providers {
		path := fmt.Sprintf("providers[%d].", i)
		attempt(path, over.PerRequestTimeout)
		wait(path, over.Limits)
		for j, k := range over.APIKeys {
			wait(fmt.Sprintf("%sapi_keys[%d].", path, j), k.Limits)
		}
		for j, m := range over.Models {
			path := fmt.Sprintf("%smodels[%d].", path, j)
			attempt(path, m.PerRequestTimeout)
			firstToken(path, m.FirstTokenTimeout, parsed(m.PerRequestTimeout, parsed(over.PerRequestTimeout, perRequest)))
			wait(path, m.Limits)
		}
	}
}

// leastPrice is below each price of a million tokens that a provider has asked for, and
// above most prices of one token, in USD.
const leastPrice = 0.0005

// warnValuesOf warns of values that are valid, and that nobody means.
func warnValuesOf(p *problems, cfg Config) {
	for i, name := range cfg.ForwardHeaders {
		if strings.Contains(name, "*") {
			p.add(fmt.Sprintf("forward_headers[%d]", i), name, noPattern)
		}
	}
	stream := func(path string, body map[string]any) {
		if v, ok := body["stream"]; ok {
			p.add(path+"body.stream", fmt.Sprint(v), "is in place of what the client asked for, and its program cannot read an answer of the other kind: leave it out")
		}
	}
	stream("", cfg.Body)
	for i, over := range cfg.Providers {
		path := fmt.Sprintf("providers[%d].", i)
		stream(path, over.Body)
		for j, m := range over.Models {
			if m.Pricing == nil {
				continue
			}
			for _, n := range []namedPrice{{"input", m.Pricing.Input}, {"output", m.Pricing.Output}} {
				if n.value != nil && *n.value > 0 && *n.value < leastPrice {
					p.add(fmt.Sprintf("%smodels[%d].pricing.%s", path, j, n.name), fmt.Sprint(*n.value),
						"looks like the price of one token: prices are in USD per million tokens")
				}
			}
		}
	}
}

// connect gives each provider its transport. The replaced settings hand on their
// connections; old is nil at the start.
func (s *settings) connect(cfg Config, old *settings) error {
	// A Transport of the user's own serves all providers.
	if cfg.Transport != nil {
		for _, p := range s.selector.providers {
			p.transport = cfg.Transport
		}
		return nil
	}
	plan := dial.Plan{Check: s.checkAddr(), Providers: map[string]dial.Settings{}, Report: s.reportFile}
	if wrap := cfg.ProviderTransport; wrap != nil {
		plan.Wrap = func(id string, base *http.Transport) http.RoundTripper { return wrap(id, base) }
	}
	for _, p := range s.selector.providers {
		plan.Providers[p.id] = p.network
	}
	// Providers with unchanged settings keep their connections.
	var before *dial.Transports
	if old != nil {
		before = old.transports
	}
	var err error
	if s.transports, err = dial.NewTransports(plan, before); err != nil {
		var p problems
		path := ""
		var fault *dial.ProviderError
		if errors.As(err, &fault) {
			path = "providers[" + fault.ID + "]." + fault.Fault.Field
		}
		p.add(path, "", "%v", err)
		return p.err()
	}
	for _, p := range s.selector.providers {
		p.transport, p.dialled = s.transports.For(p.id), true
	}
	return nil
}

// retire closes the connections left unused by the next settings.
//
// It is called once the next settings serve. Requests under way keep their
// connections.
func (s *settings) retire(next *settings) {
	switch {
	case s.transports == nil:
	case next.transports == nil:
		s.transports.CloseIdleConnections()
	default:
		s.transports.Retire(next.transports)
	}
}

// reportFile logs a provider's unreadable file.
func (s *settings) reportFile(provider string, fault *dial.FieldError) {
	s.logger.Warn("a file of a provider cannot be read: its last good content stays in force",
		"provider", provider, "field", fault.Field, "error", fault.Err.Error())
}

// defaultLimitKey is the key of an entry of client_limits without one.
const defaultLimitKey = "req.caller"

// clientLimit is an entry of client_limits, compiled.
type clientLimit struct {
	name      string // in the table of all entries, the same after a reload
	key       *expr.Identity
	allowance limit.Allowance
	required  bool
	uncounted bool
	entry     *limit.Entry // set by attach
}

// clientLimits compiles client_limits. callers says whether callers are told apart.
//
// An entry is known by its key's text, and among equal texts by its number: a reload that
// moves entries keeps their counters.
func clientLimits(p *problems, list []ClientLimit, callers bool) []clientLimit {
	out := make([]clientLimit, 0, len(list))
	names := map[string]int{}
	for i, l := range list {
		at := fmt.Sprintf("client_limits[%d]", i)
		text := cmp.Or(l.Key, defaultLimitKey)
		key, faults := expr.CompileIdentity(text)
		p.addFaults(at+".key", text, faults)
		if key != nil && key.Uses().Caller && !callers {
			p.add(at+".key", text, "needs to know the caller: set caller in the config, or Config.Caller")
		}
		c := clientLimit{key: key, allowance: limit.Allowance{RequestsPerMinute: l.RequestsPerMinute, TokensPerMinute: l.TokensPerMinute}}
		for _, n := range [...]struct {
			field string
			n     int64
		}{{"requests_per_minute", l.RequestsPerMinute}, {"tokens_per_minute", l.TokensPerMinute}} {
			if n.n < 0 {
				p.add(at+"."+n.field, fmt.Sprint(n.n), "must not be negative; leave it out for no limit")
			}
		}
		c.allowance.PerDay = budget(p, at+".usd_per_day", l.USDPerDay)
		c.allowance.PerMonth = budget(p, at+".usd_per_month", l.USDPerMonth)
		if c.allowance == (limit.Allowance{}) {
			p.add(at, "", "limits nothing: give it requests_per_minute, tokens_per_minute, usd_per_day or usd_per_month")
		}
		c.uncounted = l.Uncounted
		c.allowance.Exact = l.Exact
		c.required = l.USDPerDay > 0 || l.USDPerMonth > 0
		if l.Required != nil {
			c.required = *l.Required
		}
		names[text]++
		c.name = fmt.Sprintf("%d %s", names[text], text)
		out = append(out, c)
	}
	return out
}

// warnUnpriced warns of budgets in USD that some model of the config does not count
// towards.
//
// It names the first such model only.
func (s *settings) warnUnpriced() {
	if s.selector.catalog == nil {
		return
	}
	unpriced := func(m *model) bool { return m.configured && m.pricing == nil && s.selector.bars(m) == reasonNone }
	at := slices.IndexFunc(s.selector.listed, unpriced)
	for i, l := range s.clientLimits {
		if at < 0 || l.allowance.PerDay == 0 && l.allowance.PerMonth == 0 {
			continue
		}
		s.warnings.add(fmt.Sprintf("client_limits[%d]", i), "",
			"the price of %q is unknown, so that its requests spend nothing of this budget, unless the provider tells their cost: give it pricing, with 0 if it is free", s.selector.listed[at].name())
	}
}

// budget reads an amount of USD. Zero is no limit.
//
// A float64 of a config is read by its shortest decimal: 0.1 is one tenth of a
// USD exactly.
func budget(p *problems, path string, usd float64) int64 {
	if usd == 0 {
		return 0
	}
	v, ok := price.Parse(strconv.FormatFloat(usd, 'f', -1, 64))
	if !ok || v <= 0 || usd > bounds.MaxPrice {
		p.add(path, fmt.Sprint(usd), "must be an amount above zero, up to %d", bounds.MaxPrice)
	}
	return int64(v)
}

package aigateway

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// The defaults of every setting that has one, and the bounds of those that are
// bounded.
const (
	defaultPerRequestTimeout = 3 * time.Minute
	defaultTotalTimeout      = 6 * time.Minute
	defaultMaxAttempts       = 10
	maxMaxAttempts           = 100
	maxMaxRetries            = 5
	maxTokenLimit            = 500_000
	defaultMaxBodyBytes      = 64 << 20
)

// settings is a Config in the form that requests are served from: checked,
// compiled and never changed again. A request keeps the settings that it began
// with.
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
	secretRefs  []secretPlace // for Check
	policy      FailoverPolicy
	counter     TokenCounter
	hooks       Hooks
	logger      *slog.Logger
	addrs       AddrPolicy       // nil: any address
	transports  *dial.Transports // nil: Config.Transport
	debug       debugSettings
	seed        maphash.Seed // of the gateway, for hashes of callers and key values

	caller     func(*http.Request) string
	callerExpr *expr.Identity // nil: clients are told apart by their address, for blame

	clientTimeout time.Duration
	keepalive     time.Duration // 0: off
	failEmpty     bool          // empty_answers: fail
	failRefusals  bool          // refusals: fail_over
}

// secretPlace is a secret that the config names, and where.
type secretPlace struct{ path, vault, name string }

// newSettings checks and compiles a Config, and reports all that is wrong with
// it. Only the registry is asked for anything.
func newSettings(cfg Config) (*settings, error) {
	var p problems
	s := &settings{
		surfaces: newSurfaces(),
		selector: &selector{
			onlyProviders: cfg.OnlyAllowConfiguredProviders,
			onlyModels:    cfg.OnlyAllowConfiguredModels,
			passThrough:   len(cfg.Providers) == 0,
		},
		perRequest:   cfg.PerRequestTimeout.parse(&p, "per_request_timeout", defaultPerRequestTimeout),
		total:        cfg.TotalTimeout.parse(&p, "total_timeout", defaultTotalTimeout),
		firstToken:   cfg.FirstTokenTimeout.parse(&p, "first_token_timeout", 0),
		maxAttempts:  bounded(&p, "max_attempts", cfg.MaxAttempts, defaultMaxAttempts, maxMaxAttempts),
		maxRetries:   bounded(&p, "max_retries", cfg.MaxRetries, 0, maxMaxRetries),
		maxInput:     int64(bounded(&p, "max_input_tokens", cfg.MaxInputTokens, 0, maxTokenLimit)),
		maxOutput:    int64(bounded(&p, "max_output_tokens", cfg.MaxOutputTokens, 0, maxTokenLimit)),
		maxBody:      given(cfg.MaxBodyBytes, defaultMaxBodyBytes),
		holdWhole:    oneOf(&p, "stream_commit", cfg.StreamCommit, CommitFirstContent, CommitComplete) == CommitComplete,
		onContinue:   oneOf(&p, "on_error", cfg.OnError, OnErrorHalt, OnErrorContinue) == OnErrorContinue,
		forward:      forwardSet(&p, cfg.ForwardHeaders),
		keepalive:    p.duration("stream_keepalive", cfg.StreamKeepalive),
		failEmpty:    oneOf(&p, "empty_answers", cfg.EmptyAnswers, EmptyRelay, EmptyFail) == EmptyFail,
		failRefusals: oneOf(&p, "refusals", cfg.Refusals, RefusalRelay, RefusalFailOver) == RefusalFailOver,
		caller:       cfg.Caller,
		policy:       cfg.FailoverPolicy,
		counter:      cfg.TokenCounter,
		logger:       cfg.Logger,
	}
	if cfg.MaxBodyBytes < 0 {
		p.add("MaxBodyBytes", fmt.Sprint(cfg.MaxBodyBytes), "must not be negative; leave it zero for 64 MiB")
	}
	s.clientTimeout = given(p.duration("client_timeout", cfg.ClientTimeout), s.perRequest)
	if s.keepalive != 0 && s.keepalive < time.Second {
		p.add("stream_keepalive", string(cfg.StreamKeepalive), "must be at least 1s")
	}
	if cfg.CallerExpr != "" {
		var faults []expr.Problem
		s.callerExpr, faults = expr.CompileIdentity(cfg.CallerExpr)
		p.addFaults("caller", cfg.CallerExpr, faults)
	}
	if s.policy == nil {
		s.policy = defaultPolicy{refusalsFailOver: s.failRefusals}
	}
	if s.counter == nil {
		s.counter = estimate{}
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Hooks != nil {
		s.hooks = *cfg.Hooks
	}
	switch r := cfg.Secrets.(type) {
	case *SecretCache:
		s.secrets = r
	case nil:
		s.secrets = NewSecretCache(nil, secretTTL)
	default:
		s.secrets = NewSecretCache(r, secretTTL)
	}
	s.selector.compile(&p, cfg)
	s.compileProviders(&p, cfg)
	if cfg.Transport != nil {
		s.refuseTransport(&p, cfg)
	}
	return s, p.withShape(cfg.shape).err()
}

// attach has the settings measure into a gateway's recorder.
func (s *settings) attach(r *stats.Recorder) {
	s.selector.recorder, s.selector.metrics = r, newMetrics(r)
	s.selector.track(r)
}

// compile compiles the strategies.
func (s *selector) compile(p *problems, cfg Config) {
	for i, text := range cfg.ModelSelection.Strategy {
		eval, faults := expr.CompileStrategy(text)
		p.addFaults(fmt.Sprintf("model_selection.strategy[%d]", i), text, faults)
		s.strategies = append(s.strategies, strategy{text, eval})
		if eval != nil {
			s.usesMetrics = s.usesMetrics || eval.Uses().Metrics
			s.usesEstimates = s.usesEstimates || eval.Uses().Estimates
		}
	}
	for i, text := range cfg.APIKeySelection.Strategy {
		eval, faults := expr.CompileKeyStrategy(text)
		p.addFaults(fmt.Sprintf("api_key_selection.strategy[%d]", i), text, faults)
		s.keyStrategies = append(s.keyStrategies, keyStrategy{text, eval})
		s.usesEstimates = s.usesEstimates || eval != nil && eval.Uses().Estimates
	}
}

// checkAddr is the check of an address before it is dialled; nil allows any.
func (s *settings) checkAddr() func(netip.Addr) error {
	if s.addrs == nil {
		return nil
	}
	return s.addrs.CheckAddr
}

// refuseTransport reports what a Transport of the user's own cannot do.
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

// compileProviders merges the configured providers with the registry's, and
// indexes them.
func (s *settings) compileProviders(p *problems, cfg Config) {
	registry := cfg.Registry
	if registry == nil {
		registry = BuiltinRegistry()
	}
	listed, err := registry.Providers(context.Background())
	if err != nil {
		p.add("Registry", "", "cannot list the providers: %v", err)
		listed = nil // what else is wrong can still be said
	}
	policy := cfg.URLPolicy
	if policy == nil {
		policy = StrictURLPolicy()
	}
	s.addrs, _ = policy.(AddrPolicy)
	c := &compiler{
		problems:  p,
		policy:    policy,
		surfaces:  s.surfaces,
		endpoints: parseInternalEndpoints(cfg.InternalEndpoints, p),
		total:     s.perRequest,
		blind:     err != nil,
	}
	c.gateway.headers = c.headers("headers", cfg.Headers)
	c.gateway.query = c.query("query_params", cfg.QueryParams)
	c.gateway.body = c.body("body", cfg.Body)

	for _, base := range listed {
		c.known = append(append(c.known, base.ID), base.IDAliases...)
	}
	c.twins(listed)
	owner := c.clashes(cfg.Providers)
	overlaid := map[int]int{}
	var all []*provider
	for i, over := range cfg.Providers {
		path := fmt.Sprintf("providers[%d]", i)
		at := slices.IndexFunc(listed, func(base Provider) bool { return strings.EqualFold(base.ID, over.ID) })
		if at < 0 {
			at = slices.IndexFunc(listed, func(base Provider) bool { return hasName(base.ID, base.IDAliases, over.ID) })
		}
		if at < 0 || over.ID == "" {
			c.ownBase = false
			all = append(all, c.provider(path, over, over.Models, nil, true, false))
			continue
		}
		base := listed[at]
		if first, ok := overlaid[at]; ok {
			if !strings.EqualFold(over.ID, cfg.Providers[first].ID) { // else clashes has said so
				p.add(path+".id", over.ID, "is the built-in %q, which providers[%d] configures already: put both into one", base.ID, first)
			}
		} else {
			overlaid[at] = i
		}
		c.ownBase = over.BaseURL != ""
		if !strings.EqualFold(base.ID, over.ID) {
			base.Models = authored(base)
		}
		merged := overlay(base, over)
		merged.IDAliases = unowned(merged.IDAliases, owner, i)
		all = append(all, c.provider(path, merged, over.Models, base.Models, true, true))
	}
	for i, base := range listed {
		if _, ok := overlaid[i]; !ok {
			c.ownBase = false
			base.IDAliases = unowned(base.IDAliases, owner, -1)
			all = append(all, c.provider(fmt.Sprintf("registry[%q]", base.ID), base, base.Models, nil, false, true))
		}
	}
	if len(cfg.Providers) == 0 && s.selector.onlyProviders {
		p.add("only_allow_configured_providers", "true", "no provider is configured, so that every request would be refused: list some under providers")
	}
	s.selector.catalog, s.secretRefs = newCatalog(all), c.refs
	if s.selector.onlyModels && !slices.ContainsFunc(s.selector.listed, func(m *model) bool { return m.configured }) {
		p.add("only_allow_configured_models", "true", "no model is configured, so that every request would be refused: list some under providers[].models")
	}
	s.selector.sole = s.selector.soleProvider()
	s.selector.refuseCostly(p)
}

// refuseCostly reports strategies that take more steps over this catalog than
// an evaluation may have: better now than at the first request. What a strategy
// costs can depend on the request; that much is stopped then.
func (s *selector) refuseCostly(p *problems) {
	if len(*p) > 0 {
		return // the catalog is not what it is meant to be
	}
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

// authored returns a provider's models with its id as the author of those that
// name none, for when the provider is to go by another name.
func authored(p Provider) []Model {
	models := slices.Clone(p.Models)
	for i := range models {
		models[i].AuthorID = given(models[i].AuthorID, p.ID)
	}
	return models
}

// unowned returns those of a provider's aliases that the config does not give
// to another provider than its i-th.
func unowned(aliases []string, owner map[string]int, i int) []string {
	return slices.DeleteFunc(slices.Clone(aliases), func(a string) bool {
		j, ok := owner[fold(a)]
		return ok && j != i
	})
}

// soleProvider returns the only allowed provider, if it lists no models.
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
	if sole == nil || len(sole.models) > 0 {
		return nil
	}
	return sole
}

// parse reads a duration. Empty and zero mean the default.
func (d Duration) parse(p *problems, path string, def time.Duration) time.Duration {
	if d == "" {
		return def
	}
	v, err := time.ParseDuration(string(d))
	switch {
	case err != nil && strings.Trim(string(d), "0123456789.hmsµun") == "" && len(d) > 6:
		p.add(path, string(d), "is too long, or no duration: write it like \"90s\" or \"3m\"")
	case err != nil:
		p.add(path, string(d), "is no duration: write it like \"90s\" or \"3m\"")
	case v < 0:
		p.add(path, string(d), "must not be negative")
	case v > 0:
		return v
	}
	return def
}

// bounded checks a number from 0 to limit, where 0 means the default.
func bounded(p *problems, path string, v, def, limit int) int {
	if v < 0 || v > limit {
		p.add(path, fmt.Sprint(v), "must be from %d to %d", min(def, 1), limit)
	}
	if v == 0 {
		return def
	}
	return v
}

// oneOf checks a word; the first one is the default.
func oneOf[T ~string](p *problems, path string, v T, words ...T) T {
	if v == "" {
		return words[0]
	}
	if !slices.Contains(words, v) {
		p.add(path, string(v), "%s", notOneOf(string(v), words))
	}
	return v
}

// notOneOf says which words there are, and which was probably meant.
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

// addFaults notes what is wrong with an expression.
func (p *problems) addFaults(path, text string, faults []expr.Problem) {
	for _, f := range faults {
		p.append(&ConfigError{Path: path, Value: text, Reason: f.Error()})
	}
}

// forwardSet is the set of forward_headers, which may hold nothing that the
// gateway promises to keep to itself.
func forwardSet(p *problems, names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for i, name := range names {
		path := fmt.Sprintf("forward_headers[%d]", i)
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !header.IsName(name):
			p.add(path, name, "is no header name")
		case redact.IsCredentialHeader(canonical):
			p.add(path, name, "holds the client's credentials, which never reach a provider")
		case canonical == "Openai-Organization" || canonical == "Openai-Project":
			p.add(path, name, "belongs to the client's own key, and goes with that alone")
		case header.IsConnection(canonical):
			p.add(path, name, "belongs to the client's connection and is not forwarded")
		}
		set[canonical] = true
	}
	return set
}

// sortedKeys returns the keys of a map in order, so that what is built from it
// does not change from run to run.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

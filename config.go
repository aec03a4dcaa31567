package aigateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/usage"
)

//go:generate go run ./internal/expr/refdoc -o docs/selection.md

// Config is everything that a [Gateway] is built from. The settings come first;
// [ParseConfig] also reads them from YAML or JSON. The dependencies follow; only a
// Go program can give them. The zero Config is valid: the built-in providers are
// called with each client's own key.
//
// [New] and [Gateway.Reload] share nothing with a Config, so it may be changed
// afterwards. When it is printed, a Config hides literal secrets, like a
// [Template].
type Config struct {
	// Providers are the services that requests may go to. A provider with the id
	// or an alias of a built-in one overlays it. If empty, every provider of the
	// registry may be asked for and is called with the client's own key.
	Providers []Provider `json:"providers,omitempty"`

	// OnlyAllowConfiguredProviders keeps clients to the providers above.
	OnlyAllowConfiguredProviders bool `json:"only_allow_configured_providers,omitempty"`
	// OnlyAllowConfiguredModels keeps clients to the models listed above.
	OnlyAllowConfiguredModels bool `json:"only_allow_configured_models,omitempty"`

	// ModelSelection chooses and orders the models of a request. If empty,
	// they are tried in the order of the client's names and of the config.
	ModelSelection ModelSelection `json:"model_selection,omitzero"`
	// APIKeySelection chooses and orders the keys of a provider. If empty,
	// they are tried in listed order.
	APIKeySelection APIKeySelection `json:"api_key_selection,omitzero"`

	// PerRequestTimeout bounds one attempt until its answer is committed, and
	// a whole answer without streaming. From the first content of a stream on it
	// bounds each silence. If empty, 3m.
	PerRequestTimeout Duration `json:"per_request_timeout,omitempty"`
	// TotalTimeout bounds all attempts of a request until one is committed,
	// from the moment when the client's body was read. If empty, 6m.
	TotalTimeout Duration `json:"total_timeout,omitempty"`
	// FirstTokenTimeout bounds the wait for the first content of a stream, from
	// the start of the attempt. If empty, only PerRequestTimeout bounds it.
	FirstTokenTimeout Duration `json:"first_token_timeout,omitempty"`

	// MaxAttempts bounds the upstream requests for one client request, 1 to 100. If zero, 10.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// MaxRetries allows that many further attempts with the same model and key
	// after a transient failure, 0 to 5. They count towards MaxAttempts.
	MaxRetries int `json:"max_retries,omitempty"`
	// StreamCommit says when a stream starts to reach the client. If empty,
	// StreamCommitFirstContent.
	StreamCommit StreamCommit `json:"stream_commit,omitempty"`

	// Headers, QueryParams and Body are added to every upstream request; Body
	// overrides the client's top-level fields. Strings may hold ${…}.
	Headers     map[string]Template `json:"headers,omitempty"`
	QueryParams map[string]Template `json:"query_params,omitempty"`
	Body        map[string]any      `json:"body,omitempty"`

	// MaxInputTokens refuses larger prompts with 413, in tokens up to 500000.
	// If zero, nothing is counted.
	MaxInputTokens int `json:"max_input_tokens,omitempty"`
	// MaxOutputTokens caps the request's own output limit, and sets it in a
	// request without one, in tokens up to 500000. If zero, nothing is changed.
	MaxOutputTokens int `json:"max_output_tokens,omitempty"`

	// StreamKeepalive sends a comment to the client of a stream after each silence
	// of this length, at least 1s; to one of messages the API's ping. The first one
	// sends the status 200 and the header of the stream; failover goes on behind it,
	// and a final failure becomes an error event. If empty, nothing is sent.
	StreamKeepalive Duration `json:"stream_keepalive,omitempty"`
	// ClientTimeout bounds each write to a client and each silence of its body.
	// After it the client counts as gone. It takes the place of the server's own
	// read and write timeouts. If empty, PerRequestTimeout.
	ClientTimeout Duration `json:"client_timeout,omitempty"`

	// EmptyAnswers decides about a whole answer without text, a tool call or a
	// refusal. If empty, EmptyAnswersRelay.
	EmptyAnswers EmptyAnswers `json:"empty_answers,omitempty"`
	// Refusals decides the step after a refusal of the prompt for its content. If
	// empty, RefusalsRelay.
	Refusals Refusals `json:"refusals,omitempty"`

	// StreamUsage says whether the gateway asks for usage in chat streams of clients
	// that did not. They do not see it. If empty, StreamUsageAlways.
	StreamUsage StreamUsage `json:"stream_usage,omitempty"`

	// ResponseHeaders are the headers by which an answer says who answered. If nil,
	// HeaderRequestID, HeaderModel and HeaderAttempts; if empty, none.
	ResponseHeaders []ResponseHeader `json:"response_headers,omitzero"`

	// Aliases are names of the operator's own. A client that asks for an alias asks
	// for its names, in their order: names of models, or "provider:model". An alias
	// that equals a model of the catalog hides it.
	Aliases map[string][]string `json:"aliases,omitempty"`

	// CallerExpr names the caller of a request: a CEL expression over req and conn
	// that returns a string, such as req.headers['x-tenant'][0]. It runs before the
	// body is read: req.ai and req.session are refused.
	//
	// Callers do not share blame for failures or pins of sticky(), and wait in turn
	// at limits. If it fails or its result is empty, the request has the empty
	// caller, which is a caller of its own. If CallerExpr is empty and Caller is
	// nil, callers are told apart by their address, and only for blame.
	CallerExpr string `json:"caller,omitempty"`

	// ClientLimits bound what clients may use, by keys of their requests. All entries
	// must hold.
	ClientLimits []ClientLimit `json:"client_limits,omitempty"`

	// OnError decides the end of a failed request. If empty, OnErrorHalt.
	OnError OnError `json:"on_error,omitempty"`
	// ForwardHeaders names further client headers for providers to see.
	ForwardHeaders []string `json:"forward_headers,omitempty"`
	// InternalEndpoints maps .internal hosts to their real addresses: from
	// "ollama.internal" or "ollama.internal:8080" to "http://127.0.0.1:11434"
	// or "unix:///run/vllm.sock".
	InternalEndpoints map[string]string `json:"internal_endpoints,omitempty"`

	// Secrets answers ${secrets.get(vault, name)}. If nil, [EnvSecrets].
	Secrets SecretResolver `json:"-"`
	// Registry lists the providers known without configuration. If nil,
	// [BuiltinRegistry].
	Registry ProviderRegistry `json:"-"`
	// URLPolicy allows or refuses upstream addresses. If nil,
	// [StrictURLPolicy].
	URLPolicy URLPolicy `json:"-"`
	// Transport sends the upstream requests, from many goroutines at once. If nil,
	// the gateway uses one of its own. The gateway does not change a Transport. It
	// is an error beside a URLPolicy that is an [AddrPolicy], and beside a provider
	// on a Unix socket: both need the gateway's own.
	Transport http.RoundTripper `json:"-"`
	// ProviderTransport returns the transport of a provider, such as one that signs
	// requests. [New] and [Gateway.Reload] call it once for each provider, also of
	// the registry. Base is the gateway's own transport to the provider, with its
	// TLS and Proxy; its fields may be changed before ProviderTransport returns. A
	// nil RoundTripper stands for base.
	//
	// The RoundTripper is used by many goroutines at once, and sees a request again
	// for each attempt. If ProviderTransport is nil, every provider uses its base.
	// It is an error beside a Transport.
	ProviderTransport func(id string, base *http.Transport) http.RoundTripper `json:"-"`
	// Caller names the caller of a request, from many goroutines at once, and replaces
	// CallerExpr. If nil, CallerExpr names the caller.
	Caller func(*http.Request) string `json:"-"`
	// Admission admits each request, or refuses it. May be nil.
	Admission Admission `json:"-"`
	// RequestID is the service's own id of a request, such as its router's, from many
	// goroutines at once. It has 1 to 128 visible ASCII characters; any other is left
	// out. If nil, the id is the request's X-Request-Id, or one of the gateway's own.
	RequestID func(*http.Request) string `json:"-"`
	// Labels are attributes of a request, such as its tenant and team, from many
	// goroutines at once. They stand in the log, in Results, on the debug page and in
	// metrics. At most eight count. Their values are texts of at most 128 bytes. May
	// be nil.
	Labels func(*http.Request) []slog.Attr `json:"-"`
	// Logger gets one line a request, at level info, or warn if the request
	// failed. If debug is enabled, it holds the whole Result. If nil,
	// nothing is logged.
	Logger *slog.Logger `json:"-"`
	// Hooks observe requests and attempts. May be nil.
	Hooks *Hooks `json:"-"`
	// TokenCounter counts a prompt for MaxInputTokens. If nil, an estimate.
	TokenCounter TokenCounter `json:"-"`
	// FailoverPolicy decides the next step after a failed attempt. If nil,
	// [DefaultFailoverPolicy].
	FailoverPolicy FailoverPolicy `json:"-"`
	// Region and Account are the scopes of m.metrics.region and
	// m.metrics.account: the gateways with the same name, of this process or, with
	// Shared, of the fleet. An empty name stands for this gateway only.
	Region  string `json:"-"`
	Account string `json:"-"`
	// Shared is the store of a fleet: replicas with one Shared know each other's
	// cooldowns, quotas, measurements, pins and limits, while [Gateway.Run] runs.
	// No request waits for it, except at limits that are exact. If it fails, each
	// replica goes on with what it knows. If nil, the gateway works alone.
	//
	// New reads Shared, SharedSecret and ReplicaName. Reload keeps them.
	Shared Shared `json:"-"`
	// SharedSecret is the key of all hashes in the store, the same in all replicas:
	// 32 random bytes or more. In the clear the store holds times, counts, endpoints
	// and ReplicaName, and no other name or value. It is required with Shared.
	SharedSecret []byte `json:"-"`
	// ReplicaName names this replica to people, such as by its host. It need not
	// be unique. May be empty.
	ReplicaName string `json:"-"`
	// MaxBodyBytes bounds a request's body, in bytes. If zero, 64 MiB.
	MaxBodyBytes int64 `json:"-"`

	// shape holds the faults of the document that the Config was read from, for
	// New to report.
	shape []confdoc.Fault
}

// Format prints c without literal secrets. Each dependency is shown as its type,
// because its fields may hold secrets.
//
// It holds for every verb: %v, %+v and %#v alike.
func (c Config) Format(f fmt.State, verb rune) {
	dependencies := map[string]string{}
	// All changes here are to the copy.
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Tag.Get("json") != "-" {
			continue
		}
		switch kind := field.Type.Kind(); kind {
		case reflect.Interface, reflect.Func, reflect.Pointer:
			if d := v.Field(i); kind == reflect.Interface && !d.IsNil() {
				dependencies[field.Name] = fmt.Sprintf("%T", d.Interface())
			}
			v.Field(i).SetZero()
		}
	}
	c.SharedSecret, c.shape = nil, nil
	redact.Format(f, verb, printedConfig{printedSettings(c.printed()), dependencies})
}

// MarshalJSON writes the settings of c without literal secrets, such as for a log. The
// result cannot be loaded as a config.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(printedSettings(c.printed())) }

// plainJSON writes a Config as it is.
//
// The methods of Config and Provider are avoided by types without them.
// Templates still redact themselves.
func plainJSON(c Config) ([]byte, error) {
	plain := struct {
		printedSettings
		Providers []printedProvider `json:"providers,omitempty"`
	}{printedSettings: printedSettings(c)}
	for _, p := range c.Providers {
		plain.Providers = append(plain.Providers, printedProvider(p))
	}
	return json.Marshal(plain)
}

// printed is a copy of c without literal secrets. The maps are shared with the
// caller's Config, so they are copied before a change.
func (c Config) printed() Config {
	c.Headers, c.QueryParams, c.Body = redact.Keys(c.Headers), redact.Keys(c.QueryParams), printedBody(c.Body)
	c.InternalEndpoints = maps.Clone(c.InternalEndpoints)
	for host, target := range c.InternalEndpoints {
		c.InternalEndpoints[host] = printedURL(target)
	}
	return c
}

// The printed types have the fields of their originals, and no Format.
type (
	printedConfig struct {
		printedSettings
		Dependencies map[string]string // types by field
	}
	printedSettings Config
)

// StreamCommit says when a stream starts to reach the client. From then on the
// gateway cannot fail over.
type StreamCommit string

const (
	// StreamCommitFirstContent passes a stream on from its first token.
	StreamCommitFirstContent StreamCommit = "first_content"
	// StreamCommitComplete holds a stream until it is whole. A stream that breaks
	// half-way is replaced by the next candidate's.
	StreamCommitComplete StreamCommit = "complete"
)

// OnError decides the end of a request that failed at every candidate.
type OnError string

const (
	// OnErrorHalt answers with the error.
	OnErrorHalt OnError = "halt"
	// OnErrorContinue calls the handler that [Gateway.Wrap] was given, with
	// the request's body rewound and the [Result] in its context.
	OnErrorContinue OnError = "continue"
)

// EmptyAnswers decides about a whole answer without text, a tool call or a refusal.
type EmptyAnswers string

const (
	// EmptyAnswersRelay relays it as an answer.
	EmptyAnswersRelay EmptyAnswers = "relay"
	// EmptyAnswersFail takes it for a failed attempt.
	EmptyAnswersFail EmptyAnswers = "fail"
)

// Refusals decides the step after a provider's refusal of the prompt for its
// content.
type Refusals string

const (
	// RefusalsRelay relays the refusal: it is not routed around.
	RefusalsRelay Refusals = "relay"
	// RefusalsFailOver tries the next candidate.
	RefusalsFailOver Refusals = "fail_over"
)

// StreamUsage says in which chat streams the gateway asks the provider to report
// usage.
type StreamUsage string

const (
	// StreamUsageAlways asks in every chat stream. A client that did not ask sees the
	// stream without the report.
	StreamUsageAlways StreamUsage = "always"
	// StreamUsageClient asks only if the client asked.
	StreamUsageClient StreamUsage = "client"
)

// ModelSelection is the list of strategies that choose the models of a request.
// Each is a CEL expression whose result is a model or a list of models, in the
// order in which they are tried:
//
//	ai.models.filter(m, 'vision' in m.supported_features).sortBy('price')
//
// The first strategy that returns at least one model wins. [New] and
// [Gateway.Reload] check every name and type. The cookbook and the reference of
// the language are in docs/selection.md.
type ModelSelection struct {
	// Strategy holds the expressions in the order of their turn.
	Strategy []string `json:"strategy,omitempty"`
}

// APIKeySelection is the list of strategies that choose the keys of a provider.
// Each is a CEL expression whose result is a key or a list of keys, in the order
// in which they are tried:
//
//	ai.keys.filter(k, k.error_rate.rate_limit < 0.1)
//
// The first strategy that returns at least one key wins. A key in cooldown is
// tried last all the same. Without strategies the keys are tried in listed order.
// The language is that of [ModelSelection], see docs/selection.md.
type APIKeySelection struct {
	// Strategy holds the expressions in the order of their turn.
	Strategy []string `json:"strategy,omitempty"`
}

// ResponseHeader names a header by which an answer says who answered.
type ResponseHeader string

const (
	// HeaderRequestID is X-Aigateway-Request-Id: the id in the log and the Result.
	HeaderRequestID ResponseHeader = "request-id"
	// HeaderModel is X-Aigateway-Model: "provider:model" of the latest attempt.
	HeaderModel ResponseHeader = "model"
	// HeaderAttempts is X-Aigateway-Attempts: the number of upstream requests.
	HeaderAttempts ResponseHeader = "attempts"
	// HeaderRemovedParams is X-Aigateway-Removed-Params: the client's fields that did
	// not reach the model.
	HeaderRemovedParams ResponseHeader = "removed-params"
	// HeaderRejectedModels is X-Aigateway-Rejected-Models: the client's names that could
	// not serve the request.
	HeaderRejectedModels ResponseHeader = "rejected-models"
	// HeaderAffinity is X-Aigateway-Affinity: "source:place" of [Result.Affinity], such as
	// header:first. It is left out where sticky() placed nothing.
	HeaderAffinity ResponseHeader = "affinity"
	// HeaderCost is X-Aigateway-Cost, in USD. It is left out where the cost is unknown.
	// In streams it is a trailer.
	HeaderCost ResponseHeader = "cost"
)

// ClientLimit bounds what each client may use. Counters survive [Gateway.Reload], and
// with Config.Shared a restart. Under heavy use by many clients, at most 65,536 keys an entry
// have counters of their own, and the rest share one.
type ClientLimit struct {
	// Key is a CEL expression over req and conn that returns a string: whose limit it
	// is. Requests with equal keys share one. If empty, req.caller.
	Key string `json:"key,omitempty"`
	// RequestsPerMinute and TokensPerMinute are buckets that fill evenly within a
	// minute. The request that empties the bucket of tokens completes. Zero is no
	// limit.
	RequestsPerMinute int64 `json:"requests_per_minute,omitempty"`
	TokensPerMinute   int64 `json:"tokens_per_minute,omitempty"`
	// USDPerDay and USDPerMonth are budgets in a day and a month of UTC. The request
	// that crosses one completes. Models without a known price cost nothing here. Zero
	// is no limit.
	USDPerDay   float64 `json:"usd_per_day,omitempty"`
	USDPerMonth float64 `json:"usd_per_month,omitempty"`
	// Exact has replicas of a fleet ask their store before each request of a limited
	// client, within 100 ms. Without an answer a replica decides alone for a second.
	// A store that lost its state begins anew. If false, each replica may use a share
	// of what is left, without asking: all together exceed the limit by a tenth at
	// most. Without Config.Shared every limit is exact.
	Exact bool `json:"exact,omitempty"`
	// Required refuses requests whose key fails or is empty; else they are not bounded
	// by this entry. If nil, true for entries in USD.
	Required *bool `json:"required,omitempty"`
	// Uncounted admits requests under a limit in tokens or money whose use cannot be
	// counted: batches and realtime sessions. Else they are 403 for its clients.
	Uncounted bool `json:"uncounted,omitempty"`
}

// ConfigError is one problem of a Config. All problems are reported at once, up to a
// hundred, as [ConfigErrors].
type ConfigError struct {
	// Path is the place in the words of the YAML, such as
	// "providers[1].models[0].id". Empty means the document itself.
	Path string
	// Line is the line of the document, from 1. Zero if it is not known.
	Line int
	// Value is the value at the place. Empty if it could be a secret.
	Value string
	// Reason says what is wrong, and the remedy.
	Reason string
}

// Error returns the place, the value and the reason in one line.
func (e *ConfigError) Error() string {
	var b strings.Builder
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", e.Line)
	}
	if e.Value != "" {
		fmt.Fprintf(&b, "%q: ", e.Value)
	}
	b.WriteString(e.Reason)
	return b.String()
}

// ConfigErrors are the problems of a Config: the error of
// [ParseConfig], [LoadConfig], [New], [Gateway.Reload] and [Gateway.Check] wraps one.
type ConfigErrors []*ConfigError

// Error returns the errors, one a line.
func (e ConfigErrors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the errors, for [errors.Is] and [errors.As].
func (e ConfigErrors) Unwrap() []error {
	list := make([]error, len(e))
	for i, err := range e {
		list[i] = err
	}
	return list
}

// maxProblems bounds the reported problems. A config with more has one problem many
// times.
const maxProblems = 100

// problems collects the problems of a config, up to maxProblems. A last one counts
// the others.
type problems []*ConfigError

// add notes a problem. It leaves out a value that could be a secret: people put
// secrets into any field by mistake.
func (p *problems) add(path, value, format string, args ...any) {
	if redact.HasKey(value) {
		value = ""
	}
	p.append(&ConfigError{Path: path, Value: value, Reason: fmt.Sprintf(format, args...)})
}

// append notes a problem as it is. Its texts are cut to a bounded length.
func (p *problems) append(e *ConfigError) {
	switch {
	case len(*p) < maxProblems:
		short := *e
		short.Path, short.Value, short.Reason = clip(e.Path), clip(e.Value), clip(e.Reason)
		*p = append(*p, &short)
	case len(*p) == maxProblems:
		*p = append(*p, &ConfigError{Reason: fmt.Sprintf("and more: only the first %d are shown", maxProblems)})
	}
}

// clip bounds a text of an error to 1 KiB. Characters stay whole.
func clip(s string) string {
	const limit = 1 << 10
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// list returns the problems as ConfigErrors.
func (p problems) list() ConfigErrors {
	var all problems
	for _, e := range p {
		all.append(e)
	}
	return ConfigErrors(all)
}

// err returns the problems as an error. Nil without problems.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("aigateway: invalid config:\n%w", p.list())
}

// shapeProblems makes problems of the faults of a document.
func shapeProblems(faults []confdoc.Fault) problems {
	var p problems
	for _, f := range faults {
		p = append(p, &ConfigError{Path: f.Path, Line: f.Line, Value: f.Value, Reason: f.Reason})
	}
	return p
}

// withShape returns the problems of a Config after the faults of shape of its
// document. It leaves out the problems of an unreadable value: they follow from its
// fault.
func (p problems) withShape(shape []confdoc.Fault) problems {
	if len(shape) == 0 {
		return p
	}
	all := shapeProblems(shape)
	for _, e := range p {
		if !slices.ContainsFunc(shape, func(f confdoc.Fault) bool {
			// Providers that could not be read are missing to only_allow_….
			return within(e.Path, f.Path) || within(f.Path, e.Path) || f.Meant != "" && within(e.Path, f.Meant) ||
				within(f.Path, "providers") && strings.HasPrefix(e.Path, "only_allow_configured_")
		}) {
			all.append(e)
		}
	}
	return all
}

// within reports whether a path equals another one, or leads to a place below it.
func within(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (of == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// TokenCounter counts the tokens of a prompt, for max_input_tokens. It is called
// once for each candidate, from many goroutines at once, and only if the body has
// more bytes than the limit has tokens.
//
// If nil, the tokens are estimated from the body's bytes. Against OpenAI's
// o200k_base the estimate is up to a quarter too high, and hardly ever too low:
//
//   - English, code and chats with tools: about 20 % too high
//   - other languages: 10 to 15 %
//   - Japanese, Korean, emoji, numbers and logs: 0 to 10 %
//
// Random letters are estimated at half of their tokens. An image, a recording or a
// document counts 1600 tokens, about the most for an image. Recordings and
// documents may cost far more: bring a counter for them.
type TokenCounter interface {
	// CountTokens returns the number of tokens of a request's body for a model. The
	// body is the client's, JSON or a form. It must not be changed or kept. An
	// error refuses the candidate, like a prompt that is too large.
	CountTokens(ctx context.Context, model string, body []byte) (int64, error)
}

// TokenCounterFunc makes a function a [TokenCounter].
type TokenCounterFunc func(ctx context.Context, model string, body []byte) (int64, error)

// CountTokens calls f.
func (f TokenCounterFunc) CountTokens(ctx context.Context, model string, body []byte) (int64, error) {
	return f(ctx, model, body)
}

// estimate counts by the scripts and lengths of words. A tokenizer would be too
// large to ship.
type estimate struct{}

// CountTokens estimates, whatever the model is.
func (estimate) CountTokens(_ context.Context, _ string, body []byte) (int64, error) {
	return usage.Estimate(body), nil
}

// Admission admits requests, or refuses them: budgets and rules of the embedding
// service.
//
// Admit is called once a request on every surface but models, from many goroutines at
// once, after the body was read and the limits of the client were met, and before
// anything is chosen. It may keep and change the request. An [*Error] is the answer to
// the client, in its format. Any other error is 403 not_admitted, and its text goes to
// the log.
//
// done is called exactly once when the request has ended, unless it is nil: also
// after an error, and when the client has left. It may keep and change the Result,
// which has the tokens and the cost.
type Admission interface {
	Admit(ctx context.Context, r *ClientRequest) (done func(*Result), err error)
}

// AdmissionFunc makes a function an [Admission].
type AdmissionFunc func(ctx context.Context, r *ClientRequest) (done func(*Result), err error)

// Admit calls f.
func (f AdmissionFunc) Admit(ctx context.Context, r *ClientRequest) (func(*Result), error) {
	return f(ctx, r)
}

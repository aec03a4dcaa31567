package aigateway

import (
	"log/slog"
	"net/http"

	"github.com/aigateway-go/aigateway/internal/confdoc"
)

//go:generate go run ./internal/expr/refdoc -o docs/selection.md

// Config is everything that a [Gateway] is built from. First are the settings;
// [ParseConfig] also reads them from YAML or JSON. The dependencies follow; only a
// Go program can give them. The zero Config is valid: the built-in providers are
// called with each client's own key.
//
// [New] and [Gateway.Reload] share nothing with a Config, so that it may be changed
// afterwards. Where it is printed, a Config hides literal secrets, as a [Template]
// does.
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
	// CommitFirstContent.
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
	// of this length, at least 1s. The first one sends the status 200 and the
	// header of the stream; failover goes on behind it, and a final failure becomes
	// an error event. If empty, nothing is sent.
	StreamKeepalive Duration `json:"stream_keepalive,omitempty"`
	// ClientTimeout bounds each write to a client and each silence of its body. A
	// client that takes or gives nothing for so long has left. It takes the place of
	// the server's own read and write timeouts. If empty, PerRequestTimeout.
	ClientTimeout Duration `json:"client_timeout,omitempty"`

	// EmptyAnswers says what a whole answer without a word, a tool call or a
	// refusal is. If empty, EmptyRelay.
	EmptyAnswers EmptyAnswers `json:"empty_answers,omitempty"`
	// Refusals says what follows a refusal of the prompt for its content. If empty,
	// RefusalRelay.
	Refusals Refusals `json:"refusals,omitempty"`

	// Aliases are names of the operator's own. A client that asks for an alias asks
	// for its names, in their order: names of models, or "provider:model". An alias
	// that equals a model of the catalog hides it.
	Aliases map[string][]string `json:"aliases,omitempty"`

	// CallerExpr names the caller of a request: a CEL expression over req and conn
	// that returns a string, such as req.headers['x-tenant'][0]. Callers do not
	// share blame for failures or pins of sticky(), and wait in turn at limits. If
	// it fails or is empty, the request has the empty caller, which is a caller of
	// its own. Caller comes before it. If both are left out, callers are told apart
	// by their address, and only for blame.
	CallerExpr string `json:"caller,omitempty"`

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
	// Transport sends the upstream requests, from many goroutines at once. If
	// nil, the gateway uses one of its own. A Transport given here is used as it
	// is. It is an error beside a URLPolicy that is an [AddrPolicy], and beside a
	// provider on a Unix socket: both need the gateway's own.
	Transport http.RoundTripper `json:"-"`
	// ProviderTransport returns what sends the requests of a provider, to sign them
	// for one. [New] and [Gateway.Reload] call it once for each provider, also for
	// those of the registry. Base is the gateway's own transport to that provider,
	// with its TLS and Proxy; its fields may be changed before ProviderTransport
	// returns, and it is sent requests as it is. A nil RoundTripper stands for base.
	// The RoundTripper is used by many goroutines at once, and sees a request again
	// for each attempt. If nil, no transport is wrapped. It is an error beside a
	// Transport.
	ProviderTransport func(id string, base *http.Transport) http.RoundTripper `json:"-"`
	// Caller names the caller of a request, from many goroutines at once. If nil,
	// CallerExpr does.
	Caller func(*http.Request) string `json:"-"`
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
	// m.metrics.account: the gateways of this process with the same name. An
	// empty name stands for this gateway only.
	Region  string `json:"-"`
	Account string `json:"-"`
	// MaxBodyBytes bounds a request's body, in bytes. If zero, 64 MiB.
	MaxBodyBytes int64 `json:"-"`

	// shape holds the faults of the document that the Config was read from, for
	// New to report.
	shape []confdoc.Fault
}

// StreamCommit says when a stream starts to reach the client; from then on no
// other provider can be tried.
type StreamCommit string

const (
	// CommitFirstContent passes a stream on from its first token.
	CommitFirstContent StreamCommit = "first_content"
	// CommitComplete holds a stream until it is whole. A stream that breaks
	// half-way is replaced by the next candidate's.
	CommitComplete StreamCommit = "complete"
)

// OnError decides the end of a request that nothing could serve.
type OnError string

const (
	// OnErrorHalt answers with the error.
	OnErrorHalt OnError = "halt"
	// OnErrorContinue calls the handler that [Gateway.Wrap] was given, with
	// the request's body rewound and the [Result] in its context.
	OnErrorContinue OnError = "continue"
)

// EmptyAnswers says what a whole answer without a word, a tool call or a refusal
// is.
type EmptyAnswers string

const (
	// EmptyRelay relays it as an answer.
	EmptyRelay EmptyAnswers = "relay"
	// EmptyFail takes it for a failed attempt.
	EmptyFail EmptyAnswers = "fail"
)

// Refusals says what follows a provider's refusal of the prompt for its content.
type Refusals string

const (
	// RefusalRelay relays the refusal: it is not routed around.
	RefusalRelay Refusals = "relay"
	// RefusalFailOver tries the next candidate.
	RefusalFailOver Refusals = "fail_over"
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

package aigateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/confdoc"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// Config is everything that a [Gateway] is built from: the settings, which
// [ParseConfig] also reads from YAML or JSON, and after them the dependencies,
// which only a Go program can give. The zero Config is valid: the built-in
// providers, called with each client's own key.
//
// [New] and [Gateway.Reload] copy what they need; changing a Config afterwards
// changes nothing.
type Config struct {
	// Providers are the services that requests may go to. A provider whose id
	// or alias is a built-in one overlays it. If empty, every provider of the
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
	// a whole answer that is no stream. From the first content of a stream on it
	// bounds each silence. If empty, 3m.
	PerRequestTimeout Duration `json:"per_request_timeout,omitempty"`
	// TotalTimeout bounds all attempts of a request until one is committed,
	// from the moment when the client's body was read. If empty, 6m.
	TotalTimeout Duration `json:"total_timeout,omitempty"`
	// FirstTokenTimeout bounds the wait for the first content of a stream, from
	// the start of the attempt. If empty, PerRequestTimeout alone bounds it.
	FirstTokenTimeout Duration `json:"first_token_timeout,omitempty"`

	// MaxAttempts bounds the upstream requests that one client request can
	// cause, 1 to 100. If zero, 10.
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
	// MaxOutputTokens caps the request's own output limit, and sets it where
	// there is none, in tokens up to 500000. If zero, nothing is changed.
	MaxOutputTokens int `json:"max_output_tokens,omitempty"`

	// OnError says what a failed request ends in. If empty, OnErrorHalt.
	OnError OnError `json:"on_error,omitempty"`
	// ForwardHeaders names further client headers that providers may see.
	ForwardHeaders []string `json:"forward_headers,omitempty"`
	// InternalEndpoints says where a .internal host really is: from
	// "ollama.internal" or "ollama.internal:8080" to "http://127.0.0.1:11434"
	// or "unix:///run/vllm.sock".
	InternalEndpoints map[string]string `json:"internal_endpoints,omitempty"`

	// Secrets answers ${secrets.get(vault, name)}. If nil, [EnvSecrets].
	Secrets SecretResolver `json:"-"`
	// Registry lists the providers that are known without configuration. If
	// nil, [BuiltinRegistry].
	Registry ProviderRegistry `json:"-"`
	// URLPolicy decides which upstream addresses are allowed. If nil,
	// [StrictURLPolicy].
	URLPolicy URLPolicy `json:"-"`
	// Transport sends the upstream requests, from many goroutines at once. If
	// nil, the gateway uses one of its own. A Transport given here is used as it
	// is. It is an error where the URLPolicy is an [AddrPolicy], or a provider is
	// reached over a Unix socket: both need the gateway's own.
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
	// Logger gets one line a request, at level info or, where the request
	// failed, warn. If debug is enabled, it holds the whole Result. If nil,
	// nothing is logged.
	Logger *slog.Logger `json:"-"`
	// Hooks observe requests and attempts. May be nil.
	Hooks *Hooks `json:"-"`
	// TokenCounter counts a prompt for MaxInputTokens. If nil, an estimate.
	TokenCounter TokenCounter `json:"-"`
	// FailoverPolicy decides what follows a failed attempt. If nil,
	// [DefaultFailoverPolicy].
	FailoverPolicy FailoverPolicy `json:"-"`
	// Region and Account name what m.metrics.region and m.metrics.account are
	// about: the gateways of this process that have the same name there. An
	// empty name stands for this gateway alone.
	Region  string `json:"-"`
	Account string `json:"-"`
	// MaxBodyBytes bounds a request's body, in bytes. If zero, 64 MiB.
	MaxBodyBytes int64 `json:"-"`

	// shape holds the faults of the document that the Config was read from, for
	// New to report.
	shape []confdoc.Fault
}

// A Duration is a span of time as [time.ParseDuration] reads it, such as "90s"
// or "3m". It keeps its text so that a wrong one can be named with its place.
// Empty and zero mean the default of its field. From a [time.Duration]:
// Duration(d.String()).
type Duration string

// StreamCommit says when a stream starts to reach the client; from then on no
// other provider can be tried.
type StreamCommit string

const (
	// CommitFirstContent passes a stream on from its first token.
	CommitFirstContent StreamCommit = "first_content"
	// CommitComplete holds a stream until it is whole, so that one that breaks
	// half-way is replaced by the next candidate's.
	CommitComplete StreamCommit = "complete"
)

// OnError says what a request ends in when nothing could serve it.
type OnError string

const (
	// OnErrorHalt answers with the error.
	OnErrorHalt OnError = "halt"
	// OnErrorContinue calls the handler that [Gateway.Wrap] was given, with
	// the request's body rewound and the [Result] in its context.
	OnErrorContinue OnError = "continue"
)

// ConfigError is one thing that is wrong with a Config. All that are found are
// reported at once, as [ConfigErrors].
type ConfigError struct {
	// Path is the place in the words of the YAML, such as
	// "providers[1].models[0].id". Empty means the document itself.
	Path string
	// Line is the line of the document, from 1. Zero where it is not known.
	Line int
	// Value is what stands there. Empty where it could be a secret.
	Value string
	// Reason says what is wrong and what to do about it.
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

// ConfigErrors is everything that is wrong with a Config: the error of
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

// maxProblems bounds the problems that are reported. A config with more has one
// problem many times.
const maxProblems = 100

// problems collects the problems of a config, up to maxProblems and one that says
// that there are more.
type problems []*ConfigError

// add notes a problem. The value is left empty where it could be a secret, which
// may have been put into any field by mistake.
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

// err returns the problems as an error, nil if there are none.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("aigateway: invalid config:\n%w", p.list())
}

// withShape returns the problems after those of the shape of the document that the
// Config was read from. Problems that follow from a fault of shape are left out:
// they concern a value that could not be read.
func (c *Config) withShape(p problems) problems {
	if len(c.shape) == 0 {
		return p
	}
	all := shapeProblems(c.shape)
	for _, e := range p {
		if !slices.ContainsFunc(c.shape, func(f confdoc.Fault) bool {
			return within(e.Path, f.Path) || within(f.Path, e.Path) || f.Meant != "" && within(e.Path, f.Meant)
		}) {
			all.append(e)
		}
	}
	return all
}

// within reports whether a path is another one, or leads to a place below it.
func within(path, of string) bool {
	rest, ok := strings.CutPrefix(path, of)
	return ok && (of == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

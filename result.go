package aigateway

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/aigateway-go/aigateway/internal/price"
)

// ResultStatus says how a request ended.
type ResultStatus string

const (
	// StatusSuccess: an answer was committed and is whole.
	StatusSuccess ResultStatus = "success"
	// StatusError: the request failed, see Result.Error.
	StatusError ResultStatus = "error"
	// StatusDryRun comes from [Gateway.Explain]: nothing was sent.
	StatusDryRun ResultStatus = "dry_run"
)

// AttemptStatus says how an attempt ended.
type AttemptStatus string

const (
	// AttemptSucceeded: its answer was committed and is whole.
	AttemptSucceeded AttemptStatus = "success"
	// AttemptFailed: see Attempt.Error.
	AttemptFailed AttemptStatus = "failed"
	// AttemptRelayed: the upstream's error went to the client as it was.
	AttemptRelayed AttemptStatus = "relayed"
)

// Result is the trail of a request: what the client asked for, the models that were
// chosen and why, each attempt, and the outcome. No field ever holds a secret.
//
// A Result is made for its receiver, who may keep and change it. Its JSON names are
// a contract.
type Result struct {
	// Status is StatusSuccess, StatusError or StatusDryRun.
	Status ResultStatus `json:"status"`
	// Error is nil unless the request failed, or in a dry run would.
	Error *ResultError `json:"error,omitempty"`
	// RequestID identifies the request: its X-Request-Id, or an id of the gateway's
	// own.
	RequestID string `json:"request_id"`
	// Surface is the endpoint that was called, such as "chat-completions".
	Surface string `json:"surface,omitempty"`
	// Format is "openai" or "anthropic".
	Format string `json:"format,omitempty"`
	// Client is the request as it came.
	Client ClientRequest `json:"client"`
	// ModelSelection holds one entry for each strategy that ran, in order. If the
	// client named several models, the strategies run anew for each of them.
	ModelSelection []StrategyResult `json:"model_selection"`
	// ModelsTried holds one entry for each candidate, in the order of their turn. A
	// dry run lists the candidates that would be tried.
	ModelsTried []TriedModel `json:"models_tried"`
	// Skipped are the candidates that had no turn because others came first. A
	// candidate in cooldown or at a limit is tried last. Empty if all of them were
	// tried in the end.
	Skipped []SkippedModel `json:"skipped,omitempty"`
	// NotTried lists, in a dry run, the models that are not candidates. Empty in
	// other Results.
	NotTried []RejectedModel `json:"not_tried,omitempty"`
	// Affinity says how sticky() placed the model that was tried last, or its key.
	// Nil without sticky().
	Affinity *Affinity `json:"affinity,omitempty"`
	// Success says which attempt answered. Nil unless one did.
	Success *Success `json:"success,omitempty"`
	// Translation is nil unless the client got an answer, or an error, of a
	// provider of another format.
	Translation *Translation `json:"translation,omitempty"`
	// InputTokens and OutputTokens are the counts of the upstream that answered.
	// Zero if it reported no counts.
	InputTokens  int64 `json:"input_tokens"`
	OutputTokens int64 `json:"output_tokens"`
	// Usage are the tokens of all attempts. Nil if nothing was consumed.
	Usage *Usage `json:"usage,omitempty"`
	// Cost is the cost of all attempts. Nil if it is unknown.
	Cost *Cost `json:"cost,omitempty"`
	// GatewayLatencyMS is the time, in milliseconds, that the request spent in the
	// gateway itself. Waits for upstreams and for the client are left out.
	GatewayLatencyMS float64 `json:"gateway_latency_ms"`
	// QueuedMS is the time, in milliseconds, that the request waited for room at a
	// limit.
	QueuedMS float64 `json:"queued_ms,omitempty"`
	// Notes are remarks on parts of the request that the gateway left out, such as
	// a configured header whose expression had no value.
	Notes []string `json:"notes,omitempty"`
}

// Affinity says how a request came to a model or a key by sticky().
type Affinity struct {
	// Source is the part of the request behind the key: session, caller, header,
	// body, address or expression. The key itself is not shown.
	Source string `json:"source"`
	// Place is first (of the order that the key hashes to), pinned (it served the
	// key last) or moved (another one).
	Place string `json:"place"`
}

// ResultError says why a request failed.
type ResultError struct {
	// Code names the cause.
	Code Code `json:"code"`
	// Status is the status of the answer; 499 if the client could not be answered.
	Status int `json:"status"`
	// Message is the text that the client got.
	Message string `json:"message"`
	// Detail is the cause, for the operator. Clients are not told. Empty if there
	// is nothing more to say. It holds no secret.
	Detail string `json:"detail,omitempty"`
}

// ClientRequest is the client's request without its secrets.
type ClientRequest struct {
	// Method is the request's, such as "POST".
	Method string `json:"method"`
	// Path is the request's, without the query.
	Path string `json:"path"`
	// Headers are the request's, with credentials and cookies redacted.
	Headers http.Header `json:"headers,omitempty"`
	// Model and Models are the body's fields of that name.
	Model  string   `json:"model,omitempty"`
	Models []string `json:"models,omitempty"`
	// Stream is set if the client asked for a stream.
	Stream bool `json:"stream"`
	// Caller is who asks, see [Config.Caller]. Empty if nobody says, and in
	// RequestStart.
	Caller string `json:"caller,omitempty"`
	// Labels are those of [Config.Labels], as text. Nil in RequestStart.
	Labels map[string]string `json:"labels,omitempty"`
	// RejectedModels are the client's names that cannot serve the request.
	RejectedModels []RejectedModel `json:"rejected_models,omitempty"`
}

// RejectedModel is a model that was not tried, with the reason.
type RejectedModel struct {
	// Model is the name in the client's spelling, or the model's id.
	Model string `json:"model"`
	// Provider is the provider's id. Empty if no provider knows the name.
	Provider string `json:"provider,omitempty"`
	// Reason is a word for programs. About the client's names: no_matching_models.
	// About the config: provider_not_allowed, model_not_allowed, provider_disabled,
	// model_disabled, no_api_key. About the endpoint: format_not_supported,
	// surface_not_supported. Only in a dry run: not_named, not_chosen,
	// modality_not_supported, not_configured.
	Reason string `json:"reason"`
	// Message is the reason in a sentence.
	Message string `json:"message"`
}

// SkippedModel is a candidate that had no turn.
type SkippedModel struct {
	// Model and Provider are ids.
	Model    string `json:"model"`
	Provider string `json:"provider"`
	// CooldownMS is the time left of its cooldown, or of its keys' cooldown, in
	// milliseconds.
	CooldownMS float64 `json:"cooldown_ms,omitempty"`
	// Probed is set if its cooldown is over, but another request was probing
	// whether it is healthy again.
	Probed bool `json:"probed,omitempty"`
	// Limit names the limit that the candidate was at: in_flight,
	// requests_per_minute or tokens_per_minute; or queue, if other requests already
	// waited for it.
	Limit string `json:"limit,omitempty"`
}

// StrategyResult is one run of one strategy.
type StrategyResult struct {
	// Strategy is its text. Empty if the config has no strategies.
	Strategy string `json:"strategy"`
	// ClientModel is the client's name that it ran for. Empty if the client named
	// no model.
	ClientModel string `json:"client_model,omitempty"`
	// Error says why the strategy failed. Empty if it did not.
	Error string `json:"error,omitempty"`
	// CandidatesReturned counts the models that the strategy returned.
	CandidatesReturned int `json:"candidates_returned"`
	// CandidatesAfterAllowedFilter counts the models left after the restriction
	// flags, and CandidatesAfterClientFilter those left after the client's names. A
	// strategy sees only models that both allow, so the three counts agree.
	CandidatesAfterAllowedFilter int `json:"candidates_after_allowed_filter"`
	CandidatesAfterClientFilter  int `json:"candidates_after_client_filter"`
	// ModelsToTry are the chosen models, as "provider:model".
	ModelsToTry []string `json:"models_to_try,omitempty"`
	// Notes are remarks on elements that the strategy left out, such as those whose
	// predicate failed.
	Notes []string `json:"notes,omitempty"`
}

// TriedModel is one candidate.
type TriedModel struct {
	// Model and Provider are ids.
	Model    string `json:"model"`
	Provider string `json:"provider"`
	// Author is the id of the model's maker.
	Author string `json:"author"`
	// Known is set for a model of the catalog. It is not set for a model that only
	// the config or the client names.
	Known bool `json:"known"`
	// Unlisted is set for a name that neither the catalog nor the config lists. The
	// provider may know it.
	Unlisted bool `json:"unlisted,omitempty"`
	// CooldownMS is the time left of the candidate's own cooldown when its turn
	// came, in milliseconds.
	CooldownMS float64 `json:"cooldown_ms,omitempty"`
	// Probed is set if its cooldown was over when its turn came, but another
	// request was probing whether it is healthy again.
	Probed bool `json:"probed,omitempty"`
	// Limit is, in a dry run, the limit that it is at. See SkippedModel.
	Limit string `json:"limit,omitempty"`
	// Translation is nil if the provider speaks the client's format.
	Translation *Translation `json:"translation,omitempty"`
	// Error says why the candidate failed without an attempt, such as an empty key
	// selection.
	Error string `json:"error,omitempty"`
	// APIKeySelection lists the candidate's keys in the order of their turn. Empty
	// if it has no key.
	APIKeySelection []SelectedKey `json:"api_key_selection,omitempty"`
	// RequestsMade are the attempts, in order.
	RequestsMade []Attempt `json:"requests_made,omitempty"`
}

// Translation says what became of a request for a provider of another format. The
// names are the client's fields.
type Translation struct {
	// Pair names the client's format and the provider's, as "messages-to-chat". They
	// are the same for an estimate in place of a provider that does not count.
	Pair string `json:"pair"`
	// Lost are fields that could have changed the answer.
	Lost []string `json:"lost,omitempty"`
	// Dropped are hints. They cannot change the answer.
	Dropped []string `json:"dropped,omitempty"`
	// Estimated is set for a count of tokens by the gateway. Nothing was sent.
	Estimated bool `json:"estimated,omitempty"`
}

// SelectedKey is a key of a candidate.
type SelectedKey struct {
	// ID is a hash of the key's text in the config. It is stable over restarts.
	ID string `json:"id"`
	// CooldownMS is the time left of the key's cooldown when its turn came, in
	// milliseconds.
	CooldownMS float64 `json:"cooldown_ms,omitempty"`
}

// Attempt is one upstream request.
type Attempt struct {
	// Provider and Model are those of the candidate.
	Provider string `json:"provider"`
	Model    string `json:"model"`
	// Number counts the attempts of the request from 1.
	Number int `json:"number"`
	// Status is AttemptSucceeded, AttemptFailed or AttemptRelayed.
	Status AttemptStatus `json:"status"`
	// Error is the reason, with a hint for the operator. Empty on success.
	Error string `json:"error,omitempty"`
	// Kind classifies the failure. Empty on success.
	Kind FailureKind `json:"kind,omitempty"`
	// CooldownMS is the cooldown that this failure caused, of the key or the
	// candidate, in milliseconds. Zero if it caused no cooldown; see
	// [DefaultFailoverPolicy].
	CooldownMS float64 `json:"cooldown_ms,omitempty"`
	// Resent is set if the request went out twice: the upstream had closed the kept
	// connection that was used first.
	Resent bool `json:"resent,omitempty"`
	// EndedSilent is set if the gateway ended the stream: its content was complete,
	// but the upstream sent nothing more and kept it open.
	EndedSilent bool `json:"ended_silent,omitempty"`
	// StreamOptionsRefused is set if the upstream refused the stream_options that the
	// gateway had added. The next attempt is the same request without them. This one
	// does not count towards MaxAttempts.
	StreamOptionsRefused bool `json:"stream_options_refused,omitempty"`
	// UpstreamInputTokens and UpstreamOutputTokens are the upstream's own counts.
	// Zero if it reported no counts.
	UpstreamInputTokens  int64 `json:"upstream_input_tokens"`
	UpstreamOutputTokens int64 `json:"upstream_output_tokens"`
	// Usage are the tokens that the attempt consumed. Nil if it had no answer.
	Usage *Usage `json:"usage,omitempty"`
	// Cost is nil if it is unknown.
	Cost *Cost `json:"cost,omitempty"`
	// Request is the upstream request.
	Request AttemptRequest `json:"request"`
	// Response is nil if the upstream did not answer.
	Response *AttemptResponse `json:"response,omitempty"`
	// UpstreamLatency is measured from the start of the attempt.
	UpstreamLatency UpstreamLatency `json:"upstream_latency"`
}

// AttemptRequest is the upstream request.
type AttemptRequest struct {
	// URL has no query, because a query may hold secrets.
	URL string `json:"url"`
	// APIKey is the key, redacted. Empty if no key was sent.
	APIKey string `json:"api_key,omitempty"`
	// RemovedParams are the client's fields that did not go out, because the
	// provider's surface or the model does not take them. At most 33.
	RemovedParams []string `json:"removed_params,omitempty"`
}

// AttemptResponse is the upstream's answer.
type AttemptResponse struct {
	// StatusCode and Headers are the upstream's, without cookies.
	StatusCode int `json:"status_code"`
	// RequestID is the upstream's own id of the request. Empty if it told none.
	RequestID string      `json:"request_id,omitempty"`
	Headers   http.Header `json:"headers,omitempty"`
	// BodyOnError is the first 1 KB of a failed answer.
	BodyOnError string `json:"body_on_error,omitempty"`
}

// UpstreamLatency is how long an attempt took, in milliseconds.
type UpstreamLatency struct {
	// TimeToFirstByteMS ends with the answer's header. Zero if no header came.
	TimeToFirstByteMS float64 `json:"time_to_first_byte_ms"`
	// TimeToFirstTokenMS ends with the first content of a stream. Zero if no
	// content came.
	TimeToFirstTokenMS float64 `json:"time_to_first_token_ms,omitempty"`
	// TotalMS ends with the attempt: it failed, or its answer was whole.
	TotalMS float64 `json:"total_ms"`
}

// Success says which attempt answered.
type Success struct {
	// ModelIndex is the place in Result.ModelsTried.
	ModelIndex int `json:"model_index"`
	// RequestIndex is the place in the RequestsMade of that model.
	RequestIndex int `json:"request_index"`
	// Model, Provider and Author are ids.
	Model    string `json:"model"`
	Provider string `json:"provider"`
	Author   string `json:"author"`
}

// Hooks observe the gateway. Each function may be nil.
//
// They are called on the goroutine that serves the request: RequestStart first,
// then AttemptStart and AttemptDone for each attempt, and RequestDone last. The
// request waits for them. Hooks of different requests run at the same time. The
// arguments belong to the hook, which may keep them.
type Hooks struct {
	// RequestStart is called when a request on a known surface has come in, before
	// its body is read. The fields from the body are therefore empty. The returned
	// context is used for the whole request and must derive from ctx. Nil means
	// ctx.
	RequestStart func(ctx context.Context, r ClientRequest) context.Context
	// AttemptStart is called before each upstream request. The returned context
	// goes with that request and must derive from ctx. Nil means ctx.
	AttemptStart func(ctx context.Context, a Attempt) context.Context
	// AttemptDone is called when an attempt has ended: it failed, its whole answer
	// was relayed, or its answer broke on the way.
	AttemptDone func(ctx context.Context, a Attempt)
	// RequestDone is called last, when the answer is whole or broken off. If
	// [OnErrorContinue] hands the request on, RequestDone is called before.
	RequestDone func(ctx context.Context, res *Result)
}

// JoinHooks returns hooks that call several, each in turn. The functions that start
// something are called in order, and each gets the context of the one before. The
// functions at the end are called in reverse order, so that hooks enclose each other
// like middleware. All of them get the same values: a function that changes one
// changes it for the others. Nil hooks are left out.
func JoinHooks(hooks ...*Hooks) *Hooks {
	joined := &Hooks{}
	for _, h := range hooks {
		if h == nil {
			continue
		}
		joined.RequestStart = startAfter(joined.RequestStart, h.RequestStart)
		joined.AttemptStart = startAfter(joined.AttemptStart, h.AttemptStart)
		joined.AttemptDone = doneBefore(joined.AttemptDone, h.AttemptDone)
		joined.RequestDone = doneBefore(joined.RequestDone, h.RequestDone)
	}
	return joined
}

// startAfter calls next in the context of first.
func startAfter[T any](first, next func(context.Context, T) context.Context) func(context.Context, T) context.Context {
	if first == nil || next == nil {
		if first == nil {
			return next
		}
		return first
	}
	return func(ctx context.Context, v T) context.Context {
		if derived := first(ctx, v); derived != nil {
			ctx = derived
		}
		if derived := next(ctx, v); derived != nil {
			return derived
		}
		return ctx
	}
}

// doneBefore calls next, and then first.
func doneBefore[T any](first, next func(context.Context, T)) func(context.Context, T) {
	if first == nil || next == nil {
		if first == nil {
			return next
		}
		return first
	}
	return func(ctx context.Context, v T) {
		next(ctx, v)
		first(ctx, v)
	}
}

// resultKey is the context key of ResultFromContext.
type resultKey struct{}

// resultSlot receives the Result for those around the gateway.
type resultSlot struct {
	res atomic.Pointer[lateResult]
	// outer is the slot of a context around a call by [Gateway.RoundTripper]. Nil
	// without one.
	outer *resultSlot
	// own is set for such a call. Nobody else has its request, so that its Result can
	// be made when somebody asks.
	own  bool
	late lateResult
}

// store puts a Result into a slot, and into those around it.
func (s *resultSlot) store(res *lateResult) {
	for ; s != nil; s = s.outer {
		s.res.Store(res)
	}
}

// ownResult is a context with a slot for the Result of one call.
type ownResult struct {
	context.Context
	slot resultSlot
}

// withOwnResult gives a call a place for its Result.
func withOwnResult(ctx context.Context) context.Context {
	outer, _ := ctx.Value(resultKey{}).(*resultSlot)
	return &ownResult{ctx, resultSlot{outer: outer, own: true}}
}

// Value is the slot for its key.
func (c *ownResult) Value(key any) any {
	if key == (resultKey{}) {
		return &c.slot
	}
	return c.Context.Value(key)
}

// resultMaker makes the Result of a request that has ended.
type resultMaker interface{ result(err *Error) *Result }

// lateResult is a Result, or the request that can make it.
type lateResult struct {
	once sync.Once
	x    resultMaker // nil: res is there
	res  *Result
}

// get returns the Result. The first call makes it.
func (l *lateResult) get() *Result {
	l.once.Do(func() {
		if l.x != nil {
			l.res, l.x = l.x.result(nil), nil
		}
	})
	return l.res
}

// WithResult returns a context for middleware around the gateway. When the gateway
// has served a request with this context, [ResultFromContext] finds its Result:
//
//	r = r.WithContext(aigateway.WithResult(r.Context()))
//	gateway.ServeHTTP(w, r)
//	res, ok := aigateway.ResultFromContext(r.Context())
//
// A stream that breaks ends in a panic: read the Result in a deferred function.
func WithResult(ctx context.Context) context.Context {
	return context.WithValue(ctx, resultKey{}, new(resultSlot))
}

// ResultFromContext returns the Result of the request that ctx belongs to:
//
//   - in middleware around the gateway, from a context of [WithResult], once the
//     gateway has served the request
//   - in the handler that [Gateway.Wrap] was given, for a request that the gateway
//     handed on under [OnErrorContinue]
//   - after a call by [Gateway.RoundTripper], from the context of the answer's request
//
// It returns false before the gateway was asked, and for a path without a surface.
// All callers get the same Result.
func ResultFromContext(ctx context.Context) (*Result, bool) {
	switch v := ctx.Value(resultKey{}).(type) {
	case *Result:
		return v, true
	case *resultSlot:
		if late := v.res.Load(); late != nil {
			return late.get(), true
		}
	}
	return nil, false
}

// Usage counts the tokens of an attempt, or of all attempts of a request, failed
// ones included. The counts are the provider's, unless Estimated is set.
type Usage struct {
	// InputTokens is the whole prompt, with the tokens that came from a cache or went
	// into one, in every format.
	InputTokens int64 `json:"input_tokens"`
	// CachedInputTokens came from a cache, and CacheWriteTokens went into one.
	CachedInputTokens int64 `json:"cached_input_tokens"`
	CacheWriteTokens  int64 `json:"cache_write_tokens"`
	// OutputTokens is the whole answer, with its reasoning.
	OutputTokens int64 `json:"output_tokens"`
	// ReasoningTokens is the part of the output that was reasoning.
	ReasoningTokens int64 `json:"reasoning_tokens"`
	// Estimated is set where the provider gave no counts, or the stream ended before
	// it gave them all.
	Estimated bool `json:"estimated"`
}

// add adds the usage of another attempt.
func (u *Usage) add(v *Usage) {
	u.InputTokens += v.InputTokens
	u.CachedInputTokens += v.CachedInputTokens
	u.CacheWriteTokens += v.CacheWriteTokens
	u.OutputTokens += v.OutputTokens
	u.ReasoningTokens += v.ReasoningTokens
	u.Estimated = u.Estimated || v.Estimated
}

// Cost is what an attempt, or all attempts of a request, cost.
type Cost struct {
	// USD is the amount.
	USD USD `json:"usd"`
	// Estimated is set if the usage is an estimate, or a part of it has no price of
	// its own: another service tier, sound, images, a cache, or a tool. In the cost of
	// a request it is also set if an attempt without a known price is missing.
	Estimated bool `json:"estimated"`
	// Source is whose prices they are. For a request, those of its last attempt.
	Source CostSource `json:"source"`
}

// CostSource says where a cost comes from.
type CostSource string

const (
	// CostOfProvider is the provider's own figure in its answer.
	CostOfProvider CostSource = "provider"
	// CostOfConfig is from prices in the config.
	CostOfConfig CostSource = "config"
	// CostOfCatalog is from the prices of the registry.
	CostOfCatalog CostSource = "catalog"
)

// USD is money in units of 10⁻¹² USD, so that sums are exact: USD(500_000_000_000) is
// half a dollar. The largest amount is about 9.2 million USD. Its JSON is a number of
// USD with all digits.
type USD int64

// String returns the exact decimal in USD, such as "0.000125".
func (u USD) String() string { return price.USD(u).String() }

// Float64 returns the nearest float64 in USD. Add up USD, not floats.
func (u USD) Float64() float64 { return price.USD(u).Float() }

// Add returns the sum. A sum out of range is the end of the range.
func (u USD) Add(v USD) USD { return USD(price.USD(u).Add(price.USD(v))) }

// MarshalJSON writes a JSON number.
func (u USD) MarshalJSON() ([]byte, error) { return price.USD(u).MarshalJSON() }

// UnmarshalJSON reads a JSON number. Digits beyond the twelfth are rounded.
func (u *USD) UnmarshalJSON(data []byte) error { return (*price.USD)(u).UnmarshalJSON(data) }

// knownCost is a cost, if it is known.
type knownCost struct {
	Cost
	known bool
}

// public is nil if the cost is not known.
func (c knownCost) public() *Cost {
	if !c.known {
		return nil
	}
	return &c.Cost
}

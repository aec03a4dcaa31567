package aigateway

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/plain"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// Provider is a service with an OpenAI- or Anthropic-compatible API.
//
// In a [Config], a provider whose ID is an id or alias of the registry overlays
// that provider: given fields win, and empty fields keep the registry's value.
type Provider struct {
	// ID names the provider, in the config and as the prefix of "id:model".
	// Ids compare case-insensitively. Required.
	ID string `json:"id"`
	// IDAliases are further names for it.
	IDAliases []string `json:"id_aliases,omitempty"`
	// BaseURL is the root that a surface's path is joined to, such as
	// "https://api.example.com/v1". Without a path it gets /v1. Required unless the
	// provider is built in.
	BaseURL string `json:"base_url,omitempty"`
	// APIKeys are tried in order, unless api_key_selection says otherwise. A
	// provider of the config's own without keys is called without a key.
	APIKeys []APIKey `json:"api_keys,omitempty"`
	// Models that the provider offers, beside the models that the registry lists
	// for it. A model in both lists keeps the registry's value in its empty fields.
	Models []Model `json:"models,omitempty"`
	// Metadata is free-form, for selection strategies.
	Metadata map[string]any `json:"metadata,omitempty"`
	// Disabled takes the provider out of use.
	Disabled bool `json:"disabled,omitempty"`

	// DisplayName, Description and Website are for people, and for strategies.
	DisplayName string `json:"display_name,omitempty"`
	Description string `json:"description,omitempty"`
	Website     string `json:"website,omitempty"`

	// SupportedAPISurfaces says which formats and surfaces the provider speaks.
	// If empty, every surface of the openai format.
	SupportedAPISurfaces []APISurface `json:"supported_api_surfaces,omitempty"`
	// Translate says whether requests in a format that the provider does not speak
	// are translated: chat-completions, responses and messages into each other. If
	// empty, TranslateOff.
	Translate Translate `json:"translate,omitempty"`

	// Discover says whether [Gateway.Run] asks the provider for its models. If empty,
	// DiscoverOff.
	Discover Discover `json:"discover,omitempty"`

	// Headers, QueryParams and Body are added to the requests to this provider,
	// over those of the Config. Strings may hold ${…}.
	Headers     map[string]Template `json:"headers,omitempty"`
	QueryParams map[string]Template `json:"query_params,omitempty"`
	Body        map[string]any      `json:"body,omitempty"`

	// Auth says how the key is sent. If zero, "Authorization: Bearer KEY"; at hosts
	// of Azure, "Api-Key: KEY". In the anthropic format the key goes in the same
	// form as the client's own key, or as "X-Api-Key: KEY" if the client sent no
	// key.
	Auth Auth `json:"auth,omitzero"`
	// PerRequestTimeout replaces the Config's for this provider. If empty, the
	// Config's holds.
	PerRequestTimeout Duration `json:"per_request_timeout,omitempty"`
	// Limits bound the requests to all models of the provider together.
	Limits Limits `json:"limits,omitzero"`

	// SharedLists lets every caller list the files, batches, vector stores and
	// containers behind the provider's keys. Else a list is served only where the key
	// is the caller's own.
	SharedLists bool `json:"shared_lists,omitempty"`
	// UncheckedBatches admits batches by file also where the config rules over single
	// requests: by a flag, a cap, a field of the body or a list of parameters. The
	// requests in the file are not held to those rules.
	UncheckedBatches bool `json:"unchecked_batches,omitempty"`

	// TLS says which authorities are trusted, and who the gateway is. If zero, the
	// roots of the system, and no client certificate. It is an error if the
	// provider is reached by http.
	TLS TLS `json:"tls,omitzero"`
	// Proxy is the proxy to the provider. If empty, the environment's holds
	// (HTTPS_PROXY, NO_PROXY). Hosts under .internal are reached without one.
	Proxy Proxy `json:"proxy,omitempty"`
}

// Translate says whether a provider's clients may speak formats that it does not.
type Translate string

const (
	// TranslateOff: requests go to the provider in a format that it speaks.
	TranslateOff Translate = "false"
	// TranslateOn: requests are translated. The Result names the fields that are lost.
	TranslateOn Translate = "true"
	// TranslateStrict: as TranslateOn, but the provider is passed over for a request
	// that would lose a field with an effect on the answer.
	TranslateStrict Translate = "strict"
)

// Discover says whether a provider is asked for its models. [Gateway.Run] asks each
// minute. The models and facts of the answer stand under those that the config and
// the registry list. Where an answer fails, the last good one stays.
type Discover string

const (
	// DiscoverOff: only listed models are known.
	DiscoverOff Discover = "false"
	// DiscoverOn: models of the answer do not count as configured.
	DiscoverOn Discover = "true"
	// DiscoverConfigured: models of the answer count as configured.
	DiscoverConfigured Discover = "configured"
)

// TLS holds files in PEM. [New] reads them. They are read again when they change,
// within 15 seconds. If a file is broken, its last good content stays in force,
// with a line in the log.
type TLS struct {
	// CAFile is a bundle of authorities for the provider's certificate. They
	// replace the system's.
	CAFile string `json:"ca_file,omitempty"`
	// CertFile is the gateway's client certificate with its chain, and KeyFile its
	// key. Both are given or neither.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
	// ServerName is the name that the provider's certificate must be for. If empty,
	// the host of the connection.
	ServerName string `json:"server_name,omitempty"`
}

// APIKey is one credential of a provider.
type APIKey struct {
	// Value is the key, as ${secrets.get('vault', 'name')} or literally.
	Value Template `json:"value"`
	// Limits bound the requests with this key. A key whose value depends on the
	// request has one set of limits for all values.
	Limits Limits `json:"limits,omitzero"`
}

// Limits bound the load of a provider, a model or a key. A request meets the limits
// of all three, and takes them together or not at all. Zero means no limit.
//
// A candidate at a limit is skipped. If all candidates of a request are at a
// limit, the request waits for the first that has room.
type Limits struct {
	// InFlight is the number of requests under way at a time. A stream is under
	// way to its end.
	InFlight int64 `json:"in_flight,omitempty"`
	// RequestsPerMinute is the number of attempts a minute. A burst may use all of
	// them at once.
	RequestsPerMinute int64 `json:"requests_per_minute,omitempty"`
	// TokensPerMinute is the number of tokens a minute, of prompts and answers. An
	// attempt reserves the estimate of its prompt and the client's limit on the
	// answer. When it ends, the tokens that it used replace the estimate.
	TokensPerMinute int64 `json:"tokens_per_minute,omitempty"`
	// Wait is how long a request waits for room. Callers are served in turn. If
	// empty, a request that finds no room is refused at once with 429.
	Wait Duration `json:"wait,omitempty"`
	// Exact makes InFlight one limit of all replicas of a fleet. A replica asks their
	// store before a request, within 100 ms. Without an answer it decides alone for a
	// second, by the whole limit. The slots of a replica that dies are free within 5 s. A
	// store that lost its state begins anew. If false, or without Config.Shared, each
	// replica has the whole of InFlight. The other limits are always those of each
	// replica.
	Exact bool `json:"exact,omitempty"`
}

// Auth says in which header a provider's key is sent, and behind which scheme.
type Auth struct {
	// Header is the header's name. If empty, Authorization.
	Header string `json:"header,omitempty"`
	// Scheme stands before the key. If empty, Bearer in Authorization, and
	// nothing in any other header.
	Scheme string `json:"scheme,omitempty"`
}

// APISurface is a part of an API that a provider speaks.
//
// The surfaces of the openai format:
//
//   - of texts: chat-completions, completions, responses, responses-compact,
//     responses-input-tokens, realtime.
//   - of vectors and verdicts: embeddings, moderations, rerank.
//   - of images: images-generations, images-edits, images-variations; and images, for
//     every other path below images/.
//   - of sound: audio-speech, audio-transcriptions, audio-translations; and audio, for
//     every other path below audio/.
//   - of things that the provider stores: conversations, files, uploads, batches, videos,
//     vector-stores, containers.
//   - of vLLM: tokenize, detokenize, score, pooling, classify.
//
// Those of the anthropic format are messages, messages-count-tokens and
// messages-batches.
type APISurface struct {
	// Format is "openai" or "anthropic". Required.
	Format string `json:"format"`
	// Surface is the path of an endpoint with hyphens for slashes, such as
	// "chat-completions", "audio-speech" or "messages-count-tokens". A path with an id
	// belongs to the surface that makes the id: files/ID/content to "files". If empty,
	// all surfaces of the format.
	Surface string `json:"surface,omitempty"`
	// SupportedParams are the top-level fields that may reach the provider on this
	// surface. If empty, all fields may.
	SupportedParams []Param `json:"supported_params,omitempty"`
}

// Param names a top-level field of a request's body.
type Param struct {
	// Name is the field's, as it stands in the body. Required.
	Name string `json:"name"`
}

// Model is a model at one provider. The same id at two providers is two models.
type Model struct {
	// ID is the provider's name for the model. Required.
	ID string `json:"id"`
	// IDAliases are further names for it in clients' requests.
	IDAliases []string `json:"id_aliases,omitempty"`
	// AuthorID names the maker of the model. If empty, its provider.
	AuthorID string `json:"author_id,omitempty"`
	// DisplayName and Description are for people, and for strategies.
	DisplayName string `json:"display_name,omitempty"`
	Description string `json:"description,omitempty"`
	// Disabled takes the model out of use.
	Disabled bool `json:"disabled,omitempty"`
	// Metadata is free-form, for selection strategies. Missing keys are looked up
	// in the provider's metadata.
	Metadata map[string]any `json:"metadata,omitempty"`

	// InputModalities and OutputModalities are words such as "text", "image",
	// "audio" and "embedding". A request without a model is not sent to a model
	// with output of another kind. If empty, they are unknown and rule nothing
	// out.
	InputModalities  []string `json:"input_modalities,omitempty"`
	OutputModalities []string `json:"output_modalities,omitempty"`
	// MaxContextWindow and MaxOutputTokens are facts for strategies, in tokens.
	// They limit no request. Zero means unknown.
	MaxContextWindow int64 `json:"max_context_window,omitempty"`
	MaxOutputTokens  int64 `json:"max_output_tokens,omitempty"`
	// SupportedFeatures are words for strategies, such as "tool-calling".
	SupportedFeatures []string `json:"supported_features,omitempty"`
	// UnsupportedParams are top-level fields that must not reach the model.
	UnsupportedParams []Param `json:"unsupported_params,omitempty"`

	// ShutdownDate is the last day of the model at the provider, such as
	// "2026-12-31". Empty means unknown.
	ShutdownDate string `json:"shutdown_date,omitempty"`
	// Pricing holds the prices of the model. If nil, they are unknown.
	Pricing *Pricing `json:"pricing,omitempty"`
	// Datacenters are the places of the model. Empty means unknown.
	Datacenters []Datacenter `json:"datacenters,omitempty"`
	// ParameterCount is the number of weights. Zero means unknown.
	ParameterCount int64 `json:"parameter_count,omitempty"`
	// Quantization is a word for strategies, such as "fp8".
	Quantization string `json:"quantization,omitempty"`
	// DataTrainingPolicy is about the use of prompts for training, and
	// DataRetentionPolicy about the purpose of keeping them, in words of the
	// operator's own choice. Empty means unknown.
	DataTrainingPolicy  string `json:"data_training_policy,omitempty"`
	DataRetentionPolicy string `json:"data_retention_policy,omitempty"`
	// DataRetentionDays is the time that prompts are kept, in days. Zero means
	// unknown.
	DataRetentionDays int64 `json:"data_retention_days,omitempty"`

	// Fallbacks are tried after all candidates of a request for this model, as
	// "provider:model". The fallbacks of
	// a fallback do not count.
	Fallbacks []string `json:"fallbacks,omitempty"`
	// PerRequestTimeout and FirstTokenTimeout replace the timeouts of the provider
	// and the config for this model. If empty, those timeouts hold.
	PerRequestTimeout Duration `json:"per_request_timeout,omitempty"`
	FirstTokenTimeout Duration `json:"first_token_timeout,omitempty"`
	// Limits bound the requests to this model.
	Limits Limits `json:"limits,omitzero"`
}

// Pricing holds the prices of a model, in USD per million tokens except for
// Tools. A nil price is unknown, not free.
type Pricing struct {
	// Input and Output are the prices of prompts and answers.
	Input  *float64 `json:"input,omitempty"`
	Output *float64 `json:"output,omitempty"`
	// InputCacheRead is the price of prompt tokens from a cache.
	InputCacheRead *float64 `json:"input_cache_read,omitempty"`
	// InputCacheWrite is the price of prompt tokens written to a cache, and
	// InputCacheWrite1h the price of tokens written to it for an hour.
	InputCacheWrite   *float64 `json:"input_cache_write,omitempty"`
	InputCacheWrite1h *float64 `json:"input_cache_write_1h,omitempty"`
	// InputBatch and OutputBatch are the prices of requests in a batch.
	InputBatch  *float64 `json:"input_batch,omitempty"`
	OutputBatch *float64 `json:"output_batch,omitempty"`
	// Tiers are the prices of requests with a long prompt, in ascending order.
	// The last tier below the request's input tokens sets the prices of all of
	// its tokens.
	Tiers []PricingTier `json:"tiers,omitempty"`
	// Tools holds prices by the tool's name, in USD per call.
	Tools map[string]float64 `json:"tools,omitempty"`
}

// PricingTier holds the prices of requests with a prompt above a number of
// tokens. A nil price is the price in [Pricing].
type PricingTier struct {
	// AboveInputTokens is the number of prompt tokens above which the tier's
	// prices hold. Required.
	AboveInputTokens int64 `json:"above_input_tokens"`

	// Input and Output are the prices of prompts and answers.
	Input  *float64 `json:"input,omitempty"`
	Output *float64 `json:"output,omitempty"`
	// InputCacheRead is the price of prompt tokens from a cache, InputCacheWrite that
	// of tokens written to it, and InputCacheWrite1h that of tokens written to it for
	// an hour.
	InputCacheRead    *float64 `json:"input_cache_read,omitempty"`
	InputCacheWrite   *float64 `json:"input_cache_write,omitempty"`
	InputCacheWrite1h *float64 `json:"input_cache_write_1h,omitempty"`
}

// Datacenter is the place of a model.
type Datacenter struct {
	// CountryCode is ISO 3166-1 alpha-2, such as "DE".
	CountryCode string `json:"country_code,omitempty"`
	// Region is a word of the provider's own, such as "eu-central-1".
	Region string `json:"region,omitempty"`
}

// A Duration is a span of time in the notation of [time.ParseDuration], such as
// "90s" or "3m". It keeps its text, so that an error can name a wrong one with its
// place. Empty and zero mean the default of its field. From a [time.Duration]:
// Duration(d.String()).
type Duration string

// ProviderRegistry lists the providers that are known without configuration. They
// do not count as configured: with only_allow_configured_providers a provider must
// also be named in the Config (its id is enough), and with
// only_allow_configured_models so must each of its models.
//
// [New] and [Gateway.Reload] call Providers once each, before they return. The
// gateway does not call it otherwise: to take up a changed registry, call Reload.
// An error makes them fail. The providers are held to the same rules as those of
// the Config, and to the URL policy. The slice is not kept.
type ProviderRegistry interface {
	Providers(ctx context.Context) ([]Provider, error)
}

// ProviderRegistryFunc makes a function a [ProviderRegistry].
type ProviderRegistryFunc func(ctx context.Context) ([]Provider, error)

// Providers calls f.
func (f ProviderRegistryFunc) Providers(ctx context.Context) ([]Provider, error) { return f(ctx) }

// Format prints p without literal secrets.
func (p Provider) Format(f fmt.State, verb rune) {
	redact.Format(f, verb, printedProvider(p.printed()))
}

// MarshalJSON writes p without literal secrets, such as for a log. The
// result cannot be loaded as a provider.
func (p Provider) MarshalJSON() ([]byte, error) { return json.Marshal(printedProvider(p.printed())) }

// printed is a copy of p without literal secrets.
func (p Provider) printed() Provider {
	p.BaseURL = printedURL(p.BaseURL)
	p.Headers, p.QueryParams, p.Body = redact.Keys(p.Headers), redact.Keys(p.QueryParams), printedBody(p.Body)
	p.Metadata = maps.Clone(p.Metadata)
	for name, v := range p.Metadata {
		p.Metadata[name] = redact.Value(plainValue(v), redact.HasSecret)
	}
	// People put a key into the scheme by mistake.
	if redact.LooksSecret(p.Auth.Scheme) {
		p.Auth.Scheme = "…"
	}
	return p
}

// Format prints k without the literal parts of its value.
func (k APIKey) Format(f fmt.State, verb rune) { redact.Format(f, verb, printedKey(k)) }

// The printed types have the fields of their originals, and no Format.
type (
	printedProvider Provider
	printedKey      APIKey
)

// printedURL hides an address with a possible credential.
func printedURL(raw string) string {
	if raw != "" && address.Shown(raw) == "" {
		return "…"
	}
	return raw
}

// printedBody hides the texts of a body, but not its expressions.
func printedBody(body map[string]any) map[string]any {
	out := maps.Clone(body)
	for name, v := range out {
		out[name] = redact.Value(plainValue(v), func(string) bool { return true })
	}
	return out
}

// overlay lays a configured provider over the registry's: given fields win, the
// others stay.
func overlay(base, over Provider) Provider {
	p := over
	// The registry's id stays a name of the provider, for clients that know it.
	if strings.EqualFold(base.ID, over.ID) {
		p.ID = base.ID
	} else if !hasName(p.ID, p.IDAliases, base.ID) {
		p.IDAliases = append(slices.Clone(p.IDAliases), base.ID)
	}
	for _, alias := range base.IDAliases {
		if !hasName(p.ID, p.IDAliases, alias) {
			p.IDAliases = append(slices.Clone(p.IDAliases), alias)
		}
	}
	p.BaseURL = given(over.BaseURL, base.BaseURL)
	p.DisplayName = given(over.DisplayName, base.DisplayName)
	p.Description = given(over.Description, base.Description)
	p.Website = given(over.Website, base.Website)
	p.PerRequestTimeout = given(over.PerRequestTimeout, base.PerRequestTimeout)
	p.TLS, p.Proxy = given(over.TLS, base.TLS), given(over.Proxy, base.Proxy)
	p.Limits = given(over.Limits, base.Limits)
	p.Auth = given(over.Auth, base.Auth)
	p.Translate = given(over.Translate, base.Translate)
	p.Discover = given(over.Discover, base.Discover)
	p.Disabled = over.Disabled || base.Disabled
	p.SharedLists = over.SharedLists || base.SharedLists
	p.UncheckedBatches = over.UncheckedBatches || base.UncheckedBatches
	if len(over.APIKeys) == 0 {
		p.APIKeys = base.APIKeys
	}
	if len(over.SupportedAPISurfaces) == 0 {
		p.SupportedAPISurfaces = base.SupportedAPISurfaces
	}
	p.Metadata = merged(base.Metadata, over.Metadata)
	// Header names compare case-insensitively, unlike map keys.
	p.Headers = maps.Clone(base.Headers)
	maps.DeleteFunc(p.Headers, func(name string, _ Template) bool { return hasHeader(over.Headers, name) })
	p.Headers = merged(p.Headers, over.Headers)
	p.QueryParams = merged(base.QueryParams, over.QueryParams)
	p.Body = merged(base.Body, over.Body)
	return p
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

// overlayModel fills in the facts of a configured model from the catalog's.
func overlayModel(base, over Model) Model {
	m := over
	// A model under another name than the catalog's does not take over its aliases.
	if strings.EqualFold(base.ID, over.ID) {
		m.ID = base.ID
		for _, alias := range base.IDAliases {
			if !hasName(m.ID, m.IDAliases, alias) {
				m.IDAliases = append(slices.Clone(m.IDAliases), alias)
			}
		}
	}
	m.AuthorID = given(over.AuthorID, base.AuthorID)
	m.DisplayName = given(over.DisplayName, base.DisplayName)
	m.Description = given(over.Description, base.Description)
	m.Disabled = over.Disabled || base.Disabled
	m.Metadata = merged(base.Metadata, over.Metadata)
	m.InputModalities = givenList(over.InputModalities, base.InputModalities)
	m.OutputModalities = givenList(over.OutputModalities, base.OutputModalities)
	m.SupportedFeatures = givenList(over.SupportedFeatures, base.SupportedFeatures)
	m.UnsupportedParams = givenList(over.UnsupportedParams, base.UnsupportedParams)
	m.Datacenters = givenList(over.Datacenters, base.Datacenters)
	m.Fallbacks = givenList(over.Fallbacks, base.Fallbacks)
	m.PerRequestTimeout = given(over.PerRequestTimeout, base.PerRequestTimeout)
	m.FirstTokenTimeout = given(over.FirstTokenTimeout, base.FirstTokenTimeout)
	m.Limits = given(over.Limits, base.Limits)
	m.MaxContextWindow = given(over.MaxContextWindow, base.MaxContextWindow)
	m.MaxOutputTokens = given(over.MaxOutputTokens, base.MaxOutputTokens)
	m.ParameterCount = given(over.ParameterCount, base.ParameterCount)
	m.Quantization = given(over.Quantization, base.Quantization)
	m.DataTrainingPolicy = given(over.DataTrainingPolicy, base.DataTrainingPolicy)
	m.DataRetentionDays = given(over.DataRetentionDays, base.DataRetentionDays)
	m.DataRetentionPolicy = given(over.DataRetentionPolicy, base.DataRetentionPolicy)
	m.ShutdownDate = given(over.ShutdownDate, base.ShutdownDate)
	m.Fallbacks = givenList(over.Fallbacks, base.Fallbacks)
	m.PerRequestTimeout = given(over.PerRequestTimeout, base.PerRequestTimeout)
	m.FirstTokenTimeout = given(over.FirstTokenTimeout, base.FirstTokenTimeout)
	m.Limits = given(over.Limits, base.Limits)
	m.Pricing = overlayPricing(base.Pricing, over.Pricing)
	return m
}

// overlayPricing fills in the prices missing in the config. The catalog's tiers
// belong to its own prices: they do not hold beside a config's input or output.
func overlayPricing(base, over *Pricing) *Pricing {
	if base == nil || over == nil {
		return given(over, base)
	}
	p := &Pricing{
		Input: given(over.Input, base.Input), Output: given(over.Output, base.Output),
		InputCacheRead:    given(over.InputCacheRead, base.InputCacheRead),
		InputCacheWrite:   given(over.InputCacheWrite, base.InputCacheWrite),
		InputCacheWrite1h: given(over.InputCacheWrite1h, base.InputCacheWrite1h),
		InputBatch:        given(over.InputBatch, base.InputBatch),
		OutputBatch:       given(over.OutputBatch, base.OutputBatch),
		Tiers:             over.Tiers,
		Tools:             merged(base.Tools, over.Tools),
	}
	// Tiers replace input and output, so they belong to the same source.
	if over.Input == nil && over.Output == nil {
		p.Tiers = givenList(over.Tiers, base.Tiers)
	}
	return p
}

// fold is a name in the form for comparison. Ids and aliases compare
// case-insensitively.
func fold(name string) string { return strings.ToLower(name) }

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

// hasHeader reports whether a header is among some, in any letter case.
func hasHeader(headers map[string]Template, name string) bool {
	for given := range headers {
		if strings.EqualFold(given, name) {
			return true
		}
	}
	return false
}

// hasName reports whether a name is the id or one of the aliases.
func hasName(id string, aliases []string, name string) bool {
	return strings.EqualFold(id, name) ||
		slices.ContainsFunc(aliases, func(a string) bool { return strings.EqualFold(a, name) })
}

// given returns over, or base if over is zero.
func given[T comparable](over, base T) T {
	var zero T
	if over == zero {
		return base
	}
	return over
}

// givenList returns over, or base if over is empty.
func givenList[T any](over, base []T) []T {
	if len(over) == 0 {
		return base
	}
	return over
}

// merged returns the entries of both, over's before base's.
func merged[V any](base, over map[string]V) map[string]V {
	if len(base) == 0 {
		return over
	}
	m := maps.Clone(base)
	maps.Copy(m, over)
	return m
}

// cloneMap copies metadata to its depth, so that the Config can change.
func cloneMap(m map[string]any) map[string]any { return plain.Map[Template](m) }

// plainValue copies a value into the types that JSON decodes to. A Template is its text.
func plainValue(v any) any { return plain.Value[Template](v) }

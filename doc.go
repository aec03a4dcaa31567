// Package aigateway is an AI gateway to embed in a Go service. It is one
// [net/http.Handler]: it takes requests in the OpenAI and Anthropic formats, sends
// each to the right model at the right provider, and fails over to the next one.
//
// # Use
//
// Build a [Gateway] from a [Config] by [New], and mount it like any handler. A
// Config is a struct; [ParseConfig] and [LoadConfig] read it from YAML. Clients
// keep their SDK and set its base URL to the gateway. The gateway finds the surface
// from the end of the request's path, so any mount will do.
//
// # Names
//
// A client asks for a model in one of these ways:
//
//   - by its id or an alias: "gpt-4o"
//   - at a certain provider, by a prefix: "openai:gpt-4o"
//   - for several models in order, by the field models
//   - for the gateway's choice, by "auto" or no model at all
//
// A prefix also takes unlisted models. The restriction flags of the Config keep
// clients to configured providers and models.
//
// # Selection
//
// The strategies of model_selection are CEL expressions over ai.models, the models
// that this request may use. The first strategy that returns a model wins:
//
//	model_selection:
//	  strategy:
//	    - "ai.models.filter(m, m.provider_id == 'my-provider')"
//	    - "ai.models.random()"
//
// New type-checks them. If a client names several models, the strategies run once
// for each name, over the models of that name. The client's order comes first.
//
// # Failover
//
// Until the first content of an answer has gone to the client, a failed attempt is
// followed by the next key, the next provider and the next model, within
// per_request_timeout, total_timeout and max_attempts. A [FailoverPolicy] decides
// the step after each failure; see [DefaultFailoverPolicy].
//
// After the first content the gateway cannot fail over. An answer that breaks off
// is never made to look complete: the client gets an error event if the stream
// allows one, and its connection is aborted.
//
// A request that every candidate failed gets the upstream's own answer if the
// client's SDK can act on it. Otherwise it gets an error of the gateway's in the
// client's format, with each attempt and the reason of its failure. Go programs see
// the whole trail of a request in the [Result].
//
// # Security
//
// Keys and other secrets are named in the Config as ${secrets.get('vault',
// 'name')}. A [SecretResolver] resolves them when they are needed. They appear in
// no log, error, Result or hook.
//
// Only those headers of the client reach a provider that concern the request.
// Cookies and credentials never do, with one exception: if no provider is
// configured at all, the client's own key goes to the provider that it asks for.
// Upstream addresses are held to a [URLPolicy].
package aigateway

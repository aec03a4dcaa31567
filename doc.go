// Package aigateway is an AI gateway to embed in a Go service: one
// [net/http.Handler] that takes requests in the OpenAI and Anthropic formats,
// sends each to the right model at the right provider, and to the next one
// where that fails.
//
// # Use
//
// Build a [Gateway] from a [Config] by [New], and mount it like any handler. The
// Config is a struct, or the YAML that [ParseConfig] and [LoadConfig] read.
// Clients keep their SDK and set its base URL to the gateway. The surface is
// found from the end of the request's path, so that any mount will do.
//
// # Names
//
// A client asks for a model by its id or an alias ("gpt-4o"), for one at a
// certain provider by a prefix ("openai:gpt-4o"), for several in order by the
// field models, or leaves the choice to the gateway by "auto" or no model at
// all. A prefix also takes models that nobody lists. The restriction flags of
// the Config keep clients to what is configured.
//
// # Selection
//
// The strategies of model_selection are CEL expressions over ai.models, the
// models that this request may use. The first that returns a model wins:
//
//	model_selection:
//	  strategy:
//	    - "ai.models.filter(m, m.provider_id == 'my-provider')"
//	    - "ai.models.random()"
//
// They are type-checked by New. Where a client names several models, each name
// has the strategies run over the models that it can mean: the client's order
// comes first.
//
// # Failover
//
// Until the first content of an answer has gone to the client, a failed attempt
// is followed by the next key, the next provider and the next model, within
// per_request_timeout, total_timeout and max_attempts. What follows which failure
// is a [FailoverPolicy]; see [DefaultFailoverPolicy]. After that moment nothing can be
// tried any more, and an answer that breaks off is never made to look complete:
// the client gets an error event, where one may stand, and its connection is
// aborted.
//
// A request that nobody could serve gets the upstream's own answer where the
// client's SDK knows best what to do with it, and else an error of the
// gateway's, in the client's format, that says what was tried and why each
// attempt failed. Go programs see a request's whole trail in the [Result].
//
// # Security
//
// Keys and other secrets are named in the Config as ${secrets.get('vault',
// 'name')} and resolved by a [SecretResolver] when they are needed. They appear in
// no log, error, Result or hook. Of the client's headers only those that concern
// the request reach a provider; its cookies and credentials never do, except
// where no provider is configured at all: then its own key goes to the provider
// that it asks for. Upstream addresses are held to a [URLPolicy].
package aigateway

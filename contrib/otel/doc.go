// Package gatewayotel makes OpenTelemetry traces and metrics of what a gateway
// does, by the semantic conventions for generative AI.
//
// # Traces
//
// A request is an internal span, and each attempt at a provider is a client span
// below it. Who wants the server's span above both wraps the gateway's handler,
// as with any other. Attempts carry the conventions' attributes: operation,
// provider, model, tokens, time to the first chunk, the server's address, and
// error.type. One that came to nothing before it was sent, for want of a secret
// or by a configured value that could not be made, is a span of error.type
// "secret" or "request", but no operation. The request's span carries aigateway.*
// attributes alone: a backend that adds up the tokens of all gen_ai spans must
// not find the same call twice.
//
// # Metrics
//
//	gen_ai.client.operation.duration             histogram, s          one an attempt
//	gen_ai.client.operation.time_to_first_chunk  histogram, s          one a stream that had content
//	gen_ai.client.token.usage                    histogram, {token}    as the provider reported them
//	aigateway.request.duration                   histogram, s          one a request
//	aigateway.attempts                           counter, {attempt}
//	aigateway.failovers                          counter, {failover}   moves from one model to the next
//	aigateway.cooldowns                          counter, {cooldown}   failures that have a key or a model left alone
//	aigateway.cost                               counter, USD          of attempts, where it is known
//	aigateway.usage.cached_input_tokens          counter, {token}      from a provider's cache
//
// aigateway.cost and aigateway.request.duration also have the caller and the labels
// of Config.Labels: aigateway.caller and aigateway.label.NAME. Of each, the first 100
// values count by themselves, and all others are "_OTHER".
//
// The first three are the conventions', with their buckets. An attempt is the
// conventions' operation, so that the time and the tokens that a failed provider
// cost stay with that provider. One that was not sent is in none of them; it counts
// in aigateway.attempts, under its error.type.
//
// # Errors
//
// The error.type of an attempt is the upstream's status, such as "429", where it
// failed by that; else "canceled" where the client left, or the
// [aigateway.FailureKind]. A failover has that of the last attempt, or "no_attempt"
// where the model was left before it had one. A request has the
// [aigateway.Code].
//
// # What is left out
//
// No prompt, answer, query, key or URL path becomes an attribute, and of the
// headers the X-Request-Id alone. The status of a failed span holds the gateway's
// reason, which may quote up to 200 bytes of each provider's error message.
//
// Clients choose model names, and metrics must not grow with what they choose:
// a name that neither the catalog nor the config lists is "_OTHER" in metrics, and
// stands in spans alone.
//
// The conventions for generative AI are in development. The names are those of
// version 1.41, the last that OpenTelemetry's main repository had; they may change
// here, in a minor version, once those that come after it are released.
package gatewayotel

// Package gatewayotel makes OpenTelemetry traces and metrics of a gateway, by the
// semantic conventions for generative AI.
//
// # Traces
//
// A request is an internal span, and each attempt at a provider is a client span
// below it. For a server span above both, wrap the gateway's handler as any other.
// Attempts carry the conventions' attributes: operation, provider, model, tokens,
// time to the first chunk, the server's address, and error.type.
//
// An attempt can fail before it is sent, by a secret or a configured value. Its
// span has the error.type "secret" or "request", and no operation. The request's
// span carries only aigateway.* attributes: a backend that adds up the tokens of
// all gen_ai spans must not find the same call twice.
//
// # Metrics
//
//	gen_ai.client.operation.duration             histogram, s          one an attempt
//	gen_ai.client.operation.time_to_first_chunk  histogram, s          one a stream that had content
//	gen_ai.client.token.usage                    histogram, {token}    as the provider reported them
//	aigateway.request.duration                   histogram, s          one a request
//	aigateway.attempts                           counter, {attempt}
//	aigateway.failovers                          counter, {failover}   moves from one model to the next
//	aigateway.cooldowns                          counter, {cooldown}   cooldowns of keys and models
//	aigateway.cost                               counter, USD          of attempts, where it is known
//	aigateway.usage.cached_input_tokens          counter, {token}      from a provider's cache
//	aigateway.fleet.store.up                     gauge                 by ObserveFleet
//	aigateway.fleet.replicas                     gauge, {replica}      by ObserveFleet
//	aigateway.fleet.snapshot.age                 gauge, s              by ObserveFleet
//
// aigateway.cost and aigateway.request.duration also have the caller and the labels
// of Config.Labels: aigateway.caller and aigateway.label.NAME. Of each, the first 100
// values count by themselves, and all others are "_OTHER".
//
// The first three are the conventions', with their buckets. An attempt is the
// conventions' operation: the time and the tokens of a failed provider stay with
// that provider. An attempt that was not sent counts only in aigateway.attempts,
// under its error.type.
//
// # Errors
//
// The error.type of an attempt is the upstream's error status, such as "429".
// Without one it is "canceled" if the client left, and otherwise the
// [aigateway.FailureKind]. A failover has the error.type of the last attempt, or
// "no_attempt" if the model had no attempt. A request has the [aigateway.Code].
//
// # What is left out
//
// Prompts, answers, queries, keys and URL paths never become attributes. The
// X-Request-Id is the only header that does. The status of a failed span holds the
// gateway's reason, which may quote up to 200 bytes of each provider's error
// message.
//
// Clients choose model names, and metrics must not grow with their choice. An
// unlisted name is "_OTHER" in metrics, and appears only in spans.
//
// The conventions for generative AI are in development. The names are those of
// version 1.41, the last in OpenTelemetry's main repository. They may change here,
// in a minor version, once later versions are released.
package gatewayotel

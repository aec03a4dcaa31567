package gatewayotel

import "go.opentelemetry.io/otel/attribute"

// All names of attributes and metrics stand here.

// The conventions for generative AI left OpenTelemetry's own for a repository of
// theirs, and with it the Go packages made from those: hence the names here.
const (
	operationNameKey    = attribute.Key("gen_ai.operation.name")
	providerNameKey     = attribute.Key("gen_ai.provider.name")
	requestModelKey     = attribute.Key("gen_ai.request.model")
	requestStreamKey    = attribute.Key("gen_ai.request.stream")
	timeToFirstChunkKey = attribute.Key("gen_ai.response.time_to_first_chunk")
	inputTokensKey      = attribute.Key("gen_ai.usage.input_tokens")
	outputTokensKey     = attribute.Key("gen_ai.usage.output_tokens")
	cacheReadTokensKey  = attribute.Key("gen_ai.usage.cache_read.input_tokens")
	cacheWriteTokensKey = attribute.Key("gen_ai.usage.cache_creation.input_tokens")
	tokenTypeKey        = attribute.Key("gen_ai.token.type")
)

// The gateway's own.
const (
	requestIDKey       = attribute.Key("aigateway.request.id")
	clientModelKey     = attribute.Key("aigateway.request.model") // as the client named it
	clientStreamKey    = attribute.Key("aigateway.request.stream")
	surfaceKey         = attribute.Key("aigateway.surface")
	formatKey          = attribute.Key("aigateway.format")
	attemptsKey        = attribute.Key("aigateway.attempts")          // that were sent
	earlierCooldownKey = attribute.Key("aigateway.attempt.cooldown")  // seconds left of an earlier rest
	cooldownKey        = attribute.Key("aigateway.cooldown.duration") // seconds, because of this attempt
	attemptNumberKey   = attribute.Key("aigateway.attempt.number")
	servedProviderKey  = attribute.Key("aigateway.provider") // that answered, by its id
	servedModelKey     = attribute.Key("aigateway.model")
	gatewayDurationKey = attribute.Key("aigateway.gateway.duration") // seconds
	reasoningTokensKey = attribute.Key("aigateway.usage.reasoning_tokens")
	usageEstimatedKey  = attribute.Key("aigateway.usage.estimated")
	costKey            = attribute.Key("aigateway.cost.usd")
	upstreamIDKey      = attribute.Key("aigateway.upstream.request_id")
	callerKey          = attribute.Key("aigateway.caller")
	replicaKey         = attribute.Key("aigateway.replica")
	labelPrefix        = "aigateway.label." // before the name of a label
	nextProviderKey    = attribute.Key("aigateway.failover.next_provider")
)

// The metrics of the conventions.
const (
	operationDurationName = "gen_ai.client.operation.duration"
	timeToFirstChunkName  = "gen_ai.client.operation.time_to_first_chunk"
	tokenUsageName        = "gen_ai.client.token.usage"
)

// The gateway's own metrics.
const (
	requestDurationName = "aigateway.request.duration"
	attemptsName        = "aigateway.attempts"
	failoversName       = "aigateway.failovers"
	cooldownsName       = "aigateway.cooldowns"
	costName            = "aigateway.cost"
	cachedTokensName    = "aigateway.usage.cached_input_tokens"
	storeUpName         = "aigateway.fleet.store.up"
	replicasName        = "aigateway.fleet.replicas"
	snapshotAgeName     = "aigateway.fleet.snapshot.age"
)

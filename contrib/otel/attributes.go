package gatewayotel

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/aigateway-go/aigateway"
)

// other stands for every model whose name is not to be shown.
const other = "_OTHER"

// The values of error.type beside status codes, [aigateway.FailureKind] and the
// gateway's codes.
const (
	canceled  = "canceled"   // the client left
	noAttempt = "no_attempt" // a model was left before it had one
)

// maxName bounds a client's name of a model, in bytes. Real names are shorter.
const maxName = 256

// shortened makes a client's text fit for an attribute: bounded, and UTF-8.
// Exporters drop a whole batch for one attribute that is not UTF-8.
func shortened(s string) string {
	if len(s) > maxName {
		s = s[:maxName]
	}
	return strings.ToValidUTF8(s, "")
}

// operationName is the conventions' word for the operation of a surface, or the
// surface's own name. The gateway's log has the same words. This is a copy, because
// another module cannot import an internal package.
func operationName(surface string) string {
	switch surface {
	case "chat-completions", "responses", "messages":
		return "chat"
	case "completions":
		return "text_completion"
	default:
		return surface // embeddings is theirs, too
	}
}

// providerName is the conventions' name of a provider, which they demand, or its
// id.
func providerName(id string) attribute.KeyValue {
	switch strings.ToLower(id) {
	case "google", "gemini":
		id = "gcp.gemini"
	case "mistral":
		id = "mistral_ai"
	case "moonshotai":
		id = "moonshot_ai"
	case "xai":
		id = "x_ai"
	}
	return providerNameKey.String(id)
}

// attemptError classifies the end of an attempt: by the upstream's status, or by a
// word. It is empty without a failure. The context's error tells a client that left
// from an upstream that broke; both are of one kind.
func attemptError(a aigateway.Attempt, ctxErr error) string {
	switch {
	case a.Kind == "":
		return ""
	case a.Kind == aigateway.FailureStatus && a.Response != nil:
		return strconv.Itoa(a.Response.StatusCode)
	case errors.Is(ctxErr, context.DeadlineExceeded):
		return string(aigateway.FailureTimeout) // the embedding service's own
	case ctxErr != nil:
		return canceled
	default:
		return string(a.Kind)
	}
}

// wasSent reports whether an attempt of this kind called the provider at all.
func wasSent(kind aigateway.FailureKind) bool {
	return kind != aigateway.FailureSecret && kind != aigateway.FailureRequest
}

// call is an attempt with further facts about it.
type call struct {
	*aigateway.Attempt
	operation string
	model     string               // as metrics may name it
	errorType string               // empty where it did not fail
	labels    []attribute.KeyValue // of the request, as metrics may show them
	stream    bool                 // whether the client asked for a stream
	// cooldown is the time left of the model's cooldown at the attempt, in
	// milliseconds.
	cooldown float64
}

// server returns the attributes of the called address, empty without one. Other
// parts of the URL are left out: paths name deployments and accounts.
func (c call) server() []attribute.KeyValue {
	if !wasSent(c.Kind) {
		return nil
	}
	u, err := url.Parse(c.Request.URL)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	port, err := strconv.Atoi(u.Port())
	switch {
	case err == nil:
	case u.Scheme == "http":
		port = 80
	default:
		port = 443
	}
	return []attribute.KeyValue{semconv.ServerAddress(u.Hostname()), semconv.ServerPort(port)}
}

// metricAttributes are common to all metrics of an attempt. The config and the
// catalog bound their number.
func (c call) metricAttributes() []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 8),
		operationNameKey.String(c.operation), providerName(c.Provider), requestModelKey.String(c.model))
	return append(attrs, c.server()...)
}

// spanAttributes complete an attempt's span.
func (c call) spanAttributes() []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 14), attemptNumberKey.Int(c.Number))
	if wasSent(c.Kind) { // else it is no operation
		attrs = append(attrs, operationNameKey.String(c.operation))
		attrs = append(attrs, c.server()...)
		if c.stream {
			attrs = append(attrs, requestStreamKey.Bool(true))
		}
	}
	if c.Response != nil && c.Response.RequestID != "" {
		attrs = append(attrs, upstreamIDKey.String(c.Response.RequestID))
	}
	if c.Response != nil {
		attrs = append(attrs, semconv.HTTPResponseStatusCode(c.Response.StatusCode))
	}
	if t := c.UpstreamLatency.TimeToFirstTokenMS; t > 0 {
		attrs = append(attrs, timeToFirstChunkKey.Float64(t/1000))
	}
	attrs = append(attrs, c.usageAttributes()...)
	if c.cooldown > 0 {
		attrs = append(attrs, earlierCooldownKey.Float64(c.cooldown/1000))
	}
	if c.CooldownMS > 0 {
		attrs = append(attrs, cooldownKey.Float64(c.CooldownMS/1000))
	}
	if c.errorType != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(c.errorType))
	}
	return attrs
}

// usageAttributes are the tokens and the cost of an attempt. Zeros are left out.
func (c call) usageAttributes() []attribute.KeyValue {
	if c.Usage == nil {
		return nil
	}
	var attrs []attribute.KeyValue
	for _, count := range []struct {
		key attribute.Key
		n   int64
	}{
		{inputTokensKey, c.Usage.InputTokens}, {outputTokensKey, c.Usage.OutputTokens},
		{cacheReadTokensKey, c.Usage.CachedInputTokens}, {cacheWriteTokensKey, c.Usage.CacheWriteTokens},
		{reasoningTokensKey, c.Usage.ReasoningTokens},
	} {
		if count.n > 0 {
			attrs = append(attrs, count.key.Int64(count.n))
		}
	}
	if c.Usage.Estimated {
		attrs = append(attrs, usageEstimatedKey.Bool(true))
	}
	if c.Cost != nil {
		attrs = append(attrs, costKey.Float64(c.Cost.USD.Float64()))
	}
	return attrs
}

// requestAttributes are those of the request's span. The attempts are those that
// were sent.
func requestAttributes(res *aigateway.Result, attempts int) []attribute.KeyValue {
	attrs := append(make([]attribute.KeyValue, 0, 12),
		requestIDKey.String(res.RequestID),
		surfaceKey.String(res.Surface),
		formatKey.String(res.Format),
		clientStreamKey.Bool(res.Client.Stream),
		attemptsKey.Int(attempts),
		gatewayDurationKey.Float64(res.GatewayLatencyMS/1000))
	if res.Client.Model != "" {
		attrs = append(attrs, clientModelKey.String(shortened(res.Client.Model)))
	}
	if caller := res.Client.Caller; caller != "" {
		attrs = append(attrs, callerKey.String(shortened(caller)))
	}
	for name, value := range res.Client.Labels {
		attrs = append(attrs, attribute.String(labelPrefix+name, shortened(value)))
	}
	if s := res.Success; s != nil {
		attrs = append(attrs, servedProviderKey.String(s.Provider), servedModelKey.String(shortened(s.Model)))
	}
	if res.Error != nil {
		attrs = append(attrs, semconv.ErrorTypeKey.String(string(res.Error.Code)))
	}
	return attrs
}

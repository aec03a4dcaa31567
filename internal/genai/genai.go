// Package genai has the names that OpenTelemetry's semantic conventions for
// generative AI give to what a gateway does, so that logs, spans and metrics
// agree on them. contrib/otel, a module of its own, has a copy, and a test that
// compares the two.
package genai

import "strings"

// Provider is the conventions' name of a provider, which must be used where
// there is one; else the provider's id.
func Provider(id string) string {
	switch strings.ToLower(id) {
	case "google", "gemini":
		return "gcp.gemini"
	case "mistral":
		return "mistral_ai"
	case "moonshotai":
		return "moonshot_ai"
	case "xai":
		return "x_ai"
	}
	return id
}

// Operation is the conventions' word for what a surface does, or the surface's
// own name where they have none.
func Operation(surface string) string {
	switch surface {
	case "chat-completions", "responses", "messages":
		return "chat"
	case "completions":
		return "text_completion"
	default:
		return surface // embeddings is theirs, too
	}
}

// Package genai has the names of OpenTelemetry's semantic conventions for
// generative AI. Logs, spans and metrics then agree on them. contrib/otel is a
// module of its own and has a copy; a test compares the two.
package genai

import "strings"

// Provider is the conventions' name of a provider. They demand its use. A provider
// without one keeps its id.
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

// Operation is the conventions' word for the operation of a surface. A surface
// without one keeps its own name.
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

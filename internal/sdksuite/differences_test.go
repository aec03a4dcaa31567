package sdksuite

// differences is all in which the gateway may be noticed. A case that is not
// listed must look the same both ways, and one that is must not. The first that
// fits counts.
func differences() []difference {
	const (
		firstEvent = `10: "An error event … before then is a failed attempt"; 11.4: "else 503 all_providers_failed"`
	)
	return []difference{
		{".*", "models", `11: "GET …/models lists each name that a client may send without a prefix": the gateway answers itself`, true},
		{".*", "model", `11: "models/{id} one of them, or 404": the gateway answers itself`, true},
		{".*", "unknown-model", `6.4: "else rejected, with the reason"; 11: no_matching_models is 422`, true},

		// This provider of "ai" takes the event for the end of the answer where it
		// comes directly, and sends a 503 again whatever x-should-retry says.
		{"node-ai-openai-compatible", "stream-error-first", firstEvent, true},
		{".*", ".*stream-error-first", firstEvent, false},

		// @ai-sdk/openai-compatible misses the end by itself.
		{"openai-go-v3|anthropic-sdk-go-.*|node-openai|node-anthropic|node-ai-openai", ".*stream-end",
			`10: "Real servers do end cleanly without it when the model process dies: that counts as broken"`, false},
		// The Node.js scripts report only that it failed.
		{"openai-go-v3|anthropic-sdk-go-.*", ".*stream-cut",
			`10: "If the upstream dies mid-stream, the connection is aborted, after an error event in the client's format"`, false},

		{".*", "reset", `11.4: "else 503 all_providers_failed … with x-should-retry: false"`, true},
		{".*", "silent", `11.3: "all timed out: 504"`, false},
	}
}

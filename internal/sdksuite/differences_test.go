package sdksuite

// differences is all in which the gateway may be noticed. A case that is not
// listed must look the same both ways, and one that is must not. The first that
// fits counts.
func differences() []difference {
	const (
		firstEvent = `11.1: "an error event of a 200 stream is one: its error object, with the status that its type stands for"`
		deadKey    = `11.1: "a 401, 402 or dead key that was the gateway's own is 502 upstream_authentication_failed"`
	)
	return []difference{
		{".*", "models", `11: "GET …/models lists each name that a client may send without a prefix": the gateway answers itself`, true},
		{".*", "model", `11: "models/{id} one of them, or 404": the gateway answers itself`, true},
		{".*", "unknown-model", `6.4: "else rejected, with the reason"; 11: no_matching_models is 422`, true},

		// The SDKs send a request with such a status again.
		{".*", ".*stream-error-first", firstEvent, true},
		// "ai" sends a 502 again whatever x-should-retry says.
		{"node-ai-.*", "(stream-)?status-40[12]", deadKey, true},
		{".*", "(stream-)?status-40[12]", deadKey, false},

		// @ai-sdk/openai-compatible misses the end by itself.
		{"openai-go-v3|anthropic-sdk-go-.*|node-openai|node-anthropic|node-ai-openai|node-ai-anthropic", ".*stream-end",
			`10: "Real servers do end cleanly without it when the model process dies: that counts as broken"`, false},
		// The Node.js scripts report only that it failed.
		{"openai-go-v3|anthropic-sdk-go-.*", ".*stream-cut",
			`10: "If the upstream dies mid-stream, the connection is aborted, after an error event in the client's format"`, false},

		{".*", "reset", `11.4: "else 503 all_providers_failed … with x-should-retry: false"`, true},
		{".*", "silent", `11.3: "all timed out: 504"`, false},
	}
}

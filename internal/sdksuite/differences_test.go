package sdksuite

// differences is all in which the gateway may be noticed. A case that is not
// listed must look the same both ways, and one that is must not.
func differences() []difference {
	return []difference{
		{".*", "models", `11: "GET …/models lists each name that a client may send without a prefix": the gateway answers itself`, true},
		{".*", "model", `11: "models/{id} one of them, or 404": the gateway answers itself`, true},
		{".*", "unknown-model", `6.4: "else rejected, with the reason"; 11: no_matching_models is 422`, true},
		{".*", ".*error-first", `10: "An error event … before then is a failed attempt"; 11.4: "else 503 all_providers_failed"`, false},
		{".*", ".*stream-end", `10: "Real servers do end cleanly without it when the model process dies: that counts as broken"`, false},
		{".*", ".*stream-cut", `10: "If the upstream dies mid-stream, the connection is aborted, after an error event in the client's format"`, false},
		// openai-go takes the event for one like others; its upstream then ended
		// cleanly, which reads like success.
		{"openai-go-v3", "responses-stream-error-midway", `10: "A stream is whole when it … showed its end: … response.completed/failed/incomplete"`, false},
		{".*", "reset", `11.4: "else 503 all_providers_failed … with x-should-retry: false"`, true},
		{".*", "silent", `11.3: "all timed out: 504"`, false},
	}
}

// Command fallback answers with a text of its own if every model failed.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"

	"github.com/aigateway-go/aigateway"
)

func main() {
	cfg, err := aigateway.LoadConfig("examples/fallback/gateway.yaml")
	if err != nil {
		log.Fatal(err)
	}
	gateway, err := aigateway.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", gateway.Wrap(http.HandlerFunc(fallback))))
}

// sorry is the text for the client.
const sorry = "Our assistant is taking a break. Please try again in a few minutes."

// fallback gets two kinds of requests: paths outside the gateway, and requests that
// it could not serve.
func fallback(w http.ResponseWriter, r *http.Request) {
	res, ok := aigateway.ResultFromContext(r.Context())
	if !ok {
		http.NotFound(w, r)
		return
	}
	log.Printf("%s: %s", res.Error.Code, res.Error.Message)
	// The sentence helps only if the providers are at fault, and only in the format
	// written here.
	atFault := res.Error.Status >= 500 || res.Error.Status == http.StatusTooManyRequests
	if !atFault || res.Surface != "chat-completions" {
		writeError(w, res.Error)
		return
	}
	if res.Client.Stream {
		stream(w)
		return
	}
	writeJSON(w, http.StatusOK, completion("chat.completion", map[string]any{
		"index": 0, "message": map[string]any{"role": "assistant", "content": sorry}, "finish_reason": "stop",
	}))
}

// stream sends the sentence as the events of a stream.
func stream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, choice := range []map[string]any{
		{"index": 0, "delta": map[string]any{"role": "assistant", "content": sorry}, "finish_reason": nil},
		{"index": 0, "delta": map[string]any{}, "finish_reason": "stop"},
	} {
		event, err := json.Marshal(completion("chat.completion.chunk", choice))
		if err != nil {
			return
		}
		fmt.Fprintf(w, "data: %s\n\n", event)
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func completion(object string, choice map[string]any) map[string]any {
	return map[string]any{
		"id": "chatcmpl-fallback", "object": object, "created": 0, "model": "fallback", "choices": []any{choice},
	}
}

func writeError(w http.ResponseWriter, e *aigateway.ResultError) {
	writeJSON(w, e.Status, map[string]any{"error": map[string]any{
		"message": e.Message, "type": "invalid_request_error", "param": nil, "code": e.Code,
	}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Print(err) // the client is gone
	}
}

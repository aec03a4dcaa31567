package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// tokenPause is the pause of a stand-in before each token.
const tokenPause = 80 * time.Millisecond

// standIns are providers with just enough of the OpenAI API.
type standIns struct {
	// seen is closed when the client has the first token of a stream.
	seen chan struct{}

	closers []func()
}

// start starts the provider behind an .internal host, and returns its address. The
// address of the basement has no listener.
func (s *standIns) start(host string) (url string, err error) {
	name := strings.TrimSuffix(host, ".internal")
	if name == "basement" {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		return "http://" + listener.Addr().String(), listener.Close()
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, name) })
	url, closeServer, err := serve(mux)
	if err != nil {
		return "", err
	}
	s.closers = append(s.closers, closeServer)
	return url, nil
}

func (s *standIns) close() {
	for _, c := range s.closers {
		c()
	}
}

// complete answers a chat request with the names of the provider and of the
// requested model.
func (s *standIns) complete(w http.ResponseWriter, r *http.Request, name string) {
	if name == "cloud" && r.Header.Get("Authorization") != "Bearer "+cloudKey {
		http.Error(w, `{"error":{"message":"no such key","type":"authentication_error"}}`, http.StatusUnauthorized)
		return
	}
	var ask request
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, `{"error":{"message":"no JSON","type":"invalid_request_error"}}`, http.StatusBadRequest)
		return
	}
	text := fmt.Sprintf("Hello from %s, where the model is %s.", name, ask.Model)
	if ask.Stream {
		s.stream(w, r, strings.SplitAfter(text, " "))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{ // a client that left needs no answer
		"id": "chatcmpl-1", "object": "chat.completion", "created": time.Now().Unix(), "model": ask.Model,
		"choices": []any{map[string]any{
			"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": text},
		}},
		"usage": map[string]any{"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17},
	})
}

// stream answers token by token. It keeps the last token back until the client has
// seen the first: behind a gateway that collects a stream before passing it on, it
// would never end.
func (s *standIns) stream(w http.ResponseWriter, r *http.Request, tokens []string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i, token := range tokens {
		if i == len(tokens)-1 {
			select {
			case <-s.seen:
			case <-r.Context().Done():
				return
			}
		}
		send(w, map[string]any{"content": token}, nil)
		select {
		case <-time.After(tokenPause):
		case <-r.Context().Done():
			return
		}
	}
	send(w, map[string]any{}, "stop")
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// send writes one event, and sends it off.
func send(w http.ResponseWriter, delta map[string]any, finishReason any) {
	chunk, err := json.Marshal(map[string]any{
		"id": "chatcmpl-1", "object": "chat.completion.chunk",
		"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finishReason}},
	})
	if err != nil {
		return // it is made of strings
	}
	fmt.Fprintf(w, "data: %s\n\n", chunk)
	http.NewResponseController(w).Flush() // a client that left needs no answer
}

package gatewaytest

import (
	"fmt"
	"net/http"
	"strings"
)

// leastAnswers are the least answers of the surfaces, by the end of the path. The
// first %q is the text of the answer; surfaces without a text take it as an id.
var leastAnswers = map[string]string{
	"chat/completions": `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m",` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`,
	"completions": `{"id":"cmpl-1","object":"text_completion","choices":[{"index":0,"text":%q,"finish_reason":"stop"}]}`,
	"responses": `{"id":"resp_1","object":"response","status":"completed",` +
		`"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":%q}]}]}`,
	"embeddings":            `{"object":"list","id":%q,"data":[{"object":"embedding","index":0,"embedding":[0.25]}]}`,
	"moderations":           `{"id":%q,"results":[{"flagged":false}]}`,
	"rerank":                `{"id":%q,"results":[{"index":0,"relevance_score":0.5}]}`,
	"images":                `{"created":1,"data":[{"b64_json":%q}]}`,
	"audio":                 `{"text":%q}`,
	"messages":              `{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":%q}],"stop_reason":"end_turn"}`,
	"messages/count_tokens": `{"id":%q,"input_tokens":9}`,

	"responses/compact":      `{"id":%q,"object":"response.compaction","output":[{"type":"compaction"}]}`,
	"responses/input_tokens": `{"object":%q,"input_tokens":9}`,
	"tokenize":               `{"id":%q,"count":2,"tokens":[1,2]}`,
	"detokenize":             `{"prompt":%q}`,
	"score":                  `{"id":%q,"data":[{"index":0,"score":0.5}]}`,
	"pooling":                `{"id":%q,"data":[{"index":0,"data":[0.25]}]}`,
	"classify":               `{"id":%q,"data":[{"index":0,"label":"a"}]}`,
	"videos":                 `{"id":%q,"object":"video","status":"queued"}`,
	"messages/batches":       `{"id":%q,"type":"message_batch","processing_status":"in_progress"}`,
}

// LeastAnswer is a short and valid JSON answer of the surface at the end of a
// path, such as "/v1/chat/completions". It has the text, and then the members: a
// list such as `"a":1,"b":2`, which may be empty. It panics for any other path.
func LeastAnswer(path, text, members string) string {
	words := strings.Split(strings.Trim(path, "/"), "/")
	last := words[len(words)-1]
	front := ""
	if len(words) > 1 {
		front = words[len(words)-2]
	}
	for _, end := range []string{front + "/" + last, last, front} {
		answer, ok := leastAnswers[end]
		if !ok {
			continue
		}
		answer = fmt.Sprintf(answer, text)
		if members != "" {
			answer = strings.TrimSuffix(answer, "}") + "," + members + "}"
		}
		return answer
	}
	panic("no surface at " + path)
}

// Fitting answers a request in the format of its surface, with a text.
func Fitting(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		JSON(http.StatusOK, LeastAnswer(r.URL.Path, text, ""))(w, r)
	}
}

package gatewaytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Store is a provider that keeps responses, files and their like for each of its keys.
// A request that holds an id of another provider or key is a stray, and gets 404.
type Store struct {
	// Name stands in the ids, such as "file-a1": letters alone.
	Name string

	mu       sync.Mutex
	made     map[string]string // from ids to keys
	strays   []string
	requests []string
	bodies   []string
}

// prefixes are the beginnings of ids, by the collection that makes them.
var prefixes = map[string]string{
	"responses": "resp_", "conversations": "conv_", "files": "file-", "batches": "batch_", "videos": "video_",
	"vector_stores": "vs_", "containers": "cntr_", "uploads": "upload_", "messages/batches": "msgbatch_",
}

var anID = regexp.MustCompile(`(resp_|conv_|file-|msg_|msgbatch_|batch_|video_|vs_|cntr_|upload_)[a-z]+[0-9]+`)

// Strays lists the requests with an id that the key does not have.
func (s *Store) Strays() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.strays)
}

// Requests lists all requests as "METHOD path key".
func (s *Store) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// LastBody is the body of the latest request.
func (s *Store) LastBody() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies[len(s.bodies)-1]
}

// ServeHTTP answers paths with and without /v1.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + r.Header.Get("X-Api-Key")
	s.mu.Lock()
	defer s.mu.Unlock()
	line := r.Method + " " + r.URL.RequestURI() + " " + key
	s.requests, s.bodies = append(s.requests, line), append(s.bodies, string(body))
	for _, id := range anID.FindAllString(r.URL.Path+" "+string(body), -1) {
		if s.made[id] != key {
			s.strays = append(s.strays, line+" "+id)
			Error(http.StatusNotFound, "not_found", "no such id")(w, r)
			return
		}
	}
	s.answer(w, r, strings.Trim(strings.TrimPrefix(r.URL.Path, "/v1"), "/"), key, body)
}

func (s *Store) answer(w http.ResponseWriter, r *http.Request, path, key string, body []byte) {
	prefix, collection := prefixes[path]
	words := strings.Split(path, "/")
	switch {
	case collection && r.Method == http.MethodGet:
		var ids []string
		for id, of := range s.made {
			if of == key && strings.HasPrefix(id, prefix) {
				ids = append(ids, fmt.Sprintf(`{"id":%q}`, id))
			}
		}
		slices.Sort(ids)
		JSON(http.StatusOK, `{"object":"list","data":[`+strings.Join(ids, ",")+`],"has_more":false}`)(w, r)
	case path == "messages" && strings.Contains(string(body), `"thread":{`):
		s.thread(w, r, key, strings.Contains(string(body), `"stream":true`))
	case path == "responses" && strings.Contains(string(body), `"stream":true`):
		id := s.make(prefix, key)
		Stream(
			fmt.Sprintf("event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":%q,\"status\":\"in_progress\"}}\n\n", id),
			"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n",
			fmt.Sprintf("event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":%q,\"status\":\"completed\"}}\n\n", id),
		)(w, r)
	case path == "responses":
		JSON(http.StatusOK, fmt.Sprintf(`{"id":%q,"object":"response","status":"completed","output":[`+
			`{"type":"code_interpreter_call","container_id":%q},`+
			`{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]}`, s.make(prefix, key), s.make("cntr_", key)))(w, r)
	case collection:
		JSON(http.StatusOK, fmt.Sprintf(`{"object":"thing","id":%q,"status":"completed","error":null}`, s.make(prefix, key)))(w, r)
	case slices.Contains(words, "content") && words[0] != "vector_stores", slices.Contains(words, "results"):
		w.Header().Set("Content-Type", "application/octet-stream")
		io.WriteString(w, "\x00bytes of "+path)
	case slices.Contains([]string{"input_items", "items", "files", "search"}, words[len(words)-1]) && (r.Method == http.MethodGet || words[len(words)-1] == "search"):
		JSON(http.StatusOK, `{"object":"list","data":[{"id":"one"}],"has_more":false}`)(w, r)
	case words[0] == "batches":
		JSON(http.StatusOK, fmt.Sprintf(`{"id":%q,"status":"failed","errors":{"data":[]},"output_file_id":%q}`, words[1], s.make("file-", key)))(w, r)
	case words[len(words)-1] == "complete":
		JSON(http.StatusOK, fmt.Sprintf(`{"id":%q,"object":"upload","status":"completed","file":{"object":"file","id":%q}}`, words[1], s.make("file-", key)))(w, r)
	case words[len(words)-1] == "remix", path == "videos/edits", path == "videos/extensions":
		JSON(http.StatusOK, fmt.Sprintf(`{"id":%q}`, s.make("video_", key)))(w, r)
	case r.Method == http.MethodDelete && words[0] == "containers":
		w.WriteHeader(http.StatusNoContent)
	case prefixes[words[0]] != "" && words[1] != "input_tokens" && words[1] != "compact" || strings.HasPrefix(path, "messages/batches/"):
		id := words[1]
		if id == "batches" {
			id = words[2]
		}
		answer, _ := json.Marshal(map[string]any{"id": id, "path": path, "error": map[string]string{"code": "it_failed"}, "status": "failed"})
		JSON(http.StatusOK, string(answer))(w, r)
	default:
		Fitting("from "+s.Name)(w, r)
	}
}

// thread answers a request of messages with a message that a thread can go on from.
func (s *Store) thread(w http.ResponseWriter, r *http.Request, key string, stream bool) {
	message := fmt.Sprintf(`{"id":%q,"type":"message","role":"assistant","model":"m","content":[%%s],"stop_reason":%%s,"usage":{"input_tokens":1,"output_tokens":1}}`, s.make("msg_", key))
	if !stream {
		JSON(http.StatusOK, fmt.Sprintf(message, `{"type":"text","text":"hi"}`, `"end_turn"`))(w, r)
		return
	}
	event := func(name, rest string) string {
		return fmt.Sprintf("event: %s\ndata: {\"type\":%q%s}\n\n", name, name, rest)
	}
	Stream(
		event("message_start", `,"message":`+fmt.Sprintf(message, "", "null")),
		event("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`),
		event("content_block_delta", `,"index":0,"delta":{"type":"text_delta","text":"hi"}`),
		event("content_block_stop", `,"index":0`),
		event("message_delta", `,"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}`),
		event("message_stop", ""),
	)(w, r)
}

// make makes an id for a key.
func (s *Store) make(prefix, key string) string {
	if s.made == nil {
		s.made = map[string]string{}
	}
	id := fmt.Sprintf("%s%s%d", prefix, s.Name, len(s.made)+1)
	s.made[id] = key
	return id
}

package standin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
)

// api tells the two APIs apart.
type api string

const (
	openai    api = "openai"
	anthropic api = "anthropic"
)

// apiOf goes by the path. Both APIs have the model list; there it goes by a header
// that only one of them has.
func apiOf(r *http.Request) api {
	if strings.HasPrefix(r.URL.Path, "/v1/messages") || r.Header.Get("Anthropic-Version") != "" {
		return anthropic
	}
	return openai
}

// endpoint describes one path: its fields, and its answer.
type endpoint struct {
	method   string
	required []string
	optional []string
	form     bool
	answer   func(*call)
}

// endpoints lists every path but models/{id}. Unknown fields are refused, as OpenAI
// and Anthropic do.
func endpoints() map[string]endpoint {
	message := []string{"messages", "model", "max_tokens"}
	return map[string]endpoint{
		"/v1/chat/completions": {method: "POST", required: []string{"messages", "model"},
			optional: []string{"stream", "stream_options", "tools", "tool_choice", "temperature", "max_tokens",
				"max_completion_tokens", "user", "n", "top_p", "seed", "response_format", "reasoning_effort", "parallel_tool_calls", "stop"}, answer: chatCompletion},
		"/v1/responses": {method: "POST", required: []string{"input", "model"},
			optional: []string{"stream", "instructions", "max_output_tokens", "temperature", "store", "include",
				"tools", "tool_choice", "text", "reasoning", "parallel_tool_calls", "top_p"}, answer: response},
		"/v1/embeddings": {method: "POST", required: []string{"input", "model"},
			optional: []string{"encoding_format", "dimensions", "user"}, answer: embeddings},
		"/v1/audio/transcriptions": {method: "POST", required: []string{"file", "model"}, form: true,
			optional: []string{"language", "prompt", "response_format", "temperature", "timestamp_granularities[]"}, answer: transcription},
		"/v1/audio/speech": {method: "POST", required: []string{"input", "model", "voice"},
			optional: []string{"response_format", "speed", "instructions"}, answer: speech},
		"/v1/models": {method: "GET", answer: modelList},
		"/v1/messages": {method: "POST", required: message,
			optional: []string{"stream", "system", "temperature", "tools", "tool_choice", "metadata", "stop_sequences", "thinking", "output_config", "top_p", "thread"}, answer: createMessage},
		"/v1/messages/count_tokens": {method: "POST", required: []string{"messages", "model"},
			optional: []string{"system", "tools", "tool_choice"}, answer: countTokens},
	}
}

func (c *call) endpoint() endpoint {
	if id, ok := strings.CutPrefix(c.r.URL.Path, "/v1/models/"); ok {
		c.model = id
		return endpoint{method: "GET", answer: modelOne}
	}
	return endpoints()[c.r.URL.Path]
}

// check holds the request to the API, in the order of the real ones: path,
// credential, version, body, fields, model.
func (c *call) check() *failure {
	e := c.endpoint()
	query := c.r.URL.RawQuery
	beta := c.r.Header.Get("Anthropic-Beta") != "" && c.r.Header.Get("Anthropic-Version") == "2023-06-01"
	switch {
	case c.r.Method == http.MethodPost && query != "" && (query != "beta=true" || !beta):
		return badRequest("the query %q is not one of the API's", query)
	case e.answer == nil:
		return &failure{status: 404, kind: "not_found_error", message: "unknown URL " + c.r.URL.Path}
	case e.method != c.r.Method:
		return &failure{status: 405, kind: "invalid_request_error", message: "not allowed: " + c.r.Method}
	}
	if f := c.checkCredential(); f != nil {
		return f
	}
	if e.method == http.MethodGet {
		if c.model != "" && !known(c.api, c.model) {
			return noModel(c.model)
		}
		return nil
	}
	var bad *failure
	if c.fields, bad = readFields(e, c.r.Header.Get("Content-Type"), c.body); bad != nil {
		return bad
	}
	c.model = c.fields["model"].text
	if !known(c.api, c.model) {
		return noModel(c.model)
	}
	_, c.scenario, _ = strings.Cut(c.model, "standin-")
	for _, name := range e.required {
		if f, ok := c.fields[name]; !ok || f.isEmpty() {
			return badRequest("missing or empty required parameter: '%s'", name)
		}
	}
	for name := range c.fields {
		if !slices.Contains(e.required, name) && !slices.Contains(e.optional, name) && c.scenario != "vendor" {
			return badRequest("unrecognized request argument supplied: %s", name)
		}
	}
	return nil
}

// checkCredential knows both credentials of Anthropic's clients. Each belongs to a
// version of the API.
func (c *call) checkCredential() *failure {
	bearer, key := c.r.Header.Values("Authorization"), c.r.Header.Values("X-Api-Key")
	if len(bearer)+len(key) != 1 {
		return &failure{status: 401, kind: "authentication_error", code: "invalid_api_key",
			message: fmt.Sprintf("want exactly one credential, got %d", len(bearer)+len(key))}
	}
	want := http.Header{"Authorization": {"Bearer " + Key}}
	if c.api == anthropic {
		switch v := c.r.Header.Get("Anthropic-Version"); v {
		case "2023-06-01":
			want = http.Header{"X-Api-Key": {Key}}
		case "2026-10-21":
		default:
			return badRequest("anthropic-version: %q is not a valid version", v)
		}
	}
	for name, v := range want {
		if !slices.Equal(c.r.Header.Values(name), v) {
			return &failure{status: 401, kind: "authentication_error", code: "invalid_api_key", message: "incorrect API key provided"}
		}
	}
	return nil
}

// field is one top-level field of a body, or one part of a form.
type field struct {
	raw  []byte
	text string // of a JSON string, or the part
}

func (f field) isEmpty() bool {
	return len(f.raw) == 0 || string(f.raw) == "null" || string(f.raw) == `""` || string(f.raw) == "[]"
}

type fields map[string]field

func (f fields) isTrue(name string) bool { return string(f[name].raw) == "true" }

func readFields(e endpoint, contentType string, body []byte) (fields, *failure) {
	kind, params, err := mime.ParseMediaType(contentType)
	if e.form {
		if err != nil || kind != "multipart/form-data" {
			return nil, badRequest("unsupported content type %q", contentType)
		}
		return readForm(body, params["boundary"])
	}
	if err != nil || kind != "application/json" {
		return nil, badRequest("unsupported content type %q", contentType)
	}
	return readJSON(body)
}

// readJSON refuses a repeated key, which encoding/json would let pass.
func readJSON(body []byte) (fields, *failure) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, badRequest("the body is not a JSON object")
	}
	out := fields{}
	for d.More() {
		var f json.RawMessage
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || d.Decode(&f) != nil {
			return nil, badRequest("the body is not JSON")
		}
		if _, ok := out[name]; ok {
			return nil, badRequest("repeated field %q", name)
		}
		v := field{raw: f}
		_ = json.Unmarshal(f, &v.text) // stays empty where it is no string
		out[name] = v
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, badRequest("the body is not JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, badRequest("something comes after the JSON")
	}
	return out, nil
}

func readForm(body []byte, boundary string) (fields, *failure) {
	out := fields{}
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, badRequest("the form is broken: %v", err)
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return nil, badRequest("the form is broken: %v", err)
		}
		if p.FormName() == "file" && p.FileName() == "" {
			return nil, badRequest("the file has no name")
		}
		out[p.FormName()] = field{raw: data, text: string(data)}
	}
}

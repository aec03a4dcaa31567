// Package apierror reads the errors of providers and classifies them: a refusal for the prompt's content, a dead key, a
// rate limit, an unknown model.
//
// The words of providers are data. dialects.tsv, statuses.tsv and hints.tsv have one row a dialect, each with its source.
// The package decides nothing: retries, failover and cooldowns are the caller's affair.
package apierror

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Report is an upstream's error in parts. The zero Report is the error of an empty body.
type Report struct {
	// Code is the most telling code, as the upstream wrote it. Numbers that repeat an HTTP status are left out.
	Code string
	// Type is the error's type, such as "rate_limit_error". Empty if the body has no type.
	Type string
	// Message is the error's text, unshortened and not redacted.
	Message string
	// Param names the faulty field of the request. Empty if the body names no field.
	Param string
	// Status is the HTTP status behind the error: a number in the body, else the status of its type. Zero if neither is
	// known.
	Status int
	// Reasons are further words: Google's details, OpenRouter's error_type and reasons.
	Reasons []string
	// Provider is the upstream's own upstream, as OpenRouter names it.
	Provider string
	// Found reports whether the body is an error in a known shape. Plain text and HTML are not.
	Found bool

	words   []word
	retry   string      // Google's retryDelay
	headers http.Header // repeated in the body
	inner   *Report     // of the upstream's own upstream

	// For Classify: messages and contents, and each of them without a relay's words before it, unquoted.
	messages, contents []string
}

// word is a value at a place. Places have their names from dialects.tsv.
type word struct{ place, text string }

// maxDepth bounds how many errors may stand in each other.
const maxDepth = 4

// Read reads an error out of a body: JSON, plain text, or the lines of an event. Each part is read on its own: a part of a
// strange type hides no other. Read never fails. An unreadable body makes an empty Report.
func Read(body []byte) Report {
	var r Report
	r.read(body, 0)
	if r.Status == 0 {
		r.Status = standsFor(r.words)
	}
	return r
}

func (r *Report) read(body []byte, depth int) {
	body = payload(body)
	if len(body) == 0 || body[0] == '<' || string(body) == "null" {
		return // HTML, or an empty body
	}
	if strings.IndexByte(`{["`, body[0]) >= 0 {
		if v, ok := decode(body); ok {
			r.value(v, depth)
		}
		return
	}
	line, _, _ := bytes.Cut(body, []byte("\n"))
	r.message(strings.TrimSpace(strings.ToValidUTF8(string(line), "")))
}

// payload cuts an error out of the lines of an event. The first line with data or an error decides.
func payload(body []byte) []byte {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 || strings.IndexByte("{[\"<", body[0]) >= 0 {
		return body
	}
	for line := range bytes.Lines(body) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		switch string(name) {
		case "error", "data":
			if value = bytes.TrimSpace(value); len(value) > 0 && string(value) != "[DONE]" {
				return value
			}
		case "event", "id", "retry", "":
		default:
			return body // text
		}
	}
	return body
}

func decode(body []byte) (v any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	return v, dec.Decode(&v) == nil
}

func (r *Report) value(v any, depth int) {
	switch v := v.(type) {
	case []any: // Google's
		for _, e := range v {
			if o, ok := e.(map[string]any); ok {
				r.document(o, depth)
				return
			}
		}
	case string:
		r.Found = true
		r.text(v, depth)
	case map[string]any:
		r.document(v, depth)
	}
}

// document reads a whole body.
func (r *Report) document(top map[string]any, depth int) {
	r.answer(top)
	failed := top["error"]
	if !holds(failed) {
		failed = first(top["errors"])
	}
	for _, name := range []string{"response", "data"} { // of response.failed; of relays
		if o, ok := top[name].(map[string]any); ok {
			r.answer(o)
			if !holds(failed) {
				failed = o["error"]
			}
		}
	}
	if !holds(failed) { // of a failed choice
		if choice, ok := first(top["choices"]).(map[string]any); ok {
			failed = choice["error"]
		}
	}
	if base, ok := top["base_resp"].(map[string]any); ok { // MiniMax
		if code := scalar(base["status_code"]); code != "" && code != "0" {
			r.Found = true
			r.code("base_resp", code)
			r.message(prose(base["status_msg"]))
		}
	}
	switch failed := failed.(type) {
	case map[string]any:
		r.Found = true
		r.fields(failed, depth)
	case string:
		if failed != "" {
			r.Found = true
			r.text(failed, depth)
		}
	case []any:
		if o, ok := first(failed).(map[string]any); ok {
			r.Found = true
			r.fields(o, depth)
		}
	case json.Number: // {"error": 404}
		r.Found = true
		r.code("code", failed.String())
	}
	// An object without an error inside may be an error itself: it says so, or it holds a message and no answer.
	kind, _ := top["type"].(string)
	isError := top["object"] == "error" || strings.HasSuffix(kind, "error") || top["error"] == true || top["success"] == false
	bare := top["choices"] == nil && top["id"] == nil && top["object"] == nil && scalar(top["code"]) != "0" && top["success"] != true
	if r.Found || isError || bare && (prose(top["message"])+prose(top["detail"])+prose(top["msg"])+prose(top["error_msg"]) != "" || isStatus(scalar(top["code"])) || isStatus(scalar(top["status"]))) {
		r.Found = true
		r.fields(without(top, "error", "errors", "metadata", "data"), depth)
	}
}

// fields reads the error object itself.
func (r *Report) fields(e map[string]any, depth int) {
	r.code("code", scalar(e["code"]))
	r.code("code", scalar(e["error_code"]))
	for _, name := range []string{"innererror", "innerError"} { // Azure's
		if inner, ok := e[name].(map[string]any); ok {
			r.code("code", scalar(inner["code"]))
		}
	}
	if kind, _ := e["type"].(string); kind != "" && kind != "error" && kind != "response.failed" {
		if r.Type == "" {
			r.Type = kind
		}
		r.add("type", kind)
	}
	if status := scalar(e["status"]); isStatus(status) || status != "" && status == strings.ToUpper(status) {
		r.code("status", status) // Google's is in capitals; an answer's own "failed" is not
	}
	r.code("status", scalar(e["status_code"]))
	r.code("status", scalar(e["http_status"]))
	for _, name := range []string{"error_type", "reason"} {
		if text, _ := e[name].(string); text != "" {
			r.reason(name, text)
		}
	}
	if r.Param == "" {
		r.Param, _ = e["param"].(string)
	}
	if r.Param == "" {
		r.Param = field(e["detail"])
	}
	for _, name := range []string{"message", "msg", "detail", "error_msg", "error_message", "errorMessage", "error_description", "title"} {
		r.text(prose(e[name]), depth)
	}
	r.waits(e)
	r.details(e["details"])
	if meta, ok := e["metadata"].(map[string]any); ok {
		r.metadata(meta, depth)
	}
	for _, filter := range list(e["contentFilter"]) { // Zhipu
		if f, ok := filter.(map[string]any); ok {
			if role, _ := f["role"].(string); role != "" {
				r.add("role", role)
			}
		}
	}
	if inner, ok := e["error"].(map[string]any); ok && depth < maxDepth {
		r.fields(inner, depth+1)
	}
}

// waits reads the numbers for the time until the next try.
func (r *Report) waits(e map[string]any) {
	for _, name := range hintFields {
		if text := scalar(e[name]); text != "" {
			r.add(name, text)
		}
	}
}

// details reads Google's list.
func (r *Report) details(v any) {
	for _, d := range list(v) {
		o, ok := d.(map[string]any)
		if !ok {
			continue
		}
		if reason, _ := o["reason"].(string); reason != "" {
			r.reason("reason", reason)
		}
		if delay, _ := o["retryDelay"].(string); delay != "" && r.retry == "" {
			r.retry = delay
		}
		for _, violation := range list(o["violations"]) {
			if v, ok := violation.(map[string]any); ok {
				if id, _ := v["quotaId"].(string); id != "" {
					r.add("quota", id)
				}
			}
		}
	}
}

// metadata reads OpenRouter's.
func (r *Report) metadata(meta map[string]any, depth int) {
	if kind, _ := meta["error_type"].(string); kind != "" {
		r.reason("error_type", kind)
	}
	for _, name := range []string{"reasons", "patterns"} {
		for _, v := range list(meta[name]) {
			text, ok := v.(string)
			if !ok {
				text = name // any entry counts
			}
			r.reason(name, text)
		}
	}
	if r.Provider == "" {
		r.Provider, _ = meta["provider_name"].(string)
	}
	r.waits(meta)
	for name, v := range object(meta["headers"]) {
		if r.headers == nil {
			r.headers = http.Header{}
		}
		r.headers.Set(name, scalar(v))
	}
	if raw, _ := meta["raw"].(string); raw != "" && depth < maxDepth {
		inner := &Report{}
		inner.read([]byte(raw), depth+1)
		r.inner = inner
	}
}

func (r *Report) string(place string, v any) {
	if text, _ := v.(string); text != "" {
		r.add(place, text)
	}
}

func (r *Report) add(place, text string) { r.words = append(r.words, word{place, text}) }

func (r *Report) reason(place, text string) {
	r.Reasons = append(r.Reasons, text)
	r.add(place, text)
}

// code takes a code, and the status if the code is a status.
func (r *Report) code(place, text string) {
	if text == "" {
		return
	}
	r.add(place, text)
	switch n, err := strconv.Atoi(text); {
	case err == nil && n >= 400 && n < 600:
		if r.Status == 0 {
			r.Status = n
		}
	case r.Code == "" && text != "0":
		r.Code = text
	}
}

// text takes a message. Relays put the whole error of their upstream there as JSON: it is read in the message's place.
func (r *Report) text(text string, depth int) {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") && depth < maxDepth {
		if v, ok := decode([]byte(trimmed)); ok {
			r.value(v, depth+1)
			return
		}
	}
	r.message(text)
}

func (r *Report) message(text string) {
	if text == "" {
		return
	}
	if r.Message == "" {
		r.Message = text
	}
	if !slices.Contains(r.words, word{"message", text}) {
		r.add("message", text)
	}
}

// has reports whether any word stands at a place.
func (r *Report) has(place string) bool {
	return slices.ContainsFunc(r.words, func(w word) bool { return w.place == place })
}

func holds(v any) bool { return v != nil && v != false && v != "" && v != true }

func first(v any) any {
	if l := list(v); len(l) > 0 {
		return l[0]
	}
	return nil
}

func list(v any) []any { l, _ := v.([]any); return l }

func object(v any) map[string]any { o, _ := v.(map[string]any); return o }

// scalar is a text or a number as text.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func isStatus(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 400 && n < 600
}

// prose is a message. FastAPI sends a list with an entry for each wrong field.
func prose(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		for _, name := range []string{"msg", "message"} {
			if text, _ := v[name].(string); text != "" {
				return text
			}
		}
	case []any:
		var parts []string
		for _, part := range v {
			if text := prose(part); text != "" {
				parts = append(parts, text)
			}
		}
		return strings.Join(parts, "; ")
	}
	return ""
}

// field is the faulty field of the request, as FastAPI names it.
func field(v any) string {
	var parts []string
	for _, part := range list(object(first(v))["loc"]) {
		parts = append(parts, scalar(part))
	}
	return strings.Join(parts, ".")
}

func without(m map[string]any, names ...string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if !slices.Contains(names, k) {
			out[k] = v
		}
	}
	return out
}

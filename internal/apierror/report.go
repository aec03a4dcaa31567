// Package apierror reads the errors of providers and classifies them: a refusal for the prompt's content, a dead key, a
// rate limit, an unknown model.
//
// The words of providers are data. dialects.tsv, statuses.tsv and hints.tsv have one row a dialect, each with its source.
// The package decides nothing: retries, failover and cooldowns are the caller's affair.
package apierror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
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
//
// The result holds text of the upstream's: it may repeat secrets and the
// client's words. Callers redact it before they show it.
func Read(body []byte) Report {
	var r Report
	r.read(body, 0)
	if r.Status == 0 {
		r.Status = standsFor(r.words)
	}
	return r
}

// read is Read for an error within another.
//
// depth bounds errors in errors. JSON that cannot be read makes an empty Report: half
// of an object is not a message.
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
	text := strings.TrimSpace(strings.ToValidUTF8(string(line), ""))
	// Control characters are not of a text: the body is in a coding without a name.
	if !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' && c != '\t' }) {
		r.message(text)
	}
}

// payload cuts an error out of the lines of an event. The first line with data or an error decides.
//
// "event: error\ndata: {…}" gives the object. A text with a colon in its first
// line, such as "Error: x", is not an event, and stays whole.
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

// decode reads the first JSON value of a body. Numbers stay as they were written: codes are compared as text.
//
// Whatever follows the value is left aside: some relays join two documents.
func decode(body []byte) (v any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	return v, dec.Decode(&v) == nil
}

// value reads any JSON value. Google wraps its error in a list.
//
// Of a list the first object counts.
func (r *Report) value(v any, depth int) {
	switch v := v.(type) {
	case []any:
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

// document reads a whole body, in any of these shapes:
//
//	{"error": {"message", "type", "param", "code"}}           OpenAI and its followers
//	{"error": {"code", "message", "innererror": {"code"}}}    Azure
//	{"type": "error", "error": {"type", "message"}}           Anthropic
//	{"error": {"code": 400, "message", "status", "details"}}  Google, also within a list
//	{"error": {"code": 403, "message", "metadata"}}           OpenRouter, also within a choice
//	{"error": "message", "code"}                              xAI; the error may also be a flag or a number
//	{"error": {"code": "1301", "message"}, "contentFilter"}   Zhipu
//	{"base_resp": {"status_code": 1008, "status_msg"}}        MiniMax, beside an empty answer
//	{"object": "error", "message", "type", "code": 400}       vLLM
//	{"code", "message"}, {"message"}, {"detail"}              DashScope, Cerebras; proxies; FastAPI
//	{"id", "message"}, {"detail": {"error"}}                  Cohere; DeepInfra
//	{"response": {"error": {"code", "message"}}}              a response.failed event
//	{"success": false, "errors": [{"code", "message"}]}       Cloudflare
//	{"fault": {"faultstring", "detail": {"errorcode"}}}       Apigee
//	{"Response": {"Error": {"Code", "Message"}}}              Tencent; AWS has a lone "Message"
func (r *Report) document(top map[string]any, depth int) {
	top = uncapped(top)
	r.answer(top)
	r.answer(object(top["response"]))
	if base := object(top["base_resp"]); base != nil {
		// Every answer of MiniMax has a base_resp. Zero is success.
		if code := scalar(base["status_code"]); code != "" && code != "0" {
			r.Found = true
			r.code("base_resp", code)
			r.message(prose(base["status_msg"]))
		}
	}
	switch failed := failure(top).(type) {
	case map[string]any:
		r.Found = true
		r.fields(failed, depth)
	case string:
		r.Found = true
		r.text(failed, depth)
	case []any:
		r.Found = true
		r.fields(object(first(failed)), depth)
	case json.Number:
		r.Found = true
		r.code("code", failed.String())
	}
	// Beside a nested error the document may hold more of it, such as xAI's code.
	if r.Found || isError(top) {
		r.Found = true
		r.fields(without(top, "error", "errors", "metadata", "data"), depth)
	}
}

// failure is the error within a document, of whatever type. It is nil if there is no such part.
//
// The first candidate that is not a flag counts.
func failure(top map[string]any) any {
	candidates := []any{
		top["error"], first(top["errors"]), uncapped(object(top["response"]))["error"], object(top["data"])["error"], top["fault"],
	}
	for _, choice := range list(top["choices"]) {
		candidates = append(candidates, object(choice)["error"])
	}
	for _, c := range candidates {
		// A flag says that the document itself is the error.
		if c != nil && c != "" && c != true && c != false {
			return c
		}
	}
	return nil
}

// isError reports whether a document without an error inside is one itself. It says so, or it has a message and nothing of
// an answer.
//
// An answer without an error may hold a message as well.
func isError(top map[string]any) bool {
	kind, _ := top["type"].(string)
	if top["object"] == "error" || top["error"] == true || top["success"] == false || strings.HasSuffix(kind, "error") {
		return true
	}
	if top["choices"] != nil || top["object"] != nil || top["id"] != nil && !isBare(top) {
		return false
	}
	// An envelope around a success has a message too: "ok".
	if scalar(top["code"]) == "0" || top["success"] == true {
		return false
	}
	for _, name := range messageFields {
		if prose(top[name]) != "" {
			return true
		}
	}
	return isStatus(scalar(top["code"])) || isStatus(scalar(top["status"]))
}

// isBare reports whether a document is an id and an error's message, as Cohere's errors are: no member is one of an answer.
func isBare(top map[string]any) bool {
	for name := range top {
		switch name {
		case "id", "message", "code", "type", "status", "request_id":
		default:
			return false
		}
	}
	return true
}

// messageFields are the names of the message, the more common before the others.
var messageFields = []string{"message", "msg", "detail", "error_msg", "error_message", "errorMessage", "error_description", "faultstring", "title"}

// fields reads the error object itself. The first code, type, param and message win; the others stay known to Classify.
//
// It is also called for the document around the error, and for errors inside of
// it. The order of the calls decides whose code shows.
func (r *Report) fields(e map[string]any, depth int) {
	e = uncapped(e)
	r.code("code", scalar(e["code"]))
	r.code("code", scalar(e["error_code"]))
	r.code("code", scalar(object(e["detail"])["errorcode"]))
	// Azure writes the reason into an inner error, under two spellings.
	r.code("code", scalar(object(e["innererror"])["code"]))
	r.code("code", scalar(object(e["innerError"])["code"]))
	r.kind(e["type"])
	r.kind(e["__type"])
	// Google's status is a word in capitals. An answer's own status ("failed") is not part of the error.
	if status := scalar(e["status"]); status != "" && status == strings.ToUpper(status) {
		r.code("status", status)
	}
	r.code("status", scalar(e["status_code"]))
	r.code("status", scalar(e["http_status"]))
	r.code("status", scalar(e["http_status_code"])) // text-generation-inference
	for _, name := range []string{"error_type", "reason"} {
		if text, _ := e[name].(string); text != "" {
			r.reason(name, text)
		}
	}
	if param, _ := e["param"].(string); r.Param == "" && param != none {
		r.Param = param
	}
	if r.Param == "" {
		r.Param = field(e["detail"])
	}
	for _, name := range messageFields {
		r.text(prose(e[name]), depth)
	}
	r.waits(e)
	r.details(e["details"])
	r.metadata(object(e["metadata"]), depth)
	// Zhipu tells by the role whether the prompt or the answer was refused.
	for _, filter := range list(e["contentFilter"]) {
		r.string("role", object(filter)["role"])
	}
	// LiteLLM keeps the fields of its upstream's error apart.
	for _, name := range []string{"error", "provider_specific_fields"} {
		if inner := object(e[name]); inner != nil && depth < maxDepth {
			r.fields(inner, depth+1)
		}
	}
}

// none is a missing value, as relays in Python write it into a text.
const none = "None"

// kind takes the type of an error. The types of events are not types of errors. AWS puts a namespace before a hash sign, and
// Zhipu's messages endpoint has the code there.
func (r *Report) kind(v any) {
	kind, _ := v.(string)
	if _, name, ok := strings.Cut(kind, "#"); ok {
		kind = name
	}
	if kind == "" || kind == "error" || kind == none || strings.HasPrefix(kind, "response.") {
		return
	}
	if strings.Trim(kind, "0123456789") == "" {
		r.code("code", kind)
		return
	}
	if r.Type == "" {
		r.Type = kind
	}
	r.add("type", kind)
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
		// Each entry is of another type: ErrorInfo has a reason, RetryInfo a delay, QuotaFailure the quotas.
		o := object(d)
		if reason, _ := o["reason"].(string); reason != "" {
			r.reason("reason", reason)
		}
		if delay := duration(o["retryDelay"]); delay != "" && r.retry == "" {
			r.retry = delay
		}
		for _, violation := range list(o["violations"]) {
			r.string("quota", object(violation)["quotaId"])
		}
	}
}

// metadata reads OpenRouter's.
//
// raw is the text of the upstream's own error, as a string. Its headers tell
// that upstream's limits.
func (r *Report) metadata(meta map[string]any, depth int) {
	if kind, _ := meta["error_type"].(string); kind != "" {
		r.reason("error_type", kind)
	}
	for _, name := range []string{"reasons", "patterns"} {
		for _, v := range list(meta[name]) {
			// The entries of patterns may be objects. Any entry counts.
			text, ok := v.(string)
			if !ok {
				text = name
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

// string takes a value if it is a string.
func (r *Report) string(place string, v any) {
	if text, _ := v.(string); text != "" {
		r.add(place, text)
	}
}

// add takes a word for Classify.
func (r *Report) add(place, text string) { r.words = append(r.words, word{place, text}) }

// reason takes a word, and shows it in the Report.
func (r *Report) reason(place, text string) {
	r.Reasons = append(r.Reasons, text)
	r.add(place, text)
}

// code takes a code, and the status if the code is a status.
//
// Classify gets every code. The Report shows the first one that is not a status.
func (r *Report) code(place, text string) {
	if text == "" || text == none {
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
		if v, ok := literal(trimmed); ok {
			r.value(v, depth+1)
			return
		}
	}
	r.message(text)
	r.wrapped(text, depth)
}

// message takes a message once.
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

// first is the first element of a list, or nil.
func first(v any) any {
	if l := list(v); len(l) > 0 {
		return l[0]
	}
	return nil
}

// list is v if it is a list, else empty.
func list(v any) []any { l, _ := v.([]any); return l }

// object is v if it is an object, else nil. Fields of a nil object are nil.
func object(v any) map[string]any { o, _ := v.(map[string]any); return o }

// scalar is a string, or a number as it was written. It is empty for all else.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// isStatus reports whether a code is an HTTP status of an error.
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
		// LiteLLM and DeepInfra have an object with an error in the message's place.
		for _, name := range []string{"msg", "message", "error"} {
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
//
// {"loc": ["body", "messages", 0]} is body.messages.0.
func field(v any) string {
	var parts []string
	for _, part := range list(object(first(v))["loc"]) {
		parts = append(parts, scalar(part))
	}
	return strings.Join(parts, ".")
}

// duration is Google's, which is a text, or an object where a relay writes it.
//
// RetryInfo has "7.2s" in JSON. Relays that decode the protocol write
// {"seconds": 7, "nanos": 200000000}.
func duration(v any) string {
	o := object(v)
	if o == nil {
		text, _ := v.(string)
		return text
	}
	seconds, nanos := scalar(o["seconds"]), scalar(o["nanos"])
	if n, err := strconv.Atoi(nanos); err == nil && n > 0 && n < 1e9 {
		return fmt.Sprintf("%s.%09d", given(seconds, "0"), n)
	}
	return seconds
}

// given is the first text that is not empty.
func given(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// uncapped has each name in capitals with a small first letter too. It is o itself without such names.
//
// .NET and AWS write "Message" and "Code". A name that is there in both
// spellings keeps the small one.
func uncapped(o map[string]any) map[string]any {
	var out map[string]any
	for name, v := range o {
		if name == "" || name[0] < 'A' || name[0] > 'Z' {
			continue
		}
		small := string(name[0]+'a'-'A') + name[1:]
		if _, taken := o[small]; taken {
			continue
		}
		if out == nil {
			out = maps.Clone(o)
		}
		out[small] = v
	}
	if out == nil {
		return o
	}
	return out
}

// without is a shallow copy of an object without some of its fields.
func without(m map[string]any, names ...string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if !slices.Contains(names, k) {
			out[k] = v
		}
	}
	return out
}

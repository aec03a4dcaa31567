package dialect

import (
	"bytes"
	"unicode/utf8"
)

// maxErrorText bounds the text of an error in another form than JSON, in bytes.
const maxErrorText = 1024

// problem is an error of an upstream. Its values are strings.
//
// A member of another type than string is nil. Its values alias the body.
type problem struct {
	message, what, code, param raw
}

// errorTypes are the words of errors: the status of a word, and the
// words of messages and of the formats of OpenAI for a status. The first row of a
// status holds.
//
// The first word of a status goes out. The other rows read words of providers.
// 529 is Anthropic's status of an overloaded API.
var errorTypes = []struct {
	status           int
	messages, openAI string
}{
	{400, "invalid_request_error", "invalid_request_error"},
	{401, "authentication_error", "authentication_error"},
	{402, "billing_error", "insufficient_quota"},
	{403, "permission_error", "permission_error"},
	{404, "not_found_error", "not_found_error"},
	{413, "request_too_large", "request_too_large"},
	{429, "rate_limit_error", "rate_limit_error"},
	{429, "rate_limit_error", "rate_limit_exceeded"},
	{504, "timeout_error", "timeout_error"},
	{529, "overloaded_error", "overloaded_error"},
	{529, "overloaded_error", "server_overloaded"},
	{500, "api_error", "api_error"},
	{500, "api_error", "server_error"},
}

// errorType is the word for a status in a format.
//
// Other statuses of 4xx are the request's fault, and all others the API's.
func errorType(f Format, status int) string {
	for _, e := range errorTypes {
		if e.status == status {
			if f == Messages {
				return e.messages
			}
			return e.openAI
		}
	}
	switch {
	case status >= 500 || status < 400:
		return "api_error"
	default:
		return "invalid_request_error"
	}
}

// statusOf is the status for the type or the code of an error; 500 for unknown
// ones.
func (p *problem) statusOf() int {
	for _, word := range []raw{p.what, p.code} {
		for _, e := range errorTypes {
			if is(word, e.messages) || is(word, e.openAI) {
				return e.status
			}
		}
	}
	return 500
}

// Error makes the client's error of an upstream's error, whatever shape its body
// has. Plain text becomes the message.
//
// param and code have no place in messages, and are dropped there.
func (t *Translator) Error(status int, body []byte) []byte {
	p := readProblem(body)
	if p.message == nil {
		p.message = plainText(body)
	}
	var w writer
	w.problem(t.client, status, &p)
	return w.b
}

// plainText is the front of a body as a string.
//
// It ends at a whole character, and bytes that are not UTF-8 are replaced. Of a page of
// HTML from a proxy the title reaches the client: such pages tell addresses.
func plainText(body []byte) raw {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return raw(`"the provider gave no reason"`)
	}
	if title, ok := pageTitle(body); ok {
		body = bytes.TrimRight(append([]byte("the provider sent a web page: "), title...), ": ")
	}
	if len(body) > maxErrorText {
		body = body[:maxErrorText]
		for len(body) > 0 && !utf8.Valid(body[len(body)-1:]) {
			body = body[:len(body)-1]
		}
	}
	return appendQuoted(nil, bytes.ToValidUTF8(body, []byte("\uFFFD")))
}

// pageTitle is the title of a page of HTML, and whether it is one.
func pageTitle(body []byte) (title []byte, ok bool) {
	head := bytes.ToLower(body[:min(len(body), maxErrorText)])
	if !bytes.HasPrefix(head, []byte("<!doctype html")) && !bytes.HasPrefix(head, []byte("<html")) && !bytes.HasPrefix(head, []byte("<head")) {
		return nil, false
	}
	_, after, found := bytes.Cut(head, []byte("<title>"))
	end := bytes.Index(after, []byte("</title>"))
	if !found || end < 0 || len(head) != min(len(body), maxErrorText) {
		return nil, true
	}
	start := len(head) - len(after)
	return bytes.TrimSpace(body[start : start+end]), true
}

// problem writes an error body of a format:
//
//	{"error": {"message": "…", "type": "…", "param": null, "code": null}}
//	{"type": "error", "error": {"type": "…", "message": "…"}, "request_id": null}
func (w *writer) problem(f Format, status int, p *problem) {
	w.open('{')
	if f == Messages {
		w.word("type", "error")
		w.object("error")
		w.word("type", errorType(f, status))
		w.field("message", orEmpty(p.message))
		w.close("}")
		w.constant("request_id", "null")
	} else {
		w.key("error")
		w.openAIProblem(f, status, p)
	}
	w.close("}")
}

// openAIProblem writes the error object of chat and responses:
//
//	{"message": "…", "type": "invalid_request_error", "param": null, "code": null}
func (w *writer) openAIProblem(f Format, status int, p *problem) {
	w.open('{')
	w.field("message", orEmpty(p.message))
	w.word("type", errorType(f, status))
	w.orNull("param", p.param)
	w.orNull("code", p.code)
	w.close("}")
}

// readProblem finds the error in a body or in the data of an event. It has no
// message if the text has an unknown shape.
//
//	{"error": {"message": "…", "type": "…"}}          OpenAI and most others
//	{"type": "error", "error": {"type": "…", …}}      Anthropic
//	{"type": "response.failed", "response": {"error": {…}}}
//	[{"error": {"code": 400, "status": "…", …}}]      Google
//	{"error": "…"}   {"detail": "…"}   {"object": "error", "message": "…"}
//
// An error inside of an error goes before the members around it.
func readProblem(body []byte) (p problem) {
	c := cursor{b: body}
	if c.enter('[') { // Google wraps its errors in a list
		if !c.elem() {
			return p
		}
	}
	var top problem
	if !c.enter('{') {
		return p
	}
	for name := range c.members() {
		switch string(name) {
		case "error", "response":
			if c.peek() == '"' {
				top.message = c.str()
				continue
			}
			if c.object() {
				c.problem(&p, 0)
			}
		default:
			c.problemMember(&top, name)
		}
	}
	if c.bad {
		return problem{}
	}
	if p.message == nil {
		return top
	}
	return p
}

// problem reads the members of an error. An error may stand in an error once more.
func (c *cursor) problem(p *problem, depth int) {
	for name := range c.members() {
		if string(name) == "error" && depth < 2 && c.peek() == '{' {
			c.object()
			c.problem(p, depth+1)
			continue
		}
		c.problemMember(p, name)
	}
}

// problemMember reads one member of an error. Values of another type are skipped.
func (c *cursor) problemMember(p *problem, name []byte) {
	switch string(name) {
	case "message":
		p.message = c.str()
	case "detail":
		if v := c.str(); p.message == nil {
			p.message = v
		}
	case "type", "status":
		if v := c.str(); v != nil && !is(v, "error") {
			p.what = v
		}
	case "code":
		// Some servers give the status as a number.
		p.code = c.str()
	case "param":
		p.param = c.str()
	default:
		c.value()
	}
}

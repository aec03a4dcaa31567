package relay

import (
	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// errorShape collects the members by which an object shows to be an error. The
// shapes are those of all known servers:
//
//	{"error":{…}}                        OpenAI and most others, {"error":"text"} too
//	{"object":"error","message":…}       older vLLM
//	{"type":"error","message":…}         relays
//	{"code":500,"message":…}             gateways, relays
//	{"detail":…}                         FastAPI
//	{"message":…}                        Envoy, Kong, AWS
//	{"base_resp":{"status_code":1008}}   MiniMax, always under 200
//	{"success":false,"errors":[…]}       Cloudflare
//	{"status":500,"title":…}             RFC 9457
//	{"fault":{…}}, {"Error":{…}}         Apigee; AWS and Tencent
type errorShape struct {
	member  bool // an error member that says something
	marked  bool // object or type is "error", or a status says so
	message bool // a message or detail
}

// object reads the members of the object at c. Another value is skipped.
func (w *errorShape) object(c *jsonscan.Cursor) {
	for name, ok := c.First(); ok; name, ok = c.Key() {
		w.read(name, c)
	}
}

// read reads one member. The cursor stands at its value and is moved behind it.
func (w *errorShape) read(name []byte, c *jsonscan.Cursor) {
	switch string(name) {
	case "error":
		w.member = c.Skip() || w.member
	case "object", "type":
		w.marked = string(c.Text()) == "error" || w.marked
	case "errors": // OpenAI's batches have an object there
		list := c.Peek() == '['
		w.marked = c.Skip() && list || w.marked
	case "fault", "Error":
		w.marked = c.Skip() || w.marked
	case "success":
		w.marked = c.Peek() == 'f' || w.marked
		c.Skip()
	case "code", "status_code", "status", "error_code":
		w.marked = readStatus(c) >= 400 || w.marked
	case "detail", "message", "msg", "error_msg", "Message":
		w.message = c.Skip() || w.message
	case "base_resp":
		w.readBase(c)
	default:
		c.Skip()
	}
}

// readBase reads MiniMax's base_resp. Its status_code is 0 for an answer.
func (w *errorShape) readBase(c *jsonscan.Cursor) {
	for k, ok := c.First(); ok; k, ok = c.Key() {
		if string(k) == "status_code" {
			w.marked = readStatus(c) > 0 || w.marked
		} else {
			c.Skip()
		}
	}
}

// kind says what the object is. A status or a message beside content is not an
// error.
func (w *errorShape) kind(content bool) Kind {
	switch {
	case w.member, w.marked && !content:
		return Error
	case w.message && !content:
		return Suspect
	}
	return Other
}

// readStatus reads the number at c, also one in a string, and 0 for other values.
// Larger numbers than a million are no status, but times or ids.
func readStatus(c *jsonscan.Cursor) int {
	var text []byte
	if c.Peek() == '"' {
		text = c.Text()
	} else {
		text = c.Value()
	}
	n := 0
	for _, b := range text {
		if b < '0' || b > '9' || n > 1<<20 {
			return 0
		}
		n = 10*n + int(b-'0')
	}
	return n
}

// isPing reports whether a type of event only keeps a connection open.
func isPing(typ []byte) bool {
	switch string(typ) {
	case "ping", "keepalive", "keep-alive", "keep_alive", "heartbeat":
		return true
	}
	return false
}

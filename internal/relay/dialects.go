package relay

import "bytes"

// Kind says what one event means for the life of its stream.
type Kind uint8

// The order matters within a chunk of the chat format: what comes later here
// outranks what comes earlier.
const (
	// Other changes nothing: role-only chunks, response.created, message_start,
	// pings, usage, and everything that is unknown or malformed.
	Other Kind = iota
	// Content is the first thing that a reader of the answer would miss.
	Content
	// Finish says why the model stopped. A clean end of the body is good from here
	// on, but more may follow: other choices, usage, the End.
	Finish
	// End is the last event of a whole answer.
	End
	// Error is an error in place of an answer, or of the rest of one.
	Error
	// Failed is response.failed: an error while nothing has been committed, and a
	// proper end of the stream afterwards, as clients take it for one.
	Failed
)

// Dialect classifies one event of a stream. name is the value of the event:
// line, nil without one; data is the data lines joined by LF. With empty data
// the name alone decides. It keeps neither, does not allocate, and may be
// called from several goroutines.
type Dialect func(name, data []byte) Kind

// Chat is the dialect of chat/completions.
func Chat(name, data []byte) Kind { return chunk(name, data) }

// Completions is the dialect of the legacy completions. It is read like Chat:
// their fields do not collide, and compatible servers mix them.
func Completions(name, data []byte) Kind { return chunk(name, data) }

func chunk(name, data []byte) Kind {
	if done(data) {
		return End
	}
	if string(name) == "error" {
		return Error
	}
	c := cursor{b: data}
	if !c.enter('{') {
		return Other
	}
	kind := Other
	for {
		k, ok := c.key()
		if !ok {
			break
		}
		switch string(k) {
		case "error":
			if c.skip() {
				kind = Error
			}
		case "object":
			// Older vLLM sends the error's members at the top, marked by this.
			if string(c.text()) == "error" {
				kind = Error
			}
		case "choices":
			kind = max(kind, c.choices())
		default:
			c.skip()
		}
	}
	if c.bad {
		return Other
	}
	return kind
}

func (c *cursor) choices() Kind {
	kind := Other
	if !c.enter('[') {
		c.skip()
		return kind
	}
	for c.elem() {
		if !c.enter('{') {
			c.skip()
			continue
		}
		for {
			k, ok := c.key()
			if !ok {
				break
			}
			switch string(k) {
			case "finish_reason":
				// Some servers send "" where others send null.
				if c.skip() {
					kind = max(kind, Finish)
				}
			case "text":
				if c.skip() {
					kind = max(kind, Content)
				}
			case "delta", "message":
				if c.delta() {
					kind = max(kind, Content)
				}
			default:
				c.skip()
			}
		}
	}
	return kind
}

// delta reports whether the delta of a chat choice at the cursor has content.
func (c *cursor) delta() bool {
	if !c.enter('{') {
		c.skip()
		return false
	}
	filled := false
	for {
		k, ok := c.key()
		if !ok {
			return filled
		}
		says := c.skip()
		switch string(k) {
		case "content", "refusal", "tool_calls", "function_call", "audio", "images",
			"reasoning", "reasoning_content", "reasoning_details", "reasoning_text", "thinking":
			filled = filled || says
		}
	}
}

// Responses is the dialect of the Responses API. A [DONE], which some servers
// add, is no end: what clients wait for is one of the three terminal events.
func Responses(name, data []byte) Kind {
	c := cursor{b: data}
	if len(data) > 0 && !c.enter('{') {
		return Other
	}
	var typ, item []byte
	var says, failed bool
	for len(data) > 0 {
		k, ok := c.key()
		if !ok {
			break
		}
		switch string(k) {
		case "type":
			typ = c.text()
			// The large events say what they are at once. The rest of them, which may
			// be megabytes, need not be walked.
			if kind := responseEnd(typ); kind != Other {
				return kind
			}
		case "delta":
			says = c.skip()
		case "item":
			item = c.member("type")
		case "error":
			failed = c.skip()
		default:
			c.skip()
		}
	}
	if c.bad {
		return Other
	}
	if typ == nil {
		if failed {
			return Error // a chat-style error, sent by servers that share the code for it
		}
		typ = name
	}
	if kind := responseEnd(typ); kind != Other {
		return kind
	}
	switch string(typ) {
	case "response.output_item.added":
		// A message or reasoning item is an empty frame. The others are calls of
		// tools, and the frame holds the name of the tool.
		switch string(item) {
		case "", "message", "reasoning":
			return Other
		}
		return Content
	case "response.image_generation_call.partial_image":
		return Content
	}
	if !bytes.HasPrefix(typ, []byte("response.")) {
		return Other
	}
	if says && bytes.HasSuffix(typ, []byte(".delta")) || bytes.HasSuffix(typ, []byte(".done")) {
		return Content
	}
	return Other
}

func responseEnd(typ []byte) Kind {
	switch string(typ) {
	case "response.completed", "response.incomplete":
		return End
	case "response.failed":
		return Failed
	case "error":
		return Error
	}
	return Other
}

// Messages is the dialect of Anthropic's Messages API. The stop_reason of a
// message_delta is Content, not Finish: it commits, but only message_stop makes
// the stream whole, as clients deliver no message without it.
func Messages(name, data []byte) Kind {
	c := cursor{b: data}
	if len(data) > 0 && !c.enter('{') {
		return Other
	}
	var typ []byte
	var says, failed bool
	for len(data) > 0 {
		k, ok := c.key()
		if !ok {
			break
		}
		switch string(k) {
		case "type":
			typ = c.text()
		case "delta", "content_block":
			says = c.saysMore()
		case "error":
			failed = c.skip()
		default:
			c.skip()
		}
	}
	if c.bad {
		return Other
	}
	if typ == nil {
		if failed {
			return Error
		}
		typ = name
	}
	switch string(typ) {
	case "content_block_delta", "content_block_start", "message_delta":
		// The frame of a text or thinking block says nothing, that of a tool use has
		// its name and that of redacted thinking all of it.
		if says {
			return Content
		}
	case "message_stop":
		return End
	case "error":
		return Error
	}
	return Other
}

// saysMore reports whether the object at the cursor has a member with a value
// beside its type.
func (c *cursor) saysMore() bool {
	if !c.enter('{') {
		c.skip()
		return false
	}
	more := false
	for {
		k, ok := c.key()
		if !ok {
			return more
		}
		if c.skip() && string(k) != "type" {
			more = true
		}
	}
}

// member returns the string at key of the object at the cursor and moves behind
// the object.
func (c *cursor) member(key string) []byte {
	if !c.enter('{') {
		c.skip()
		return nil
	}
	var v []byte
	for {
		k, ok := c.key()
		if !ok {
			return v
		}
		if string(k) == key {
			v = c.text()
		} else {
			c.skip()
		}
	}
}

// Events is the dialect of the surfaces whose streams have no form of their
// own here: transcriptions, speech, images. It goes by the type's last word.
// A .done or .completed is Finish, not End: several images each have theirs. Where
// there is no type, it is read like Chat: so vLLM streams transcriptions.
func Events(name, data []byte) Kind {
	if done(data) {
		return End
	}
	c := cursor{b: data}
	if len(data) > 0 && !c.enter('{') {
		return Other
	}
	var typ []byte
	failed := false
	for len(data) > 0 {
		k, ok := c.key()
		if !ok {
			break
		}
		switch string(k) {
		case "type":
			typ = c.text()
		case "error":
			failed = c.skip()
		default:
			c.skip()
		}
	}
	if c.bad {
		return Other
	}
	if typ == nil {
		if typ = name; typ == nil {
			return chunk(name, data)
		}
	}
	last := typ[bytes.LastIndexByte(typ, '.')+1:]
	switch {
	case failed, string(typ) == "error":
		return Error
	case string(last) == "delta", string(last) == "segment", bytes.HasPrefix(last, []byte("partial")):
		return Content
	case string(last) == "done", string(last) == "completed":
		return Finish
	}
	return Other
}

// done reports whether data is the marker that ends a stream of the chat format.
func done(data []byte) bool {
	// The length first: most data is long, and starts with a brace.
	return len(data) < 16 && string(bytes.TrimSpace(data)) == "[DONE]"
}

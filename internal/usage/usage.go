// Package usage reads a provider's words about consumption: the tokens of a
// request, the quota of a key, and how long to wait. Without such words it
// estimates tokens from text.
//
// All of it is advice. A part that cannot be understood is left out; it is never
// an error.
package usage

import (
	"bytes"
	"strconv"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// Tokens are the counts of one answer.
type Tokens struct {
	// Input is the whole prompt, and Output the whole answer. Parts of Input came
	// from a cache (CacheRead) or went into one (CacheWrite). A part of Output was
	// Reasoning. Anthropic reports the cached parts beside its input. Here they are
	// counted in, as in the other formats.
	Input, Output                    int64
	CacheRead, CacheWrite, Reasoning int64

	// CacheWriteHour is the part of CacheWrite that stays for an hour.
	CacheWriteHour int64

	// Known is false when the answer did not say. All counts are zero then.
	Known bool
}

// Meter collects the tokens of one answer from its events or its body. The zero
// Meter is ready to use. It is not for concurrent use and keeps none of the data.
type Meter struct {
	c counts
	b bill
}

// counts holds the numbers of all formats. For each, the last value above zero
// holds: streams report totals so far, but some servers send zeros meanwhile.
type counts struct {
	input, output, total    int64
	cached                  int64 // within input
	cacheRead, cacheWrite   int64 // by Anthropic's names: beside input, but for chat
	cachedWrite             int64 // within input
	cacheWriteHour          int64 // of cacheWrite or cachedWrite
	reasoning               int64
	hasInput, hasOut, hasTo bool
	chat                    bool // input has chat's name
	compaction              compaction
}

// compaction is the use of summing a conversation up on the way, in Anthropic's names.
// The counts above leave it out.
type compaction struct {
	input, output, cacheRead, cacheWrite int64
}

// beside returns the part of the cached tokens that input leaves out.
//
// Messages leave all of them out. Chat counts them in, also where a server writes
// Anthropic's names as well. Some servers do not: the total tells, or more cached
// tokens than the prompt has.
func (c *counts) beside() int64 {
	named := c.cacheRead + c.cacheWrite
	if !c.chat {
		return named
	}
	if left := c.total - c.input - c.output; left > 0 && (left == named || left == c.cacheWrite) {
		return left
	}
	if named > c.input {
		return named
	}
	return 0
}

// Event reads the data of one event of a stream, in any of the formats. Nearly all
// events are without usage, and those are cheap.
func (m *Meter) Event(data []byte) { m.read(data) }

// Body reads a whole answer in JSON.
func (m *Meter) Body(data []byte) { m.read(data) }

// Member reads one top-level member of a whole answer in JSON. Body does the same
// with each member.
func (m *Meter) Member(name, value []byte) {
	if !isMetered(name) && !(string(name) == "choices" && mentions(value)) {
		return // the answer itself is most of all bytes: it is not walked again
	}
	c := jsonscan.Lenient(value)
	m.member(name, &c)
}

// Tokens returns the counts so far.
//
// It may be called at any time. Each number is the last one above zero so far.
func (m *Meter) Tokens() Tokens {
	c := &m.c
	t := Tokens{
		Input:      c.input + c.beside(),
		Output:     c.output,
		CacheRead:  max(c.cached, c.cacheRead),
		CacheWrite: max(c.cachedWrite, c.cacheWrite),
		Reasoning:  c.reasoning,
		Known:      c.hasInput || c.hasOut || c.hasTo,
	}
	if !c.hasInput && c.hasTo {
		// Rerankers and some embedders report only the total.
		t.Input = max(c.total-c.output, 0)
	}
	if c.hasInput && c.hasOut && c.total > t.Input+c.output {
		// Google and xAI leave thoughts out of the output, and bill them.
		t.Output = c.total - t.Input
	}
	if t.Known {
		t.Input += c.compaction.input + c.compaction.cacheRead + c.compaction.cacheWrite
		t.Output += c.compaction.output
		t.CacheRead += c.compaction.cacheRead
		t.CacheWrite += c.compaction.cacheWrite
	}
	t.CacheWriteHour = min(c.cacheWriteHour, t.CacheWrite)
	return t
}

// Lacks reports which counts of a model's answer are missing. No prompt is empty: some
// servers fill their usage with zeros.
func (m *Meter) Lacks() (input, output bool) {
	t, c := m.Tokens(), &m.c
	return t.Input == 0, t.Output == 0 && (t.Input == 0 || !c.hasOut && !(c.hasInput && c.hasTo))
}

// read looks for usage in a JSON document. Malformed JSON ends the search, and is
// not an error.
func (m *Meter) read(data []byte) {
	if !mentions(data) {
		return
	}
	c := jsonscan.Lenient(data)
	for name, ok := c.First(); ok; name, ok = c.Key() {
		m.member(name, &c)
	}
}

// choices reads the usage in the choices of an event: Moonshot puts it there.
func (m *Meter) choices(c *jsonscan.Cursor) {
	if !c.Enter('[') {
		c.Skip()
		return
	}
	for c.Elem() {
		for name, ok := c.First(); ok; name, ok = c.Key() {
			if string(name) == "usage" {
				m.usage(c)
			} else {
				c.Skip()
			}
		}
	}
}

// member reads the member of that name. Its value is at c.
func (m *Meter) member(name []byte, c *jsonscan.Cursor) {
	switch string(name) {
	case "response", "message", "x_groq":
		// Responses API, message_start, and Groq's extension of chat chunks.
		for name, ok := c.First(); ok; name, ok = c.Key() {
			m.told(name, c)
		}
	case "choices":
		m.choices(c)
	case "meta":
		m.meta(c)
	default:
		m.told(name, c)
	}
}

// meta reads the counts of rerankers in Cohere's form. What is billed comes first, and
// what the model read may be more.
//
//	{"billed_units": {"input_tokens": 30}, "tokens": {"input_tokens": 33}}
func (m *Meter) meta(c *jsonscan.Cursor) {
	for name, ok := c.First(); ok; name, ok = c.Key() {
		if string(name) == "billed_units" || string(name) == "tokens" && m.c.input == 0 {
			m.usage(c)
		} else {
			c.Skip()
		}
	}
}

// isMetered reports whether told or member reads the member of that name.
func isMetered(name []byte) bool {
	switch string(name) {
	case "response", "message", "x_groq", "usage", "service_tier", "output", "meta":
		return true
	}
	return false
}

// told reads a member of an answer.
func (m *Meter) told(name []byte, c *jsonscan.Cursor) {
	switch string(name) {
	case "usage":
		m.usage(c)
	case "service_tier":
		m.b.readTier(c)
	case "output":
		m.b.readOutput(c)
	default:
		c.Skip()
	}
}

// mentions reports whether data has a usage object at any depth. Chat streams
// with include_usage write "usage":null into each chunk, so the name by itself is
// not worth the walk.
func mentions(data []byte) bool {
	// JSON is full of quotes: the word without its first one is found faster.
	name := []byte(`usage"`)
	for {
		i := bytes.Index(data, name)
		if i < 0 {
			return false
		}
		quoted := i > 0 && data[i-1] == '"'
		data = data[i+len(name):]
		if !quoted {
			continue
		}
		rest := bytes.TrimLeft(data, " \t\r\n")
		if len(rest) == 0 || rest[0] != ':' {
			continue
		}
		rest = bytes.TrimLeft(rest[1:], " \t\r\n")
		if len(rest) > 0 && rest[0] == '{' {
			return true
		}
	}
}

// usage reads a usage object of any format, member by member:
//
//	{"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 4}}
//	{"input_tokens": 9, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 1}}
//	{"input_tokens": 5, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 3}
func (m *Meter) usage(c *jsonscan.Cursor) {
	n := &m.c
	for name, ok := c.First(); ok; name, ok = c.Key() {
		switch string(name) {
		case "prompt_tokens":
			readCount(c, &n.input, &n.hasInput)
			n.chat = true
		case "input_tokens":
			readCount(c, &n.input, &n.hasInput)
		case "completion_tokens", "output_tokens":
			readCount(c, &n.output, &n.hasOut)
		case "total_tokens":
			readCount(c, &n.total, &n.hasTo)
		case "cache_read_input_tokens":
			readCount(c, &n.cacheRead, nil)
		case "cache_creation_input_tokens":
			readCount(c, &n.cacheWrite, nil)
		case "prompt_cache_hit_tokens", "cached_tokens": // of DeepSeek; of Moonshot and Together
			readCount(c, &n.cached, nil)
		case "prompt_tokens_details", "input_tokens_details", "input_token_details":
			m.details(c, true)
		case "completion_tokens_details", "output_tokens_details", "output_token_details":
			m.details(c, false)
		case "cache_creation":
			m.written(c)
		case "iterations": // of Anthropic
			m.iterations(c)
		default:
			m.b.read(name, c)
		}
	}
}

// details reads the counts out of the object at c, of the input or the output.
//
// Tokens of sound and images are parts of the counts. They are kept for the bill
// only, as they may have another price.
func (m *Meter) details(c *jsonscan.Cursor, input bool) {
	for name, ok := c.First(); ok; name, ok = c.Key() {
		switch string(name) {
		case "cached_tokens", "cached_read_tokens": // the second of Bifrost
			readCount(c, &m.c.cached, nil)
		case "cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens", "cached_write_tokens":
			// Of OpenAI, LiteLLM, DashScope; of Bifrost and Envoy.
			readCount(c, &m.c.cachedWrite, nil)
		case "cache_creation": // of DashScope
			m.written(c)
		case "reasoning_tokens", "thinking_tokens": // the second of Anthropic
			readCount(c, &m.c.reasoning, nil)
		case "audio_tokens", "image_tokens":
			if input {
				readCount(c, &m.b.mediaIn, nil)
			} else {
				readCount(c, &m.b.mediaOut, nil)
			}
		default:
			c.Skip()
		}
	}
}

// iterations reads the turns of a model within one answer. The counts beside the list
// have those that answer. Those that sum a conversation up are left out of them, and are
// paid all the same. The list replaces an earlier one.
//
//	[{"type": "compaction", "input_tokens": 180000, "output_tokens": 3500, …}, {"type": "message", …}]
func (m *Meter) iterations(c *jsonscan.Cursor) {
	if !c.Enter('[') {
		c.Skip()
		return
	}
	m.c.compaction = compaction{}
	for c.Elem() {
		var turn compaction
		compacts := false
		for name, ok := c.First(); ok; name, ok = c.Key() {
			switch string(name) {
			case "type":
				compacts = string(c.Text()) == "compaction"
			case "input_tokens":
				readCount(c, &turn.input, nil)
			case "output_tokens":
				readCount(c, &turn.output, nil)
			case "cache_read_input_tokens":
				readCount(c, &turn.cacheRead, nil)
			case "cache_creation_input_tokens":
				readCount(c, &turn.cacheWrite, nil)
			default:
				c.Skip()
			}
		}
		if compacts {
			m.c.compaction.add(turn)
		}
	}
}

// add adds the use of another turn. The sums stay below 2⁵⁴, whatever a server counts.
func (t *compaction) add(u compaction) {
	const most = 1 << 53
	t.input, t.output = min(t.input+u.input, most), min(t.output+u.output, most)
	t.cacheRead, t.cacheWrite = min(t.cacheRead+u.cacheRead, most), min(t.cacheWrite+u.cacheWrite, most)
}

// written reads how long the tokens stay that went into a cache.
func (m *Meter) written(c *jsonscan.Cursor) {
	for name, ok := c.First(); ok; name, ok = c.Key() {
		if string(name) == "ephemeral_1h_input_tokens" {
			readCount(c, &m.c.cacheWriteHour, nil)
		} else {
			c.Skip()
		}
	}
}

// readCount reads the number at c. A value of another kind leaves n as it is.
//
// Negative numbers and numbers from 2⁵³ on are not counts. seen, unless nil, is
// set for a zero as well.
func readCount(c *jsonscan.Cursor, n *int64, seen *bool) {
	text := c.Value()
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		// Servers in languages with one type of number write 12.0.
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil || !(f >= 0 && f < 1<<53) {
			return
		}
		v = int64(f)
	}
	// The bound keeps sums of several from overflowing.
	if v < 0 || v >= 1<<53 {
		return
	}
	if seen != nil {
		*seen = true
	}
	if v > 0 {
		*n = v
	}
}

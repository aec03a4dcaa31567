// Package usage reads out of a provider's answer what it says about consumption:
// the tokens of a request, the quota of a key, and how long to wait.
//
// All of it is advice. Whatever cannot be understood is left out, and never an error.
package usage

import (
	"bytes"
	"strconv"
)

// Tokens is what one answer was metered at.
type Tokens struct {
	// Input is everything that the model was given, and Output everything that it
	// produced. Parts of Input came from a cache (CacheRead) or went into one
	// (CacheWrite), and a part of Output was Reasoning. Anthropic reports the cached
	// parts beside its input; here they are counted in, as everyone else does.
	Input, Output                    int64
	CacheRead, CacheWrite, Reasoning int64

	// Known is false when the answer did not say, and all counts are zero then.
	Known bool
}

// Meter collects the tokens of one answer from its events or its body. The zero
// Meter is ready to use. It is not for concurrent use and keeps none of the data.
type Meter struct {
	c counts
}

// counts holds the numbers under the names that the formats share. For each,
// the last one that is not zero holds: streams report totals so far, but some
// servers put a zero where they have nothing to say.
type counts struct {
	input, output, total    int64
	cached                  int64 // within input
	cacheRead, cacheWrite   int64 // beside input
	reasoning               int64
	hasInput, hasOut, hasTo bool
}

// Event reads the data of one event of a stream, in any of the formats. It is
// cheap for events without usage, which are nearly all.
func (m *Meter) Event(data []byte) { m.read(data) }

// Body reads a whole answer in JSON.
func (m *Meter) Body(data []byte) { m.read(data) }

// Member reads one member of a whole answer in JSON, for a caller who has found
// them: what Body does with each.
func (m *Meter) Member(name, value []byte) {
	w := walker{b: value}
	m.member(name, &w)
}

// Tokens returns what is known so far.
func (m *Meter) Tokens() Tokens {
	c := &m.c
	t := Tokens{
		Input:      c.input + c.cacheRead + c.cacheWrite,
		Output:     c.output,
		CacheRead:  max(c.cached, c.cacheRead),
		CacheWrite: c.cacheWrite,
		Reasoning:  c.reasoning,
		Known:      c.hasInput || c.hasOut || c.hasTo,
	}
	if !c.hasInput && c.hasTo {
		// Rerankers and some embedders report the total alone.
		t.Input = max(c.total-c.output, 0)
	}
	return t
}

func (m *Meter) read(data []byte) {
	if !mentions(data) {
		return
	}
	w := walker{b: data}
	w.object(func(key []byte) { m.member(key, &w) })
}

// member reads the member of that name, whose value is at w.
func (m *Meter) member(name []byte, w *walker) {
	switch string(name) {
	case "usage":
		m.usage(w)
	case "response", "message", "x_groq":
		// Responses API, message_start, and Groq's extension of chat chunks.
		w.object(func(key []byte) {
			if string(key) == "usage" {
				m.usage(w)
			}
		})
	}
}

// mentions reports whether data has a usage object at any depth. Chat streams
// that were asked for usage say "usage":null in each chunk, so the name alone is
// not worth the walk.
func mentions(data []byte) bool {
	name := []byte(`"usage"`)
	for {
		i := bytes.Index(data, name)
		if i < 0 {
			return false
		}
		data = data[i+len(name):]
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

func (m *Meter) usage(w *walker) {
	c := &m.c
	w.object(func(key []byte) {
		switch string(key) {
		case "prompt_tokens", "input_tokens":
			w.count(&c.input, &c.hasInput)
		case "completion_tokens", "output_tokens":
			w.count(&c.output, &c.hasOut)
		case "total_tokens":
			w.count(&c.total, &c.hasTo)
		case "cache_read_input_tokens":
			w.count(&c.cacheRead, nil)
		case "cache_creation_input_tokens":
			w.count(&c.cacheWrite, nil)
		case "prompt_cache_hit_tokens":
			w.count(&c.cached, nil) // DeepSeek
		case "prompt_tokens_details", "input_tokens_details":
			w.object(func(key []byte) {
				if string(key) == "cached_tokens" {
					w.count(&c.cached, nil)
				}
			})
		case "completion_tokens_details", "output_tokens_details":
			w.object(func(key []byte) {
				if string(key) == "reasoning_tokens" {
					w.count(&c.reasoning, nil)
				}
			})
		}
	})
}

// walker visits the members of JSON objects in place. An answer may be a
// megabyte of vectors with a line of usage behind it, and encoding/json would
// go through it several times and allocate on the way. Text that it cannot
// follow ends the walk; it is no validator.
type walker struct {
	b []byte
	i int
}

func (w *walker) peek() byte {
	for w.i < len(w.b) {
		switch b := w.b[w.i]; b {
		case ' ', '\t', '\n', '\r':
			w.i++
		default:
			return b
		}
	}
	return 0
}

// object calls visit for each member of the object at w, with w at its value.
// visit may move behind the value or leave it. A value of another type is skipped.
func (w *walker) object(visit func(key []byte)) {
	if w.peek() != '{' {
		w.skip()
		return
	}
	w.i++
	for {
		b := w.peek()
		if b == ',' {
			w.i++
			b = w.peek()
		}
		if b != '"' {
			if b == '}' {
				w.i++
			} else {
				w.i = len(w.b)
			}
			return
		}
		start := w.i + 1
		w.text()
		key := w.b[start:max(w.i-1, start)]
		if w.peek() != ':' {
			w.i = len(w.b)
			return
		}
		w.i++
		w.peek()
		at := w.i
		visit(key)
		if w.i == at {
			w.skip()
		}
	}
}

// array calls visit for each element of the array at w, with w at it. visit may
// move behind the element or leave it.
func (w *walker) array(visit func()) {
	w.i++
	for {
		b := w.peek()
		if b == ',' {
			w.i++
			b = w.peek()
		}
		if b == ']' {
			w.i++
			return
		}
		at := w.i
		visit()
		if w.i == at {
			w.skip()
		}
		if w.i == at { // no value, or the end
			w.i = len(w.b)
			return
		}
	}
}

// count reads the number at w. What is no count leaves n as it is.
func (w *walker) count(n *int64, seen *bool) {
	w.peek()
	start := w.i
	w.skip()
	v, err := strconv.ParseInt(string(w.b[start:w.i]), 10, 64)
	if err != nil {
		// Servers in languages with one type of number write 12.0.
		f, err := strconv.ParseFloat(string(w.b[start:w.i]), 64)
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

// text moves behind the string at w.
func (w *walker) text() {
	w.i++
	start := w.i
	for {
		n := bytes.IndexByte(w.b[w.i:], '"')
		if n < 0 {
			w.i = len(w.b)
			return
		}
		end := w.i + n
		w.i = end + 1
		// A quote is escaped when an odd number of backslashes stands before it.
		esc := end
		for esc > start && w.b[esc-1] == '\\' {
			esc--
		}
		if (end-esc)%2 == 0 {
			return
		}
	}
}

// skip moves behind the value at w, without recursion.
func (w *walker) skip() {
	switch w.peek() {
	case '"':
		w.text()
		return
	case '{', '[':
	default:
		for w.i < len(w.b) {
			switch w.b[w.i] {
			case ',', '}', ']', ' ', '\t', '\n', '\r':
				return
			}
			w.i++
		}
		return
	}
	for depth := 0; w.i < len(w.b); {
		switch w.b[w.i] {
		case '"':
			w.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		w.i++
		if depth == 0 {
			return
		}
	}
}

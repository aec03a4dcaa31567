package relay

import (
	"bytes"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

const (
	// maxShape bounds the data of an event that is remembered, in bytes.
	maxShape = 2 << 10
	// maxHoles bounds its values that may differ.
	maxHoles = 4
	// maxCredit bounds the events that are remembered in a row for nothing: some
	// servers give each event an id of its own.
	maxCredit = 4
)

// shape remembers one event of a stream, and recognizes those that differ from it
// in their text alone. Nearly all events of a stream do. To compare them takes a
// tenth of the time of reading them, and tells the same: of such a text a [Dialect]
// sees only whether it is empty, and an empty one does not match.
type shape struct {
	name []byte
	data []byte
	// lead stands before the data in the stream. It is empty if the event does not have
	// the usual lines, see [shape.leads]. Those of the known formats have room here.
	lead     []byte
	leadRoom [48]byte

	holes [maxHoles]hole
	n     int // holes
	ev    Event
	room  [2]Choice
	// from and to are the place of "usage":null, for the editor. behind counts the
	// holes before it.
	from, to, behind int

	spent   int  // events remembered, less those recognized
	set     bool // there is an event
	matched bool // the latest event was recognized
	repeats bool // the event may tell a text twice
	shift   int  // of its "usage":null
}

// hole is the inside of a string that may differ, or a number that counts events.
type hole struct {
	from, to int
	number   bool
	written  bool                   // a model wrote it
	now      struct{ from, to int } // its place in the latest event
}

// end is where a value ends that begins at i, or -1. A text is valid, and so has no
// line end.
func (h *hole) end(data []byte, i int) int {
	if !h.number {
		end, fault := jsonscan.SkipString(data, i)
		if fault != jsonscan.OK {
			return -1
		}
		return end - 1
	}
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	return i
}

// counts reports whether the value under a name numbers the events.
func counts(name []byte) bool { return string(name) == "sequence_number" }

// isText reports whether the string under a name may differ.
func isText(name []byte) bool {
	switch string(name) {
	case "content", "text", "delta", "reasoning", "reasoning_content", "thinking", "arguments", "partial_json", "obfuscation":
		return true
	}
	return false
}

// match reports whether the event is like the remembered one, and then sets e as
// the dialect would.
//
// It compares the text between the holes byte by byte, and steps over the holes.
// A hole must not be empty: an empty text is not content.
func (s *shape) match(name, data []byte, e *Event) bool {
	s.matched = false
	if !s.set || string(name) != string(s.name) || s.front(data) != len(data) {
		return false
	}
	s.take(e)
	return true
}

// eventEnd are the usual line ends behind the data of an event.
const eventEnd = "\n\n"

// leads remembers what stands before the data of an event that is like the remembered
// one, if its lines are usual: raw is the whole event, and size that of its data.
func (s *shape) leads(raw []byte, size int) {
	lead := s.leadRoom[:0]
	if len(s.name) > 0 {
		lead = append(append(append(lead, "event: "...), s.name...), '\n')
	}
	lead = append(lead, "data: "...)
	if len(raw) != len(lead)+size+len(eventEnd) || !bytes.HasPrefix(raw, lead) || !bytes.HasSuffix(raw, []byte(eventEnd)) {
		lead = lead[:0]
	}
	s.lead = lead
}

// matchLines reports whether a whole event stands at the front of p that is like the
// remembered one, lines and all, and returns its end and its data. To find the lines of
// an event takes longer than to compare all of it.
func (s *shape) matchLines(p []byte) (end int, data []byte, ok bool) {
	from := len(s.lead)
	if from == 0 || len(p) < from || string(p[:from]) != string(s.lead) {
		return 0, nil, false
	}
	size := s.front(p[from:])
	end = from + size + len(eventEnd)
	if size < 0 || len(p) < end || string(p[end-len(eventEnd):end]) != eventEnd {
		return 0, nil, false
	}
	return end, p[from : from+size], true
}

// front returns the size of the data at the front of p that is like the remembered one,
// or -1. It notes the places of the values that may differ.
func (s *shape) front(p []byte) int {
	at, i := 0, 0 // in the remembered event, and in this one
	s.shift = 0
	for n := range s.holes[:s.n] {
		h := &s.holes[n]
		front := s.data[at:h.from]
		if len(p)-i < len(front) || string(p[i:i+len(front)]) != string(front) {
			return -1
		}
		i += len(front)
		end := h.end(p, i)
		if end <= i { // open, or empty
			return -1
		}
		h.now.from, h.now.to = i, end
		at, i = h.to, end
		if n < s.behind {
			s.shift = i - at
		}
	}
	rest := s.data[at:]
	if len(p)-i < len(rest) || string(p[i:i+len(rest)]) != string(rest) {
		return -1
	}
	return i + len(rest)
}

// take sets e as the dialect would for an event that matches.
func (s *shape) take(e *Event) {
	e.Choices = append(e.Choices[:0], s.ev.Choices...)
	choices := e.Choices
	*e = s.ev
	e.Choices = choices
	s.matched = true
	s.spent = max(s.spent-1, 0)
}

// Texts calls do with the texts of a model in the latest event, as they stand between
// their quotes. It returns false if they are not known without reading the event:
// [Options.Tap] was called with plain false, or the event may tell a text twice. Call it
// within Tap, with its data. Do must not keep the text.
func (s *Stream) Texts(data []byte, do func(text []byte)) bool {
	if !s.shape.matched || s.shape.repeats {
		return false
	}
	for n := range s.shape.holes[:s.shape.n] {
		if h := &s.shape.holes[n]; h.written {
			do(data[h.now.from:h.now.to])
		}
	}
	return true
}

// repeated are the names under which servers tell a text again.
var repeated = [][]byte{[]byte(`"reasoning_details"`), []byte(`"annotations"`), []byte(`"results"`), []byte(`"snapshot"`)}

// tellsTwice reports whether an event may tell a text twice: under another name, or
// reasoning under both of its names.
func tellsTwice(data []byte) bool {
	for _, name := range repeated {
		if bytes.Contains(data, name) {
			return true
		}
	}
	return bytes.Contains(data, []byte(`"reasoning"`)) && bytes.Contains(data, []byte(`"reasoning_content"`))
}

// textEnd returns the offset of the quote that ends the string at i, or -1.
func textEnd(data []byte, i int) int {
	for start := i; ; {
		n := bytes.IndexByte(data[i:], '"')
		if n < 0 {
			return -1
		}
		end := i + n
		esc := end
		for esc > start && data[esc-1] == '\\' {
			esc--
		}
		if (end-esc)%2 == 0 {
			return end
		}
		i = end + 1
	}
}

// learn remembers an event that the dialect has read into e, if it is plain
// content. It reports whether it did.
func (s *shape) learn(name, data []byte, e *Event) bool {
	if e.Kind != Content || e.Usage || e.Refusal || e.Hidden || len(e.Choices) > len(s.room) || len(data) > maxShape || s.spent >= maxCredit || !jsonscan.IsValue(data) {
		return false
	}
	s.spent++
	s.lead = s.lead[:0]
	s.set = s.scan(data) && s.place(data)
	if !s.set {
		return false
	}
	s.repeats = tellsTwice(data)
	s.name, s.data = append(s.name[:0], name...), append(s.data[:0], data...)
	s.ev = *e
	s.ev.Choices = append(s.room[:0], e.Choices...)
	return true
}

// scan finds the holes of valid JSON, and reports whether there is one.
//
// With more than maxHoles texts the further ones must be equal.
func (s *shape) scan(data []byte) bool {
	s.n = 0
	for i := 0; s.n < maxHoles; {
		q := bytes.IndexByte(data[i:], '"')
		if q < 0 {
			break
		}
		from := i + q + 1
		to := textEnd(data, from)
		if to < 0 {
			return false
		}
		i = to + 1
		value := jsonscan.SkipSpace(data, i)
		if value == len(data) || data[value] != ':' {
			continue
		}
		h := hole{from: jsonscan.SkipSpace(data, value+1), number: counts(data[from:to])}
		if !h.number {
			if !isText(data[from:to]) || data[h.from] != '"' {
				continue
			}
			h.from++
			h.written = string(data[from:to]) != "obfuscation"
		}
		if h.to = h.end(data, h.from); h.to < 0 {
			return false
		}
		if h.to > h.from {
			s.holes[s.n] = h
			s.n++
		}
		if i = h.to; !h.number {
			i++
		}
	}
	return s.n > 0
}

// place finds the "usage":null of the event. It reports false if the event says
// more about usage.
func (s *shape) place(data []byte) bool {
	s.from, s.to, s.behind = 0, 0, 0
	switch bytes.Count(data, []byte(`usage"`)) {
	case 0:
		return true
	case 1:
	default:
		return false
	}
	from, to, ok := nullUsage(data)
	if !ok {
		return false
	}
	s.from, s.to = from, to
	for s.behind < s.n && s.holes[s.behind].to <= from {
		s.behind++
	}
	return true
}

// cut is the place of "usage":null in the latest event, as [nullUsage] finds it:
// nothing from 0 to 0 without one. It is not known of an event that was not
// recognized, nor if raw is more than the one line with size bytes of data.
func (s *shape) cut(raw []byte, size int) (from, to int, known bool) {
	const field, lineEnds = "data: ", 4
	if !s.matched || len(raw) > len(field)+size+lineEnds || !bytes.HasPrefix(raw, []byte(field[:5])) {
		return 0, 0, false
	}
	if s.to == 0 {
		return 0, 0, true
	}
	line := 5
	if raw[line] == ' ' {
		line++
	}
	return line + s.from + s.shift, line + s.to + s.shift, true
}

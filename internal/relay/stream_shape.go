package relay

import (
	"bytes"
	"slices"

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
	text []byte // the event in its usual lines, see [shape.usually]
	lead int    // where its data begins in text
	base int    // likewise in the latest event: lead, or 0 if its lines were split

	holes [maxHoles]hole
	n     int // holes
	ev    Event
	room  [2]Choice
	// from and to are the place of "usage":null in the data, for the editor. behind counts
	// the holes before it.
	from, to, behind int

	spent   int  // events remembered, less those recognized
	set     bool // there is an event
	usual   bool // it came in its usual lines
	matched bool // the latest event was recognized
	learned bool // the latest event is the remembered one
	repeats bool // the event may tell a text twice
	shift   int  // of its "usage":null
}

// hole is the inside of a string that may differ, or a number that counts events.
type hole struct {
	from, to int // in the text of the shape
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

// name is the name of the remembered event.
func (s *shape) name() []byte {
	if s.lead == len(dataField) {
		return nil
	}
	return s.text[len(eventField) : s.lead-len(dataField)-1]
}

// match reports whether the event is like the remembered one, and then sets e as
// the dialect would.
//
// It compares the text between the holes byte by byte, and steps over the holes.
// A hole must not be empty: an empty text is not content.
func (s *shape) match(name, data []byte, e *Event) bool {
	s.matched = false
	if !s.set || string(name) != string(s.name()) || s.front(data, s.lead, len(s.text)-len(eventEnd)) != len(data) {
		return false
	}
	s.base = 0
	s.take(e)
	return true
}

// The usual lines of an event are a name, if it has one, and its data.
const (
	eventField = "event: "
	dataField  = "data: "
	eventEnd   = "\n\n"
)

// usually notes whether an event that is like the remembered one came in its usual lines.
// raw is the whole event, and size that of its data.
func (s *shape) usually(raw []byte, size int) {
	s.usual = len(raw) == s.lead+size+len(eventEnd) && bytes.HasPrefix(raw, s.text[:s.lead]) && bytes.HasSuffix(raw, []byte(eventEnd))
}

// matchLines reports whether a whole event stands at the front of p that is like the
// remembered one, lines and all, and returns its end and its data. To find the lines of
// an event takes longer than to compare all of it.
func (s *shape) matchLines(p []byte) (end int, data []byte, ok bool) {
	if !s.usual {
		return 0, nil, false
	}
	end = s.front(p, 0, len(s.text))
	if end < 0 {
		return 0, nil, false
	}
	s.base = s.lead
	return end, p[s.lead : end-len(eventEnd)], true
}

// front returns the size of the text at the front of p that is like the remembered one
// between two of its offsets, or -1. It notes the places of the values that may differ.
func (s *shape) front(p []byte, from, to int) int {
	at, i := from, 0 // in the remembered event, and in this one
	s.shift = 0
	for n := range s.holes[:s.n] {
		h := &s.holes[n]
		front := s.text[at:h.from]
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
			s.shift = i - at + from
		}
	}
	rest := s.text[at:to]
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
	s.matched, s.learned = true, false
	s.spent = max(s.spent-1, 0)
}

// Texts calls do with the texts of a model in the latest event, as they stand between
// their quotes. It returns false if they are not known without reading the event: it is
// not plain content, or may tell a text twice. Call it within Tap, with its data. Do must
// not keep the text.
func (s *Stream) Texts(data []byte, do func(text []byte)) bool {
	if !s.shape.matched && !s.shape.learned || s.shape.repeats {
		return false
	}
	for n := range s.shape.holes[:s.shape.n] {
		if h := &s.shape.holes[n]; h.written {
			do(data[h.now.from-s.shape.base : h.now.to-s.shape.base])
		}
	}
	return true
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
	s.usual = false
	s.set = s.scan(data) && s.place(data)
	if !s.set {
		return false
	}
	s.keep(name, data)
	s.ev = *e
	s.ev.Choices = append(s.room[:0], e.Choices...)
	s.learned = s.n < maxHoles // else it may have more texts
	return true
}

// keep makes the text of an event from its name and its data.
func (s *shape) keep(name, data []byte) {
	text := slices.Grow(s.text[:0], len(eventField)+len(name)+1+len(dataField)+len(data)+len(eventEnd))
	if len(name) > 0 {
		text = append(append(append(text, eventField...), name...), '\n')
	}
	text = append(text, dataField...)
	s.lead = len(text)
	s.text = append(append(text, data...), eventEnd...)
	for n := range s.holes[:s.n] {
		h := &s.holes[n]
		h.now.from, h.now.to = h.from, h.to
		h.from, h.to = h.from+s.lead, h.to+s.lead
	}
	s.base = 0
}

// scan finds the holes of valid JSON, and reports whether there is one.
//
// With more than maxHoles texts the further ones must be equal. Some servers tell a text
// again under another name, or reasoning under both of its names.
func (s *shape) scan(data []byte) bool {
	s.n, s.repeats = 0, false
	reasoned := 0
	for i := 0; ; {
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
		name := data[from:to]
		switch string(name) {
		case "reasoning_details", "annotations", "results", "snapshot":
			s.repeats = true
		case "reasoning", "reasoning_content":
			reasoned++
			s.repeats = s.repeats || reasoned > 1
		}
		if s.n == maxHoles {
			continue
		}
		h := hole{from: jsonscan.SkipSpace(data, value+1), number: counts(name)}
		if !h.number {
			if !isText(name) || data[h.from] != '"' {
				continue
			}
			h.from++
			h.written = string(name) != "obfuscation"
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
	const lineEnds = 4
	if !s.matched || len(raw) > len(dataField)+size+lineEnds || !bytes.HasPrefix(raw, []byte(dataField[:5])) {
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

package relay

import (
	"bytes"
	"encoding/json"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

const (
	// maxEvent bounds the data of one event that is kept for classification, in
	// bytes. It leaves room for a response.completed that repeats a long answer. Of a
	// longer event the front is seen, and its usage, if that is near the end: the large
	// events are those with images, and each costs.
	maxEvent = 4 << 20
	// keptTail is how much of the end of a longer event is kept, in bytes, and once more as
	// much at times.
	keptTail = 16 << 10
	// keepCarry is how much of the memory for split events a stream keeps, in bytes.
	keepCarry = 8 << 10
	// maxName is longer than any event name in use. A longer one is cut, and then
	// matches nothing.
	maxName = 64
)

// splitter finds the events in a stream that arrives in pieces of any size,
// with LF, CRLF or CR at the ends of lines. An event that lies within one piece
// is not copied.
//
// It follows the HTML standard for server-sent events, with four liberties: a
// field "error", plain text in the place of a stream, an error in JSON on a line of its
// own, as Google sends it, and a last event without its blank line.
//
// data lies in one of three places, so that a usual event is never copied: in
// the piece, in line, or in own.
type splitter struct {
	line []byte // the front of a line that its piece left open
	own  []byte // memory for data that outlives its piece
	data []byte // the data so far: in the piece, in line, or in own

	lines   int    // data lines so far
	open    bool   // line waits for its end
	fields  bool   // the open event has a line, be it of data or not
	inOwn   bool   // data is in own
	inLine  bool   // data is in line
	cut     bool   // data was longer than maxEvent
	tail    []byte // the end of what was cut
	started bool   // the first line is over: no byte order mark from here on
	skipLF  bool   // the last byte was a CR, and an LF after it belongs to it
	ready   bool   // data and name are those of an event that was handed out
	begun   bool   // a field or comment came: the body is an event stream
	failed  bool   // the event is an error beside the format: an error: field, or plain text

	comments int // in the stream so far

	nameLen uint8
	nameBuf [maxName]byte
}

// next takes bytes from the front of p and returns their number. With ok an event
// is complete: name and data are valid until the next call, and p must not change
// before it. Without ok all of p was taken, and p is free.
func (s *splitter) next(p []byte) (n int, ok bool) {
	if s.ready {
		s.clear()
	}
	pos, lf := 0, -1
	for pos < len(p) {
		if s.skipLF {
			s.skipLF = false
			if p[pos] == '\n' {
				pos++
				continue
			}
		}
		// The place of the next LF is kept while lines before it end in CR: text
		// without any LF is searched once, not once for each line.
		if lf < pos {
			lf = len(p)
			if i := bytes.IndexByte(p[pos:], '\n'); i >= 0 {
				lf = pos + i
			}
		}
		end := lf
		if i := bytes.IndexByte(p[pos:lf], '\r'); i >= 0 {
			end = pos + i
			s.skipLF = true
		}
		if end == len(p) {
			break
		}
		whole := p[pos:end]
		carried := s.open
		if carried {
			s.carry(whole)
			whole = s.line
			s.open = false
		}
		pos = end + 1
		if s.take(whole, carried) {
			return pos, true
		}
	}
	s.keep()
	s.carry(p[pos:])
	return len(p), false
}

// finish takes the end of the body for the end of the open event. By the standard
// such an event does not count, but some servers leave out the last blank line.
func (s *splitter) finish() bool {
	if s.ready {
		s.clear()
	}
	if s.open {
		s.open = false
		s.take(s.line, true)
	}
	s.ready = true
	return s.lines > 0
}

// apart reports whether all bytes so far are of events that were handed out: the next
// byte begins another.
func (s *splitter) apart() bool {
	return !s.open && !s.skipLF && (s.ready || !s.fields)
}

// took takes an event of one data line that the caller has found at the next byte, apart
// from all before it.
func (s *splitter) took(name, data []byte) {
	s.clear()
	s.nameLen = uint8(copy(s.nameBuf[:], name))
	s.data, s.lines, s.fields, s.ready = data, 1, true, true
}

// boundary reports whether another event could start at this point: no line
// is open, and no field that would become part of it.
func (s *splitter) boundary() bool {
	return !s.open && !s.fields
}

// inEvent reports whether an event has begun and is not whole. An event that lacks
// only its blank line is whole. Comments are not events.
func (s *splitter) inEvent() bool {
	data := s.data
	if s.open {
		field, value, _ := bytes.Cut(s.line, []byte(":"))
		switch {
		case len(field) == 0:
			if !s.fields {
				return false
			}
		case string(field) == "data" && s.lines == 0:
			data = bytes.TrimPrefix(value, []byte(" "))
		default:
			return true
		}
	} else if !s.fields {
		return false
	}
	return s.cut || !isDone(data) && !json.Valid(data)
}

// atDone reports whether the open event is [DONE], and lacks only its blank line or
// its line end.
func (s *splitter) atDone() bool {
	data := s.data
	switch {
	case s.ready || s.cut:
		return false
	case s.open && s.lines > 0:
		return false
	case s.open:
		field, value, _ := bytes.Cut(s.line, []byte(":"))
		if string(field) != "data" {
			return false
		}
		data = value
	}
	return isDone(data)
}

// name is nil for an event without an event: line.
func (s *splitter) name() []byte {
	if s.nameLen == 0 {
		return nil
	}
	return s.nameBuf[:s.nameLen]
}

// take reads one line, and reports whether it completed an event.
//
// carried says that line is memory of the splitter's.
func (s *splitter) take(line []byte, carried bool) bool {
	if !s.started {
		s.started = true
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if len(line) == 0 {
		if s.lines == 0 {
			s.clear() // an event without data does not count
			return false
		}
		s.ready = true
		return true
	}
	field, value, _ := bytes.Cut(line, []byte(":"))
	if len(field) == 0 {
		s.begun = true
		s.comments++
		return false
	}
	s.fields = true
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(field) {
	case "event":
		s.nameLen = uint8(copy(s.nameBuf[:], value))
	case "id", "retry":
	case "data", "error":
		// llama.cpp writes its errors into a field of that name. SSE parsers skip
		// unknown fields, so that clients never see them.
		s.failed = s.failed || string(field) == "error"
		s.lines++
		if s.lines == 1 {
			s.data, s.inLine, s.begun = value, carried, true
			return false
		}
		s.keep()
		s.add([]byte("\n"))
		s.add(value)
	default:
		if len(bytes.TrimLeft(line, " \t")) == 0 {
			return false // blanks that keep a connection open
		}
		if !s.begun || s.lines == 0 && isBareError(line) { // plain text in place of a stream, or of an event
			s.lines, s.failed, s.begun, s.ready = 1, true, true, true
			s.data, s.inLine = line, carried
			return true
		}
	}
	s.begun = true
	return false
}

// isBareError reports whether a line is an error in JSON that no field holds.
func isBareError(line []byte) bool {
	if line[0] != '{' {
		return false
	}
	c := jsonscan.Lenient(line)
	var w errorShape
	w.object(&c)
	return !c.Bad() && w.kind(false) == Error
}

// keep moves the data to memory of the splitter's own.
func (s *splitter) keep() {
	if s.lines == 0 || s.inOwn {
		return
	}
	if s.inLine {
		// The line was copied when it was carried: change places, do not copy again.
		// The data of a line as long as maxEvent is kept without a second copy too.
		s.own, s.line = s.data, s.own[:0]
	} else {
		s.own = append(s.own[:0], s.data...)
	}
	s.data, s.inOwn, s.inLine = s.own, true, false
}

// add extends the data of an event, up to maxEvent. cut then marks it as
// incomplete.
func (s *splitter) add(b []byte) {
	if room := max(maxEvent-len(s.own), 0); len(b) > room {
		s.cutOff(b[room:])
		b = b[:room]
	}
	s.own = append(s.own, b...)
	s.data = s.own
}

// carry keeps the piece of a line whose end is still to come.
func (s *splitter) carry(b []byte) {
	if len(b) == 0 {
		return
	}
	if !s.open {
		s.open = true
		s.line = s.line[:0]
	}
	if len(s.line) > 0 && s.line[0] == ':' {
		return // of a comment, the first piece is enough
	}
	if room := max(maxEvent-len(s.line), 0); len(b) > room {
		s.cutOff(b[room:])
		b = b[:room]
	}
	s.line = append(s.line, b...)
}

// cutOff leaves a piece of an event out, but for the end of all such pieces.
func (s *splitter) cutOff(b []byte) {
	s.cut = true
	if s.tail == nil {
		s.tail = make([]byte, 0, 2*keptTail)
	}
	b = b[max(len(b)-keptTail, 0):]
	if over := len(s.tail) + len(b) - keptTail; over > 0 && len(s.tail)+len(b) > cap(s.tail) {
		s.tail = s.tail[:copy(s.tail, s.tail[over:])]
	}
	s.tail = append(s.tail, b...)
}

// lateUsage is the usage at the end of an event that was cut, as an event of its own; nil
// without one. A quote within a text has a backslash before it, so the name is no part of
// a text.
func (s *splitter) lateUsage() []byte {
	const name = `"usage":`
	for rest := s.tail; ; {
		at := bytes.LastIndex(rest, []byte(name))
		if at < 0 {
			return nil
		}
		c := jsonscan.Lenient(s.tail[at+len(name):])
		if (at == 0 || rest[at-1] != '\\') && c.Peek() == '{' {
			from := c.Offset()
			if c.Skip(); !c.Bad() {
				return bytes.Join([][]byte{[]byte("{" + name), c.Since(from), []byte("}")}, nil)
			}
		}
		rest = rest[:at]
	}
}

// clear forgets an event. Large buffers go to the collector: one large event must
// not bind memory for the rest of the stream.
func (s *splitter) clear() {
	if cap(s.own) > keepCarry {
		s.own = nil
	}
	if !s.open && cap(s.line) > keepCarry {
		s.line = nil
	}
	s.data, s.tail, s.lines, s.nameLen = nil, nil, 0, 0
	s.fields, s.inOwn, s.inLine, s.cut, s.ready, s.failed = false, false, false, false, false, false
}

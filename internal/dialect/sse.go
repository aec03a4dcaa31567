package dialect

import "bytes"

// maxEvent bounds the data of one event. It leaves room for a response.completed
// with a long answer in it.
const maxEvent = 16 << 20

// keepCarry is how much of the memory for split events is kept.
const keepCarry = 16 << 10

// splitter finds events in a stream. The stream arrives in pieces of any size, and
// its lines end in LF, CRLF or CR. An event within one piece is not copied.
//
// An event is a group of lines before an empty line. These fields count:
//
//	event: content_block_delta
//	data: {"type":"content_block_delta",…}
//
// Lines of data in one event are joined by LF. Comments (": ping"), id and retry
// are skipped. The form is that of server-sent events in the HTML standard.
type splitter struct {
	line   []byte // the front of a line that its piece left open
	data   []byte // the data lines so far, in memory of its own
	name   [64]byte
	nameN  int
	lines  int  // data lines so far
	begun  bool // the first line is over
	skipLF bool // the last byte was a CR
	over   bool // an event was larger than maxEvent
}

// feed calls event for each event with its end in p. Name and data are valid
// until event returns.
//
// here is the data of an event that began and ended in p, and aliases p. It
// moves to memory of the splitter's when a second line of data comes, or p ends.
func (s *splitter) feed(p []byte, event func(name, data []byte)) {
	var here []byte // data within p
	lf := -1        // offset of the next LF in p, kept while lines end in CR before it
	for len(p) > 0 && !s.over {
		if s.skipLF {
			s.skipLF = false
			if p[0] == '\n' {
				p, lf = p[1:], lf-1
				continue
			}
		}
		if lf < 0 {
			if lf = bytes.IndexByte(p, '\n'); lf < 0 {
				lf = len(p)
			}
		}
		end := lf
		if i := bytes.IndexByte(p[:lf], '\r'); i >= 0 {
			end = i
			s.skipLF = true
		}
		if end == len(p) {
			break
		}
		line := p[:end]
		if len(s.line) > 0 {
			s.carry(line)
			line = s.line
		}
		p, lf = p[end+1:], lf-end-1
		here = s.take(line, here, len(s.line) > 0, event)
		s.line = s.line[:0]
		if cap(s.line) > keepCarry {
			s.line = nil
		}
	}
	s.own(here)
	if !s.over {
		s.carry(p)
	}
}

// finish takes the end of the stream for the end of the open event, and reports
// whether there was one.
//
// The standard drops an event without its empty line. Providers end a stream so,
// and the last event can be the one with the usage.
func (s *splitter) finish(event func(name, data []byte)) {
	if len(s.line) > 0 {
		s.own(s.take(s.line, nil, true, event))
	}
	if s.lines > 0 && !s.over {
		event(s.name[:s.nameN], s.data)
		s.clear()
	}
}

// take reads one line. here is the data of the event if it is one line within
// the piece; it is returned anew.
//
// An empty line passes the event on, if it has data. The value of a field begins
// behind the colon and one space.
func (s *splitter) take(line, here []byte, carried bool, event func(name, data []byte)) []byte {
	if !s.begun {
		s.begun = true
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	if len(line) == 0 {
		if s.lines > 0 {
			data := here
			if data == nil {
				data = s.data
			}
			event(s.name[:s.nameN], data)
		}
		s.clear()
		return nil
	}
	field, value, _ := bytes.Cut(line, []byte(":"))
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(field) {
	case "event":
		s.nameN = copy(s.name[:], value)
	case "error": // llama.cpp
		s.nameN = copy(s.name[:], "error")
		fallthrough
	case "data":
		s.lines++
		if s.lines == 1 && !carried {
			return value[:len(value):len(value)]
		}
		s.own(here)
		if s.lines > 1 {
			s.add([]byte("\n"))
		}
		s.add(value)
		return nil
	}
	return here
}

// own moves data to memory of the splitter's.
func (s *splitter) own(here []byte) {
	if here != nil {
		s.data = append(s.data[:0], here...)
	}
}

// add adds a line of data to the event.
func (s *splitter) add(p []byte) {
	if len(s.data)+len(p) > maxEvent {
		s.over = true
		return
	}
	s.data = append(s.data, p...)
}

// carry keeps the front of a line for the next piece.
func (s *splitter) carry(p []byte) {
	if len(s.line) > 0 && s.line[0] == ':' {
		return // of a comment, the first piece is enough
	}
	if len(s.line)+len(p) > maxEvent {
		s.over = true
		return
	}
	s.line = append(s.line, p...)
}

// clear forgets the event, and most of its memory.
func (s *splitter) clear() {
	s.lines, s.nameN = 0, 0
	s.data = s.data[:0]
	if cap(s.data) > keepCarry {
		s.data = nil
	}
}

package relay

import (
	"bytes"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// editor cuts the traces of usage out of a stream, event by event. The buffer of
// the stream is then parted in three: bytes that are ready to be written, a gap
// left by cuts, and raw bytes of the event under way.
//
//	0 … out … ready   gap   raw … n
//
// It works only for streams that the gateway asked for usage: the client did
// not, and must get the stream that it would have got.
type editor struct {
	on       bool
	ready    int
	raw      int
	skipLF   bool // an event that was cut ended in CR: an LF belongs to it
	tooLarge bool // the event under way is too large to be held, and passes
}

// event takes over one event, up to the offset end. The extra event is cut, and of
// the others a null usage. An event after the End stays as it is.
func (d *editor) event(s *Stream, end int) {
	if !d.on {
		return
	}
	d.takeLF(s)
	raw := s.buf[d.raw:end]
	if d.tooLarge {
		d.tooLarge = false
		d.pass(s, end)
		return
	}
	e := &s.ev
	if e.Kind == Other && e.Usage && len(e.Choices) == 0 && !s.ended {
		keep := blockStart(raw)
		d.pass(s, d.raw+keep)
		d.raw = end
		d.skipLF = raw[len(raw)-1] == '\r'
		d.takeLF(s)
		return
	}
	from, to, known := s.shape.cut(raw, len(s.split.data))
	if !known {
		from, to, known = nullUsage(raw)
	}
	if known && to > from {
		d.pass(s, d.raw+from)
		d.raw += to - from
	}
	d.pass(s, end)
}

// usual takes over an event of plain content in its usual lines, between two offsets. It
// does the same as event.
func (d *editor) usual(s *Stream, from, end int) {
	sh := &s.shape
	if d.raw != from || d.skipLF || d.tooLarge || sh.lead != len(dataField) {
		d.event(s, end)
		return
	}
	if sh.to > 0 {
		at := from + sh.lead + sh.shift
		d.pass(s, at+sh.from)
		d.raw = at + sh.to
	}
	d.pass(s, end)
}

// takeLF cuts the LF of a CRLF whose CR was cut, as soon as it is there.
func (d *editor) takeLF(s *Stream) {
	if d.skipLF && d.raw < s.n {
		d.skipLF = false
		if s.buf[d.raw] == '\n' {
			d.raw++
		}
	}
}

// pass makes the raw bytes before end ready. Without a gap nothing is copied.
func (d *editor) pass(s *Stream, end int) {
	if d.ready == d.raw {
		d.ready, d.raw = end, end
		return
	}
	d.ready += copy(s.buf[d.ready:], s.buf[d.raw:end])
	d.raw = end
}

// rest is called when all events of a read were taken: comments and blank lines
// behind them are ready too.
func (d *editor) rest(s *Stream) {
	if !d.on {
		return
	}
	d.takeLF(s)
	if s.split.boundary() || s.n-d.raw > maxEvent {
		d.tooLarge = !s.split.boundary()
		d.pass(s, s.n)
	}
}

// finish is called at the end of the reading. After a clean end all bytes are
// ready. The front of an event that never ended is dropped: only whole events go
// out.
func (d *editor) finish(s *Stream) {
	if d.on && s.clean {
		d.pass(s, s.n)
	}
}

// compact drops the written bytes from the buffer.
func (d *editor) compact(s *Stream) {
	s.n = copy(s.buf, s.buf[d.raw:s.n])
	s.out, d.ready, d.raw = 0, 0, 0
}

// blockStart is the offset of the last block of lines in raw: earlier blocks are
// comments, or what is left of an earlier line end.
func blockStart(raw []byte) int {
	start := 0
	for i := 0; i < len(raw); {
		n := bytes.IndexAny(raw[i:], "\r\n")
		if n < 0 {
			break
		}
		next := i + n + 1
		if raw[i+n] == '\r' && next < len(raw) && raw[next] == '\n' {
			next++
		}
		if n == 0 && next < len(raw) {
			start = next
		}
		i = next
	}
	return start
}

// nullUsage finds the member "usage":null in an event of one data line, with its
// comma and white space. Providers append the member to each chunk once usage is
// asked for. Of malformed objects, and of objects over several data lines, nothing
// is cut.
func nullUsage(raw []byte) (from, to int, ok bool) {
	if !bytes.Contains(raw, []byte(`usage"`)) { // the first quote would only slow the search
		return 0, 0, false
	}
	line := bytes.Index(raw, []byte("{"))
	if line < 0 || bytes.Contains(raw[line:], []byte("\ndata:")) || bytes.Contains(raw[line:], []byte("\rdata:")) {
		return 0, 0, false
	}
	c := jsonscan.Lenient(raw[line:])
	if !c.Enter('{') {
		return 0, 0, false
	}
	for {
		before := c.Offset() // behind the brace or the last value
		name, more := c.Key()
		if !more {
			return from, to, ok && !c.Bad() // of a malformed object nothing is cut
		}
		c.Peek()
		value := c.Offset()
		c.Skip()
		if string(name) != "usage" || string(c.Since(value)) != "null" {
			continue
		}
		end := c.Offset()
		if raw[line+before-1] == '{' {
			// The first member: the comma behind it goes.
			if c.Peek() == ',' {
				end = jsonscan.SkipSpace(raw[line:], c.Offset()+1)
			}
			before = jsonscan.SkipSpace(raw[line:], before)
		}
		from, to, ok = line+before, line+end, true
	}
}

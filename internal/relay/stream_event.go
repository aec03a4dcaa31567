package relay

import "bytes"

// inspect finds the events of a read and notes them. chunk is the last bytes of buf,
// or decoded bytes.
//
// It runs once for each read, before any of the read is written.
func (s *Stream) inspect(chunk []byte) {
	s.read += int64(len(chunk))
	for !s.severed {
		apart := s.split.apart()
		if apart {
			chunk = chunk[s.alike(chunk):]
		}
		n, ok := s.split.next(chunk)
		raw := chunk[:n]
		chunk = chunk[n:]
		if !ok {
			break
		}
		if like := s.event(s.split.name(), s.split.data, false); like && apart {
			s.shape.usually(raw, len(s.split.data))
		}
		s.edit.event(s, s.n-len(chunk))
		if s.severed {
			s.sever(len(chunk))
		}
	}
	s.edit.rest(s)
}

// alike takes the events at the front of chunk that are like the one that the shape
// remembers, lines and all, and returns the number of their bytes.
//
// The first one is read like any other. In the usual state the next ones then change
// nothing but counts: they say what the first one said.
func (s *Stream) alike(chunk []byte) (n int) {
	var last []byte
	more := 0 // events that changed nothing but counts
	for plain := false; ; {
		size, data, ok := s.shape.matchLines(chunk[n:])
		if !ok {
			break
		}
		n += size
		if plain {
			last = data
			more++
			if s.o.Tap != nil {
				s.o.Tap(data, true)
			}
		} else {
			s.split.took(s.shape.name(), data)
			s.event(s.split.name(), data, true)
			plain = !s.ended && !s.anyFinished()
		}
		if s.edit.on {
			end := s.n - len(chunk) + n
			s.edit.usual(s, end-size, end)
		}
	}
	if more > 0 {
		s.events, s.advances = s.events+more, s.advances+more
		s.shape.spent = max(s.shape.spent-more, 0)
		s.split.took(s.shape.name(), last)
	}
	return n
}

// sever ends the stream behind an error event that clients do not recognize. Later
// bytes, such as a [DONE], must not reach them. A compressed stream has no such
// place: the whole read is withheld.
func (s *Stream) sever(rest int) {
	if s.decode == nil {
		s.n -= rest
	} else {
		s.n = s.out
		s.decode.over = true
	}
	s.over = true
}

// event notes the meaning of one event. Events after the End change nothing. The shape
// has matched a known event. event reports whether the event is like the one that the
// shape remembers.
func (s *Stream) event(name, data []byte, known bool) (like bool) {
	s.events++
	e := &s.ev
	if like = known; known {
		s.shape.take(e)
	} else {
		like = s.readEvent(name, data, e)
	}
	if s.split.cut {
		if e.Kind == Other {
			s.o.Dialect(frontType(name, data), nil, e)
		}
		if e.Kind < Content {
			e.Kind = Content // nothing of this size is a formality
		}
		e.Ping, e.Word = false, true
		if usage := s.split.lateUsage(); usage != nil && s.o.Tap != nil {
			s.o.Tap(usage, false)
		}
	} else if s.o.Tap != nil {
		s.o.Tap(data, s.shape.matched)
	}
	if s.ended {
		return like
	}
	if e.Kind == Suspect {
		e.Kind = Other
		if !s.content && !s.anyFinished() {
			e.Kind = Error
		}
	}
	if !e.Ping || e.Kind != Other {
		s.advances++
	}
	s.noteFinish(e)
	// The first deciding event wins: content after an error commits nothing.
	open := s.failure == nil
	if e.Kind != Error && open && !s.word {
		s.refused = s.refused || e.Refusal
	}
	switch e.Kind {
	case Other, Suspect:
	case Content, Finish:
		s.word = s.word || e.Word
		s.content = s.content || open && (!s.o.FailEmpty || s.word || e.Refusal)
	case End:
		s.ended = true
		s.word = s.word || e.Refusal
		s.nothing = e.Done && !s.relaying && !s.content && !s.anyFinished() && open
	case Error:
		s.fail(name, data, e.Hidden)
	case Failed:
		earlier := s.broken
		s.fail(name, data, false)
		s.ended = true
		s.broken = earlier // after the commit it is a proper end
	}
	return like
}

// readEvent has the dialect read an event, if it is not like an earlier one. It reports
// whether the shape remembers one like it now.
func (s *Stream) readEvent(name, data []byte, e *Event) (like bool) {
	s.shape.matched, s.shape.learned = false, false
	switch {
	case s.split.failed:
		e.reset()
		e.Kind, e.Hidden = Error, true
	case s.split.cut:
		s.o.Dialect(name, data, e)
	case s.shape.match(name, data, e):
		return true
	default:
		s.o.Dialect(name, data, e)
		return s.shape.learn(name, data, e)
	}
	return false
}

// noteFinish records finish reasons: the choices with one, and whether anything
// followed. A server may run tools between two turns, or put a finish reason into
// each chunk. MayEnd then stays false for good.
func (s *Stream) noteFinish(e *Event) {
	was := s.anyFinished()
	if len(e.Choices) > 0 {
		s.followed = s.choices.note(e) || s.followed
	}
	switch e.Kind {
	case Content:
		s.finished = false
	case Finish:
		s.finished = true
		s.finishes++
		s.usage = false
		s.afterFinish = s.split.comments
	case Other, Suspect:
		// Only usage may follow a finish reason.
		s.followed = s.followed || was && !e.Usage && len(e.Choices) == 0
	case End, Error, Failed:
	}
	s.usage = s.usage || e.Usage && s.anyFinished()
}

// anyFinished reports whether some choice has a finish reason.
func (s *Stream) anyFinished() bool { return s.finished || s.choices.any }

// fail notes an error event. The first one counts: later ones only follow from it.
func (s *Stream) fail(name, data []byte, hidden bool) {
	s.sawError = true
	if s.broken != nil {
		return
	}
	s.broken = &EventError{Name: string(name), Data: bytes.Clone(data), Hidden: hidden}
	if !s.relaying {
		s.failure = s.broken
	}
	s.severed = hidden
}

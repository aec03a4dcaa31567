package relay

// maxChoices bounds the choices that are kept apart. Beyond it only [DONE] makes a
// stream whole.
const maxChoices = 256

// choices keeps, for each choice of a stream, how far it has come. The zero value
// has no choice.
type choices struct {
	list []choice
	room [2]choice
	over bool // more than maxChoices came
	any  bool // some choice has had a finish reason
}

// choice is one choice of an answer, by its index.
type choice struct {
	index    int
	finished bool
	plain    bool // by stop or length, in an event of its own without content
}

// note enters the choices of an event. It reports whether a choice went on behind
// its finish reason.
func (c *choices) note(e *Event) (followed bool) {
	for _, in := range e.Choices {
		at := c.find(in.Index)
		if at == nil {
			c.over = true
			continue
		}
		if at.finished {
			// A role begins another turn. In a chunk that brings usage it is a formality.
			if in.Content || in.Role && !e.Usage {
				at.finished = false
			}
			followed = followed || !e.Usage || in.Content || in.Reason != NoReason
		}
		if in.Reason != NoReason {
			at.finished, c.any = true, true
			at.plain = !in.Content && (in.Reason == StopReason || in.Reason == LengthReason)
		}
	}
	return followed
}

// find returns the state of a choice, new if its index is. It returns nil beyond
// maxChoices. Nearly all streams have one choice, and few more than four: a list is
// faster than a map.
func (c *choices) find(index int) *choice {
	for i := range c.list {
		if c.list[i].index == index {
			return &c.list[i]
		}
	}
	if len(c.list) == maxChoices {
		return nil
	}
	if c.list == nil {
		c.list = c.room[:0]
	}
	c.list = append(c.list, choice{index: index})
	return &c.list[len(c.list)-1]
}

// none reports whether no choice was seen.
func (c *choices) none() bool { return len(c.list) == 0 }

// finished reports whether each choice that was seen has finished, and as many as
// were asked for.
func (c *choices) finished(asked int) bool {
	if c.over || len(c.list) < max(asked, 1) {
		return false
	}
	for i := range c.list {
		if !c.list[i].finished {
			return false
		}
	}
	return true
}

// plainEnds reports whether each choice ended by stop or length, in an event of its
// own.
func (c *choices) plainEnds() bool {
	for i := range c.list {
		if !c.list[i].plain {
			return false
		}
	}
	return true
}

package ids

import (
	"bytes"
	"slices"
)

// Note remembers the ids that an answer tells, as soon as it tells them: a client may
// use one while the stream of its response is under way. It belongs to one answer. The
// zero Note remembers nothing.
type Note struct {
	Table *Table // nil: nothing is remembered
	// Owner is the caller that asked, as for [Table.Note].
	Owner uint64
	// Kind is that of the answer itself; None if only the ids of its work are looked for.
	Kind Kind
	// Work is set if a model answers: it may have worked in a container, and written
	// files.
	Work bool
	// Items is set if the items of a response or a conversation are looked for.
	Items bool
	// Route is where the answer came from.
	Route Route
	// Bill is the response whose use may be owed; zero for none.
	Bill Ref

	told bool // the answer's own id was seen
}

// Answer reads an answer, or its front.
func (n *Note) Answer(data []byte) {
	if n.Table == nil {
		return
	}
	if n.Kind != None {
		n.add(InAnswer(n.Kind, data))
	}
	if n.Work {
		n.add(Made(data))
	}
	if n.Items {
		n.add(Items(data))
	}
}

// OwnID reads the id of an answer that is too large to be held, as it stands between its
// quotes. It makes a small answer around the id, for the one parser of answers.
func (n *Note) OwnID(raw []byte) {
	if n.Table != nil && n.Kind != None {
		n.add(InAnswer(n.Kind, slices.Concat([]byte(`{"id":"`), raw, []byte(`"}`))))
	}
}

// Event reads an event of a stream. After the answer's own id only ids of the model's
// work are looked for.
func (n *Note) Event(data []byte) {
	if n.Table == nil {
		return
	}
	if n.Kind != None && !n.told {
		if ref, ok := InEvent(n.Kind, data); ok {
			n.told = true
			n.add([]Ref{ref})
		}
	}
	if n.Work {
		n.add(Made(data))
	}
	if n.Items && bytes.Contains(data, []byte(itemDone)) {
		n.add(Items(data))
	}
}

// add remembers the things of an answer. Only a response can owe its use.
func (n *Note) add(refs []Ref) {
	for _, ref := range refs {
		at := n.Route
		if ref.Kind != Response {
			at.Owed = ""
		} else if at.Owed != "" {
			n.Bill = ref
		}
		n.Table.Note(n.Owner, ref, at)
	}
}

// Settle returns the model whose use the answer owes, and marks it as counted. It is
// empty if nothing is owed.
func (n *Note) Settle() (model string) {
	if n.Bill.ID == "" {
		return ""
	}
	model = n.Table.Settle(n.Owner, n.Bill)
	n.Bill = Ref{}
	return model
}

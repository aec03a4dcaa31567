package ids_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/ids"
)

// TestNote notes the ids of an answer, of its front and of its events, each with the
// place that the answer came from.
func TestNote(t *testing.T) {
	const owner = 7
	at := ids.Route{Provider: "p", Key: 2}
	for _, tt := range []struct {
		name string
		note ids.Note
		read func(*ids.Note)
		ref  ids.Ref
		want bool
	}{
		{"an answer", ids.Note{Kind: ids.File}, func(n *ids.Note) { n.Answer([]byte(`{"id":"file-1"}`)) }, ids.Ref{Kind: ids.File, ID: "file-1"}, true},
		{"of no kind", ids.Note{}, func(n *ids.Note) { n.Answer([]byte(`{"id":"file-1"}`)) }, ids.Ref{Kind: ids.File, ID: "file-1"}, false},
		{"a large answer", ids.Note{Kind: ids.File}, func(n *ids.Note) { n.OwnID([]byte(`file-1`)) }, ids.Ref{Kind: ids.File, ID: "file-1"}, true},
		{"an event", ids.Note{Kind: ids.Response}, func(n *ids.Note) {
			n.Event([]byte(`{"type":"response.created","response":{"id":"resp_1"}}`))
		}, ids.Ref{Kind: ids.Response, ID: "resp_1"}, true},
		{"the first id alone", ids.Note{Kind: ids.Response}, func(n *ids.Note) {
			n.Event([]byte(`{"type":"response.created","response":{"id":"resp_0"}}`))
			n.Event([]byte(`{"type":"response.created","response":{"id":"resp_1"}}`))
		}, ids.Ref{Kind: ids.Response, ID: "resp_1"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := tt.note
			tt.read(&n) // without a table nothing is remembered
			n = tt.note
			n.Table, n.Owner, n.Route = ids.NewTable(), owner, at
			tt.read(&n)
			got, known := n.Table.Find(owner, tt.ref)
			assert.Equal(t, tt.want, known)
			if tt.want {
				assert.Equal(t, at, got)
			}
			assert.Empty(t, n.Settle(), "nothing is owed")
		})
	}
}

// TestNoteSettles bills a response in the background once.
func TestNoteSettles(t *testing.T) {
	table := ids.NewTable()
	n := ids.Note{Table: table, Kind: ids.Response, Route: ids.Route{Provider: "p", Owed: "model"}}
	n.Answer([]byte(`{"id":"resp_1"}`))
	ref := ids.Ref{Kind: ids.Response, ID: "resp_1"}
	assert.Equal(t, ref, n.Bill)
	later := ids.Note{Table: table, Bill: ref}
	assert.Equal(t, "model", later.Settle())
	assert.Empty(t, later.Settle())
	assert.Empty(t, n.Settle(), "another request has settled it")

	file := ids.Note{Table: table, Kind: ids.File, Route: ids.Route{Provider: "p", Owed: "model"}}
	file.Answer([]byte(`{"id":"file-1"}`))
	assert.Empty(t, file.Settle())
	at, known := table.Find(0, ids.Ref{Kind: ids.File, ID: "file-1"})
	assert.True(t, known)
	assert.Empty(t, at.Owed, "only a response can owe")
}

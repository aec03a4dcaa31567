// Package ids remembers where the ids of stored things came from, and finds such ids
// in JSON. A response, a file or a batch lives at the provider that made it, behind
// the key that paid for it.
//
// ids.go holds the table, find.go finds ids in bodies, and note.go notes those of an
// answer.
//
// It imports the standard library, and the leaves jsonscan and pins.
package ids

import (
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/pins"
)

// Kind is the kind of a stored thing. Two things of different kinds may have the same
// id.
type Kind uint8

// The kinds. The zero Kind is nothing stored.
const (
	None Kind = iota
	Response
	Conversation
	File
	Batch
	MessageBatch
	Video
	VectorStore
	Container
	Upload
	// Item is a part of a response or a conversation: a message, a call, an image.
	Item
	// Audio is what a chat model has said.
	Audio
	// Call is a telephone call or a connection of a browser, which a session joins.
	Call
	// Message is the answer to a request of messages whose thread the provider holds.
	Message
)

// names are the kinds in the words of the API.
var names = [...]string{
	None: "", Response: "response", Conversation: "conversation", File: "file", Batch: "batch", MessageBatch: "message batch",
	Video: "video", VectorStore: "vector store", Container: "container", Upload: "upload", Item: "item", Audio: "audio", Call: "call", Message: "message",
}

// String is the kind in the words of the API.
func (k Kind) String() string { return names[k] }

// KindOf returns the kind of a name, or None.
func KindOf(name string) Kind { return Kind(max(slices.Index(names[:], name), 0)) }

// Ref is an id with its kind.
type Ref struct {
	Kind Kind
	ID   string
	// Past is set for a thing that the client's history tells of, such as the container
	// of an earlier call. It must be the caller's, and the request may go elsewhere.
	Past bool
}

// Route is the place of a stored thing. It names the key by its place in the config,
// so that a rotated key keeps its things.
type Route struct {
	Provider string // its id, folded
	Key      int    // from 0; of a provider without keys 0
	// Owed is the model of a response in the background whose use was not counted
	// yet. Empty for all other things.
	Owed string
}

const (
	// size bounds the table. An entry takes about 200 bytes.
	size = 1 << 17
	// share is the part of one caller.
	share = size / 16
)

// Table remembers the routes of ids, each for its caller alone. A full table forgets
// the id that was used longest ago, and so does a caller with a full share. Its
// methods may be called from many goroutines at once.
//
// It is lost with its process. A store for replicas gets each id by OnNote, and
// gives those of other replicas back by Learn.
type Table struct {
	seed maphash.Seed
	pins *pins.Table[Route]
	// items have a table of their own: each response has several, and each turn of a thread
	// makes one. They must not push files out.
	items *pins.Table[Route]
	told  func(caller uint64, ref Ref, at Route) // of OnNote, or nil

	settling sync.Mutex
}

// NewTable returns an empty table.
func NewTable() *Table { return newTable(size, share) }

// newTable returns a table of at most size ids, of which one caller has at most share.
func newTable(size, share int) *Table {
	// Ids do not end by their age: only their provider knows for how long it keeps them.
	return &Table{
		seed: maphash.MakeSeed(), pins: pins.NewTable[Route](size, share, math.MaxInt64), items: pins.NewTable[Route](size, share, math.MaxInt64),
	}
}

// Note remembers where an id came from. The caller is a hash of who asked, and 0
// where callers are not told apart.
func (t *Table) Note(caller uint64, ref Ref, at Route) {
	t.Learn(caller, ref, at)
	if t.told != nil {
		t.told(caller, ref, at)
	}
}

// OnNote has told called with each id of [Table.Note]. Call it before the table is
// in use.
func (t *Table) OnNote(told func(caller uint64, ref Ref, at Route)) { t.told = told }

// Learn is Note for an id that another replica has noted.
func (t *Table) Learn(caller uint64, ref Ref, at Route) {
	t.of(ref).Set(time.Now(), t.key(caller, ref), at)
}

// Find returns the place of a caller's id. Another caller's id is unknown.
//
// A found id counts as used, so it is forgotten later than others.
func (t *Table) Find(caller uint64, ref Ref) (Route, bool) {
	now, key, table := time.Now(), t.key(caller, ref), t.of(ref)
	at, ok := table.Get(now, key)
	if ok {
		table.Set(now, key, at) // used last
	}
	return at, ok
}

// of is the part of the table for a kind.
func (t *Table) of(ref Ref) *pins.Table[Route] {
	if ref.Kind == Item || ref.Kind == Message {
		return t.items
	}
	return t.pins
}

// Settle returns the model whose use of a thing is owed, and marks it as counted. It is
// empty for all calls but the first.
//
// Two requests may poll one response in the background. The lock makes sure that
// only one of them counts its use.
func (t *Table) Settle(caller uint64, ref Ref) (model string) {
	t.settling.Lock()
	defer t.settling.Unlock()
	at, _ := t.Find(caller, ref)
	if model, at.Owed = at.Owed, ""; model != "" {
		t.Note(caller, ref, at)
	}
	return model
}

// Empty reports whether no id is known.
func (t *Table) Empty() bool { return t.pins.Len() == 0 && t.items.Len() == 0 }

// key hashes an id with the seed of this table: clients cannot make ids that
// collide.
func (t *Table) key(caller uint64, ref Ref) pins.Key {
	return pins.Key{Caller: caller, Sum: maphash.String(t.seed, string(rune(ref.Kind))+ref.ID)}
}

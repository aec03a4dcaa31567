package ids_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/ids"
)

// bound is the size of a table, and share the part of one caller: a sixteenth.
const (
	bound = 1 << 17
	share = bound / 16
)

func numbered(n int) ids.Ref { return ids.Ref{Kind: ids.File, ID: fmt.Sprint("file-", n)} }

// known says whether a caller's id is known. It does not use the id, and so asks with
// Find only once.
func known(table *ids.Table, caller uint64, n int) bool {
	_, ok := table.Find(caller, numbered(n))
	return ok
}

// TestTable notes ids. Each belongs only to its caller and its kind.
func TestTable(t *testing.T) {
	table := ids.NewTable()
	assert.True(t, table.Empty())
	ref, at := ids.Ref{Kind: ids.Response, ID: "r"}, ids.Route{Provider: "p", Key: 1}
	table.Note(1, ref, at)
	assert.False(t, table.Empty())
	got, ok := table.Find(1, ref)
	assert.True(t, ok)
	assert.Equal(t, at, got)

	at.Key = 2
	table.Note(1, ref, at)
	got, _ = table.Find(1, ref)
	assert.Equal(t, at, got, "the later note holds")
	for caller, other := range map[uint64]ids.Ref{
		0: ref, 2: ref, 1: {Kind: ids.File, ID: "r"},
	} {
		_, ok := table.Find(caller, other)
		assert.False(t, ok, "%d %v", caller, other)
	}
	_, ok = table.Find(1, ids.Ref{Kind: ids.Response, ID: "R"})
	assert.False(t, ok)
	_, ok = ids.NewTable().Find(1, ref)
	assert.False(t, ok, "another table")
}

// TestShare: a caller with many ids forgets its own, the one first that was used longest
// ago, and no one else's.
func TestShare(t *testing.T) {
	table := ids.NewTable()
	table.Note(2, numbered(0), ids.Route{Provider: "other"})
	for n := range share {
		table.Note(1, numbered(n), ids.Route{Provider: "p"})
	}
	require.True(t, known(table, 1, 0), "a full share holds all") // and 0 is used last now
	table.Note(1, numbered(share), ids.Route{Provider: "p"})
	assert.False(t, known(table, 1, 1), "it was used longest ago")
	assert.True(t, known(table, 1, 0))
	assert.True(t, known(table, 1, share))

	for n := range 3 * share {
		table.Note(1, numbered(n+share), ids.Route{Provider: "p"})
	}
	held := 0
	for n := range 4 * share {
		if known(table, 1, n) {
			held++
		}
	}
	assert.Equal(t, share, held)
	at, ok := table.Find(2, numbered(0))
	assert.True(t, ok)
	assert.Equal(t, "other", at.Provider)
}

// TestBound: a full table forgets the id that was used longest ago, whoever has it.
func TestBound(t *testing.T) {
	table := ids.NewTable()
	for caller := range uint64(16) {
		for n := range share {
			table.Note(caller+1, numbered(n), ids.Route{Provider: "p"})
		}
	}
	require.True(t, known(table, 1, 0), "a full table holds all")
	table.Note(17, numbered(0), ids.Route{Provider: "p"})
	assert.False(t, known(table, 1, 1))
	assert.True(t, known(table, 1, 0))
	assert.True(t, known(table, 17, 0))
	held := 0
	for caller := range uint64(17) {
		for n := range share {
			if known(table, caller+1, n) {
				held++
			}
		}
	}
	assert.Equal(t, bound, held)
}

// TestCallersTogether: where callers are not told apart, all of them have the whole
// table.
func TestCallersTogether(t *testing.T) {
	table := ids.NewTable()
	for n := range bound {
		table.Note(0, numbered(n), ids.Route{})
	}
	assert.True(t, known(table, 0, 0))
	table.Note(0, numbered(bound), ids.Route{})
	assert.False(t, known(table, 0, 1))
}

// TestTableConcurrently is for the race detector.
func TestTableConcurrently(t *testing.T) {
	table := ids.NewTable()
	var all sync.WaitGroup
	for caller := range uint64(4) {
		all.Go(func() {
			for n := range 500 {
				table.Note(caller, numbered(n%50), ids.Route{Provider: fmt.Sprint(caller), Key: n})
				at, ok := table.Find(caller, numbered(n%50))
				assert.True(t, ok)
				assert.Equal(t, ids.Route{Provider: fmt.Sprint(caller), Key: n}, at)
				table.Empty()
			}
		})
	}
	all.Wait()
}

func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for kind := ids.None; kind <= ids.Container; kind++ {
		assert.False(t, seen[kind.String()], kind.String())
		seen[kind.String()] = true
	}
	assert.Empty(t, ids.None.String())
	assert.Equal(t, "message batch", ids.MessageBatch.String())
}

// TestValid: an id is one part of a path.
func TestValid(t *testing.T) {
	for _, id := range []string{"resp_0123456789abcdef", "file-abc", "a.b", "msgbatch_01:x", "~", strings.Repeat("a", 512)} {
		assert.True(t, ids.Valid(id), "%q", id)
	}
	for _, id := range []string{
		"", ".", "..", "a..b", "../a", "a/b", `a\b`, "a%2fb", "a?b", "a#b", "a b", " ", "a\nb", "a\x00", "a\x7f", "ä", strings.Repeat("a", 513),
	} {
		assert.False(t, ids.Valid(id), "%q", id)
	}
}

// TestSettle: the use of a thing is paid once.
func TestSettle(t *testing.T) {
	table := ids.NewTable()
	ref := ids.Ref{Kind: ids.Response, ID: "a"}
	at := ids.Route{Provider: "p", Key: 2, Owed: "m"}
	assert.Empty(t, table.Settle(1, ref), "an unknown one")
	table.Note(1, ref, at)
	assert.Empty(t, table.Settle(2, ref), "another caller's")
	var told []ids.Route
	table.OnNote(func(_ uint64, _ ids.Ref, at ids.Route) { told = append(told, at) })
	assert.Equal(t, "m", table.Settle(1, ref))
	assert.Empty(t, table.Settle(1, ref))
	at.Owed = ""
	assert.Equal(t, []ids.Route{at}, told, "the fleet hears of it once")
	now, ok := table.Find(1, ref)
	assert.True(t, ok)
	assert.Equal(t, at, now)
}

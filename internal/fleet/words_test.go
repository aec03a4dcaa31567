package fleet

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/pins"
)

// TestSharedWords hands pins and places of ids from one replica to the other, and hides
// their names from the store.
func TestSharedWords(t *testing.T) {
	store := newMemory()
	type replica struct {
		fleet *Fleet
		pins  *pins.Table[pins.Place]
		told  *Pins
		ids   *ids.Table
	}
	join := func() *replica {
		r := &replica{fleet: New(store, NewSums([]byte("secret")), time.Now()), pins: pins.NewTable[pins.Place](10, 10, time.Hour), ids: ids.NewTable()}
		r.told = SharePins(r.fleet, r.pins, time.Hour)
		ShareIDs(r.fleet, r.ids)
		return r
	}
	a, b := join(), join()
	exchange := func() {
		require.NoError(t, a.fleet.Exchange(t.Context()))
		require.NoError(t, b.fleet.Exchange(t.Context()))
	}
	exchange()
	at, place := pins.Key{Caller: 7, Sum: 9}, pins.Place{Provider: "provider-p", ID: "model-m"}
	ref, route := ids.Ref{Kind: ids.File, ID: "file-abc"}, ids.Route{Provider: "provider-p", Key: 1}
	a.told.Tell(time.Now(), at, place)
	a.ids.Note(7, ref, route)
	exchange()
	got, ok := b.pins.Get(time.Now(), at)
	assert.True(t, ok)
	assert.Equal(t, place, got)
	found, ok := b.ids.Find(7, ref)
	assert.True(t, ok)
	assert.Equal(t, route, found)
	_, ok = b.ids.Find(8, ref)
	assert.False(t, ok, "another caller")
	for key, r := range store.records {
		for _, name := range []string{"provider-p", "model-m", "file-abc"} {
			assert.NotContains(t, key+string(r.Value), name)
		}
	}

	a.told.Tell(time.Now().Add(time.Millisecond), at, pins.Place{})
	exchange()
	_, ok = b.pins.Get(time.Now(), at)
	assert.False(t, ok, "it was dropped")

	var nobody *Pins
	nobody.Tell(time.Now(), at, place)
}

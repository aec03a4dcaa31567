package fleet

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/pins"
)

// Pins tells the fleet of the pins of sticky(). nil tells nobody.
type Pins struct {
	fleet *Fleet
	words *Newest
	life  time.Duration
}

// pinWord is a pin in a sealed record.
type pinWord struct {
	Caller   uint64 `json:"c"`
	Sum      uint64 `json:"s"`
	Provider string `json:"p,omitempty"` // empty: the pin is dropped
	ID       string `json:"i,omitempty"`
}

// SharePins shares the pins of a table with the fleet: those of others go into the
// table, and Tell sends this replica's own. life is that of a pin.
//
// A record in another form is passed over.
func SharePins(f *Fleet, t *pins.Table[pins.Place], life time.Duration) *Pins {
	return &Pins{f, f.Newest("p", func(value string, _ time.Duration) {
		var w pinWord
		if json.Unmarshal([]byte(value), &w) != nil {
			return
		}
		if at := (pins.Key{Caller: w.Caller, Sum: w.Sum}); w.Provider == "" {
			t.Drop(at)
		} else {
			t.Set(time.Now(), at, pins.Place{Provider: w.Provider, ID: w.ID})
		}
	}), life}
}

// Tell tells of a pin. A zero Place says that it was dropped.
//
// The record lives as long as the pin itself. Its name is a hash, so the caller and the
// session stay hidden from the shared store.
func (p *Pins) Tell(now time.Time, at pins.Key, v pins.Place) {
	if p == nil {
		return
	}
	id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at.Caller), at.Sum)
	value, _ := json.Marshal(pinWord{at.Caller, at.Sum, v.Provider, v.ID}) // of plain fields
	p.words.Put(now, p.fleet.Of("pin", string(id)), string(value), p.life)
}

// idLife is the life of an id in the store of a fleet. Providers keep responses for
// 30 days, unless they are told otherwise.
const idLife = 30 * 24 * time.Hour

// idWord is the place of an id in a sealed record.
type idWord struct {
	Caller   uint64 `json:"c,omitempty"`
	Kind     string `json:"k"`
	ID       string `json:"i"`
	Provider string `json:"p"`
	Key      int    `json:"n,omitempty"`
	Owed     string `json:"o,omitempty"`
}

// ShareIDs shares the places of ids, in both directions.
func ShareIDs(f *Fleet, t *ids.Table) {
	words := f.Newest("i", func(value string, _ time.Duration) {
		var w idWord
		if json.Unmarshal([]byte(value), &w) != nil {
			return
		}
		if kind := ids.KindOf(w.Kind); kind != ids.None {
			t.Learn(w.Caller, ids.Ref{Kind: kind, ID: w.ID}, ids.Route{Provider: w.Provider, Key: w.Key, Owed: w.Owed})
		}
	})
	t.OnNote(func(caller uint64, ref ids.Ref, at ids.Route) {
		value, _ := json.Marshal(idWord{caller, ref.Kind.String(), ref.ID, at.Provider, at.Key, at.Owed}) // of plain fields
		id := binary.BigEndian.AppendUint64(nil, caller)
		words.Put(time.Now(), f.Of("id", string(id), ref.Kind.String(), ref.ID), string(value), idLife)
	})
}

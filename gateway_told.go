package aigateway

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/pins"
)

// idLife is the life of an id in the store of a fleet. Providers keep responses for
// 30 days, unless they are told otherwise.
const idLife = 30 * 24 * time.Hour

// toldPins tells the fleet of the pins of sticky(). nil tells nobody.
type toldPins struct {
	fleet *fleet.Fleet
	words *fleet.Newest
}

// pinWord is a pin in a sealed record.
type pinWord struct {
	Caller   uint64 `json:"c"`
	Sum      uint64 `json:"s"`
	Provider string `json:"p,omitempty"` // empty: the pin is dropped
	ID       string `json:"i,omitempty"`
}

func tellPins(f *fleet.Fleet, t *pinTable) *toldPins {
	return &toldPins{f, f.Newest("p", func(value string, _ time.Duration) {
		var w pinWord
		if json.Unmarshal([]byte(value), &w) != nil {
			return
		}
		if at := (pins.Key{Caller: w.Caller, Sum: w.Sum}); w.Provider == "" {
			t.Drop(at)
		} else {
			t.Set(time.Now(), at, pinned{w.Provider, w.ID})
		}
	})}
}

// tell tells of a pin. A zero value says that it was dropped.
func (p *toldPins) tell(now time.Time, at pins.Key, v pinned) {
	if p == nil {
		return
	}
	id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at.Caller), at.Sum)
	value, _ := json.Marshal(pinWord{at.Caller, at.Sum, v.provider, v.id}) // of plain fields
	p.words.Put(now, p.fleet.Of("pin", string(id)), string(value), pinLife)
}

// idWord is the place of an id in a sealed record.
type idWord struct {
	Caller   uint64 `json:"c,omitempty"`
	Kind     string `json:"k"`
	ID       string `json:"i"`
	Provider string `json:"p"`
	Key      int    `json:"n,omitempty"`
}

// tellIDs shares the places of ids.
func tellIDs(f *fleet.Fleet, t *ids.Table) {
	words := f.Newest("i", func(value string, _ time.Duration) {
		var w idWord
		if json.Unmarshal([]byte(value), &w) != nil {
			return
		}
		if kind := ids.KindOf(w.Kind); kind != ids.None {
			t.Learn(w.Caller, ids.Ref{Kind: kind, ID: w.ID}, ids.Route{Provider: w.Provider, Key: w.Key})
		}
	})
	t.OnNote(func(caller uint64, ref ids.Ref, at ids.Route) {
		value, _ := json.Marshal(idWord{caller, ref.Kind.String(), ref.ID, at.Provider, at.Key}) // of plain fields
		id := binary.BigEndian.AppendUint64(nil, caller)
		words.Put(time.Now(), f.Of("id", string(id), ref.Kind.String(), ref.ID), string(value), idLife)
	})
}

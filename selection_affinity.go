package aigateway

import (
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/pins"
)

// Bounds of the pins of a gateway. A pin takes about 250 bytes.
const (
	maxPins      = 65_536
	maxPinsOwner = maxPins / 16 // of one caller
	pinLife      = 10 * time.Minute
)

// pinTable remembers the models and keys that served a key of sticky(), unless they
// were the first of their order. The table outlives the settings.
type pinTable = pins.Table[pinned]

// newPins makes the table of a gateway.
func newPins() *pinTable { return pins.NewTable[pinned](maxPins, maxPinsOwner, pinLife) }

// pinned is a model or a key, by the folded id of its provider and its own id.
type pinned struct{ provider, id string }

// pin is the model's identity in a pin. It outlives a reload, unlike a pointer.
func (m *model) pin() pinned  { return pinned{fold(m.provider.id), fold(m.id)} }
func (k *apiKey) pin() pinned { return pinned{k.provider, k.id} }

// modelPin is the place of a pin. Each name in requests has pins of its own,
// because its models differ.
func modelPin(owner, sum uint64, name string) pins.Key {
	return pins.Key{Caller: owner, Sum: sum ^ uint64(expr.Hash("model "+fold(name)))}
}

// keyPin is the place of a pin for a provider's keys.
func keyPin(owner, sum uint64, p *provider) pins.Key {
	return pins.Key{Caller: owner, Sum: sum ^ uint64(expr.Hash("key "+fold(p.id)))}
}

// modelPlace says how sticky() placed the model that served.
func modelPlace(a *expr.Affinity[expr.Model], served *model) expr.Place {
	switch served.view {
	case a.First:
		return expr.PlaceFirst
	case a.Pinned:
		return expr.PlacePinned
	}
	return expr.PlaceMoved
}

// keyPlace is modelPlace for keys. It compares ids, because each snapshot of the
// metrics has new views of the keys.
func keyPlace(a *expr.Affinity[expr.Key], served *apiKey) expr.Place {
	switch {
	case a.First != nil && a.First.ID == served.id:
		return expr.PlaceFirst
	case a.Pinned != nil && a.Pinned.ID == served.id:
		return expr.PlacePinned
	}
	return expr.PlaceMoved
}

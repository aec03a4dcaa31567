package habits

import "sync/atomic"

// KeyForm is the header for a key, if the config does not name one: in the anthropic format
// two are in use.
type KeyForm uint32

const (
	KeyOfClient KeyForm = iota // as the client sent its own key
	KeyBearer                  // Authorization: Bearer KEY
	KeyHeader                  // X-Api-Key: KEY
)

// Bearer reports whether the form is Authorization: Bearer. client is whether the client's
// own key came so.
func (f KeyForm) Bearer(client bool) bool { return f == KeyBearer || f == KeyOfClient && client }

// Other is the form to try after f was refused.
func (f KeyForm) Other(client bool) KeyForm {
	if f.Bearer(client) {
		return KeyHeader
	}
	return KeyBearer
}

// Keys remembers the forms of keys that a provider accepted, and the form to use whatever
// the client sent. The zero Keys is empty.
type Keys struct {
	// The low bits hold the accepted forms, the bits from the fourth up the KeyForm to use.
	bits atomic.Uint32
}

// Uses is the form to send a key in. Zero, KeyOfClient, until an answer has decided.
func (k *Keys) Uses() KeyForm { return KeyForm(k.bits.Load() >> 4) }

// Takes reports whether a key was accepted in a form.
func (k *Keys) Takes(bearer bool) bool { return k.bits.Load()&formBit(bearer) != 0 }

// Accepted notes that a key was accepted in a form. If the other form was refused with the
// same key, this form is used from now on.
func (k *Keys) Accepted(bearer, otherRefused bool) {
	form := KeyHeader
	if bearer {
		form = KeyBearer
	}
	for {
		old := k.bits.Load()
		bits := old | formBit(bearer)
		if otherRefused {
			bits = bits&0xF | uint32(form)<<4 // the newest answer counts
		}
		if bits == old || k.bits.CompareAndSwap(old, bits) {
			return
		}
	}
}

// Inherit takes over what old knows.
func (k *Keys) Inherit(old *Keys) { k.bits.Store(old.bits.Load()) }

// formBit is the form's bit among the accepted ones.
func formBit(bearer bool) uint32 {
	if bearer {
		return 1
	}
	return 2
}

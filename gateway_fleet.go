package aigateway

import (
	"context"
	"time"

	"github.com/aigateway-go/aigateway/internal/fleet"
)

// Shared is a store that all replicas of one fleet use: see [Config.Shared]. The
// gateway calls Exchange from [Gateway.Run] alone, one call at a time. It calls Take
// from many goroutines at once.
//
// The gateway bounds each call by its context. An implementation should return soon
// after the context has ended, and have no retries of its own: Run asks again.
// After an error the gateway takes the call for not done, and an implementation
// may have done it all the same.
//
// All times are the store's: replicas may disagree about theirs. Run the suite of
// package sharedtest with an implementation.
type Shared interface {
	// Exchange writes records, and returns the live records that changed after a
	// cursor, whoever wrote them. The zero SharedCursor asks for all of them.
	//
	// A record replaces the stored one of its Key if its Rank is greater; otherwise
	// it is left out, which is not an error. A record ends after its TTL, without a
	// word to anybody. No replica keeps more than 262,144 records, so a store may
	// forget those beyond that changed longest ago.
	//
	// If the store refuses to write but can be read, Exchange returns the changes
	// together with an error.
	Exchange(ctx context.Context, put []SharedRecord, after SharedCursor) (SharedChanges, error)

	// Take takes from all accounts or from none, in one atomic step as far as the
	// store can. It is used for limits that are exact over the fleet, and for leases.
	Take(ctx context.Context, takes []SharedTake) (SharedTaken, error)
}

// SharedRecord is one record of the store.
type SharedRecord struct {
	// Key has at most 128 bytes of a-z, 0-9, '/', ':', '_' and '-'. It holds keyed
	// hashes, and no name of a client, a provider or a key.
	Key string
	// Value has at most 64 KiB. The store does not look into it.
	Value []byte
	// Rank orders the records of one Key: the greatest stays. It is positive.
	Rank int64
	// TTL is the life of the record from the call of Exchange on, in whole
	// milliseconds, at least one. In SharedChanges it is the rest.
	TTL time.Duration
}

// SharedCursor is a place in the history of a store. The zero SharedCursor is before
// everything.
type SharedCursor struct {
	// Epoch names the history. It has at most 64 bytes.
	Epoch string
	// Seq is the place in it.
	Seq int64
}

// SharedChanges is the answer of [Shared.Exchange].
type SharedChanges struct {
	// Now is the store's time.
	Now time.Time
	// Cursor is the place up to which Records tell. If Cursor.Epoch is another than
	// that of the call, the store has lost its state (emptied, restored, failed
	// over) or has forgotten the changes since the call's cursor. Records then begin
	// with the first record of the store, and the gateway writes its own again.
	Cursor SharedCursor
	// Records are in any order. A Key stands there once, with its latest value.
	Records []SharedRecord
	// More: the answer was too long, and a call with Cursor returns the next part.
	More bool
}

// SharedKind is the kind of an account of [Shared.Take].
type SharedKind uint8

const (
	// SharedBucket holds Limit tokens, and is full again Per after it was empty. An
	// account without a history is full. It ends when it is full.
	SharedBucket SharedKind = iota + 1
	// SharedBudget is a sum up to Limit. It begins at zero, and ends TTL after its
	// first Take.
	SharedBudget
	// SharedLease is held by Owners, all together up to Limit. What an Owner holds
	// ends TTL after its latest Take.
	SharedLease
)

// SharedTake takes from one account. An account is made by its first Take.
type SharedTake struct {
	// Key names the account, in the characters of a [SharedRecord]'s Key. Accounts and
	// records do not share names.
	Key string
	// Kind is the kind of the account: SharedBucket, SharedBudget or SharedLease.
	Kind SharedKind
	// Owner is the replica that holds a lease, in the characters of a Key. It is empty
	// for other kinds.
	Owner string
	// Amount is taken, in the unit of Limit. The store need not know the unit. The
	// take is refused if less is left. There is one exception: an Amount above the
	// whole Limit of a bucket passes if the bucket is full.
	//
	// Zero asks for more than nothing: the take of a bucket or budget is refused if
	// not a whole token or unit is left. For a lease it only renews what the Owner
	// holds, and is never refused.
	//
	// A negative Amount gives back, and is never refused. A bucket does not get more
	// than full, a budget and a lease do not get below zero.
	Amount int64
	// Settle takes Amount even if less is left. A bucket may then be in debt, and a
	// budget above its Limit. For a lease it sets the Owner's part to Amount.
	Settle bool
	// Limit may differ from that of earlier calls. It is positive.
	Limit int64
	// Per is the time of a bucket from empty to full.
	Per time.Duration
	// TTL is the life of a budget or of a lease's part.
	TTL time.Duration
}

// SharedTaken is the answer of [Shared.Take].
type SharedTaken struct {
	// OK is set if everything was taken. Otherwise nothing was taken.
	OK bool
	// Full is the index of the first take that was refused. Zero if OK.
	Full int
	// Wait is the time until the refused account has enough: of a bucket the time to
	// fill, of a budget the rest of its life, and of a lease zero. Zero if OK.
	Wait time.Duration
	// Left is what each account has left after the call, in whole units, rounded down.
	// It may be negative. It has one element for each take, in their order.
	Left []int64
}

// sharedStore is a Shared in the words of the mechanism.
type sharedStore struct{ Shared }

// Exchange translates the records into the public types, and the answer back.
func (s sharedStore) Exchange(ctx context.Context, put []fleet.Record, after fleet.Cursor) (fleet.Changes, error) {
	records := make([]SharedRecord, len(put))
	for i, r := range put {
		records[i] = SharedRecord(r)
	}
	c, err := s.Shared.Exchange(ctx, records, SharedCursor(after))
	out := fleet.Changes{Now: c.Now, Cursor: fleet.Cursor(c.Cursor), Records: make([]fleet.Record, len(c.Records)), More: c.More}
	for i, r := range c.Records {
		out.Records[i] = fleet.Record(r)
	}
	return out, err
}

// Take translates field by field, as the compiler then finds a field that one of the
// two types lacks.
func (s sharedStore) Take(ctx context.Context, takes []fleet.Take) (fleet.Taken, error) {
	list := make([]SharedTake, len(takes))
	for i, t := range takes {
		list[i] = SharedTake{
			Key: t.Key, Kind: SharedKind(t.Kind), Owner: t.Owner, Amount: t.Amount, Settle: t.Settle,
			Limit: t.Limit, Per: t.Per, TTL: t.TTL,
		}
	}
	taken, err := s.Shared.Take(ctx, list)
	return fleet.Taken(taken), err
}

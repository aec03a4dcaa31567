// Package fleet keeps the replicas of a gateway in agreement by a store that they
// share. Each replica holds a copy of all records. [Fleet.Exchange] sends its own
// and learns those of the others; nothing else waits for the store, except takes
// from exact limits.
//
// Records have a rank, and the greatest rank of a key counts. So it does not matter
// how often or by whom a record is put, and a store that was emptied is filled
// again by putting what the replicas know.
//
// # Records
//
// The first word of a key is its kind. Hashes are [Sum] values in hex, and
// INSTANCE is the random name of a replica:
//
//	c/COOLDOWN             a cooldown of a model or key, or its end (health.go)
//	q/KEY                  a provider's word about the quota of a key (quota.go)
//	u/ACCOUNT/INSTANCE     what one replica used of a client's limit (limits.go)
//	r/INSTANCE             that a replica lives, and its requests in flight (members.go)
//	s/INSTANCE/MODEL/SLOT  what a replica measured in one slot of time (members.go)
//	i/…  p/…               places of stored things, and pins of sticky() (words.go)
//
// Accounts of [Store.Take] have keys of their own: p/COOLDOWN is the lease of a
// probe, and those of exact limits are named by package limit.
//
// # Files
//
// fleet.go is the copy of the records and the exchange. sums.go hashes and seals,
// newest.go is for kinds whose newest word counts, and link.go tells whether the
// store answers. claims.go takes and settles the exact limits of one request, and
// slots.go leases the slots of exact limits in flight.
package fleet

import (
	"context"
	"time"
)

// Store is the store of a fleet. The words are those of aigateway.Shared, where the
// contract stands.
type Store interface {
	Exchange(ctx context.Context, put []Record, after Cursor) (Changes, error)
	Take(ctx context.Context, takes []Take) (Taken, error)
}

// Record is one record of the store.
type Record struct {
	Key   string
	Value []byte
	Rank  int64
	TTL   time.Duration
}

// Cursor is a place in the history of a store.
type Cursor struct {
	Epoch string
	Seq   int64
}

// Changes is an answer of Exchange.
type Changes struct {
	Now     time.Time
	Cursor  Cursor
	Records []Record
	More    bool
}

// AccountKind is the kind of an account.
type AccountKind uint8

const (
	Bucket AccountKind = iota + 1
	Budget
	Lease
)

// Take takes from one account.
type Take struct {
	Key    string
	Kind   AccountKind
	Owner  string
	Amount int64
	Settle bool
	Limit  int64
	Per    time.Duration
	TTL    time.Duration
}

// Taken is an answer of Take.
type Taken struct {
	OK   bool
	Full int
	Wait time.Duration
	Left []int64
}

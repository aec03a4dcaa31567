// Package fleet keeps the replicas of a gateway in agreement by a store that they
// share. Each replica holds a copy of all records. [Fleet.Exchange] sends its own
// and learns those of the others; nothing else waits for the store, except takes
// from exact limits.
//
// Records have a rank, and the greatest rank of a key counts. So it does not matter
// how often or by whom a record is put, and a store that was emptied is filled
// again by putting what the replicas know.
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

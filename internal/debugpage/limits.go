package debugpage

import (
	"fmt"
	"strings"
)

// Limits is what is used of the limits of a provider, a model or a key. A limit of
// zero is none.
type Limits struct {
	InFlight int64 `json:"in_flight"`
	// InFleet are the requests under way of all replicas, if they have one limit. Those of
	// other replicas are up to a second old.
	InFleet           *int64 `json:"in_flight_fleet,omitempty"`
	MaxInFlight       int64  `json:"in_flight_limit,omitempty"`
	Waiting           int    `json:"waiting"`
	RequestsLeft      int64  `json:"requests_left,omitempty"`
	RequestsPerMinute int64  `json:"requests_per_minute,omitempty"`
	// TokensLeft may be negative: the usage was above the estimate.
	TokensLeft      int64 `json:"tokens_left,omitempty"`
	TokensPerMinute int64 `json:"tokens_per_minute,omitempty"`
}

// String is the text of the page.
// Only limits given in the config are told.
func (l *Limits) String() string {
	var parts []string
	if l.MaxInFlight > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d in flight", l.InFlight, l.MaxInFlight))
	}
	if l.InFleet != nil {
		parts = append(parts, fmt.Sprintf("%d in the fleet", *l.InFleet))
	}
	if l.RequestsPerMinute > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d requests left", l.RequestsLeft, l.RequestsPerMinute))
	}
	if l.TokensPerMinute > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d tokens left", l.TokensLeft, l.TokensPerMinute))
	}
	if l.Waiting > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", l.Waiting))
	}
	return strings.Join(parts, ", ")
}

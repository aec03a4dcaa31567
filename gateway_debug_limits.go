package aigateway

import (
	"time"

	"github.com/aigateway-go/aigateway/internal/debugpage"
	"github.com/aigateway-go/aigateway/internal/limit"
)

// debugLimits is what is used of limits now. Nil without limits.
func debugLimits(g *limit.Gate, l limit.Limits, now time.Time) *debugpage.Limits {
	if g == nil {
		return nil
	}
	requests, tokens := g.Left(now)
	return &debugpage.Limits{
		InFlight: g.InFlight(), MaxInFlight: l.InFlight, Waiting: g.Waiting(),
		RequestsLeft: requests, RequestsPerMinute: l.RequestsPerMinute,
		TokensLeft: tokens, TokensPerMinute: l.TokensPerMinute,
	}
}

package aigateway

import (
	"fmt"

	"github.com/aigateway-go/aigateway/internal/limit"
)

// limits compiles the limits of a provider, a model or a key.
func (c *compiler) limits(path string, l Limits) limit.Limits {
	out := limit.Limits{
		InFlight:          c.atLeastZero(path+".in_flight", l.InFlight),
		RequestsPerMinute: c.atLeastZero(path+".requests_per_minute", l.RequestsPerMinute),
		TokensPerMinute:   c.atLeastZero(path+".tokens_per_minute", l.TokensPerMinute),
		Wait:              l.Wait.parse(c.problems, path+".wait", 0),
	}
	if out.Wait > 0 && l.InFlight == 0 && l.RequestsPerMinute == 0 && l.TokensPerMinute == 0 {
		c.add(path+".wait", string(l.Wait), "has no limit beside it to wait at: give in_flight, requests_per_minute or tokens_per_minute")
	}
	return out
}

func (c *compiler) atLeastZero(path string, n int64) int64 {
	if n < 0 {
		c.add(path, fmt.Sprint(n), "must not be negative")
	}
	return max(n, 0)
}

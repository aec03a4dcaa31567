package usage

import (
	"net/http"
	"time"

	"github.com/aigateway-go/aigateway/internal/ratelimit"
)

// Quota and Count are those of package ratelimit.
type (
	Quota = ratelimit.Quota
	Count = ratelimit.Count
)

// RateLimit reads the quota that an answer's headers tell, of any provider. now is when the answer came.
func RateLimit(h http.Header, now time.Time) Quota { return ratelimit.Read(h, now) }

// RetryAfter is how long the upstream asks to wait in retry-after-ms or else Retry-After. It is false when neither is
// readable. apierror.Hint reads every other form too.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	if d, ok := ratelimit.Milliseconds(h.Get("Retry-After-Ms")); ok {
		return d, true
	}
	return ratelimit.Seconds(h.Get("Retry-After"), now)
}

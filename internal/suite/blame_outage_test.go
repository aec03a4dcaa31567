package suite_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blameOutage is a provider that is really down.
type blameOutage struct {
	name string
	down func(r *http.Request) (*http.Response, error)
	// after is how long a failure takes, and failures how many must end before the
	// provider is left.
	after    time.Duration
	failures int
	// probe is the least time between two requests to a provider that was left.
	probe time.Duration
	// back is how long after the outage the provider may be left at most.
	back time.Duration
}

// The outage of a run.
const blameDown, blameUp = 10 * time.Second, 30 * time.Second

// TestBlameOutage is the converse of TestBlameSimulation: a provider that is
// really down is left, whoever asks, and is back soon after.
func TestBlameOutage(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused")}
	status := func(status int, code string) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) { return blameError(r, status, code, "no") }
	}
	begun := func(r *http.Request) time.Duration { return time.Since(r.Context().Value(blameBegun{}).(time.Time)) }
	const soon, inARow = 50 * time.Millisecond, 5
	outages := []blameOutage{
		{"500", status(500, ""), soon, inARow, 5 * time.Second, 15 * time.Second},
		{"503", status(503, ""), soon, inARow, 5 * time.Second, 15 * time.Second},
		{"the model is gone: 404", status(404, "model_not_found"), soon, inARow, 5 * time.Second, 15 * time.Second},
		{"connection refused", func(*http.Request) (*http.Response, error) { return nil, refused }, 0, inARow, 5 * time.Second, 15 * time.Second},
		{"connection reset", func(*http.Request) (*http.Response, error) { return nil, errBlameReset }, 0, inARow, 5 * time.Second, 15 * time.Second},
		{"silence", func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, blameTimeout, inARow, 5 * time.Second, 15 * time.Second},
		{"half an answer", func(r *http.Request) (*http.Response, error) {
			return blameAnswer(r, 200, "application/json", blamePart{soon, `{"choices":[`}), nil
		}, soon, inARow, 5 * time.Second, 15 * time.Second},
		{"a page for a sign-in", func(r *http.Request) (*http.Response, error) {
			return blameAnswer(r, 200, "text/html", blamePart{soon, `<!DOCTYPE html><title>Sign in</title>`}), nil
		}, soon, inARow, 5 * time.Second, 15 * time.Second},
		{"429 with `Retry-After` to its end", func(r *http.Request) (*http.Response, error) {
			resp, err := blameError(r, 429, "rate_limit_exceeded", "slow down")
			if err == nil {
				resp.Header.Set("Retry-After", strconv.Itoa(int((blameUp-begun(r)).Seconds())+1))
			}
			return resp, err
		}, soon, 1, time.Second, 2 * time.Second},
		{"429 without", status(429, "rate_limit_exceeded"), soon, 1, 5 * time.Second, 20 * time.Second},
		{"429 `insufficient_quota`", status(429, "insufficient_quota"), soon, 1, time.Minute, 41 * time.Second},
		{"401", status(401, "invalid_api_key"), soon, 1, time.Minute, 41 * time.Second},
	}
	var table strings.Builder
	fmt.Fprintln(&table, "| outage | asked in vain | back after |")
	fmt.Fprintln(&table, "| --- | --- | --- |")
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			run := playOutage(t, o, nil, "good")
			require.Zero(t, run.failed)
			vain := blameBetween(run.asked["good"], blameDown, blameUp)
			// Good answers that are still under way begin the row anew. Requests that are
			// under way when the row is full could not know.
			first := 0
			if o.failures > 1 {
				first = slices.IndexFunc(vain, func(at time.Duration) bool { return at+o.after > blameDown+330*time.Millisecond })
			}
			require.GreaterOrEqual(t, len(vain), o.failures)
			full := vain[min(first+o.failures, len(vain))-1] + o.after
			probes := 1
			for probes < len(vain) && vain[probes]-vain[probes-1] < o.probe {
				probes++
			}
			assert.LessOrEqual(t, vain[probes-1], full, "left too late")
			for i := probes + 1; i < len(vain); i++ {
				assert.GreaterOrEqual(t, vain[i]-vain[i-1], o.probe, "between two probes")
			}
			back := run.back()
			assert.LessOrEqual(t, back, o.back)
			fmt.Fprintf(&table, "| %s | %d | %.0f s |\n", o.name, len(vain), back.Seconds())
		})
	}
	checkBlameTable(t, "outages", table.String())
	for _, o := range outages {
		t.Run("two providers/"+o.name, func(t *testing.T) {
			run := playOutage(t, o, nil, "good", "other")
			require.Zero(t, run.failed, "the third is well")
			for _, provider := range []string{"good", "other"} {
				vain := blameBetween(run.asked[provider], blameDown, blameUp)
				assert.Less(t, len(vain), 150, "of 280 requests, to %s", provider)
			}
			assert.LessOrEqual(t, run.back(), o.back)
		})
	}
}

// TestBlameOutageWithHostile has a tenant send more requests than all others,
// while a provider is down and after it. It can take one probe and fail it, and
// the next one is another's: the provider is back after two cooldowns at most.
func TestBlameOutageWithHostile(t *testing.T) {
	down := blameOutage{name: "500", down: func(r *http.Request) (*http.Response, error) { return blameError(r, 500, "", "no") }}
	for _, way := range blameWays() {
		if !slices.Contains([]string{
			"404 of a file", "a prompt that crashes the upstream into 500", "a prompt that crashes each upstream into 503",
			"a prompt that times out", "leaving before the answer", "leaving in the midst of a stream",
		}, way.name) {
			continue
		}
		t.Run(way.name, func(t *testing.T) {
			way.every = 40 * time.Millisecond
			run := playOutage(t, down, &way, "good")
			assert.Zero(t, run.failed, "requests of others")
			assert.LessOrEqual(t, run.back(), 15*time.Second+blameTimeout+15*time.Second)
		})
	}
}

// blameBegun is the key of the beginning of a run in a request's context.
type blameBegun struct{}

func playOutage(t *testing.T, o blameOutage, way *blameWay, providers ...string) *blameRun {
	run := &blameRun{long: 85 * time.Second, way: way}
	run.down = func(provider string, r *http.Request) (*http.Response, error) {
		if at := time.Since(run.begun); at < blameDown || at >= blameUp || !slices.Contains(providers, provider) {
			return nil, nil
		}
		return o.down(r)
	}
	run.play(t)
	return run
}

// back is how long after the outage the last request was sent that another
// provider than the good one answered.
func (b *blameRun) back() (last time.Duration) {
	for _, s := range b.at {
		if s.provider != "good" {
			last = max(last, s.sent-blameUp)
		}
	}
	return last
}

func blameBetween(at []time.Duration, from, to time.Duration) (some []time.Duration) {
	for _, t := range at {
		if t >= from && t < to {
			some = append(some, t)
		}
	}
	slices.Sort(some)
	return some
}

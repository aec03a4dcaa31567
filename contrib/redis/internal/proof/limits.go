package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// The limits of this scenario, in requests a minute.
const (
	exactLimit = 120
	looseLimit = 1200
)

// limits sends more than two limits allow to all replicas. The exact one lets through
// its number, and its refill; the other one 10 % more at most.
func limits(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 8, fmt.Sprintf(`client_limits:
  - {key: "req.headers['x-exact'][0]", required: false, requests_per_minute: %d, exact: true}
  - {key: "req.headers['x-loose'][0]", required: false, requests_per_minute: %d}`, exactLimit, looseLimit))
	if err != nil {
		return err
	}
	defer s.close()
	for name, c := range map[string]struct {
		limit, slack int64
		header       string
	}{
		"exact": {exactLimit, 0, "X-Exact"},
		"loose": {looseLimit, looseLimit / 10, "X-Loose"},
	} {
		passed, took, err := s.flood(ctx, 3*c.limit, c.header)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		refill := int64(took.Minutes()*float64(c.limit)) + 1
		o.printf("%s: %d requests within %.1f s at %d replicas, limit %d, refill %d: %d passed",
			name, 3*c.limit, took.Seconds(), len(s.replicas), c.limit, refill-1, passed)
		if passed > c.limit+c.slack+refill || passed < c.limit-c.slack {
			return fmt.Errorf("%s: %d passed: want %d, and %d more at most, or less, beside the refill", name, passed, c.limit, c.slack)
		}
	}
	return nil
}

// flood sends n requests of one client to all replicas at once, and counts those that
// passed. Anything else than an answer or a refusal for the limit is an error.
func (s *stage) flood(ctx context.Context, n int64, header string) (passed int64, took time.Duration, err error) {
	var sent, good atomic.Int64
	var bad atomic.Pointer[error]
	var all sync.WaitGroup
	begin := time.Now()
	for i := range 4 * len(s.replicas) {
		all.Go(func() {
			for sent.Add(1) <= n {
				err := s.replicas[i%len(s.replicas)].chat(ctx, body("hi", "good:m"), header, "tenant-1")
				var answer *answerError
				switch {
				case err == nil:
					good.Add(1)
				case errors.As(err, &answer) && answer.status == http.StatusTooManyRequests:
				default:
					bad.Store(&err)
				}
			}
		})
	}
	all.Wait()
	if e := bad.Load(); e != nil {
		err = *e
	}
	return good.Load(), time.Since(begin), err
}

package fleet

import (
	"context"
	"strconv"
	"time"

	"github.com/aigateway-go/aigateway/internal/limit"
)

// Claims are the exact limits of one request: their accounts are in the store. The
// request takes itself at its start, and asks whether any tokens and money are left. At
// its end it settles these. The zero Claims has no limits. It belongs to one goroutine.
type Claims struct {
	list  []claim
	alone bool // the store did not answer, and has counted nothing
}

// claim is one limit, and the hash of whom it limits.
type claim struct {
	allowance *limit.Allowance
	key       Sum
}

// Add adds a limit for the holder of a key. The allowance must not change.
func (c *Claims) Add(a *limit.Allowance, key limit.Key) {
	c.list = append(c.list, claim{a, Sum(key)})
}

// Take counts the request against its limits, all in one step, or returns the one in its
// way. Without an answer of the store the request passes, uncounted.
func (c *Claims) Take(ctx context.Context, l *Limits, now time.Time) (over limit.Measure, reset time.Time, ok bool) {
	if len(c.list) == 0 {
		return 0, now, true
	}
	var takes []Take
	var measures []limit.Measure
	for i := range c.list {
		list, of := c.list[i].takes(now, 1, 0, 0, false)
		takes, measures = append(takes, list...), append(measures, of...)
	}
	full, wait, ok, asked := l.Take(ctx, takes)
	if !asked {
		c.alone = true
	}
	if !ok && full < len(measures) {
		return measures[full], now.Add(wait), false
	}
	return 0, now, true
}

// GiveBack gives a request back that another limit refused. Only the count of requests
// was taken: tokens and money come at the end.
func (c *Claims) GiveBack(l *Limits, now time.Time) {
	if c.alone {
		return
	}
	for i := range c.list {
		if own := &c.list[i]; own.allowance.RequestsPerMinute > 0 {
			list, _ := own.takes(now, -1, 0, 0, true)
			l.Settle(list...)
		}
	}
	c.list = nil
}

// Settle charges the request's tokens and money, once. A request that passed uncounted
// is charged whole.
func (c *Claims) Settle(l *Limits, now time.Time, tokens, money int64) {
	requests := int64(0)
	if c.alone {
		requests = 1
	}
	for i := range c.list {
		list, _ := c.list[i].takes(now, requests, tokens, money, true)
		l.Settle(list...)
	}
	c.list = nil
}

// takes are the takes of a claim, with the measure of each.
//
// Budgets have accounts named after the claim and the end of their period. A new day
// begins with an empty account, without a reset.
func (c *claim) takes(now time.Time, requests, tokens, money int64, settle bool) (list []Take, measures []limit.Measure) {
	add := func(m limit.Measure, n int64, t Take, suffix string) {
		if n > 0 && !(settle && t.Amount == 0) {
			t.Key, t.Limit, t.Settle = "x/"+c.key.String()+"/"+suffix, n, settle
			list, measures = append(list, t), append(measures, m)
		}
	}
	utc, a := now.UTC(), c.allowance
	year, month, day := utc.Date()
	nextDay := time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
	nextMonth := time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
	add(limit.Requests, a.RequestsPerMinute, Take{Kind: Bucket, Amount: requests, Per: time.Minute}, "r")
	add(limit.Tokens, a.TokensPerMinute, Take{Kind: Bucket, Amount: tokens, Per: time.Minute}, "t")
	add(limit.Day, a.PerDay, Take{Kind: Budget, Amount: money, TTL: nextDay.Sub(now)}, "d"+strconv.FormatInt(nextDay.Unix(), 36))
	add(limit.Month, a.PerMonth, Take{Kind: Budget, Amount: money, TTL: nextMonth.Sub(now)}, "m"+strconv.FormatInt(nextMonth.Unix(), 36))
	return list, measures
}

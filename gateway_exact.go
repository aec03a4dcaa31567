package aigateway

import (
	"strconv"
	"time"

	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/limit"
)

// exactClaim is a claim on an exact limit: its accounts are in the fleet's store.
type exactClaim struct {
	limit *clientLimit
	key   fleet.Sum
}

// takes are the takes of a claim, with the measure of each. The request takes itself,
// and asks whether any tokens and money are left. At its end it settles these.
func (c *exactClaim) takes(now time.Time, requests, tokens, money int64, settle bool) (list []fleet.Take, measures []limit.Measure) {
	add := func(m limit.Measure, n int64, t fleet.Take, suffix string) {
		if n > 0 && !(settle && t.Amount == 0) {
			t.Key, t.Limit, t.Settle = "x/"+c.key.String()+"/"+suffix, n, settle
			list, measures = append(list, t), append(measures, m)
		}
	}
	utc, a := now.UTC(), &c.limit.allowance
	year, month, day := utc.Date()
	nextDay := time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
	nextMonth := time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
	add(limit.Requests, a.RequestsPerMinute, fleet.Take{Kind: fleet.Bucket, Amount: requests, Per: time.Minute}, "r")
	add(limit.Tokens, a.TokensPerMinute, fleet.Take{Kind: fleet.Bucket, Amount: tokens, Per: time.Minute}, "t")
	add(limit.Day, a.PerDay, fleet.Take{Kind: fleet.Budget, Amount: money, TTL: nextDay.Sub(now)}, "d"+strconv.FormatInt(nextDay.Unix(), 36))
	add(limit.Month, a.PerMonth, fleet.Take{Kind: fleet.Budget, Amount: money, TTL: nextMonth.Sub(now)}, "m"+strconv.FormatInt(nextMonth.Unix(), 36))
	return list, measures
}

// takeExact counts a request against its exact limits, or returns the one in its way.
func (x *exchange) takeExact(now time.Time) (over limit.Measure, reset time.Time, ok bool) {
	if len(x.adm.exact) == 0 {
		return 0, now, true
	}
	var takes []fleet.Take
	var measures []limit.Measure
	for i := range x.adm.exact {
		list, of := x.adm.exact[i].takes(now, 1, 0, 0, false)
		takes, measures = append(takes, list...), append(measures, of...)
	}
	full, wait, ok, asked := x.s.exact.Take(x.in.ctx, takes)
	if !asked {
		x.adm.alone = true
	}
	if !ok && full < len(measures) {
		return measures[full], now.Add(wait), false
	}
	return 0, now, true
}

// giveBackExact gives a request back that another limit refused.
func (x *exchange) giveBackExact() {
	if x.adm.alone {
		return
	}
	for i := range x.adm.exact {
		if c := &x.adm.exact[i]; c.limit.allowance.RequestsPerMinute > 0 {
			list, _ := c.takes(time.Now(), -1, 0, 0, true)
			x.s.exact.Settle(list...)
		}
	}
	x.adm.exact = nil
}

// settleExact charges a request's tokens and money. A request that was admitted
// without the store is charged whole.
func (x *exchange) settleExact(now time.Time, tokens, money int64) {
	requests := int64(0)
	if x.adm.alone {
		requests = 1
	}
	for i := range x.adm.exact {
		list, _ := x.adm.exact[i].takes(now, requests, tokens, money, true)
		x.s.exact.Settle(list...)
	}
	x.adm.exact = nil
}

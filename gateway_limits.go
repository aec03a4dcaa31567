package aigateway

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/ratelimit"
)

// admission is the way of a request past the limits of its client and the service's
// own admission.
//
// It is in three steps: admit before the selection, settle after the last
// attempt, and stamp on the answer's header.
type admission struct {
	claims   []limit.Claim
	exact    []exactClaim // in the store of the fleet
	alone    bool         // they were not asked
	admitted *limit.Admitted
	done     func(*Result)
	refused  bool // the answer is final: it is not handed on
}

// admit takes a request in, or says why not.
//
// The client's limits come first. The service is asked only about requests that
// may still pass.
func (x *exchange) admit() *Error {
	err := x.admitClient(time.Now())
	if err == nil && x.s.admission != nil {
		shown := x.in.shown()
		done, refusal := x.s.admission.Admit(x.in.ctx, &shown)
		x.adm.done = done
		err = notAdmitted(refusal)
	}
	x.adm.refused = err != nil
	return err
}

// admitClient counts a request against the limits of its client.
//
// Exact limits are taken from the store first, all in one step. If a limit of this replica
// then refuses, they are given back.
//
// An entry without a key for this request does not limit it, unless the entry is
// required. A limit in USD is required by default: an anonymous request would
// spend without a bound.
func (x *exchange) admitClient(now time.Time) *Error {
	for i := range x.s.clientLimits {
		l := &x.s.clientLimits[i]
		key, err := l.key.Eval(x.in.ctx, &x.in.request)
		switch {
		case err == nil && key != "":
			claim := limit.Claim{Entry: l.entry, Key: x.s.hashKey(l.name, key)}
			x.adm.claims = append(x.adm.claims, claim)
			if l.allowance.Exact && x.s.fleet != nil {
				x.adm.exact = append(x.adm.exact, exactClaim{l, fleet.Sum(claim.Key)})
			}
		case l.required:
			e := errorf(CodeNotAdmitted, "the request does not say whose it is")
			e.Err = fmt.Errorf("client_limits[%d] has no key: %w", i, cmp.Or(err, errEmptyKey))
			return e
		}
	}
	measure, reset, ok := x.takeExact(now)
	if ok {
		admitted, over := x.s.clients.Admit(now, x.adm.claims)
		if over == nil {
			x.adm.admitted = admitted
			return nil
		}
		x.giveBackExact()
		measure, reset = over.Measure, over.Reset
	}
	return limitExceeded(measure, reset.Sub(now))
}

// limitExceeded is the error for a client over a limit.
//
// A client need not repeat its request for a budget of a day or a month: NoRetry
// tells its SDK.
func limitExceeded(over limit.Measure, wait time.Duration) *Error {
	e := errorf(CodeClientLimitExceeded, "the limit %s is used up: try again in %s", over, roughly(wait))
	e.RetryAfter = max(wait, time.Millisecond)
	e.NoRetry = over == limit.Day || over == limit.Month
	return e
}

// errEmptyKey is for an expression without a name for the sender.
var errEmptyKey = errors.New("it is empty")

// roughly is a wait in whole seconds, rounded up.
func roughly(d time.Duration) string {
	return (time.Duration(math.Ceil(d.Seconds())) * time.Second).String()
}

// notAdmitted is the error for the client of a request that the service refused.
//
// An *Error of the service goes to the client as it is. Another error stays
// inside: its text may hold names of the service.
func notAdmitted(refusal error) *Error {
	var own *Error
	switch is := errors.As(refusal, &own); {
	case refusal == nil:
		return nil
	case is && own != nil:
		return own.complete()
	case is:
		refusal = errors.New("Admission returned a nil *Error as its error") // which has no text
	}
	e := errorf(CodeNotAdmitted, "the request is not admitted")
	e.Err = refusal
	return e
}

// settle charges the request to its client, and tells the service's admission, once.
//
// A second call does nothing. The tokens are those of all attempts.
func (x *exchange) settle(err *Error) {
	if x.adm.admitted != nil {
		u, cost := x.loop.trail.total()
		var tokens int64
		if u != nil {
			tokens = u.InputTokens + u.OutputTokens
		}
		x.adm.admitted.Settle(time.Now(), tokens, int64(cost.USD))
		x.settleExact(time.Now(), tokens, int64(cost.USD))
		x.adm.admitted = nil
	}
	if done := x.adm.done; done != nil {
		x.adm.done = nil
		done(x.result(err))
	}
}

// stampLimits tells the rest of the client's limits. The upstream's own are about
// the gateway's key, and do not pass.
//
// The names are those of OpenAI. They stand in answers of both formats.
func (x *exchange) stampLimits(h http.Header) {
	if len(x.adm.claims) == 0 {
		return
	}
	for name := range h {
		if ratelimit.IsHeader(name) {
			delete(h, name)
		}
	}
	standing := x.s.clients.Nearest(time.Now(), x.adm.claims)
	for _, l := range [...]struct {
		what string
		limit.Left
	}{{"Requests", standing.Requests}, {"Tokens", standing.Tokens}} {
		if l.Limit == 0 {
			continue
		}
		h["X-Ratelimit-Limit-"+l.what] = []string{strconv.FormatInt(l.Limit, 10)}
		h["X-Ratelimit-Remaining-"+l.what] = []string{strconv.FormatInt(l.Remaining, 10)}
		h["X-Ratelimit-Reset-"+l.what] = []string{((l.Reset + time.Millisecond - 1) / time.Millisecond * time.Millisecond).String()}
	}
}

// exactClaim is a claim on an exact limit: its accounts are in the fleet's store.
type exactClaim struct {
	limit *clientLimit
	key   fleet.Sum
}

// takes are the takes of a claim, with the measure of each. The request takes itself,
// and asks whether any tokens and money are left. At its end it settles these.
//
// Budgets have accounts named after the claim and the end of their period. A new day
// begins with an empty account, without a reset.
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
//
// Without an answer of the store the request passes, and alone notes that it was
// not counted.
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
//
// Only the count of requests was taken. Tokens and money come at the end.
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

// uncounted reports whether the request's client has a limit in tokens or money that
// does not let uncounted requests pass.
func (a *admission) uncounted(limits []clientLimit) bool {
	for _, l := range limits {
		if l.uncounted || l.allowance.TokensPerMinute == 0 && l.allowance.PerDay == 0 && l.allowance.PerMonth == 0 {
			continue
		}
		for _, c := range a.claims {
			if c.Entry == l.entry {
				return true
			}
		}
	}
	return false
}

// admitSession refuses a session that could not be counted against its client's limit.
func (x *exchange) admitSession() *Error {
	if x.in.surface.upgrades && x.adm.uncounted(x.s.clientLimits) {
		return errorf(CodeNotAdmitted, "a session is not admitted: its tokens and its cost cannot be limited while it lasts")
	}
	return nil
}

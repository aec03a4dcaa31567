package aigateway

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/price"
)

// defaultLimitKey is the key of an entry of client_limits without one.
const defaultLimitKey = "req.caller"

// clientLimit is an entry of client_limits, compiled.
type clientLimit struct {
	name      string // in the table of all entries, the same after a reload
	key       *expr.Identity
	allowance limit.Allowance
	required  bool
	uncounted bool
	entry     *limit.Entry // set by attach
}

// clientLimits compiles client_limits. callers says whether callers are told apart.
func clientLimits(p *problems, list []ClientLimit, callers bool) []clientLimit {
	out := make([]clientLimit, 0, len(list))
	names := map[string]int{}
	for i, l := range list {
		at := fmt.Sprintf("client_limits[%d]", i)
		text := cmp.Or(l.Key, defaultLimitKey)
		key, faults := expr.CompileIdentity(text)
		p.addFaults(at+".key", text, faults)
		if key != nil && key.Uses().Caller && !callers {
			p.add(at+".key", text, "needs to know the caller: set caller in the config, or Config.Caller")
		}
		c := clientLimit{key: key, allowance: limit.Allowance{RequestsPerMinute: l.RequestsPerMinute, TokensPerMinute: l.TokensPerMinute}}
		for _, n := range [...]struct {
			field string
			n     int64
		}{{"requests_per_minute", l.RequestsPerMinute}, {"tokens_per_minute", l.TokensPerMinute}} {
			if n.n < 0 {
				p.add(at+"."+n.field, fmt.Sprint(n.n), "must not be negative; leave it out for no limit")
			}
		}
		c.allowance.PerDay = budget(p, at+".usd_per_day", l.USDPerDay)
		c.allowance.PerMonth = budget(p, at+".usd_per_month", l.USDPerMonth)
		if c.allowance == (limit.Allowance{}) {
			p.add(at, "", "limits nothing: give it requests_per_minute, tokens_per_minute, usd_per_day or usd_per_month")
		}
		c.uncounted = l.Uncounted
		c.required = l.USDPerDay > 0 || l.USDPerMonth > 0
		if l.Required != nil {
			c.required = *l.Required
		}
		names[text]++
		c.name = fmt.Sprintf("%d %s", names[text], text)
		out = append(out, c)
	}
	return out
}

// budget reads an amount of USD. Zero is no limit.
func budget(p *problems, path string, usd float64) int64 {
	if usd == 0 {
		return 0
	}
	v, ok := price.Parse(strconv.FormatFloat(usd, 'f', -1, 64))
	if !ok || v <= 0 {
		p.add(path, fmt.Sprint(usd), "must be an amount above zero and below 9000000")
	}
	return int64(v)
}

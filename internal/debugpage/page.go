package debugpage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// page is the parsed template, and the Content-Security-Policy for it.
type page struct {
	template *template.Template
	policy   string
}

// newPage parses the template once. It panics on a fault, because the template is
// fixed.
//
// The policy allows the page's own style and script by their hashes, and no
// others.
func newPage() *page {
	t := template.New("page").Funcs(template.FuncMap{
		"requests": requestBars, "latency": latencyBars, "tokens": tokenBars,
		"count": count, "percent": percent, "causes": causes, "ms": milliseconds, "bytes": byteCount, "used": used,
		"moment": newMoment, "zone": zone, "counted": counted, "total": total,
		"dollars": dollars, "accounts": newAccounts, "counted64": func(n int64, what string) string { return counted(int(n), what) }, "health": healthTag, "store": storeTag, "provider": providerTag, "request": requestTag, "step": stepTag,
		"float":  func(n int64) float64 { return float64(n) },
		"inc":    func(i int) int { return i + 1 },
		"known":  func(p *int64) bool { return p != nil },
		"deref":  func(p *int64) int64 { return *p },
		"style":  func() template.CSS { return template.CSS(pageCSS) },
		"script": func() template.JS { return template.JS(pageJS) },
	})
	return &page{
		template: template.Must(t.Parse(pageHTML)),
		policy: strings.Join([]string{
			"default-src 'none'",
			"style-src " + sourceHash(pageCSS),
			"script-src " + sourceHash(pageJS),
			"connect-src 'self'", // the page fetches itself
			"img-src data:",      // its icon
			"form-action 'self'",
			"base-uri 'none'",
			"frame-ancestors 'none'",
			// The script never turns fetched text into HTML.
			"require-trusted-types-for 'script'",
			"trusted-types 'none'",
		}, "; "),
	}
}

// sourceHash is the name of an inline style or script in a policy.
func sourceHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// render writes the page. paths are those that the form offers.
func (p *page) render(w io.Writer, s *State, paths []string, q Question) error {
	return p.template.Execute(w, struct {
		*State
		Paths []string
		Asked Question
	}{s, paths, q})
}

// The size of a chart, in the units of its viewBox.
const (
	chartWidth  = 80
	chartHeight = 20
	barGap      = 2
)

// chart is a sparkline of bars, with a label for those who cannot see it.
//
// A chart without bars is not drawn. Its label still tells the figures.
type chart struct {
	Label string
	Bars  []bar
}

// bar is a rectangle of a chart, in a class of the style sheet.
type bar struct {
	X, Y, W, H float64
	Class      string
}

// newChart stacks up to two values a slot, scaled to the highest sum.
//
// The first value of a slot stands at the bottom. A slot with neither has no
// bar.
//
// Slots are of equal width. The height is relative: a chart shows the shape of
// the last minutes, and its label the figures.
func newChart(label string, slots []Slot, classes [2]string, values func(Slot) [2]float64) chart {
	highest := 0.
	for _, s := range slots {
		v := values(s)
		highest = math.Max(highest, v[0]+v[1])
	}
	c := chart{Label: label}
	if highest == 0 {
		return c
	}
	step := float64(chartWidth) / float64(len(slots))
	for i, s := range slots {
		base := float64(chartHeight)
		for k, v := range values(s) {
			if v <= 0 {
				continue
			}
			// A bar of any value is visible, however small the value is.
			h := math.Max(v/highest*chartHeight, 1)
			h = math.Min(h, base)
			base -= h
			c.Bars = append(c.Bars, bar{
				X: round(float64(i)*step + barGap/2.), Y: round(base), W: round(step - barGap), H: round(h), Class: classes[k],
			})
		}
	}
	return c
}

// round keeps one digit: the viewBox is small, and the page long.
func round(f float64) float64 { return math.Round(f*10) / 10 }

// requestBars shows requests by slot, the failed ones below.
func requestBars(l Load) chart {
	label := fmt.Sprintf("%d requests, %s failed", l.Requests, percent(l.ErrorRate.Total))
	return newChart(label, l.Slots, [2]string{"bad", "good"}, func(s Slot) [2]float64 {
		return [2]float64{float64(s.Failed), float64(s.Requests - s.Failed)}
	})
}

// latencyBars shows the average latency by slot.
func latencyBars(l Load) chart {
	label := "average latency " + milliseconds(l.Latency.UpstreamAvg)
	return newChart(label, l.Slots, [2]string{"plain", ""}, func(s Slot) [2]float64 { return [2]float64{s.LatencyMS, 0} })
}

// tokenBars shows tokens by slot, those of answers below.
func tokenBars(l Load) chart {
	label := fmt.Sprintf("%d tokens in, %d tokens out", l.Tokens.Input, l.Tokens.Output)
	return newChart(label, l.Slots, [2]string{"out", "in"}, func(s Slot) [2]float64 {
		return [2]float64{float64(s.Tokens.Output), float64(s.Tokens.Input)}
	})
}

// used is a chart of the rest of an allowance, as one bar over another.
//
// An unknown allowance has an empty chart.
//
// Below a tenth the bar turns to the colour of trouble: time to look, before
// anything fails.
func used(a Allowance) chart {
	if a.Remaining == nil || a.Limit == nil || *a.Limit <= 0 {
		return chart{}
	}
	if a.Spent() {
		return chart{Label: "none left", Bars: []bar{{0, 0, chartWidth, chartHeight, "spent"}}}
	}
	left := min(float64(*a.Remaining)/float64(*a.Limit), 1)
	class := "good"
	if left < 0.1 {
		class = "bad"
	}
	return chart{
		Label: percent(left) + " left",
		Bars:  []bar{{0, 0, chartWidth, chartHeight, "empty"}, {0, 0, round(left * chartWidth), chartHeight, class}},
	}
}

// count is a number, rounded for a quick look.
//
// Numbers below 10,000 are shown whole.
func count(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e9, "\u00a0G"}, {1e6, "\u00a0M"}, {1e3, "\u00a0k"}} {
		if n >= unit.size && n >= 1e4 {
			return strings.TrimSuffix(strconv.FormatFloat(float64(n)/float64(unit.size), 'f', 1, 64), ".0") + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// causes lists the causes of failures. A single cause needs no number of its own.
//
// A rate of zero is left out. A cause of all failures stands without a number.
func causes(e ErrorRate) string {
	var list []string
	for _, c := range []struct {
		name string
		rate float64
	}{{"server", e.Server}, {"timeout", e.Timeout}, {"rate\u00a0limit", e.RateLimit}, {"client", e.Client}} {
		switch c.rate {
		case 0:
		case e.Total:
			return c.name
		default:
			list = append(list, c.name+"\u00a0"+percent(c.rate))
		}
	}
	return strings.Join(list, ", ")
}

// percent is a rate from 0 to 1 as a percentage. Only a rate of zero is shown as
// zero.
func percent(rate float64) string {
	switch p := rate * 100; {
	case p == 0:
		return "0\u00a0%"
	case p < 0.1:
		return "<\u00a00.1\u00a0%"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + "\u00a0%"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + "\u00a0%"
	}
}

// milliseconds is a duration with about three digits. Zero is a dash.
// 119 s are told in seconds, and 120 s as 2 min.
func milliseconds(ms float64) string {
	switch {
	case ms == 0:
		return "–"
	case ms < 0.05:
		return "<\u00a00.1\u00a0ms"
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + "\u00a0ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + "\u00a0ms"
	case ms < 10_000:
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + "\u00a0s"
	case ms < 120_000:
		return strconv.FormatFloat(ms/1000, 'f', 0, 64) + "\u00a0s"
	default:
		return strconv.FormatFloat(ms/60_000, 'f', 0, 64) + "\u00a0min"
	}
}

// byteCount is a size in the notation of a config.
func byteCount(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "\u00a0GiB"}, {1 << 20, "\u00a0MiB"}, {1 << 10, "\u00a0KiB"}} {
		if n >= unit.size {
			return strings.TrimSuffix(strconv.FormatFloat(float64(n)/float64(unit.size), 'f', 1, 64), ".0") + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + "\u00a0bytes"
}

// counted is a number with its word.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return strconv.Itoa(n) + "\u00a0" + what
}

// total counts the models of all entries.
func total(list []OtherModel) int {
	n := 0
	for _, m := range list {
		n += m.Count
	}
	return n
}

// accounts is a table of sums.
type accounts struct {
	Title string
	Rows  []Account
}

// newAccounts is for the template, which cannot make a struct.
func newAccounts(title string, rows []Account) accounts { return accounts{title, rows} }

// moment is a time, for a reader at another time.
type moment struct {
	Clock string
	Date  string // empty for today
	Full  string // RFC 3339
}

// newMoment puts t into the zone of now.
// The date stands only where it is another one than the reader's, to keep
// columns narrow.
func newMoment(now, t time.Time) moment {
	t = t.In(now.Location())
	m := moment{Clock: t.Format("15:04:05"), Full: t.Format(time.RFC3339)}
	year, month, day := t.Date()
	thisYear, thisMonth, today := now.Date()
	switch {
	case year != thisYear:
		m.Date = t.Format("2 Jan 2006")
	case month != thisMonth || day != today:
		m.Date = t.Format("2 Jan")
	}
	return m
}

// zone is the name of a time's zone, or its offset from UTC if it has no name.
// Go names a zone without a name by its offset, such as "+03".
func zone(t time.Time) string {
	if name := t.Format("MST"); !strings.ContainsAny(name, "+-") {
		return name
	}
	return "UTC" + t.Format("-07:00")
}

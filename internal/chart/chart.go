// Package chart draws the charts of the documents as SVG. Each chart is drawn twice,
// for light and for dark pages. It needs no font and no script.
package chart

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Theme is a set of colours.
type Theme struct {
	// Name is the end of the file's name.
	Name string
	// Page is behind the chart. Ink is for texts, Faint for secondary ones, and
	// Grid for lines.
	Page, Ink, Faint, Grid string
	// Series are the colours of data, in order.
	Series []string
}

// Light and Dark are the themes. Each colour of a series, and each text, has a
// contrast of at least 3 and 4.5 to its page.
var (
	Light = Theme{
		Name: "light", Page: "#ffffff", Ink: "#1f2328", Faint: "#59636e", Grid: "#d1d9e0",
		Series: []string{"#0b62b8", "#b3501d", "#1a7f4b", "#8250df", "#a40e50", "#6b6400", "#0f7280", "#5b6470"},
	}
	Dark = Theme{
		Name: "dark", Page: "#0d1117", Ink: "#f0f6fc", Faint: "#9aa4b0", Grid: "#3d444d",
		Series: []string{"#58a6ff", "#f0883e", "#3fb950", "#bc8cff", "#ff7eb6", "#d2c12a", "#39c5cf", "#aab4bf"},
	}
)

// Themes are all themes.
func Themes() []Theme { return []Theme{Light, Dark} }

// The measures of a chart, in pixels.
const (
	width    = 760.0
	margin   = 20.0
	fontSize = 13.0
	titleBar = 58.0 // title and subtitle
	barThick = 16.0
	barGap   = 10.0
	manyBars = 20    // with less room between them
	plot     = 300.0 // the height of lines
)

// Chart is what can be drawn.
type Chart interface {
	// SVG returns the chart as a document. It ends in a line break.
	SVG(t Theme) string
}

// Bar is a row of Bars.
type Bar struct {
	Label string
	Value float64
	// Text stands behind the bar.
	Text string
}

// Bars is a chart of horizontal bars.
type Bars struct {
	Title, Subtitle string
	Rows            []Bar
	// Mark is a value with a line across all bars, and MarkText its name. Zero is
	// no line.
	Mark     float64
	MarkText string
}

// SVG implements [Chart].
func (b Bars) SVG(t Theme) string {
	left, right, most := 0.0, 0.0, b.Mark
	for _, r := range b.Rows {
		left, right, most = max(left, textWidth(r.Label, fontSize)), max(right, textWidth(r.Text, fontSize)), max(most, r.Value)
	}
	left = margin + left + 10
	room := width - margin - right - 8 - left // of the longest bar
	top, barStep := titleBar+margin, barThick+barGap
	if b.Mark > 0 {
		top += 14 // its text
	}
	if len(b.Rows) > manyBars {
		barStep = barThick + barGap/2
	}
	c := newCanvas(t, b.Title, b.Subtitle, top+float64(len(b.Rows))*barStep+margin)
	scale := func(v float64) float64 { return left + room*v/most }
	if b.Mark > 0 {
		x := scale(b.Mark)
		c.line(x, top-4, x, top+float64(len(b.Rows))*barStep, t.Faint, "4 3")
		c.fitted(x, top-10, b.MarkText, t.Faint)
	}
	for i, r := range b.Rows {
		y := top + float64(i)*barStep
		c.rect(left, y, max(1, scale(r.Value)-left), barThick, t.Series[0])
		c.text(left-10, y+barThick-3, fontSize, "end", t.Ink, r.Label)
		behind := scale(r.Value) + 8
		if b.Mark > 0 {
			behind = max(behind, scale(b.Mark)+8) // not across the line, and in one column
		}
		c.text(min(behind, width-margin-textWidth(r.Text, fontSize)), y+barThick-3, fontSize, "start", t.Ink, r.Text)
	}
	return c.end()
}

// Point is a point of a Line.
type Point struct{ X, Y float64 }

// Line is a named series of points, in ascending order of X.
type Line struct {
	Name   string
	Points []Point
}

// Axis is an axis of Lines.
type Axis struct {
	// Name stands beside it.
	Name string
	// Log makes it logarithmic. Values must then be above zero.
	Log bool
	// Text writes a value at a tick.
	Text func(float64) string
}

// Lines is a chart of lines. Their names stand at their right ends, apart from each
// other.
type Lines struct {
	Title, Subtitle string
	X, Y            Axis
	Lines           []Line
}

// SVG implements [Chart].
func (l Lines) SVG(t Theme) string {
	xs, ys := l.values()
	xTicks, yTicks := ticks(xs, l.X.Log, false), ticks(ys, l.Y.Log, true)
	left, names := 0.0, 0.0
	for _, v := range yTicks {
		left = max(left, textWidth(l.Y.Text(v), fontSize))
	}
	for _, line := range l.Lines {
		names = max(names, textWidth(line.Name, fontSize))
	}
	left += margin + 8
	right := width - margin - names - 14
	top := titleBar + margin + 16
	c := newCanvas(t, l.Title, l.Subtitle, max(top+plot, top+float64(len(l.Lines))*(fontSize+4))+56)
	x := l.X.scale(xTicks, xs, left, right)
	y := l.Y.scale(yTicks, ys, top+plot, top)

	c.text(margin, top-14, fontSize, "start", t.Faint, l.Y.Name)
	for _, v := range yTicks {
		c.line(left, y(v), right, y(v), t.Grid, "")
		c.text(left-8, y(v)+4, fontSize, "end", t.Faint, l.Y.Text(v))
	}
	for _, v := range xTicks {
		c.fitted(x(v), top+plot+20, l.X.Text(v), t.Faint)
	}
	c.text((left+right)/2, top+plot+40, fontSize, "middle", t.Faint, l.X.Name)
	at := l.ends(y, top, top+plot)
	for i, line := range l.Lines {
		colour := t.Series[i%len(t.Series)]
		c.path(line.Points, x, y, colour)
		last := line.Points[len(line.Points)-1]
		c.line(x(last.X)+3, y(last.Y), right+8, at[i], colour, "1 2")
		c.text(right+12, at[i]+4, fontSize, "start", colour, line.Name)
	}
	return c.end()
}

// values are all that the axes must show.
func (l Lines) values() (xs, ys []float64) {
	for _, line := range l.Lines {
		for _, p := range line.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	return xs, ys
}

// ends are the heights of the lines' names: near their last points, and apart.
func (l Lines) ends(y func(float64) float64, top, bottom float64) []float64 {
	const apart = fontSize + 4
	order := make([]int, len(l.Lines))
	at := make([]float64, len(l.Lines))
	for i, line := range l.Lines {
		order[i], at[i] = i, y(line.Points[len(line.Points)-1].Y)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if at[a] < at[b] {
			return -1
		}
		if at[a] > at[b] {
			return 1
		}
		return 0
	})
	// From below: no name under the plot. From above: none in another.
	floor := max(bottom, top+float64(len(order))*apart)
	for i := len(order) - 1; i >= 0; i-- {
		at[order[i]] = min(at[order[i]], floor)
		floor = at[order[i]] - apart
	}
	ceiling := top
	for _, i := range order {
		at[i] = max(at[i], ceiling)
		ceiling = at[i] + apart
	}
	return at
}

// scale maps values to pixels, between the first and the last tick or value.
func (a Axis) scale(ticks, values []float64, from, to float64) func(float64) float64 {
	first, last := min(ticks[0], slices.Min(values)), max(ticks[len(ticks)-1], slices.Max(values))
	of := func(v float64) float64 { return v }
	if a.Log {
		of = math.Log10
	}
	low, high := of(first), of(last)
	return func(v float64) float64 { return from + (to-from)*(of(v)-low)/(high-low) }
}

// ticks are round values around all values: powers of ten, or up to seven steps. A
// linear axis of heights begins at zero.
func ticks(values []float64, log, zero bool) (out []float64) {
	low, high := slices.Min(values), slices.Max(values)
	if log {
		first, last := math.Floor(math.Log10(low)+1e-9), math.Ceil(math.Log10(high)-1e-9)
		for e := first; e <= max(last, first+1); e++ {
			out = append(out, math.Pow(10, e))
		}
		return out
	}
	if zero {
		low = 0
	}
	if high <= low {
		high = low + 1
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/5)))
	for _, f := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*f) <= 6 {
			step *= f
			break
		}
	}
	for v := math.Floor(low/step) * step; ; v += step {
		out = append(out, v)
		if v >= high-step*1e-9 {
			return out
		}
	}
}

// canvas collects the elements of a document.
type canvas struct {
	strings.Builder
	theme Theme
}

func newCanvas(t Theme, title, subtitle string, height float64) *canvas {
	c := &canvas{theme: t}
	fmt.Fprintf(&c.Builder, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s"`+
		` font-family="Helvetica, Arial, sans-serif">`+"\n", width, height, width, height, escape(title))
	c.rect(0, 0, width, height, t.Page)
	c.text(margin, 30, 17, "start", t.Ink, title)
	c.text(margin, 50, fontSize, "start", t.Faint, subtitle)
	return c
}

func (c *canvas) end() string {
	c.WriteString("</svg>\n")
	return c.String()
}

func (c *canvas) rect(x, y, w, h float64, colour string) {
	fmt.Fprintf(&c.Builder, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, w, h, colour)
}

func (c *canvas) line(x1, y1, x2, y2 float64, colour, dashes string) {
	if dashes != "" {
		dashes = ` stroke-dasharray="` + dashes + `"`
	}
	fmt.Fprintf(&c.Builder, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"%s/>`+"\n", x1, y1, x2, y2, colour, dashes)
}

func (c *canvas) path(points []Point, x, y func(float64) float64, colour string) {
	var d strings.Builder
	for i, p := range points {
		word := "L"
		if i == 0 {
			word = "M"
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", word, x(p.X), y(p.Y))
	}
	fmt.Fprintf(&c.Builder, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", d.String(), colour)
}

// text writes a text. Anchor is the part of it that is at x: start, middle or end.
func (c *canvas) text(x, y, size float64, anchor, colour, text string) {
	fmt.Fprintf(&c.Builder, `<text x="%.1f" y="%.1f" font-size="%.0f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, size, anchor, colour, escape(text))
}

// fitted writes a text around x, moved so far that it stays within the margins.
func (c *canvas) fitted(x, y float64, text, colour string) {
	half := textWidth(text, fontSize) / 2
	c.text(min(max(x, margin+half), width-margin-half), y, fontSize, "middle", colour, text)
}

func escape(text string) string {
	var out strings.Builder
	xml.EscapeText(&out, []byte(text)) //nolint:errcheck // a Builder does not fail
	return out.String()
}

// textWidth is an upper bound of a text's width in pixels, in Helvetica and its kin.
func textWidth(text string, size float64) float64 {
	em := 0.0
	for _, r := range text {
		switch {
		case strings.ContainsRune("iljI|.,:;'!", r):
			em += 0.28
		case strings.ContainsRune("ftr()[]-/ `\"·", r):
			em += 0.36
		case strings.ContainsRune("mwMW%—→@", r):
			em += 0.95
		case r >= 'A' && r <= 'Z' || strings.ContainsRune("≥≤=<>+×&", r):
			em += 0.72
		case r > 0x2ff:
			em += 1
		default:
			em += 0.57
		}
	}
	return em * size
}

package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// word is a text of a chart with its box.
type word struct {
	text                     string
	left, top, right, bottom float64
	colour                   string
}

// words reads a chart, which must be well-formed, and finds its size and texts.
func words(t *testing.T, svg string) (width, height float64, found []word) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(svg))
	attr := func(e xml.StartElement, name string) string {
		for _, a := range e.Attr {
			if a.Name.Local == name {
				return a.Value
			}
		}
		return ""
	}
	num := func(e xml.StartElement, name string) float64 {
		v, err := strconv.ParseFloat(attr(e, name), 64)
		require.NoError(t, err, "%s of %v", name, e)
		require.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%s of %v", name, e)
		return v
	}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return width, height, found
		}
		require.NoError(t, err)
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "svg":
			require.Equal(t, "http://www.w3.org/2000/svg", e.Name.Space)
			width, height = num(e, "width"), num(e, "height")
			require.NotEmpty(t, attr(e, "aria-label"))
		case "text":
			var text string
			require.NoError(t, dec.DecodeElement(&text, &e))
			size := num(e, "font-size")
			w := textWidth(text, size)
			left := num(e, "x") - map[string]float64{"start": 0, "middle": w / 2, "end": w}[attr(e, "text-anchor")]
			found = append(found, word{text, left, num(e, "y") - size*0.8, left + w, num(e, "y") + size*0.2, attr(e, "fill")})
		case "rect":
			assert.LessOrEqual(t, num(e, "x")+num(e, "width"), width+0.1)
			assert.GreaterOrEqual(t, num(e, "width"), 0.0)
		case "line":
			for _, name := range []string{"x1", "x2"} {
				assert.LessOrEqual(t, num(e, name), width)
			}
		case "path":
			assert.NotContains(t, attr(e, "d"), "NaN")
		default:
			t.Errorf("there is no %s in a chart", e.Name.Local)
		}
	}
}

// fits checks that each text is inside, and not in another.
func fits(t *testing.T, svg string) []word {
	t.Helper()
	width, height, found := words(t, svg)
	require.NotEmpty(t, found)
	for i, w := range found {
		assert.True(t, w.left >= 0 && w.right <= width && w.top >= 0 && w.bottom <= height, "%q is not within the chart: %+v", w.text, w)
		for _, other := range found[:i] {
			apart := w.right <= other.left || other.right <= w.left || w.bottom <= other.top || other.bottom <= w.top
			assert.True(t, apart, "%q is in %q: %+v %+v", w.text, other.text, w, other)
		}
	}
	return found
}

func TestBars(t *testing.T) {
	for name, b := range map[string]Bars{
		"one":      {Rows: []Bar{{"a", 1, "1"}}},
		"zero":     {Rows: []Bar{{"a", 0, "0"}, {"b", 2, "2"}}},
		"marked":   {Mark: 1, MarkText: "a reverse proxy", Rows: []Bar{{"a", 0.97, "0.97"}, {"b", 1.5, "1.50"}, {"c", 0.2, "0.20"}}},
		"far mark": {Mark: 10, MarkText: "a goal far on the right", Rows: []Bar{{"a", 0.97, "0.97"}}},
		"escaped":  {Rows: []Bar{{"filter(m, m.x < 3 && 'a' in m.b)", 3, "<3 & \"more\""}}},
		"long":     {Rows: []Bar{{strings.Repeat("long label ", 4), 7, strings.Repeat("long text ", 3)}, {"b", 7.1, "7"}}},
	} {
		t.Run(name, func(t *testing.T) {
			b.Title, b.Subtitle = "Title & more", "subtitle"
			for _, theme := range Themes() {
				found := fits(t, b.SVG(theme))
				texts := map[string]bool{}
				for _, w := range found {
					texts[w.text] = true
				}
				for _, r := range b.Rows {
					assert.True(t, texts[r.Label] && texts[r.Text], r)
				}
			}
		})
	}
}

func TestLines(t *testing.T) {
	plain := func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
	line := func(name string, ys ...float64) Line {
		l := Line{Name: name}
		for i, y := range ys {
			l.Points = append(l.Points, Point{math.Pow(10, float64(i+1)), y})
		}
		return l
	}
	var equal []Line
	for i := range 8 {
		equal = append(equal, line(fmt.Sprint("series ", i), 5, 5, 5))
	}
	for name, l := range map[string]Lines{
		"log":      {X: Axis{Log: true}, Y: Axis{Log: true}, Lines: []Line{line("a", 0.1, 0.3, 200), line("b", 0.1, 0.1, 0.1)}},
		"linear":   {Lines: []Line{line("heap", 23.4, 24.1, 23.9)}},
		"flat":     {Lines: []Line{line("none", 0, 0)}},
		"equal":    {Lines: equal},
		"at floor": {X: Axis{Log: true}, Y: Axis{Log: true}, Lines: []Line{line("a", 1, 1), line("b", 1, 1), line("c", 1, 100)}},
	} {
		t.Run(name, func(t *testing.T) {
			l.Title, l.Subtitle, l.X.Name, l.Y.Name, l.X.Text, l.Y.Text = "Title", "subtitle", "models", "µs", plain, plain
			for _, theme := range Themes() {
				fits(t, l.SVG(theme))
			}
		})
	}
}

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		values    []float64
		log, zero bool
		want      []float64
	}{
		{[]float64{10, 10000}, true, false, []float64{10, 100, 1000, 10000}},
		{[]float64{0.1, 219}, true, false, []float64{0.1, 1, 10, 100, 1000}},
		{[]float64{5, 5}, true, false, []float64{1, 10}},
		{[]float64{23, 24}, false, true, []float64{0, 5, 10, 15, 20, 25}},
		{[]float64{0, 30}, false, false, []float64{0, 5, 10, 15, 20, 25, 30}},
	} {
		got := ticks(tt.values, tt.log, tt.zero)
		assert.InDeltaSlice(t, tt.want, got, 1e-9, "%v: %v", tt.values, got)
	}
}

// Texts and series can be told from their pages.
func TestContrast(t *testing.T) {
	luminance := func(colour string) (l float64) {
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			v, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
			require.NoError(t, err)
			c := float64(v) / 255
			if c /= 12.92; float64(v)/255 > 0.04045 {
				c = math.Pow((float64(v)/255+0.055)/1.055, 2.4)
			}
			l += weight * c
		}
		return l
	}
	contrast := func(a, b string) float64 {
		high, low := max(luminance(a), luminance(b)), min(luminance(a), luminance(b))
		return (high + 0.05) / (low + 0.05)
	}
	for _, theme := range Themes() {
		for _, colour := range append([]string{theme.Ink, theme.Faint}, theme.Series...) { // series colour their names
			assert.GreaterOrEqual(t, contrast(colour, theme.Page), 4.5, "%s %s", theme.Name, colour)
		}
	}
}

// The pictures in docs are those of the tables.
func TestPictures(t *testing.T) {
	const docs = "../../docs"
	all, err := Draw(docs)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 6)
	for path, svg := range all {
		t.Run(path, func(t *testing.T) {
			fits(t, svg)
			kept, err := os.ReadFile(filepath.Join(docs, path))
			require.NoError(t, err)
			assert.True(t, svg == string(kept), "a table has changed: run go run ./internal/bench -draw docs")
			var embedded int
			files, err := filepath.Glob(docs + "/*.md")
			require.NoError(t, err)
			for _, file := range files {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				embedded += strings.Count(string(text), `"`+path+`"`)
			}
			assert.Equal(t, 1, embedded, "the documents show it once")
		})
	}
}

func TestNumber(t *testing.T) {
	for cell, want := range map[string]float64{"0.93": 0.93, "10,000": 10000, "34 µs": 34, "100 %": 100, "-0.5 ms": -0.5} {
		got, err := number(cell)
		require.NoError(t, err)
		assert.InDelta(t, want, got, 1e-12)
	}
	_, err := number("none")
	assert.Error(t, err)
	assert.Equal(t, "12,345.5", thousands(12345.5))
}

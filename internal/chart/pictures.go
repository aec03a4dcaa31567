package chart

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/section"
)

// picture is a chart of a generated table in a document.
type picture struct {
	name string // of the files
	file string // in docs
	part string // of the file, see section
	draw func(rows [][]string) (Chart, error)
}

// pictures are all of them. Their numbers are those of the tables.
func pictures() []picture {
	return []picture{
		{"overhead", "performance.md", "bench", overhead},
		{"choosing", "performance.md", "selection", choosing},
		{"cache-hits", "selection.md", "cache", cacheHits},
		{"hostile-tenant", "faults.md", "blame", hostile},
		{"outages", "faults.md", "outages", outages},
		{"soak", "performance.md", "soak", soakMemory},
		{"fleet-soak", "replicas.md", "fleet-soak", fleetMemory},
		{"fleet-soak-counts", "replicas.md", "fleet-soak", fleetCounts},
		{"propagation", "replicas.md", "propagation", propagation},
	}
}

// Draw draws all pictures whose tables are in the documents of a folder, and returns
// them by their paths below it.
func Draw(docs string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range pictures() {
		doc, err := os.ReadFile(filepath.Join(docs, p.file))
		if err != nil {
			return nil, err
		}
		if !strings.Contains(string(doc), "<!-- "+p.part+":begin -->") {
			continue
		}
		text, err := section.Text(string(doc), p.part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.file, err)
		}
		rows := cells(text)
		if strings.TrimSpace(text) == "" {
			continue // not measured yet
		}
		if len(rows) < 2 {
			return nil, fmt.Errorf("the part %s of %s has no table", p.part, p.file)
		}
		c, err := p.draw(rows)
		if err != nil {
			return nil, fmt.Errorf("the picture %s of %s: %w", p.name, p.file, err)
		}
		for _, theme := range Themes() {
			out["images/"+p.name+"-"+theme.Name+".svg"] = c.SVG(theme)
		}
	}
	return out, nil
}

// Write draws all pictures into the folder of the documents.
func Write(docs string) error {
	all, err := Draw(docs)
	if err != nil {
		return err
	}
	for path, text := range all {
		if err := os.WriteFile(filepath.Join(docs, filepath.FromSlash(path)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// cells are the rows of all Markdown tables in a text, without their rules.
func cells(text string) (rows [][]string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.Trim(line, "|-: ") == "" {
			continue
		}
		row := strings.Split(strings.Trim(line, "|"), "|")
		for i := range row {
			row[i] = strings.TrimSpace(strings.ReplaceAll(row[i], "`", ""))
		}
		rows = append(rows, row)
	}
	return rows
}

var amount = regexp.MustCompile(`^-?[\d,]+(?:\.\d+)?`)

// number reads the number that a cell begins with.
func number(cell string) (float64, error) {
	text := amount.FindString(cell)
	v, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil {
		return 0, fmt.Errorf("%q does not begin with a number", cell)
	}
	return v, nil
}

// overhead compares the CPU time of requests with that of a bare reverse proxy: the
// rows with 8 connections.
func overhead(rows [][]string) (Chart, error) {
	b := Bars{
		Title: "CPU time of a request, against a bare reverse proxy", Subtitle: "8 connections; httputil.ReverseProxy is 1.00, less is better",
		Mark: 1, MarkText: "httputil.ReverseProxy",
	}
	column := -1
	for _, row := range rows {
		if len(row) > 3 && row[len(row)-1] == "ratio" {
			column = len(row) - 1
			continue
		}
		name, ok := strings.CutSuffix(row[0], ", 8 connections")
		if column < 0 || len(row) != column+1 || !ok {
			continue
		}
		v, err := number(row[column])
		if err != nil {
			return nil, err
		}
		b.Rows = append(b.Rows, Bar{name, v, fmt.Sprintf("%.2f", v)})
	}
	if len(b.Rows) == 0 {
		return nil, errors.New("no row ends in \", 8 connections\"")
	}
	return b, nil
}

// choosing shows the time to choose by the number of models.
func choosing(rows [][]string) (Chart, error) {
	shown := [][2]string{ // the end of a strategy, and its name in the chart
		{"none", "no strategy"}, {"by header", "by header"}, {".randomize()", "randomize()"}, {".leastBusy()", "leastBusy()"},
		{".sticky(req.session, 1.5)", "sticky, with a bound"}, {"m.id.startsWith(req.headers[…][0]))", "filter by a function"},
	}
	l := Lines{
		Title: "Time to choose the models of a request", Subtitle: "by the number of models in the catalog; both axes are logarithmic",
		X: Axis{Name: "models", Log: true, Text: thousands},
		Y: Axis{Name: "microseconds", Log: true, Text: thousands},
	}
	for _, want := range shown {
		for _, row := range rows[1:] {
			if row[0] != want[0] && !strings.HasSuffix(row[0], want[0]) {
				continue
			}
			line := Line{Name: want[1]}
			for i := 1; i < len(row); i++ {
				x, err := number(rows[0][i])
				if err != nil {
					return nil, err
				}
				y, err := number(row[i])
				if err != nil {
					return nil, err
				}
				line.Points = append(line.Points, Point{x, y})
			}
			l.Lines = append(l.Lines, line)
		}
	}
	if len(l.Lines) != len(shown) {
		return nil, fmt.Errorf("%d of %d strategies are in the table", len(l.Lines), len(shown))
	}
	return l, nil
}

// cacheHits compares strategies by the share of turns that find their conversation.
func cacheHits(rows [][]string) (Chart, error) {
	b := Bars{Title: "Turns that find their conversation in the prompt cache", Subtitle: "200 sessions over 4 instances, simulated; right: the mean time of a turn"}
	for _, row := range rows[1:] {
		v, err := number(row[1])
		if err != nil {
			return nil, err
		}
		b.Rows = append(b.Rows, Bar{row[0], v, row[1] + " · " + row[2]})
	}
	return b, nil
}

// hostile shows how long the answers of the other tenants take while one is hostile,
// where tenants are told apart.
func hostile(rows [][]string) (Chart, error) {
	b := Bars{
		Title: "One hostile tenant, and the answers of the seven others", Subtitle: "p99 of their latency by the way of being hostile, simulated; right: the share that keeps the best provider",
		Mark: 1, MarkText: "without a hostile tenant",
	}
	for _, row := range rows[1:] {
		share, times, ok := strings.Cut(row[len(row)-1], ", × ")
		if !ok {
			return nil, fmt.Errorf("%q is not a share and a ratio", row[len(row)-1])
		}
		v, err := number(times)
		if err != nil {
			return nil, err
		}
		b.Rows = append(b.Rows, Bar{row[0], v, "× " + times + " · " + share})
	}
	return b, nil
}

// outages shows how soon a provider is the first choice again.
func outages(rows [][]string) (Chart, error) {
	b := Bars{Title: "How long a cooldown outlives an outage of 20 s", Subtitle: "simulated; right: how often the provider was asked in vain"}
	for _, row := range rows[1:] {
		v, err := number(row[2])
		if err != nil {
			return nil, err
		}
		b.Rows = append(b.Rows, Bar{row[0], v, row[2] + " · " + row[1] + " in vain"})
	}
	return b, nil
}

// soakMemory shows the memory over the time of a soak. The table has a row a moment:
// minutes, live heap, goroutines and more.
func soakMemory(rows [][]string) (Chart, error) {
	l := Lines{
		Title: "Memory over a soak", Subtitle: "live heap after each garbage collection, under faults, leaving clients and reloads",
		X: Axis{Name: "minutes", Text: thousands}, Y: Axis{Name: "MiB", Text: thousands},
	}
	err := l.addColumns(rows[0], rows[1:], [][2]string{{"live heap, MiB", "live heap"}})
	return l, err
}

// fleetMemory shows the memory of a fleet over a soak: the heap of each replica, and
// the store's.
func fleetMemory(rows [][]string) (Chart, error) {
	l := Lines{
		Title: "Memory of a fleet over a soak", Subtitle: "heap of each replica after garbage collections, and memory of the store",
		X: Axis{Name: "minutes", Text: thousands}, Y: Axis{Name: "MiB", Text: thousands},
	}
	head, rest := moments(rows)
	var columns [][2]string
	for _, name := range head[min(1, len(head)):] {
		if what, ok := strings.CutSuffix(name, ", MiB"); ok {
			columns = append(columns, [2]string{name, strings.Replace(what, "heap", "replica", 1)})
		}
	}
	err := l.addColumns(head, rest, columns)
	return l, err
}

// fleetCounts shows the other figures of a fleet over a soak.
func fleetCounts(rows [][]string) (Chart, error) {
	l := Lines{
		Title: "Goroutines, connections and keys of a fleet over a soak", Subtitle: "of all replicas together; the axis of heights is logarithmic",
		X: Axis{Name: "minutes", Text: thousands}, Y: Axis{Name: "number", Log: true, Text: thousands},
	}
	head, rest := moments(rows)
	err := l.addColumns(head, rest, [][2]string{
		{"keys and fields", "keys in the store"}, {"goroutines", "goroutines"}, {"connections", "connections"},
	})
	return l, err
}

// moments are the rows of the last table, which begins with the minute.
func moments(rows [][]string) (head []string, rest [][]string) {
	for i, row := range rows {
		if row[0] == "minute" {
			head, rest = row, rows[i+1:]
		}
	}
	return head, rest
}

// propagation shows the share of cooldowns that the other replicas know, over the
// time.
func propagation(rows [][]string) (Chart, error) {
	l := Lines{
		Title: "How a cooldown spreads", Subtitle: "share of the cooldowns that other replicas know, by the time since the failure",
		X: Axis{Name: "milliseconds", Text: thousands}, Y: Axis{Name: "%", Text: thousands},
	}
	for column := 1; column < len(rows[0]); column++ {
		line := Line{Name: rows[0][column], Points: []Point{{0, 0}}}
		for _, row := range rows[1:] {
			share, err := number(row[0])
			if err != nil {
				return nil, err
			}
			x, err := number(row[column])
			if err != nil {
				return nil, err
			}
			line.Points = append(line.Points, Point{x, share})
		}
		l.Lines = append(l.Lines, line)
	}
	return l, nil
}

// addColumns adds a line for each of some columns, which have the name of the column
// and that of the line. The first column is X.
func (l *Lines) addColumns(head []string, rows [][]string, columns [][2]string) error {
	if len(rows) < 2 || len(columns) == 0 {
		return errors.New("the table has less than two moments, or no figures")
	}
	for _, c := range columns {
		at := slices.Index(head, c[0])
		if at < 0 {
			return fmt.Errorf("the table has no column %q", c[0])
		}
		line := Line{Name: c[1]}
		for _, row := range rows {
			x, err := number(row[0])
			if err != nil {
				return err
			}
			y, err := number(row[at])
			if err != nil {
				return err
			}
			line.Points = append(line.Points, Point{x, y})
		}
		l.Lines = append(l.Lines, line)
	}
	return nil
}

// thousands writes a number with commas.
func thousands(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	whole, rest, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest != "" {
		whole += "." + rest
	}
	return whole
}

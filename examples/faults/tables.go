package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aigateway-go/aigateway/internal/gatewaytest/faultwall"
)

// slack is the time that a run may take beyond its shortest.
const slack = 3 * time.Second

// faultTables prints the outcomes of the faults, with a fallback and without,
// and returns how many rows are not as they should be. A row stands for both
// formats, and shows the first.
func (p program) faultTables(out io.Writer, ends []chan played[faultwall.Outcome]) (failed int) {
	saved := table{head: []string{"fault", "primary", "fallback", "the client got", "after", "verdict"}}
	alone := table{head: []string{"fault", "primary", "the client got", "after", "verdict"}}
	for i, c := range p.cases {
		t := &saved
		if c.Alone {
			t = &alone
		}
		end := <-ends[i]
		if end.err != nil {
			if t.last() != c.Name {
				t.add(c.Name)
			}
			t.note(c.Format.Name() + ": " + end.err.Error())
			continue
		}
		o := end.value
		if t.last() != c.Name {
			row := []string{c.Name, fmt.Sprint(o.Primary), fmt.Sprint(o.Fallback), o.Reply.String(), seconds(o.Reply.Took), "ok"}
			if c.Alone {
				row = append(row[:2], row[3:]...)
			}
			t.add(row...)
		}
		for _, problem := range c.Problems(o, p.pace, slack) {
			t.note(c.Format.Name() + ": " + problem)
		}
	}
	fmt.Fprintf(out, "## Faults of a primary, with a fallback\n\nThe numbers are attempts; a timeout is %v.\n\n", p.pace)
	saved.print(out)
	fmt.Fprint(out, "\n## The same faults, without a fallback\n\n")
	alone.print(out)
	return saved.failed() + alone.failed()
}

// benchTable prints the verdicts of the scenarios under both settings of
// stream_commit.
func (p program) benchTable(out io.Writer, ends []chan played[faultwall.Score]) int {
	t := table{head: []string{"failoverbench", "primary", "fallback", "after", "stream_commit: complete", "first_content"}}
	for i, s := range p.scenarios {
		whole, first := <-ends[2*i], <-ends[2*i+1]
		if whole.err != nil || first.err != nil {
			t.add(s.ID + " " + s.Title).note(fmt.Sprint(whole.err, first.err))
			continue
		}
		w := whole.value
		t.add(s.ID+" "+s.Title, fmt.Sprint(w.Primary), fmt.Sprint(w.Fallback), seconds(w.Took), w.Verdict, first.value.Verdict)
		if w.Verdict != faultwall.Pass {
			t.note(fmt.Sprintf("complete: %s, %s", w.Got, strings.Join(w.Failed, ", ")))
		}
		// A stream that breaks after its first content cannot be saved: the client has
		// it. A clean error is the right outcome.
		if v := first.value; v.Verdict != faultwall.Pass && !(s.BreaksLate() && v.Verdict == faultwall.Safe) {
			t.note(fmt.Sprintf("first_content: %s, %s", v.Got, strings.Join(v.Failed, ", ")))
		}
	}
	fmt.Fprint(out, "\n## The sixteen scenarios of failoverbench\n\nProfile full, by its own checks and verdicts. `safe` is a clean error.\n\n")
	t.print(out)
	return t.failed()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// table is a Markdown table, padded for readers of the terminal.
type table struct {
	head []string
	rows []row
}

type row struct {
	cells []string
	notes []string // what is wrong
}

func (t *table) add(cells ...string) *table {
	t.rows = append(t.rows, row{cells: append(cells, make([]string, len(t.head)-len(cells))...)})
	return t
}

// note marks the last row as not as it should be.
func (t *table) note(problem string) {
	r := &t.rows[len(t.rows)-1]
	r.cells[len(r.cells)-1] = "NOT OK"
	r.notes = append(r.notes, problem)
}

// last is the first cell of the last row.
func (t *table) last() string {
	if len(t.rows) == 0 {
		return ""
	}
	return t.rows[len(t.rows)-1].cells[0]
}

func (t *table) failed() (n int) {
	for _, r := range t.rows {
		if len(r.notes) > 0 {
			n++
		}
	}
	return n
}

func (t *table) print(out io.Writer) {
	widths := make([]int, len(t.head))
	for i := range t.head {
		widths[i] = utf8.RuneCountInString(t.head[i])
		for _, r := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r.cells[i]))
		}
	}
	line := func(cells []string) {
		for i, c := range cells {
			fmt.Fprintf(out, "| %-*s ", widths[i], c)
		}
		fmt.Fprintln(out, "|")
	}
	line(t.head)
	rule := make([]string, len(widths))
	for i, w := range widths {
		rule[i] = strings.Repeat("-", w)
	}
	line(rule)
	for _, r := range t.rows {
		line(r.cells)
	}
	for _, r := range t.rows {
		for _, note := range r.notes {
			fmt.Fprintf(out, "\n%s: %s", r.cells[0], note)
		}
	}
	if t.failed() > 0 {
		fmt.Fprintln(out)
	}
}

package debugpage

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A run of a strategy notes each element that it left out, and at the end the
// number of further notes.
var (
	// Data:
	//	filter: gpt-4o left out: no such key: gpu
	//	and 12 more
	leftOut   = regexp.MustCompile(`^(.*?)filter: .+? left out: (.*)$`)
	moreNotes = regexp.MustCompile(`^(?:.*: )?and (\d{1,9}) more$`)
)

// Grouped returns the notes of a strategy's runs. Notes with the same text about
// several models or keys become one. It reads the text of notes, and leaves unknown
// texts as they are.
//
// The texts are those of package expr.
func Grouped(notes []string) []string {
	type group struct {
		prefix, reason string
		at, count      int // place in the list, and how many
	}
	var (
		list   []string
		groups []*group
		seen   = map[string]bool{}
	)
	for _, note := range notes {
		if seen[note] { // by another run
			continue
		}
		seen[note] = true
		m := leftOut.FindStringSubmatch(note)
		if m == nil {
			list = append(list, note)
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.prefix == m[1] && g.reason == m[2] })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{prefix: m[1], reason: m[2], at: len(list)})
			list = append(list, note)
		}
		groups[i].count++
	}
	// With several groups the further notes may be of any.
	if len(groups) == 1 && len(list) == 2 {
		// All further notes were of this kind.
		if m := moreNotes.FindStringSubmatch(list[1]); m != nil {
			more, _ := strconv.Atoi(m[1]) // it has up to nine digits
			groups[0].count += more
			list = list[:1]
		}
	}
	for _, g := range groups {
		if g.count == 1 {
			continue
		}
		what := "models"
		if strings.HasPrefix(g.prefix, "api_key_selection") {
			what = "keys"
		}
		list[g.at] = fmt.Sprintf("%s%d %s left out: %s", g.prefix, g.count, what, g.reason)
	}
	return list
}

package expr

import (
	"fmt"
	"strings"
	"unicode"
)

// Problem is one thing that is wrong with an expression, found when it was
// compiled.
type Problem struct {
	// Line and Column count from 1, Column in characters.
	Line, Column int

	// Message says what is wrong, without the suggestion.
	Message string

	// Suggestion is the nearest name that exists, empty if none is near.
	Suggestion string
}

// Error is "1:4: undeclared reference to 'ai.model'; did you mean 'ai.models'?".
func (p Problem) Error() string {
	if p.Suggestion == "" {
		return fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message)
	}
	return fmt.Sprintf("%d:%d: %s; did you mean '%s'?", p.Line, p.Column, p.Message, p.Suggestion)
}

// problemAt places a problem at a character of text.
func problemAt(text []rune, offset int, suggestion, format string, args ...any) Problem {
	p := Problem{Line: 1, Column: 1, Message: fmt.Sprintf(format, args...), Suggestion: suggestion}
	for _, r := range text[:min(max(offset, 0), len(text))] {
		p.Column++
		if r == '\n' {
			p.Line++
			p.Column = 1
		}
	}
	return p
}

// maxNearest bounds the names that are compared, in bytes: what it takes grows
// with their length, and nobody mistypes so long a name.
const maxNearest = 200

// Nearest returns the name of known that name was most likely meant to be, or
// "" if none is near. It ignores letter case, counts two swapped neighbours as
// one mistake, and allows mistakes in about a third of the letters. A name
// that goes on after "_", "." or "-" is near to its beginning. Of equally near
// names the first one wins.
func Nearest(name string, known []string) string {
	if len(name) > maxNearest {
		return ""
	}
	folded := fold(name)
	best, bestDistance := "", -1
	for _, k := range known {
		if k == name {
			continue
		}
		candidate := fold(k)
		longest := max(len(folded), len(candidate))
		// At least one letter must be right, or all short names were near.
		limit := min(max(1, longest/3), longest-1)
		if best != "" {
			limit = min(limit, bestDistance-1)
		}
		if d := distance(folded, candidate, limit); d <= limit {
			best, bestDistance = k, d
		}
	}
	if best != "" || len(folded) < 3 {
		return best
	}
	for _, k := range known {
		rest, ok := strings.CutPrefix(string(fold(k)), string(folded))
		if ok && rest != "" && strings.ContainsRune("_.-", rune(rest[0])) && (best == "" || len(k) < len(best)) {
			best = k
		}
	}
	return best
}

func fold(s string) []rune {
	runes := []rune(s)
	for i, r := range runes {
		runes[i] = unicode.ToLower(r)
	}
	return runes
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between a and b. It answers limit+1 for anything over limit.
func distance(a, b []rune, limit int) int {
	if limit < 0 || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := above[j-1]
			if a[i-1] != b[j-1] {
				d++
			}
			d = min(d, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, before[j-2]+1)
			}
			row[j] = d
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

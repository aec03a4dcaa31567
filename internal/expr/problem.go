package expr

import "fmt"

// Problem is one mistake in an expression, found by the compiler.
type Problem struct {
	// Line and Column count from 1, Column in characters.
	Line, Column int

	// Message names the mistake, without the suggestion.
	Message string

	// Suggestion is the nearest existing name, or empty.
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

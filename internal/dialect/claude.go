package dialect

import (
	"strconv"
	"strings"
)

// version is the version of a Claude model: 4.7 is 407.
type version int

// The versions with a change in what a request may say.
const (
	claudeOneSampler version = 401 // takes a temperature or top_p, and not both
	claudeDecides    version = 406 // takes an effort in the place of a budget
	claudeNoPrefill  version = 406 // does not go on from a turn of its own
	claudeNoSampler  version = 407 // takes neither temperature nor top_p, but their defaults
	claudeVeryHigh   version = 407 // knows the effort xhigh
	claudeSilent     version = 407 // leaves the text of its thinking out unless asked for it
	claudeThinks     version = 500 // thinks unless told otherwise
	claudeUnforced   version = 501 // may not be made to call a tool, if it always thinks
)

// claudeVersion reads the version in the name of a Claude model. Names with a
// provider's path or a date have it too:
//
//	claude-opus-4-7, anthropic.claude-sonnet-4-20250514-v1:0, claude-3-7-sonnet
//
// It is 0 for a Claude model of an unknown version, and -1 for a model of another maker.
//
// A word of more than two digits, such as a date, ends the version.
func claudeVersion(model string) version {
	_, name, ok := strings.Cut(model, "claude")
	if !ok {
		return -1
	}
	v := version(0)
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return strings.ContainsRune("-.@:/_", r) }) {
		n, err := strconv.Atoi(word)
		number := err == nil && len(word) <= 2
		switch {
		case v == 0 && number:
			v = version(n) * 100
		case v > 0 && number:
			return v + version(n)
		case v > 0:
			return v
		}
	}
	return v
}

// alwaysThinks reports whether a model cannot be told not to think.
func alwaysThinks(model string) bool {
	return strings.Contains(model, "claude-fable") || strings.Contains(model, "claude-mythos")
}

// decides reports whether a model takes an effort, and not a budget. Claude models of an
// unknown version count as late ones. Models of other makers behind messages take a
// budget.
func decides(model string) bool {
	v := claudeVersion(model)
	return v == 0 || v >= claudeDecides
}

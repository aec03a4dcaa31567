package dialect

import "strconv"

// CountIDs makes ids that are numbers, so that answers can be compared.
func (t *Translator) CountIDs() {
	n := 0
	t.newID = func(prefix string) string {
		n++
		return prefix + strconv.Itoa(n)
	}
}

// Marked reports whether an opaque field has the gateway's mark.
func Marked(s string) bool { return isMarked(quote(s)) }

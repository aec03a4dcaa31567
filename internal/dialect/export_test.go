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

// Row is a row of the table of fields.
type Row struct {
	Format Format
	Name   string
	// To says what becomes of the field in each format: a fate, and its place
	// there or a reason. Empty for the format's own.
	Fates, Places [formats]string
}

// Rows are the table of fields.
func Rows() []Row {
	words := map[fate]string{carried: "carried", lost: "lost", hint: "hint", refused: "refused"}
	var rows []Row
	for _, f := range fields {
		r := Row{Format: f.format, Name: f.name}
		for to, way := range f.to {
			if r.Fates[to] = words[way.fate]; way.fate != same {
				r.Places[to] = way.as
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// Effort is a row of the table of efforts.
type Effort struct {
	Word   string
	Budget int64
}

// Efforts are the table of efforts.
func Efforts() (rows []Effort) {
	for _, e := range efforts {
		rows = append(rows, Effort{e.word, e.budget})
	}
	return rows
}

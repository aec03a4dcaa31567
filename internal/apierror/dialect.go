package apierror

import (
	_ "embed"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

//go:embed dialects.tsv
var dialectsTSV string

//go:embed statuses.tsv
var statusesTSV string

// dialect is a row of dialects.tsv: one provider's words for one kind of error.
//
// An answer speaks the dialect if its status, its words and its message all fit.
// Empty columns fit anything.
type dialect struct {
	class Kind
	// veto takes the class out of question for answers that match the row.
	veto  bool
	part  Part
	cause Cause
	reach Reach
	// provider and source are for readers and tests. Relays pass the words of any provider on.
	provider, source string
	status           []statusRange
	place            string
	// header is the canonical name of the header at the place "header".
	header string
	// values are folded. Without values, anything at the place counts.
	values []string
	// fragments are beginnings of messages, in lower case, each cut at its gaps.
	fragments [][]string
}

// statusRange has both ends within.
type statusRange struct{ low, high int }

// The tables are read once, and panic at a slip. The package's tests find every slip.
var (
	dialects = parseDialects(dialectsTSV)
	statuses = parseStatuses(statusesTSV)
)

// rows yields the cells of each row of a table, by the names of the columns.
//
// Lines that begin with # are comments. The first other line names the columns.
// A row must name its source: a row without one could never be checked again.
func rows(table string) (out []map[string]string) {
	var names []string
	for line := range strings.Lines(table) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		cells := strings.Split(line, "\t")
		if names == nil {
			names = cells
			continue
		}
		if len(cells) != len(names) {
			panic(fmt.Sprintf("apierror: %d cells, want %d: %q", len(cells), len(names), line))
		}
		row := map[string]string{}
		for i, name := range names {
			row[name] = cells[i]
		}
		if row["source"] == "" {
			panic(fmt.Sprintf("apierror: a row without a source: %q", line))
		}
		out = append(out, row)
	}
	return out
}

// parseDialects keeps the order of the rows: the first row that matches decides.
//
// The columns are class, detail, reach, provider, status, place, value, fragment
// and source. A class with "not_" before it is a veto.
func parseDialects(table string) (out []dialect) {
	for _, row := range rows(table) {
		d := dialect{provider: row["provider"], source: row["source"], place: row["place"], reach: oneOf[Reach](reachNames, row["reach"])}
		class, veto := strings.CutPrefix(row["class"], "not_")
		d.class, d.veto = oneOf[Kind](kindNames, class), veto
		switch d.class {
		case Refusal:
			d.part = oneOf[Part](partNames, row["detail"])
		case DeadKey:
			d.cause = oneOf[Cause](causeNames, row["detail"])
		}
		for _, s := range strings.Split(row["status"], "|") {
			d.status = append(d.status, parseStatusRange(s))
		}
		if name, ok := strings.CutPrefix(d.place, "header "); ok {
			d.place, d.header = "header", name
		}
		if row["value"] != "" {
			for _, v := range strings.Split(row["value"], "|") {
				d.values = append(d.values, folded(v))
			}
		}
		if row["fragment"] != "" {
			for _, f := range strings.Split(row["fragment"], "|") {
				d.fragments = append(d.fragments, strings.Split(strings.ToLower(f), "…"))
			}
		}
		out = append(out, d)
	}
	return out
}

// oneOf is the index of a name. It panics on an unknown name, a slip in the table.
func oneOf[T ~uint8](names []string, name string) T {
	i := slices.Index(names, name)
	if i < 0 {
		panic(fmt.Sprintf("apierror: %q is not one of %q", name, names))
	}
	return T(i)
}

// parseStatusRange reads "429", "4xx" or "*".
//
// "*" begins at 200, for errors in the events of a stream.
func parseStatusRange(s string) statusRange {
	if s == "*" {
		return statusRange{200, 599}
	}
	if hundreds, ok := strings.CutSuffix(s, "xx"); ok {
		n := number(hundreds) * 100
		return statusRange{n, n + 99}
	}
	return statusRange{number(s), number(s)}
}

// number is for cells of the tables.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("apierror: %q is not a number", s))
	}
	return n
}

// parseStatuses makes a look-up by place and folded value.
func parseStatuses(table string) map[word]int {
	out := map[word]int{}
	for _, row := range rows(table) {
		out[word{row["place"], folded(row["value"])}] = number(row["status"])
	}
	return out
}

// standsFor is the status behind an error's words, and zero if no word is known. A word for any bad request or any failure
// gives way to a more telling word: DeepSeek reports an invalid key with the code invalid_request_error.
func standsFor(words []word) (status int) {
	for _, w := range words {
		f := folded(w.text)
		n := statuses[word{w.place, f}]
		if n == 0 && isWord(w.place) {
			n = statuses[word{"word", f}]
		}
		if n == 0 {
			continue
		}
		if n != http.StatusBadRequest && n != http.StatusInternalServerError {
			return n
		}
		if status == 0 {
			status = n
		}
	}
	return status
}

// isWord reports whether a place holds words with the same meaning at every such place.
func isWord(place string) bool {
	switch place {
	case "code", "type", "status", "reason", "error_type":
		return true
	}
	return false
}

// folded is a word without its letter case and its hyphens.
//
// insufficient_quota, insufficient-quota and "Insufficient Quota" are one word
// to the table. Providers and relays spell them as they like.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// matches reports whether an answer speaks the dialect. Error events and errors in whole answers have status 200: the
// status was sent before the error was known, and rules no row out.
func (d *dialect) matches(status int, h http.Header, r *Report) bool {
	if (status >= 300 || d.place == "header") && !slices.ContainsFunc(d.status, func(s statusRange) bool { return s.low <= status && status <= s.high }) {
		return false
	}
	// A header never stands for an error by itself, so that its status counts under 200 too.
	if d.place == "header" {
		return len(h[d.header]) > 0 && d.takes(h[d.header][0])
	}
	if !d.says(r) {
		return false
	}
	switch d.place {
	case "message":
		// The fragment was the whole condition.
		return true
	case "role+code":
		role, code, _ := strings.Cut(d.values[0], ":")
		return slices.ContainsFunc(r.words, func(w word) bool { return w.place == "role" && folded(w.text) == role }) &&
			slices.ContainsFunc(r.words, func(w word) bool { return w.place == "code" && folded(w.text) == code })
	}
	return slices.ContainsFunc(r.words, func(w word) bool {
		return (w.place == d.place || d.place == "word" && isWord(w.place)) && d.takes(w.text)
	})
}

// takes reports whether a text is one of the row's values.
//
// A value with "~" before it may stand anywhere in the text.
func (d *dialect) takes(text string) bool {
	// Answers are told by their beginnings.
	if d.place == "content" {
		return true
	}
	text = folded(text)
	return len(d.values) == 0 || slices.ContainsFunc(d.values, func(v string) bool {
		if part, ok := strings.CutPrefix(v, "~"); ok {
			return strings.Contains(text, part)
		}
		return text == v
	})
}

// says reports whether a message holds one of the row's fragments.
func (d *dialect) says(r *Report) bool {
	if len(d.fragments) == 0 {
		return true
	}
	texts := r.messages
	switch {
	case d.place == "content":
		texts = r.contents
	case d.place == "message" && d.class == DeadKey && r.Param != "":
		// The error is about a field of the request, and may repeat it.
		return false
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		return slices.ContainsFunc(d.fragments, func(f []string) bool { return begins(text, f) })
	})
}

// prepare makes the texts for the search of fragments, once for all rows.
//
// r is Classify's own copy. The inner report is copied before it is changed, so
// two calls of Classify may run at once.
func (r *Report) prepare() {
	r.messages, r.contents = nil, nil
	for _, w := range r.words {
		switch w.place {
		case "content":
			r.contents = append(r.contents, unquoted(w.text))
		case "message":
			// A relay's words may stand before its upstream's, several times.
			for text, ok := unquoted(w.text), true; ok; text, ok = unwrapped(text) {
				r.messages = append(r.messages, text)
			}
		}
	}
	if r.inner != nil { // shared with copies of r
		inner := *r.inner
		inner.prepare()
		r.inner = &inner
	}
}

// begins reports whether a text begins with the parts of a fragment, in order, with any text between them.
//
// "…" parts a fragment, and "$" at its end asks for the end of the text. A
// fragment must begin the text: what a client wrote can stand behind it, and not
// before it.
func begins(text string, fragment []string) bool {
	for i, part := range fragment {
		// A final dot does not count at the end.
		whole, atEnd := strings.CutSuffix(part, "$")
		if atEnd && whole != strings.TrimSpace(strings.TrimRight(text, ".")) {
			return false
		}
		at := strings.Index(text, whole)
		if at < 0 || i == 0 && at > 0 {
			return false
		}
		text = text[at+len(whole):]
	}
	return true
}

// maxMessage bounds the part of a message that is searched, in bytes. Providers name the fault in the first lines.
const maxMessage = 2 << 10

// unquoted is a message in lower case, on one line, without quotations. Quotations hold names and a client's own words, and
// neither may decide about a key.
func unquoted(s string) string {
	s = withoutQuotes(strings.ToLower(strings.Join(strings.Fields(s[:min(len(s), maxMessage)]), " ")))
	return strings.ReplaceAll(s, "’", "'") // the apostrophes that are left
}

// closers are the opening quotation marks, each with its closing mark.
var closers = map[rune]rune{'"': '"', '\'': '\'', '`': '`', '“': '”', '‘': '’', '«': '»', '「': '」'}

// withoutQuotes cuts quotations out. A mark within a word is an apostrophe. A quotation ends at a closing mark that no letter
// follows.
//
// A quotation that never ends is cut off as a whole, up to the end of the text.
func withoutQuotes(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		closer, opens := closers[runes[i]]
		if !opens || i > 0 && isLetter(runes[i-1]) {
			b.WriteRune(runes[i])
			continue
		}
		end := -1
		for j := i + 1; j < len(runes); j++ {
			if runes[j] == closer && (j+1 == len(runes) || !isLetter(runes[j+1])) {
				end = j
				break
			}
		}
		switch {
		case end > 0:
			i = end
		case closer == '\'' || closer == '’':
			// An apostrophe before a word.
			b.WriteRune(runes[i])
		default:
			// The text was cut off within the quotation.
			return strings.TrimSpace(b.String())
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// isLetter reports whether a rune is a letter or a digit of a script with spaces between words. Chinese quotes stand between
// letters.
func isLetter(r rune) bool {
	return r < 0x2e80 && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// maxWrapper bounds a relay's words before its upstream's message, in bytes.
const maxWrapper = 60

// unwrapped cuts a relay's words off: "litellm.AuthenticationError: OpenAIException - Incorrect …".
//
// It is called again on its result, for relays in front of relays. Each call
// makes the text shorter, so the calls end.
func unwrapped(text string) (string, bool) {
	// The first separator ends the relay's words, if they speak of an error.
	at, width := -1, 0
	for _, sep := range []string{": ", " - ", "] "} {
		if i := strings.Index(text, sep); i > 0 && i <= maxWrapper && (at < 0 || i < at) {
			at, width = i, len(sep)
		}
	}
	if at < 0 {
		return "", false
	}
	head := text[:at]
	if strings.Trim(head, "0123456789") == "" { // a status
		return text[at+width:], true
	}
	// Xinference names its process: "[address=0.0.0.0:1, pid=2] Model not found".
	for _, name := range []string{"error", "exception", "http ", "status", "upstream", "provider", "[address="} {
		if strings.Contains(head, name) {
			return text[at+width:], true
		}
	}
	return "", false
}

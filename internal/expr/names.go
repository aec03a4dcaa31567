package expr

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode"
)

const (
	// maxNearest bounds compared names, in bytes. Nobody mistypes a longer
	// name, and the work grows with the length.
	maxNearest = 200

	// maxCells bounds one search without an index, in cells of the tables of
	// edit distances: about half a millisecond.
	maxCells = 200_000
)

// Nearest returns the known name closest to a misspelt one, or "". It ignores
// letter case and counts two swapped neighbours as one mistake. About a third
// of the letters may be wrong. A name is also near to its own beginning, up to
// "_", "." or "-". Of equally near names the first one wins.
//
// The work is bounded: with thousands of names only some are compared. Use
// [Names] for such a list.
//
// Nearest("clude-haiku", names) is "claude-haiku", and Nearest("gpt", names) is
// "gpt-4o" if no name is nearer.
func Nearest(name string, known []string) string {
	if len(name) > maxNearest {
		return ""
	}
	q := newMisspelt(name)
	for i, k := range known {
		if k != name {
			q.compare(k, i)
		}
	}
	if q.best < 0 {
		for i, k := range known {
			q.comparePrefix(k, i)
		}
	}
	if q.best < 0 {
		return ""
	}
	return known[q.best]
}

// Misspelt returns the known name that a name is a slip of, or "". It is stricter than
// [Nearest]: a new name must not be taken for an old one. Two letters may be wrong,
// and no digit, for digits tell versions apart.
func Misspelt(name string, known []string) string {
	near := Nearest(name, known)
	if near == "" || digits(near) != digits(name) {
		return ""
	}
	q := newMisspelt(name)
	runes, _ := foldInto(q.other[:0], near)
	if q.distanceTo(runes, 2) > 2 {
		return ""
	}
	return near
}

// digits are the digits of a name.
func digits(name string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, name)
}

// misspelt is a name whose nearest name is looked for.
//
// letters is the set of its letters, folded to 64 bits. cells is what is left of
// [maxCells]. The arrays make a search free of allocations.
type misspelt struct {
	runes    []rune
	letters  uint64
	best     int // index of the nearest name so far, -1 before the first
	distance int
	length   int // of the best name, in a search by prefix
	cells    int
	buffer   [maxNearest]rune
	other    [maxNearest]rune
	rows     [3][maxNearest + 1]int16
}

// newMisspelt prepares a search. The name must not be longer than maxNearest.
func newMisspelt(name string) *misspelt {
	q := &misspelt{best: -1, cells: maxCells}
	q.runes, q.letters = foldInto(q.buffer[:0], name)
	return q
}

// foldInto appends the lower-case letters of a name, and returns them and the
// set of them.
func foldInto(buffer []rune, name string) ([]rune, uint64) {
	letters := uint64(0)
	for _, r := range name {
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		case r >= 0x80:
			r = unicode.ToLower(r)
		}
		buffer = append(buffer, r)
		// Two letters may share a bit. The set then shows fewer differences, and
		// never more.
		letters |= 1 << (r & 63)
	}
	return buffer, letters
}

// compare takes a name into account. Calls come in the order of the names.
func (q *misspelt) compare(name string, index int) {
	if len(name) > maxNearest || q.cells <= 0 {
		return
	}
	runes, letters := foldInto(q.other[:0], name)
	longest := max(len(q.runes), len(runes))
	// One letter at least must be right, or all short names were near.
	limit := min(max(1, longest/3), longest-1)
	if q.best >= 0 {
		limit = min(limit, q.distance-1)
	}
	// Each letter of one name missing in the other is a mistake.
	if bits.OnesCount64(q.letters&^letters) > limit || bits.OnesCount64(letters&^q.letters) > limit {
		return
	}
	if d := q.distanceTo(runes, limit); d <= limit {
		q.best, q.distance = index, d
	}
}

// comparePrefix looks whether a name begins with the misspelt one. The shortest
// such name is the nearest.
//
// Fewer than three letters begin too many names. The next character must be a
// separator: "gpt" means "gpt-4o", and "gpt-4" does not mean "gpt-4o".
func (q *misspelt) comparePrefix(name string, index int) {
	if len(q.runes) < 3 || len(name) > maxNearest {
		return
	}
	runes, _ := foldInto(q.other[:0], name)
	if len(runes) <= len(q.runes) || !slices.Equal(runes[:len(q.runes)], q.runes) || !strings.ContainsRune("_.-", runes[len(q.runes)]) {
		return
	}
	if q.best < 0 || len(name) < q.length {
		q.best, q.length = index, len(name)
	}
}

// distanceTo counts the insertions, deletions, replacements and swaps of
// neighbours between the misspelt name and another. It answers limit+1 for
// anything over limit, and then stops early.
//
// It is the optimal string alignment distance, in a band along the diagonal. The
// three rows are the ones that a swap of neighbours looks back to.
func (q *misspelt) distanceTo(b []rune, limit int) int {
	a := q.runes
	if limit < 0 || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	before, above, row := &q.rows[0], &q.rows[1], &q.rows[2]
	far := int16(limit + 1)
	for j := range min(len(b), limit) + 1 {
		above[j] = int16(j)
	}
	if limit < len(b) {
		above[limit+1] = far
	}
	least := int16(0) // of the row above
	for i := 1; i <= len(a); i++ {
		// Cells further from the diagonal than limit are over it.
		from, to := max(1, i-limit), min(len(b), i+limit)
		q.cells -= to - from + 1
		row[from-1] = far
		if from == 1 {
			row[0] = min(int16(i), far)
		}
		lowest := row[from-1]
		for j := from; j <= to; j++ {
			d := above[j-1]
			if a[i-1] != b[j-1] {
				d = min(d, above[j], row[j-1]) + 1
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					d = min(d, before[j-2]+1)
				}
			}
			row[j] = d
			lowest = min(lowest, d)
		}
		if to < len(b) {
			row[to+1] = far
		}
		// All further cells derive from the last two rows. One row over the limit is
		// not enough: a swap looks back two rows, at the cost of one mistake.
		if lowest >= far && least >= int16(limit) {
			return limit + 1
		}
		least = lowest
		before, above, row = above, row, before
	}
	return min(int(above[len(b)]), limit+1)
}

// Bounds of one look-up in [Names].
const (
	smallNames    = 64  // so few names are all compared
	pairBits      = 14  // size of the table of pairs
	maxPairs      = 48  // pairs of neighbours of one name
	maxVisits     = 256 // entries read from the table of pairs
	maxCandidates = 8   // names compared letter by letter
	maxSlips      = 24  // names compared at a distance of one slip
	maxPrefixed   = 64  // names looked at with the same beginning
)

// Names is an index of names. A search takes a few microseconds, however long
// the list is. It is safe for concurrent use. The first search builds the
// index: some 150 bytes a name.
type Names struct {
	known []string
	once  sync.Once

	// slips finds names by all but one of their letters, and by all of them.
	// pairs finds them by their pairs of neighbours.
	slips, pairs postings
	shift        int        // of hashes in the table of slips
	sorted       []prefixed // by folded name
}

// prefixed is a folded name, for a binary search by prefix. id is its index in
// known.
type prefixed struct {
	folded string
	id     int32
}

// postings lists names by a hash of their parts.
type postings struct {
	starts []int32 // the names of hash h are ids[starts[h]:starts[h+1]]
	ids    []int32
}

// of returns the names of one hash. Names with another part of the same hash are
// among them, so the caller compares letter by letter.
func (p *postings) of(hash uint32) []int32 { return p.ids[p.starts[hash]:p.starts[hash+1]] }

// newPostings calls each twice, and each calls add for all hashes of all names,
// in the same order.
//
// The first pass counts, and the second one places. Two flat slices take less
// memory than a slice for each hash.
func newPostings(size int, each func(add func(hash uint32, id int32))) postings {
	p := postings{starts: make([]int32, size+1)}
	each(func(h uint32, _ int32) { p.starts[h+1]++ })
	for h := range size {
		p.starts[h+1] += p.starts[h]
	}
	next := slices.Clone(p.starts[:size])
	p.ids = make([]int32, p.starts[size])
	each(func(h uint32, id int32) {
		p.ids[next[h]] = id
		next[h]++
	})
	return p
}

// NewNames returns an index of names. The caller must not change the slice
// afterwards.
func NewNames(known []string) *Names { return &Names{known: known} }

// Nearest is the function [Nearest] for this list. In a long list it compares
// the names one slip away, and else the names with the most pairs of letters in
// common.
func (n *Names) Nearest(name string) string {
	if len(n.known) <= smallNames {
		return Nearest(name, n.known)
	}
	if len(name) > maxNearest || name == "" {
		return ""
	}
	n.once.Do(n.index)
	q := newMisspelt(name)
	// Most mistakes are one slip. The second list is made only if the first one
	// holds nothing near enough.
	for _, candidates := range []func(*misspelt) []int32{n.oneSlip, n.similar} {
		for _, id := range candidates(q) {
			if n.known[id] != name {
				q.compare(n.known[id], int(id))
			}
		}
		if q.best >= 0 {
			return n.known[q.best]
		}
	}
	folded := string(q.runes)
	at, _ := slices.BinarySearchFunc(n.sorted, folded, func(p prefixed, s string) int { return strings.Compare(p.folded, s) })
	for i := at; i < len(n.sorted) && i < at+maxPrefixed && strings.HasPrefix(n.sorted[i].folded, folded); i++ {
		q.comparePrefix(n.known[n.sorted[i].id], int(n.sorted[i].id))
	}
	if q.best < 0 {
		return ""
	}
	return n.known[q.best]
}

// index builds the tables. Names over the bound are left out.
func (n *Names) index() {
	n.sorted = make([]prefixed, 0, len(n.known))
	letters := 0
	buffer := make([]rune, 0, maxNearest)
	for i, name := range n.known {
		if len(name) <= maxNearest {
			runes, _ := foldInto(buffer, name)
			n.sorted = append(n.sorted, prefixed{string(runes), int32(i)})
			letters += len(runes) + 1
		}
	}
	n.pairs = newPostings(1<<pairBits, func(add func(uint32, int32)) {
		var pairs [maxPairs]uint32
		for _, p := range n.sorted {
			for _, h := range pairsOf([]rune(p.folded), &pairs) {
				add(h, p.id)
			}
		}
	})
	// The table has about as many places as there are hashes.
	n.shift = 64 - bits.Len(uint(letters))
	n.slips = newPostings(1<<(64-n.shift), func(add func(uint32, int32)) {
		for _, p := range n.sorted {
			slipsOf([]rune(p.folded), func(h uint64) { add(uint32(h>>n.shift), p.id) })
		}
	})
	slices.SortFunc(n.sorted, func(a, b prefixed) int { return cmp.Or(strings.Compare(a.folded, b.folded), cmp.Compare(a.id, b.id)) })
}

// slipsOf hashes a name, and the name less each of its letters. Two names one
// slip apart share one of these hashes.
//
// Deleting one letter of each of two names one slip apart leaves the same text:
// "opus" and "opsu" both leave "opu". So the hashes of all such deletions are an
// index for misspelt names, and a search looks up at most 201 of them. This is
// the idea of SymSpell. Hashes of prefixes and suffixes roll, so all deletions of
// a name cost one pass.
func slipsOf(runes []rune, add func(uint64)) {
	// A name is read as a number to this base, modulo 2⁶⁴.
	const base, inverse = 0x9E3779B97F4A7C15, 0xF1DE83E19937733D
	const spread = 0xD6E8FEB86659FD93
	whole, high := uint64(0), uint64(inverse)
	for _, r := range runes {
		whole = whole*base + uint64(r) + 1
		high *= base
	}
	add(whole * spread)
	before, after := uint64(0), whole
	for _, r := range runes {
		letter := uint64(r) + 1
		after -= letter * high
		high *= inverse
		add((before*high*base + after) * spread)
		before = before*base + letter
	}
}

// oneSlip returns the names one slip away, in their order, and some at two
// slips.
func (n *Names) oneSlip(q *misspelt) []int32 {
	ids := make([]int32, 0, maxSlips)
	slipsOf(q.runes, func(h uint64) {
		for _, id := range n.slips.of(uint32(h >> n.shift)) {
			if len(ids) < maxSlips && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	})
	slices.Sort(ids)
	return ids
}

// pairsOf returns the hashed pairs of neighbours in a name, its two ends
// included, each once.
func pairsOf(runes []rune, buffer *[maxPairs]uint32) []uint32 {
	pairs := buffer[:0]
	last := rune('^')
	for i := 0; i <= len(runes) && len(pairs) < maxPairs; i++ {
		r := rune('$')
		if i < len(runes) {
			r = runes[i]
		}
		h := (uint32(last)*0x9E3779B1 ^ uint32(r)) * 0x85EBCA6B >> (32 - pairBits)
		if !slices.Contains(pairs, h) {
			pairs = append(pairs, h)
		}
		last = r
	}
	return pairs
}

// similar returns the names with the most pairs in common, in their order. Rare
// pairs tell more than common ones, and are looked at first.
//
// The work is bounded three times: by the pairs of the name, the entries
// visited, and the names returned. An open hash table on the stack counts the
// pairs in common; it is at most half full.
func (n *Names) similar(q *misspelt) []int32 {
	var buffer [maxPairs]uint32
	pairs := pairsOf(q.runes, &buffer)
	slices.SortFunc(pairs, func(a, b uint32) int { return cmp.Compare(len(n.pairs.of(a)), len(n.pairs.of(b))) })
	const slots = 2 * maxVisits
	var table [slots]struct {
		id    int32 // plus one
		count int32
	}
	var used [maxVisits]uint16
	visits, filled := 0, 0
	for _, h := range pairs {
		ids := n.pairs.of(h)
		ids = ids[:min(len(ids), maxVisits-visits)]
		visits += len(ids)
		for _, id := range ids {
			slot := uint32(id) * 0x9E3779B1 >> 16 % slots
			for table[slot].id != 0 && table[slot].id != id+1 {
				slot = (slot + 1) % slots
			}
			if table[slot].id == 0 {
				table[slot].id = id + 1
				used[filled] = uint16(slot)
				filled++
			}
			table[slot].count++
		}
	}
	type candidate struct{ id, count int32 }
	best := make([]candidate, 0, maxCandidates)
	better := func(a, b candidate) bool { return a.count > b.count || a.count == b.count && a.id < b.id }
	for _, slot := range used[:filled] {
		c := candidate{table[slot].id - 1, table[slot].count}
		if len(best) == maxCandidates {
			if !better(c, best[maxCandidates-1]) {
				continue
			}
			best = best[:maxCandidates-1]
		}
		at := len(best)
		for at > 0 && better(c, best[at-1]) {
			at--
		}
		best = slices.Insert(best, at, c)
	}
	ids := make([]int32, len(best))
	for i, c := range best {
		ids[i] = c.id
	}
	slices.Sort(ids)
	return ids
}

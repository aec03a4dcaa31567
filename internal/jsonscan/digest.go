package jsonscan

import "bytes"

const (
	// maxDigest bounds a Digest, in bytes.
	maxDigest = 256 << 10
	// maxDigestText bounds the strings that a Digest keeps, in bytes.
	maxDigestText = 512
)

// Digest sees one JSON document in pieces, and keeps it without its long strings: they
// become empty. Names, ids, counts and types stay. The zero Digest is ready to use. It
// is not for concurrent use.
//
// It serves answers that are too long to be held: the usage and the ids of a
// long answer stand among its short values. The kept text stays valid JSON if
// the document is.
type Digest struct {
	kept    []byte
	over    bool // the rest is too long as well
	within  bool // a string
	odd     bool // within a string: an odd number of backslashes came last
	start   int  // of the string, in kept
	dropped bool // the string was too long
}

// Add reads the next piece. It does not keep p.
func (d *Digest) Add(p []byte) {
	for len(p) > 0 && !d.over {
		n, closed := len(p), true
		if d.within {
			n, d.odd, closed = skipText(p, 0, d.odd)
		} else if quote := bytes.IndexByte(p, '"'); quote >= 0 {
			n = quote + 1
		} else {
			closed = false
		}
		d.keep(p[:n], closed)
		p = p[n:]
	}
}

// keep appends a run inside or outside of a string. A closed one ends in a quote.
func (d *Digest) keep(run []byte, closed bool) {
	if d.within && (d.dropped || len(d.kept)-d.start+len(run) > maxDigestText) {
		d.kept, d.dropped = d.kept[:d.start], true
		run = run[len(run):]
		if closed {
			run = []byte{'"'}
		}
	}
	if d.kept = append(d.kept, run...); len(d.kept) > maxDigest {
		d.kept, d.over = nil, true
		return
	}
	if closed {
		d.within, d.dropped, d.start = !d.within, false, len(d.kept)
	}
}

// Document is the document so far. It is nil if too much of it are names, numbers and
// short strings. It is valid until the next call of Add.
func (d *Digest) Document() []byte { return d.kept }

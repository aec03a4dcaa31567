package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// A model's answer is a list of words. Each word carries the id of its request and its
// place. The last one is the end mark, with a checksum of all words before it.
var (
	requestID = regexp.MustCompile(`<(c\d+-\d+)>`)
	word      = regexp.MustCompile(`<(c\d+-\d+):(?:(\d+)|end:([0-9a-f]{8}))>`)
)

// endMark begins the last word behind the id.
const endMark = ":end:"

// answerWords makes an answer of n words and the end mark.
func answerWords(id string, n int) []string {
	list := make([]string, 0, n+1)
	sum := crc32.NewIEEE()
	for i := range n {
		list = append(list, fmt.Sprintf("<%s:%d> ", id, i))
		io.WriteString(sum, list[i])
	}
	return append(list, fmt.Sprintf("<%s%s%08x>", id, endMark, sum.Sum32()))
}

// fill makes an answer large: it puts filler behind each word but the last.
func fill(words []string, size int) {
	filler := strings.Repeat("x", size)
	for i := range words[:len(words)-1] {
		words[i] += filler
	}
}

// inspect reads the words of an answer. It reports whether they are whole. The words
// of another request, and words out of place, are an error.
func inspect(answer []byte, id string) (whole bool, err error) {
	sum, n := crc32.NewIEEE(), 0
	for _, m := range word.FindAllSubmatch(answer, -1) {
		switch {
		case string(m[1]) != id:
			return false, fmt.Errorf("the answer to %s has words of %s", id, m[1])
		case whole:
			return false, errors.New("words follow the end mark")
		case len(m[3]) > 0:
			if string(m[3]) != fmt.Sprintf("%08x", sum.Sum32()) {
				return false, errors.New("the checksum is wrong")
			}
			whole = true
		default:
			if string(m[2]) != strconv.Itoa(n) {
				return false, fmt.Errorf("word %s stands in place %d", m[2], n)
			}
			sum.Write(m[0])
			sum.Write([]byte(" "))
			n++
		}
	}
	return whole, nil
}

// framed reports a line that is not one of an event stream: a field of the formats, a
// comment, or blank. A byte order mark may begin the first line alone.
func framed(stream []byte) error {
	for line := range bytes.Lines(bytes.TrimPrefix(stream, []byte("\ufeff"))) {
		switch name, _, _ := bytes.Cut(bytes.TrimRight(line, "\n"), []byte(":")); string(name) {
		case "", "data", "event":
		default:
			return fmt.Errorf("an event stream has a foreign line: %.100q", line)
		}
	}
	return nil
}

// foreign returns the id of another request in the text of an error, or "".
func foreign(text []byte, id string) string {
	for _, re := range []*regexp.Regexp{requestID, word} {
		for _, m := range re.FindAllSubmatch(text, -1) {
			if !bytes.Equal(m[1], []byte(id)) {
				return string(m[1])
			}
		}
	}
	return ""
}

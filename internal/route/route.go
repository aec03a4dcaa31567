// Package route finds the endpoint that a URL's path ends in. The beginning of the path is
// the mount of the gateway, and of no concern. It is a leaf: it imports the standard library
// only.
//
// The endpoints are given by patterns, such as "chat/completions", "images/*" or
// "files/{id}/content". A last segment "*" stands for any one word, and a segment in braces
// for an id.
package route

import (
	"net/http"
	"slices"
	"strings"
)

// Paths finds patterns. It is immutable.
type Paths struct {
	// known has the patterns by themselves: a look-up makes no new string.
	known map[string]string
	// ends are the patterns with ids, by their last word. Those that end in an id stand
	// under the word before it and a slash.
	ends map[string][]string
	// behind are the words that stand behind an id, by the word before the id. A path that
	// has one directly behind the other lacks the id.
	behind map[string][]string
}

// New makes the index of the patterns.
func New(patterns []string) *Paths {
	p := &Paths{known: make(map[string]string, len(patterns)), ends: map[string][]string{}, behind: map[string][]string{}}
	for _, pattern := range patterns {
		if p.has(pattern) {
			continue
		}
		p.known[pattern] = pattern
		if words := strings.Split(pattern, "/"); slices.ContainsFunc(words, isID) {
			end := words[len(words)-1]
			if isID(end) {
				end = words[len(words)-2] + "/"
			}
			p.ends[end] = append(p.ends[end], pattern)
			for i := 1; i < len(words)-1; i++ {
				if isID(words[i]) {
					p.behind[words[i-1]] = append(p.behind[words[i-1]], words[i+1])
				}
			}
		}
	}
	return p
}

// isID reports whether a segment of a pattern stands for an id.
func isID(segment string) bool { return segment[0] == '{' }

// Find returns the longest pattern that a URL's path ends in, and that end, without a slash
// before it. Both are empty for any other path.
//
// Slashes in a row count as one. A path whose id is missing is not the path of anything
// else: stores//files/f is about a file of a store, and not about the file itself.
func (p *Paths) Find(path string) (pattern, end string) {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	path = strings.TrimSuffix(path, "/")
	pattern, end = p.find(path)
	if pattern != "" && p.lacksID(path[:len(path)-len(end)], end) {
		return "", ""
	}
	return pattern, end
}

// lacksID reports whether an id is missing between the front of a path and its end.
func (p *Paths) lacksID(front, end string) bool {
	_, holder := cutLast(strings.TrimSuffix(front, "/"))
	words := p.behind[holder]
	if words == nil {
		return false
	}
	word, _, _ := strings.Cut(end, "/")
	return slices.Contains(words, word)
}

// find is Find for a path without slashes in a row and without one at its end.
func (p *Paths) find(path string) (pattern, end string) {
	last := strings.LastIndexByte(path, '/')
	word := path[last+1:]
	if last >= 0 {
		before := path[strings.LastIndexByte(path[:last], '/')+1:]
		if pattern, end := p.withIDs(path, word, before[:len(before)-len(word)]); pattern != "" {
			return pattern, end
		}
		if p.has(before) && word != "*" && !strings.HasSuffix(before, "}") {
			return before, before
		}
		if pattern := p.known[before[:len(before)-len(word)]+"*"]; pattern != "" && isWord(word) {
			return pattern, before
		}
	}
	if p.has(word) && word != "*" {
		return word, word
	}
	return "", ""
}

// has reports whether there is a pattern.
func (p *Paths) has(pattern string) bool { return p.known[pattern] != "" }

// withIDs returns the pattern with ids that a path ends in. The longest one wins. A word of
// a pattern is not an id.
func (p *Paths) withIDs(path, word, before string) (found, end string) {
	for _, list := range [...][]string{p.ends[word], p.ends[before]} {
		for _, pattern := range list {
			if found != "" && strings.Count(pattern, "/") <= strings.Count(found, "/") {
				continue
			}
			if e, ok := p.fits(pattern, path); ok {
				found, end = pattern, e
			}
		}
	}
	return found, end
}

// fits returns the end of a path that has the words of a pattern, and an id for each of its
// ids.
func (p *Paths) fits(pattern, path string) (end string, ok bool) {
	rest := path
	for want := pattern; want != ""; {
		var segment, got string
		want, segment = cutLast(want)
		if rest == "" {
			return "", false
		}
		rest, got = cutLast(rest)
		if isID(segment) {
			if _, holder := cutLast(want); got == "" || p.has(got) || p.known[want+"/"+got] != "" || slices.Contains(p.behind[holder], got) {
				return "", false
			}
		} else if got != segment {
			return "", false
		}
	}
	return strings.TrimPrefix(path[len(rest):], "/"), true
}

// IDs returns the ids in an end that [Paths.Find] gave with a pattern, in their order:
// file-abc for "files/{id}/content" and "files/file-abc/content".
func IDs(pattern, end string) []string {
	var ids []string
	segments := strings.Split(end, "/")
	for i, want := range strings.Split(pattern, "/") {
		if isID(want) && i < len(segments) {
			ids = append(ids, segments[i])
		}
	}
	return ids
}

// cutLast parts a path at its last slash.
func cutLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// isWord reports whether s may stand for "*". It goes into the upstream's URL unescaped, so
// the alphabet is narrow.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return s != ""
}

// ModelBefore is the model in a path before an endpoint: …/deployments/NAME/chat/completions,
// as Azure's clients ask, or …/engines/NAME/…. Empty if the path has no such part.
func ModelBefore(path, endpoint string) string {
	before, ok := strings.CutSuffix(strings.TrimSuffix(path, "/"), "/"+endpoint)
	if !ok {
		return ""
	}
	before, name := cutLast(before)
	if _, kind := cutLast(before); kind != "deployments" && kind != "engines" {
		return ""
	}
	return name
}

// Models reports whether the path is the model list or one model, and returns the model's id;
// empty for the list. The id may hold slashes. A mount may have stripped the slash at the
// path's start.
func Models(path string) (id string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if strings.HasSuffix(path, "/models") || strings.HasSuffix(path, "/models/") {
		return "", true
	}
	for _, mark := range []string{"/v1/models/", "/models/"} {
		if _, id, ok := strings.Cut(path, mark); ok && id != "" {
			return id, true
		}
	}
	return "", false
}

// Calls reports whether a request calls a model in Google's API, such as POST
// …/models/NAME:generateContent. It is not about the model list then.
func Calls(method, id string) bool {
	return method == http.MethodPost && strings.Contains(id, ":")
}

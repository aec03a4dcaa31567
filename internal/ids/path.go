package ids

import (
	"net/url"
	"slices"
	"strings"
)

// InPath returns the id in a path: the segment at the place of {id} in the pattern. It
// is empty for a pattern without one. "files/{id}/content" and
// "files/file-abc/content" give file-abc.
func InPath(pattern, path string) string {
	segments := strings.Split(path, "/")
	if at := slices.Index(strings.Split(pattern, "/"), "{id}"); at >= 0 && at < len(segments) {
		return segments[at]
	}
	return ""
}

// Odd reports whether an escaped path has an id, at a place in braces of its pattern,
// that is not [Valid]. The path has as many segments as the pattern.
func Odd(pattern, escaped string) bool {
	segments := strings.Split(escaped, "/")
	for i, segment := range strings.Split(pattern, "/") {
		if !strings.HasPrefix(segment, "{") {
			continue
		}
		id, err := url.PathUnescape(segments[i])
		if err != nil || !Valid(id) {
			return true
		}
	}
	return false
}

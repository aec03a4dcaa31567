package confdoc

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/aigateway-go/aigateway/internal/redact"
)

// place is the place of a node in the document, as a list of steps. Only a fault
// needs it in words: a path for each of many nodes under a long key would cost the
// product of both.
type place struct {
	parent *place
	name   string // of a field or key
	index  int    // of an item, -1 for a field or key
	depth  int
	secret bool // whether a value here or below may be a credential
}

// field is a step to a field of a struct.
func (at *place) field(name string, secret bool) *place {
	return &place{parent: at, name: name, index: -1, depth: at.depth + 1, secret: at.secret || secret}
}

// key is a step to the value under a key that the user chose.
func (at *place) key(name string) *place { return at.field(name, false) }

// item is a step to an item of a list, counted from 0.
func (at *place) item(i int) *place {
	return &place{parent: at, index: i, depth: at.depth + 1, secret: at.secret}
}

// String is the path from the root. The path of the root is empty.
func (at *place) String() string {
	var steps []*place
	for p := at; p.parent != nil; p = p.parent {
		steps = append(steps, p)
	}
	path := ""
	for _, p := range slices.Backward(steps) {
		if p.index >= 0 {
			path += "[" + strconv.Itoa(p.index) + "]"
		} else {
			path = JoinKey(path, p.name)
		}
	}
	return path
}

// plainKey matches keys that need no quotes in a path.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// JoinKey extends a path by a key: headers.X-Team, headers["a.b"]. A key that
// could be a credential is shown as "…".
func JoinKey(path, key string) string {
	switch {
	case redact.IsKey(key):
		// A credential in the place of a name, as in "sk-…:" under api_keys.
		return path + `["…"]`
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(redact.Shorten(key)) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

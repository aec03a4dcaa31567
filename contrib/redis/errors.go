package gatewayredis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Fault is the kind of an Error.
type Fault string

const (
	// Unreachable: no answer in time, or no connection.
	Unreachable Fault = "unreachable"
	// Denied: the store refuses the user, the password, or a command of theirs.
	Denied Fault = "denied"
	// Full: the store has no memory left, and evicts nothing.
	Full Fault = "full"
	// ReadOnly: the server is a replica, or cannot write to its disk.
	ReadOnly Fault = "read-only"
	// FailingOver: the store has no master for now, or loads its data.
	FailingOver Fault = "failing over"
	// Broken: any other answer.
	Broken Fault = "broken"
)

// Error is an error of a Store's calls. It names the store, the fault and the remedy,
// and holds neither keys nor values nor a password. The context's error is inside.
type Error struct {
	Fault Fault
	Store string // host:port, with commas
	Err   error
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("redis at %s is %s", e.Store, e.Fault)
	if r := remedies[e.Fault]; r != "" {
		text += " (" + r + ")"
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the error of the client.
func (e *Error) Unwrap() error { return e.Err }

var remedies = map[Fault]string{
	Denied:   "check user and password, and that the user may run scripts on the keys of the prefix",
	Full:     "raise maxmemory",
	ReadOnly: "use the address of the master, and look at its disk",
}

// answers are the first words of a server's errors, and what they say.
var answers = []struct {
	word  string
	fault Fault
}{
	{"NOAUTH", Denied}, {"WRONGPASS", Denied}, {"NOPERM", Denied}, {"ERR AUTH", Denied}, {"ERR invalid password", Denied},
	{"ERR Client sent AUTH", Denied}, {"ERR Protocol error: unauthenticated", Denied}, {"DENIED", Denied},
	{"OOM", Full},
	{"READONLY", ReadOnly}, {"MISCONF", ReadOnly}, {"NOREPLICAS", ReadOnly},
	{"LOADING", FailingOver}, {"MASTERDOWN", FailingOver}, {"CLUSTERDOWN", FailingOver}, {"TRYAGAIN", FailingOver},
	{"MOVED", FailingOver}, {"ASK", FailingOver},
	{"BUSY", Unreachable}, {"ERR max number of clients", Unreachable},
}

// fault makes an Error of a client's error.
func (s *Store) fault(err error) error {
	return &Error{Fault: faultOf(err), Store: s.place, Err: err}
}

func faultOf(err error) Fault {
	var answer redis.Error
	if errors.As(err, &answer) {
		text := answer.Error()
		for _, a := range answers {
			if strings.HasPrefix(text, a.word) {
				return a.fault
			}
		}
		// An error inside of a script stands behind the script's name.
		if _, inner, ok := strings.Cut(text, ": -"); ok {
			for _, a := range answers {
				if strings.HasPrefix(inner, a.word) {
					return a.fault
				}
			}
		}
		return Broken
	}
	var network net.Error
	switch {
	case errors.Is(err, errAnswer):
		return Broken
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Unreachable
	}
	return Unreachable
}

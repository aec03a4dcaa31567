package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// secrets is the store of the providers' keys. It rotates them: a provider refuses a
// key that is older than the last but one.
type secrets struct {
	generation atomic.Int64
	random     *random
}

func (s *secrets) rotate() { s.generation.Add(1) }

// ResolveSecret fails now and then.
func (s *secrets) ResolveSecret(_ context.Context, _, name string) (string, error) {
	if s.random.intN(20) == 0 {
		return "", errors.New("the store is down")
	}
	return fmt.Sprintf("sk-%s-%d", name, s.generation.Load()), nil
}

// outdated reports whether a request carries an old key, or a key of no generation.
func (s *secrets) outdated(r *http.Request) bool {
	key := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key")
	n, err := strconv.ParseInt(key[strings.LastIndex(key, "-")+1:], 10, 64)
	return err != nil || n < s.generation.Load()-1
}

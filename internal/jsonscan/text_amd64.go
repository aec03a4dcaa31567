//go:build !purego

package jsonscan

// nearRun is how far SkipString looks by itself, in bytes: at two words.
const nearRun = 0

// plainText returns the length of a front of p that is text of a string: no quote, no
// control character, and no escapes but short ones. It may be shorter than it could be.
//
// It uses vector instructions that each amd64 processor has. Bodies of requests and whole
// answers are strings nearly to the last byte, and are read two to three times as fast.
//
//go:noescape
func plainText(p []byte) int

//go:build race

package suite_test

// raced is set under the race detector: it doubles what a growing buffer allocates.
const raced = true

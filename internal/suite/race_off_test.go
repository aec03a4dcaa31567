//go:build !race

package suite_test

// raced is set under the race detector.
const raced = false

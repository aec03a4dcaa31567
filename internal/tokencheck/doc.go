// Package tokencheck measures the estimate behind max_input_tokens against
// o200k_base, the vocabulary of OpenAI's current models, and holds the README to
// the result.
//
//	go test -v ./...        the table
//
// The texts in testdata were written for this. It is a module of its own, so
// that no vocabulary comes near the gateway's go.mod.
package tokencheck

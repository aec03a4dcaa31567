// Package browsertest tests the debug page in a real browser, and the JSON Schema of
// the config with an independent validator.
//
//	./ci.sh                      installs Chromium if it is missing, and runs all
//	go test -shots DIR ./...     leaves screenshots in DIR, to be looked at
//
// It is a module of its own, to keep both out of the gateway's go.mod.
package browsertest

// Package browsertest holds the gateway to what only others can tell: a real
// browser about the debug page, and an independent validator about the JSON Schema
// of the config.
//
//	./ci.sh                      installs Chromium where it is missing, and runs all
//	go test -shots DIR ./...     leaves screenshots in DIR, to be looked at
//
// It is a module of its own, so that neither comes near the gateway's go.mod.
package browsertest

// Package sdksuite holds the official SDKs to what the gateway promises: that a
// client does not notice it.
//
// Each test drives one unmodified SDK twice, against a strict upstream and
// against the gateway in front of it, and compares what the program saw and
// what the upstream received. Nothing is set in an SDK but base URL, key and
// model. What may differ is listed, with the sentence that allows it; anything
// else fails. With -v, each test prints both sides.
//
//	./ci.sh                      installs the npm packages, and runs all
//	go test -v ./...             the tables
//	go test -update ./...        writes testdata anew: read the diff
//
// It is a module of its own, so that no SDK comes near the gateway's go.mod.
package sdksuite

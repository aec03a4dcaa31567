// Package sdksuite holds the official SDKs to the gateway's promise: a client does
// not notice it.
//
// Each test drives one unmodified SDK twice, against a strict upstream and against
// the gateway in front of it. It compares both the program's view and the
// upstream's. An SDK gets only a base URL, a key and a model. Allowed differences
// are listed, each with the sentence of the contract; any other difference fails.
// With -v, each test prints both sides.
//
//	./ci.sh                      installs the npm packages, and runs all
//	go test -v ./...             the tables
//	go test -update ./...        writes testdata anew: read the diff
//
// It is a module of its own, to keep SDKs out of the gateway's go.mod.
package sdksuite

// Package suite holds the tests of the gateway by theme: attacks, faults, fidelity,
// headers, limits, secrets, metrics, benchmarks. They see only the public API.
// Tests of one file of the root package stand beside the file.
package suite

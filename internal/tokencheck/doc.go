// Package tokencheck measures the gateway's estimate of tokens.
package tokencheck

// Package gatewayvault answers secrets.get from HashiCorp Vault or OpenBao: from the
// key-value engine, version 2, and from engines whose secrets have leases.
//
// The token is renewed, or logged in for anew, before it ends. Leases are renewed
// until Vault refuses; then the secret is read anew. All of it happens in passing: the
// package starts no goroutine and needs no closing. It has no dependencies.
package gatewayvault

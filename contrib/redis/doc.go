// Package gatewayredis lets the replicas of a fleet share their state through Redis or
// Valkey: one server, a Cluster, or one behind Sentinel. A [Store] goes into
// aigateway.Config.Shared.
//
// All of a fleet lies in one slot of a Cluster, because its steps are atomic. Every key
// has an end.
package gatewayredis

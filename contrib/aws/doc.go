// Package gatewayaws gives a gateway what AWS wants: requests signed with Signature
// Version 4, for Bedrock, and secrets from Secrets Manager.
//
// Credentials come from the SDK's own chain: environment, profiles, SSO, roles of
// EKS, ECS and EC2. The package imports the core of the SDK and no service client.
package gatewayaws

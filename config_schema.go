package aigateway

import _ "embed"

//go:generate go run ./internal/schema/gen

//go:embed config.schema.json
var configSchema string

// ConfigSchema returns the JSON Schema (draft 2020-12) of the documents that
// [ParseConfig] reads, for editors that complete and check YAML. It constrains each
// field by itself. [New] checks the fields together, and the expressions. The caller
// owns the bytes.
func ConfigSchema() []byte { return []byte(configSchema) }

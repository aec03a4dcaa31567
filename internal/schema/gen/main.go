// Command gen writes config.schema.json into the current directory, the
// repository's root.
package main

import (
	"log"
	"os"
	"reflect"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/schema"
)

// main takes the descriptions of fields from the doc comments of the source, so
// it needs the repository around it.
func main() {
	doc, err := schema.Generate(reflect.TypeFor[aigateway.Config](), ".")
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("config.schema.json", doc, 0o644); err != nil {
		log.Fatal(err)
	}
}

// Command gen makes catalog.json from models.tsv and providers.tsv, in the current directory.
package main

import (
	"log"
	"os"
)

// main reads both tables before it writes anything: a fault in one leaves the
// old catalog.json in place.
func main() {
	log.SetFlags(0)
	models, err := os.ReadFile("models.tsv")
	if err != nil {
		log.Fatal(err)
	}
	providers, err := os.ReadFile("providers.tsv")
	if err != nil {
		log.Fatal(err)
	}
	doc, err := generate(string(models), string(providers))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile("catalog.json", doc, 0o644); err != nil {
		log.Fatal(err)
	}
}

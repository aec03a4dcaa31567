.DEFAULT_GOAL := help
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 30s
SOAK ?= 10m
FLEET ?= 60s

.PHONY: help
help: ## Show what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: test
test: ## Run the tests
	go test ./...
	go test -tags purego ./internal/jsonscan

.PHONY: race
race: ## Run the tests under the race detector
	go test -race ./...

.PHONY: cover
cover: ## Show how much of the public package its tests and the suite reach
	go test -coverpkg=github.com/aigateway-go/aigateway -coverprofile=cover.out . ./internal/suite && go tool cover -func=cover.out | tail -n 1

.PHONY: lint
lint: ## Check formatting, vet and golangci-lint
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change these"; exit 1; }
	go vet ./...
	go run $(GOLANGCI) run ./...

.PHONY: bench
bench: ## Compare with a bare reverse proxy, and write docs/performance.md
	go test -run '^$$' -bench . -benchmem -benchtime 0.2s ./...
	go run ./internal/bench -update docs/performance.md

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME
	bash .ci/fuzz $(FUZZTIME)

.PHONY: soak
soak: ## Keep a gateway under traffic and faults for SOAK, and look for what is left
	go run ./internal/soak -for $(SOAK)

.PHONY: fleet
fleet: ## Break the store of a fleet under load for FLEET; needs redis-server
	go run -C contrib/redis ./internal/proof chaos -for $(FLEET)

.PHONY: ci
ci: ## Run all that CI runs
	bash .ci/run

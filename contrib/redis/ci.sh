#!/usr/bin/env bash
# Installs what these tests need, and runs them: Go and a network suffice on
# Debian as root; elsewhere, redis-server and redis-cli must be there.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo 'the tests need redis-server and redis-cli: install them first' >&2
		exit 1
	fi
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server
fi

go mod tidy -diff
go vet ./...
linter=$(sed -n 's/^GOLANGCI := //p' ../../Makefile)
go run "$linter" run --config ../../.golangci.yml ./...
go test -race "$@" ./...

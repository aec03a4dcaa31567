#!/usr/bin/env bash
# Installs what the SDK suite needs, and runs it: Go and a network suffice on
# Debian as root; elsewhere, npm must be there.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo 'the SDK suite needs Node.js and npm: install them first' >&2
		exit 1
	fi
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nodejs npm
fi

# The system's Node.js runs npm alone. The SDKs want a newer one, which is in the
# lock file like everything else; hence npm's warnings about engines are hushed.
npm ci --no-audit --no-fund --loglevel=error
# The coding agents are programs of their own, and need no scripts to be run.
(cd agents && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)

# Version 2 of Anthropic's Go SDK is tested by the same program as version 1.
before=$(sha256sum anthropic_go_v2_test.go)
go generate ./...
if [ "$before" != "$(sha256sum anthropic_go_v2_test.go)" ]; then
	echo 'anthropic_go_v2_test.go was not up to date: run go generate' >&2
	exit 1
fi

go mod tidy -diff
go vet ./...
go test -race "$@" ./...

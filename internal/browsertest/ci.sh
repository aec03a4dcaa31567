#!/usr/bin/env bash
# Installs what these tests need, and runs them: Go and a network suffice on
# Debian as root; elsewhere, Chromium must be there.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null && ! command -v google-chrome >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo 'the browser tests need Chromium: install it first' >&2
		exit 1
	fi
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
fi

go mod tidy -diff
go vet ./...
go test -race "$@" ./...

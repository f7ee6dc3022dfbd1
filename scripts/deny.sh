#!/usr/bin/env bash
# Bans, licences and sources of every dependency; advisories need a database from outside: `make audit`.
set -euo pipefail
cd "$(dirname "$0")/.."
exec target/tools/bin/cargo-deny --all-features check bans licenses sources

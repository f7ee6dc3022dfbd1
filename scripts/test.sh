#!/usr/bin/env bash
# Everything that CI runs, in order of cost. Each step's tests are counted; a step without a count of its own counts as one.
# The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=never
# What tests and lints build: everything. What is released has none of them, and is built and tried by the step "package".
features=$(cat scripts/features)
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Runs a step that has no count of its own.
step() { # name command…
  local name=$1
  shift
  echo "== $name"
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    tail -60 "$log"
    echo "== $name: FAILED"
  fi
}

# Runs a step whose output has lines "N passed; N failed".
counted() { # name command…
  local name=$1
  shift
  echo "== $name"
  "$@" 2>&1 | tee "$log" | grep --line-buffered -vE '^test .* ok$|^$|^running [0-9]+ tests?$'
  local status=${PIPESTATUS[0]} sums
  sums=$(sed -nE 's/.*[ :]([0-9]+) passed; ([0-9]+) failed.*/\1 \2/p' "$log" | awk '{p += $1; f += $2} END {print p + 0, f + 0}')
  passed=$((passed + ${sums% *}))
  failed=$((failed + ${sums#* }))
  if [ "$status" -ne 0 ] && [ "${sums#* }" -eq 0 ]; then
    failed=$((failed + 1))
    echo "== $name: FAILED"
  fi
}

step "setup" scripts/setup.sh base monitoring tokens docs tools
step "peers: real nodes and the node-side driver" scripts/peers.sh nodes
step "format" cargo fmt --all --check
step "licences, bans, sources" scripts/deny.sh
step "lints" cargo clippy --workspace --all-targets --features "$features" -- -D warnings
step "lints of what is released" cargo clippy --workspace -- -D warnings
counted "tests" cargo test --workspace --features "$features" --no-fail-fast
counted "package: installed, run, removed" scripts/package-test.sh
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --features "$features" --no-deps --document-private-items
step "driver's own tests" scripts/peers.sh selftest
counted "fuzz targets, 10 s each" env FUZZ_SECONDS="${FUZZ_SECONDS:-10}" scripts/fuzz.sh

echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

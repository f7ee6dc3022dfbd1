#!/usr/bin/env bash
# Times votes beside floods at the doors, and while the audit chain is pruned; then what rules, limits and audit add to a signature; then
# a day's worth of records of 128 chains, scaled down. Each beside its quiet or bare counterpart, by turns, in one run.
# Needs what `make bench` installs; see benches/privval/README.md for the aims.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}
cargo build --release --quiet --bin sigward
mkdir -p target/bench
target/peers/node-driver access --sigward "$target/release/sigward" --json target/bench/access.json "$@"

# The unit tests' build is the only one that can leave records out (src/store/unrecorded.rs), so there it is measured.
state=$(mktemp -d target/bench/state.XXXXXX)
trap 'rm -rf "$state"' EXIT
measure() {
  STATE_DIR=$PWD/$state cargo test --release --quiet --lib -- --ignored --nocapture --test-threads 1 "$1" |
    grep -v -e '^running' -e '^test result' -e '^$' -e '^\.$'
}
echo
measure cost_of_rules_limits_and_audit
echo
measure a_days_records

#!/usr/bin/env bash
# Packs a sigward that was built already into a Debian package, and prints where it is.
#
#   [FAST=1] scripts/deb.sh PROGRAM [FOLDER]     PROGRAM: the binary to pack; FOLDER: where the package goes (target/debian); FAST: larger, sooner
#
# What the package holds is said in Cargo.toml, [package.metadata.deb]; manual pages and completions come out of the binary.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "$1")
out=${2:-target/debian}
stage=target/package
# Files carry the time of the commit, so that the same source gives the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

rm -rf "$stage"
mkdir -p "$stage/completions" "$out"
install -m 0755 "$program" "$stage/sigward"
strip --strip-debug "$stage/sigward"
"$stage/sigward" man --dir "$stage/man"
gzip --best --no-name "$stage"/man/*.1
for shell in bash zsh fish; do
  "$stage/sigward" completions "$shell" >"$stage/completions/sigward.$shell"
done
PATH="$PWD/target/tools/bin:$PATH" cargo deb --quiet --no-build --no-strip --no-dbgsym --locked ${FAST:+--fast} --output "$out/"

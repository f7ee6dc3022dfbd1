#!/usr/bin/env bash
# What is given to others, into target/dist, each from the locked dependencies and without a trace of where it was built:
#
#   scripts/dist.sh binary   the release binary, and completions and manual pages out of it
#   scripts/dist.sh deb      the Debian package        (needs: binary)
#   scripts/dist.sh image    the container image       (needs: binary, buildah)
#   scripts/dist.sh sbom     what it is made of, as CycloneDX JSON
#   scripts/dist.sh sums     SHA256SUMS of all of it
#   scripts/dist.sh          everything
#
# Two builds of one commit with one toolchain in one kind of system give the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=target/dist
target=${CARGO_TARGET_DIR:-target}
export PATH="$PWD/target/tools/bin:$PATH"
# Everything that is stamped carries the time of the commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

binary() {
  local cargo_home=${CARGO_HOME:-$HOME/.cargo}
  RUSTFLAGS="--remap-path-prefix=$PWD=. --remap-path-prefix=$cargo_home=cargo --remap-path-prefix=$(rustc --print sysroot)=rust" \
    SIGWARD_COMMIT=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown) \
    CARGO_TARGET_DIR="$target/release-build" \
    cargo build --release --locked --bin sigward
  install -D -m 0755 "$target/release-build/release/sigward" "$out/sigward"
}

deb() { scripts/deb.sh "$out/sigward" "$out"; }

image() {
  scripts/image.sh build "$out/sigward"
  scripts/image.sh try
  cp target/image/sigward.tar "$out/sigward-image.tar"
}

sbom() {
  mkdir -p "$out"
  # It writes beside each manifest of the workspace: what is wanted is the program's.
  cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --override-filename sigward-sbom
  mv sigward-sbom.json "$out/sigward.cdx.json"
  rm -f ./*/sigward-sbom.json
  python3 - "$out/sigward.cdx.json" <<'PYTHON'
import json, os, sys, uuid
with open(sys.argv[1]) as file:
    text = file.read()
# Where it was built is nobody's business, and would differ.
bom = json.loads(text.replace("file://" + os.getcwd(), "file:///sigward"))
assert bom["bomFormat"] == "CycloneDX" and bom["metadata"]["component"]["name"] == "sigward"
# By chance otherwise, and this is the list of one commit.
bom["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, bom["metadata"]["component"]["purl"] + os.environ["SOURCE_DATE_EPOCH"]).urn
with open(sys.argv[1], "w") as file:
    json.dump(bom, file, indent=1)
print(f"{sys.argv[1]}: {len(bom['components'])} components")
PYTHON
}

sums() { (cd "$out" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS && cat SHA256SUMS); }

[ $# -gt 0 ] || set -- binary deb image sbom sums
for what in "$@"; do
  case $what in
  binary | deb | image | sbom | sums) "$what" ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done

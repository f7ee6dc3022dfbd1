#!/usr/bin/env bash
# Times sigward with its keys in a token of SoftHSM2: the token bare, the provider alone, and the whole way of a vote at 1 and 16
# chains beside the same way with keys in sealed files. Needs what `make bench` installs; see benches/privval/README.md for the targets.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --release --quiet --bin sigward
bench=$(cargo bench --no-run --message-format=json --quiet -p sigward-hsm --features testing --bench pkcs11 |
  python3 -c 'import json, sys
for line in sys.stdin:
    found = json.loads(line)
    if found.get("executable") and found["target"]["name"] == "pkcs11":
        print(found["executable"])')

folder=$(mktemp -d "${TMPDIR:-/tmp}/sigward-token-bench.XXXXXX")
trap 'rm -rf "$folder"' EXIT
scripts/softhsm-token.sh --label bench --id token "$folder/token" >"$folder/provider.toml"
field() { sed -n "s/^$1 = \"\(.*\)\"$/\1/p" "$folder/provider.toml"; }
export SOFTHSM2_CONF=$folder/token/softhsm2.conf PKCS11_TOKEN=bench
PKCS11_MODULE=$(field module) PKCS11_PIN_FILE=$(field pin_file)
export PKCS11_MODULE PKCS11_PIN_FILE

"$bench" --rounds "${TOKEN_ROUNDS:-9}"
echo
mkdir -p target/bench
target/peers/node-driver bench --signers sigward,sigward-token --chains 1,16 --bare "$bench" \
  --provider token --provider-config "$folder/provider.toml" --json target/bench/token.json "$@"

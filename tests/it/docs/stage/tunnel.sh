# A node whose validator key is sigward's, on a machine of its own; nothing runs yet, and nothing leads from one to the other.
# on: signer
sigward init
sigward keys create validator
unit sigward sigward --home /var/lib/sigward serve
sigward keys show validator --json >"$MACHINES/key.json"
# on: node-a
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
genesis /var/lib/cometbft my-chain-1 "$(jq -r .address "$MACHINES/key.json")" "$(jq -r .public_key_base64 "$MACHINES/key.json")"
listen_for_signer /var/lib/cometbft unix:///run/cometbft/signer.sock
cometbft_unit

# A node on one machine, its signer on a second, and a third that is to take the signer's place.
# on: node
mkdir -p /var/lib
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
cometbft_unit
listen_for_signer /var/lib/cometbft unix:///run/cometbft/signer.sock
# on: old
tunnel node node-a
served my-chain-1 node-a unix:///run/sigward/node-a.sock
systemctl start sigward
ready_soon
sigward keys show validator --json >"$MACHINES/key.json"
# on: node
genesis /var/lib/cometbft my-chain-1 "$(jq -r .address "$MACHINES/key.json")" "$(jq -r .public_key_base64 "$MACHINES/key.json")"
systemctl start cometbft
reach "$rpc" 5
# on: new
tunnel node node-a
unit sigward sigward --home /var/lib/sigward serve

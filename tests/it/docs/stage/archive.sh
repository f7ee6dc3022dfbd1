# A network that goes on without us and has all blocks, and our node, which sigward signs for.
# on: signer
served my-chain-1 node-a unix:///run/cometbft/signer.sock
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
listen_for_signer /var/lib/cometbft unix:///run/cometbft/signer.sock
join_network /var/lib/cometbft
cometbft_unit
systemctl start sigward
ready_soon
systemctl start cometbft
for _ in $(seq 200); do
  [ "$(sigward state show --json | jq '.[0].height // 0')" -lt 3 ] || break
  sleep 0.1
done

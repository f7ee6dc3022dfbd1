# The page has made its key: a network that goes on without us has it among its validators, and our node joins.
# on: signer
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
listen_for_signer /var/lib/cometbft unix:///run/cometbft/signer.sock
join_network /var/lib/cometbft
cometbft_unit
systemctl start cometbft
for _ in $(seq 300); do
  [ "$(sigward state show --json | jq '.[0].height // 0')" -lt 3 ] || exit 0
  sleep 0.1
done
exit 1

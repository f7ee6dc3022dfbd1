# apart: mount
# A network that goes on without us, and our node, whose signer has its state on a small disk of its own.
# on: signer
mkdir -p /var/lib/sigward
mount -t tmpfs -o size=40m,mode=0700 none /var/lib/sigward
sigward init --allow-volatile
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

# apart: net mount
# Machines with networks of their own, and one cable between them.
# on: node-a
ip link set lo up
mount -t tmpfs none /var/run
# on: signer
ip link set lo up
mount -t tmpfs none /var/run
ip link add cable0 type veth peer name cable0 netns "$(<"$MACHINES/node-a.pid")"
ip address add 192.0.2.1/24 dev cable0
ip link set cable0 up
sigward init
sigward keys create validator
unit sigward sigward --home /var/lib/sigward serve
sigward keys show validator --json >"$MACHINES/key.json"
# on: node-a
ip address add 192.0.2.10/24 dev cable0
ip link set cable0 up
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
genesis /var/lib/cometbft my-chain-1 "$(jq -r .address "$MACHINES/key.json")" "$(jq -r .public_key_base64 "$MACHINES/key.json")"
cometbft_unit

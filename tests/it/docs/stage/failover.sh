# A network that goes on without us; our node; its signer, which has just died; a standby; and a safe with the key.
# on: old
tunnel node node-a
served my-chain-1 node-a unix:///run/sigward/node-a.sock
sigward keys show validator --json >"$MACHINES/key.json"
cp /var/lib/sigward/seal.key /var/lib/sigward/keys/*.sealed "$MACHINES/"
systemctl start sigward
ready_soon
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: node
joining_node
systemctl start cometbft
reach "$rpc" 5
# on: old
sleep 1
sigward state show | grep my-chain-1
systemctl kill -s KILL sigward
# on: standby
mkdir -p /mnt/safe
mv "$MACHINES/seal.key" "$MACHINES"/*.sealed /mnt/safe/
tunnel node node-a
unit sigward sigward --home /var/lib/sigward serve

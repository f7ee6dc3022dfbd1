# A network that goes on without us, and two nodes of ours, of which a signer serves the first.
# on: signer
tunnel node-a node-a
tunnel node-b node-b
served my-chain-1 node-a unix:///run/sigward/node-a.sock
systemctl start sigward
ready_soon
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: node-a
joining_node
systemctl start cometbft
# on: node-b
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
join_network /var/lib/cometbft
cometbft_unit
systemctl start cometbft
reach "$rpc" 5

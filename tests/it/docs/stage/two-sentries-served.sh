# A network that goes on without us, and two nodes of ours, both served by one signer.
# on: signer
tunnel node-a node-a
tunnel node-b node-b
served my-chain-1 node-a unix:///run/sigward/node-a.sock node-b unix:///run/sigward/node-b.sock
systemctl start sigward
ready_soon
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: node-a
joining_node
systemctl start cometbft
# on: node-b
joining_node
systemctl start cometbft
reach "$rpc" 5

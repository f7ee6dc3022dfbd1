# The page has made its key: a network that goes on without us has it among its validators, and our node joins.
# on: signer
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
joining_node
systemctl start cometbft
signed 3

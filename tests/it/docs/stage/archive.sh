# A network that goes on without us and has all blocks, and our node, which sigward signs for.
# on: signer
served my-chain-1 node-a unix:///run/cometbft/signer.sock
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
joining_validator
signed 3

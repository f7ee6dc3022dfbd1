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
joining_validator
signed 3

# A chain that has come to a halt, because most of its power is gone. Our node has voted in the next height alone, was killed, and
# has lost its write-ahead log.
# on: signer
served my-chain-1 node-a unix:///run/cometbft/signer.sock
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
joining_validator
reach "$rpc" 3
# on: network
systemctl kill -s KILL cometbft
systemctl stop cometbft
# on: signer
# Long enough for a proposal or its timeout, and a vote.
sleep 3
systemctl kill -s KILL cometbft
systemctl stop cometbft
rm -rf /var/lib/cometbft/data/cs.wal

# The node starts with the key that the page made, and makes blocks.
# on: signer
sigward_genesis /var/lib/cometbft my-chain-1
systemctl start cometbft
reach "$rpc" 3

# A validator with its node, and the genesis of the chain that is to follow.
# on: signer
signed_validator
jq '.chain_id = "my-chain-2"' /var/lib/cometbft/config/genesis.json >/mnt/my-chain-2-genesis.json

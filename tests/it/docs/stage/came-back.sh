# A key that is here, and has signed elsewhere since.
# on: signer
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
own_genesis /var/lib/cometbft my-chain-1
cometbft_unit
systemctl start cometbft
reach "$rpc" 3
systemctl stop cometbft
sigward init
sigward keys import validator --chain my-chain-1 --file /var/lib/cometbft/config/priv_validator_key.json \
  --state /var/lib/cometbft/data/priv_validator_state.json
systemctl start cometbft
reach "$rpc" 8
systemctl stop cometbft
cp /var/lib/cometbft/data/priv_validator_state.json /root/

# A validator that signs by itself, with five blocks behind it, on the machine where sigward is to be.
# on: signer
# As the package leaves it.
install -d -m 0700 /var/lib/sigward
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
own_genesis /var/lib/cometbft my-chain-1
cometbft_unit
unit sigward sigward --home /var/lib/sigward serve
systemctl start cometbft
reach "$rpc" 5

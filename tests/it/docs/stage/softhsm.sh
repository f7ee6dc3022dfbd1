# A checkout, a service that is not started, and a node that is prepared: its genesis waits for a key in a token.
# on: signer
ln -s "$(dirname "$(readlink -f "$MACHINE/bin/systemctl")")/../../../../scripts" scripts
unit sigward sigward --home /var/lib/sigward serve
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
listen_for_signer /var/lib/cometbft unix:///run/cometbft/signer.sock
cometbft_unit

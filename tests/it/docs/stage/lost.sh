# A network that goes on without us, our node, whose signer is lost, and a backup of the signer's key.
# on: lost
served my-chain-1 node-a unix:///run/cometbft/signer.sock
systemctl start sigward
ready_soon
systemctl stop sigward
(umask 077 && echo 'a long passphrase, from a safe place' >"$MACHINES/passphrase")
sigward keys backup --all --file "$MACHINES/all.backup" --passphrase-file "$MACHINES/passphrase"
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
mkdir -p /mnt/safe
mv "$MACHINES/all.backup" "$MACHINES/passphrase" /mnt/safe/
joining_node
# The node's owner keeps trying while there is no signer: a node gives up after three seconds.
unit cometbft bash -c "'while :; do rm -f /run/cometbft/signer.sock; cometbft start --home /var/lib/cometbft; sleep 1; done'"
systemctl start cometbft
unit sigward sigward --home /var/lib/sigward serve
# on: network
reach http://192.0.2.20:26671 5

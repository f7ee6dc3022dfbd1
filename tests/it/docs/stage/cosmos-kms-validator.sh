# apart: pid
# A node, the files that cosmos/kms signed for it with until it was stopped, and a network that goes on without it.
# on: signer
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
install -d -m 0700 /var/lib/kms /var/lib/kms/state
mv /var/lib/cometbft/config/priv_validator_key.json /var/lib/kms/my-chain-1.json
jq 'del(.priv_key)' /var/lib/kms/my-chain-1.json >"$MACHINES/key.json"
echo '{"height":"3","round":0,"step":3}' >/var/lib/kms/state/my-chain-1.json
chmod 0600 /var/lib/kms/my-chain-1.json /var/lib/kms/state/my-chain-1.json
cat >/var/lib/kms/config.yaml <<'END'
chains:
  - id: my-chain-1

validators:
  - chain_id: my-chain-1
    addr: tcp://127.0.0.1:26659
    identity_key: identity.json

keys:
  - chain_ids: [my-chain-1]
    backend: file
    key_file: my-chain-1.json
END
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
listen_for_signer /var/lib/cometbft tcp://127.0.0.1:26659
join_network /var/lib/cometbft
cometbft_unit
# The node's owner keeps trying while there is no signer: a node gives up after three seconds.
unit cometbft bash -c "'while :; do cometbft start --home /var/lib/cometbft; sleep 1; done'"
unit kms sleep 600
unit sigward sigward --home /var/lib/sigward serve
systemctl start kms
systemctl start cometbft
# on: network
reach http://192.0.2.20:26671 5

# apart: pid
# A validator that real tmkms signs for, in a network that goes on without it. (Its machine has processes of its own, because a
# move looks for the old signer among all processes.)
# on: signer
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
mv /var/lib/cometbft/config/priv_validator_key.json "$MACHINES/key.json"
install -d -m 0700 /etc/tmkms /etc/tmkms/secrets /etc/tmkms/state
(
  umask 077
  jq -r .priv_key.value "$MACHINES/key.json" | base64 -d | head -c 32 | base64 >/etc/tmkms/secrets/consensus.key
  head -c 32 /dev/urandom | base64 >/etc/tmkms/secrets/connection.key
)
cat >/etc/tmkms/tmkms.toml <<'END'
[[chain]]
id = "my-chain-1"
key_format = { type = "hex" }
state_file = "/etc/tmkms/state/my-chain-1.json"

[[validator]]
addr = "tcp://127.0.0.1:26659"
chain_id = "my-chain-1"
reconnect = true
secret_key = "/etc/tmkms/secrets/connection.key"
protocol_version = "v0.38"

[[providers.softsign]]
chain_ids = ["my-chain-1"]
key_type = "consensus"
path = "/etc/tmkms/secrets/consensus.key"
END
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
rm "$MACHINES/key.json"
listen_for_signer /var/lib/cometbft tcp://127.0.0.1:26659
join_network /var/lib/cometbft
cometbft_unit
unit tmkms tmkms start -c /etc/tmkms/tmkms.toml
unit sigward sigward --home /var/lib/sigward serve
systemctl start tmkms
systemctl start cometbft
for _ in $(seq 300); do
  [ "$(jq -r '.height // "0"' /etc/tmkms/state/my-chain-1.json 2>/dev/null || echo 0)" -lt 5 ] || break
  sleep 0.1
done

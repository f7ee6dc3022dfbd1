# A network that goes on without us, and our validator, whose key is in a token, on one machine with its node.
# on: signer
scripts=$(dirname "$(readlink -f "$MACHINE/bin/systemctl")")/../../../../scripts
sigward init
"$scripts/softhsm-token.sh" --id hsm-a /var/lib/sigward/softhsm >>/var/lib/sigward/sigward.toml
install -d -m 0700 /root/safe
cp /var/lib/sigward/softhsm/user.pin /root/safe/
export SOFTHSM2_CONF=/var/lib/sigward/softhsm/softhsm2.conf
sigward keys create validator --provider hsm-a
cat >>/var/lib/sigward/sigward.toml <<'TOML'

[[chain]]
id = "my-chain-1"
key = "validator"

[[chain.node]]
name = "node-a"
address = "unix:///run/cometbft/signer.sock"
TOML
unit sigward env "SOFTHSM2_CONF=$SOFTHSM2_CONF" sigward --home /var/lib/sigward serve
systemctl start sigward
ready_soon
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
joining_node
systemctl start cometbft
signed 3

# A validator whose key is in a token, on one machine with its node, with five blocks behind it.
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
node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
sigward_genesis /var/lib/cometbft my-chain-1
listen_for_signer /var/lib/cometbft unix:///run/cometbft/signer.sock
cometbft_unit
systemctl start sigward
ready_soon
systemctl start cometbft
reach "$rpc" 5

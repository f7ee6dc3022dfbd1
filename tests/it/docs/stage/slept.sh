# A network that went on without us while our validator slept, further than the limits of this chain entry let a height jump.
# on: signer
served my-chain-1 node-a unix:///run/cometbft/signer.sock
sed -i 's|^key = "validator"|&\nheight_jump = 5\nheights_per_second = 1|' /var/lib/sigward/sigward.toml
sigward keys show validator --json >"$MACHINES/key.json"
# on: network
network_of my-chain-1 "$MACHINES/key.json"
# on: signer
joining_validator
signed 3
systemctl stop cometbft
systemctl stop sigward
last=$(sigward state show --json | jq '.[0].height')
[ "$last" -ge 3 ]
# Some eight blocks a second against one, so it is soon too far away, also on a slow machine.
since=$SECONDS
until [ "$(height http://192.0.2.20:26671)" -gt $((last + 20 + 3 * (SECONDS - since))) ]; do sleep 0.2; done
systemctl start sigward
ready_soon
systemctl start cometbft
for _ in $(seq 200); do
  ! grep -q height_jump "$MACHINE/log/sigward.log" || break
  sleep 0.1
done
grep -q height_jump "$MACHINE/log/sigward.log"

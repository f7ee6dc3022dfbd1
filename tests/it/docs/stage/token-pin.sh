# Another PIN lies in the place of the right one, and sigward was restarted since; it has noticed.
# on: signer
echo 00000000 >/var/lib/sigward/softhsm/user.pin
systemctl restart sigward
for _ in $(seq 300); do
  [ "$(sigward hsm list --json | jq -r '.[0].code')" != wrong_pin ] || exit 0
  sleep 0.1
done
exit 1

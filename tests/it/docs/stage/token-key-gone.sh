# Somebody deleted the key from the token, with a tool of its maker; the maker's backup has it. sigward has noticed.
# on: signer
mkdir -p /mnt/token-backup
cp -a /var/lib/sigward/softhsm/tokens/. /mnt/token-backup/
export SOFTHSM2_CONF=/var/lib/sigward/softhsm/softhsm2.conf
PIN=$(cat /var/lib/sigward/softhsm/user.pin) pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --token-label validators \
  --login --pin env:PIN --delete-object --type privkey --id "$(sigward keys show validator --json | jq -r .cka_id)"
for _ in $(seq 300); do
  [ "$(sigward hsm list --json | jq -r '.[0].code')" != token_key_missing ] || exit 0
  sleep 0.1
done
sigward hsm list
exit 1

# The token is taken away, and sigward has noticed.
# on: signer
mv /var/lib/sigward/softhsm/tokens /var/lib/sigward/softhsm/away
for _ in $(seq 300); do
  ! curl -sf http://127.0.0.1:26650/readyz >/dev/null || { sleep 0.1 && continue; }
  exit 0
done
exit 1

# Somebody else's file takes all the room.
# on: signer
dd if=/dev/zero of=/var/lib/sigward/core.4711 bs=64k 2>/dev/null || true
for _ in $(seq 100); do
  ! grep -q disk_full "$MACHINE/log/sigward.log" || break
  sleep 0.1
done
# The check is told once a second.
sleep 2

# apart: mount
# A signer whose state is on a small disk of its own, and its node.
# on: signer
mkdir -p /var/lib/sigward
mount -t tmpfs -o size=40m,mode=0700 none /var/lib/sigward
sigward init --allow-volatile
signed_validator

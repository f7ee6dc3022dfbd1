# A checkout, and services that are not started: the key of the validator is made by the page.
# on: signer
ln -s "$(dirname "$(readlink -f "$MACHINE/bin/systemctl")")/../../../../scripts" scripts
unit sigward sigward --home /var/lib/sigward serve

# A token that nobody has used yet, and the file with its PIN.
# on: signer
install -d -m 0700 /etc/sigward /var/lib/softhsm
printf 'directories.tokendir = /var/lib/softhsm\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = true\n' >/etc/softhsm2.conf
(umask 077 && echo 4711-0815 >/etc/sigward/validators.pin)
SOFTHSM2_CONF=/etc/softhsm2.conf softhsm2-util --init-token --free --label validators --pin 4711-0815 --so-pin so-0815-4711 >/dev/null

#!/usr/bin/env bash
# Packs a built sigward, installs it, sets it up and runs it as its own user without systemd, removes and purges it, and looks at
# what stayed. Needs root. The machine is not touched: all of it happens in a mount namespace, on an overlay that is thrown away.
#
#   scripts/package-test.sh [PROGRAM]     PROGRAM: target/debug/sigward
set -euo pipefail
cd "$(dirname "$0")/.."

passed=0 failed=0
check() { # what it is, command…
  local what=$1
  shift
  if "$@" >"$log" 2>&1; then
    passed=$((passed + 1))
    echo "test package: $what ... ok"
  else
    failed=$((failed + 1))
    echo "test package: $what ... FAILED"
    tail -20 "$log"
  fi
}
sum() {
  echo "package: $passed passed; $failed failed"
  [ "$failed" -eq 0 ]
}

# Outside: pack, then begin again in namespaces of our own, on an overlay of this machine.
outside() {
  [ "$(id -u)" -eq 0 ] || { echo "package-test: installing a package needs root: sudo $0"; exit 1; }
  local package
  package=$(FAST=1 scripts/deb.sh "${1:-${CARGO_TARGET_DIR:-target}/debug/sigward}")
  echo "package: $package, $(stat -c %s "$package") bytes"
  work=$(mktemp -d)
  trap 'rmdir "$work"' EXIT
  unshare --mount --pid --fork --kill-child "$0" --overlay "$work" "$(realpath "$package")"
}

overlay() { # folder package
  local work=$1 package=$2 root=$1/root
  mount --make-rprivate /
  mount -t tmpfs -o mode=0755 tmpfs "$work"
  mkdir "$work/upper" "$work/work" "$root"
  mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" overlay "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  # What an earlier installation on this machine left is not what is tested.
  rm -rf "$root/var/lib/sigward"
  cp "$package" "$root/tmp/sigward.deb"
  install -m 0755 "$0" "$root/tmp/package-test.sh"
  chroot "$root" /tmp/package-test.sh --inside /tmp/sigward.deb
}

home=/var/lib/sigward
as_sigward() { runuser -u sigward -- "$@"; }
sigward_() { as_sigward sigward --home "$home" "$@"; }
mode() { [ "$(stat -c '%a %U:%G' "$1")" = "$2" ]; }
fingerprint() { (cd "$home" && find . -printf '%p %m %U\n' -type f -exec sha256sum {} + | sort); }
absent() { ! [ -e "$1" ]; }

# Starts `serve` as systemd would, waits for READY=1, asks /readyz, and ends it with SIGTERM.
serves() {
  python3 - "$home" <<'PYTHON'
import os, pwd, signal, socket, subprocess, sys, time, urllib.error, urllib.request
path = "/tmp/notify"
if os.path.exists(path):
    os.unlink(path)
systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
systemd.bind(path)
os.chmod(path, 0o666)
systemd.settimeout(30)
serve = subprocess.Popen(
    ["sigward", "--home", sys.argv[1], "serve"],
    user="sigward", group="sigward", extra_groups=[], umask=0o077,
    env={"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": path},
)
try:
    said = systemd.recv(4096).decode()
    assert "READY=1" in said.split("\n"), said
    # It signs when it says so; what it looks after beside that is looked at for the first time a moment later.
    for left in range(100, -1, -1):
        try:
            with urllib.request.urlopen("http://127.0.0.1:26651/readyz?verbose", timeout=5) as answer:
                print(answer.read().decode())
            break
        except urllib.error.HTTPError as unready:
            if left == 0:
                raise AssertionError(unready.read().decode()) from None
            time.sleep(0.2)
    serve.send_signal(signal.SIGTERM)
    said = systemd.recv(4096).decode()
    assert "STOPPING=1" in said.split("\n"), said
    assert serve.wait(20) == 0, serve.returncode
finally:
    serve.kill()
PYTHON
}

inside() { # package
  cd /
  export DEBIAN_FRONTEND=noninteractive
  check "it installs" dpkg -i "$1"
  check "its user has no shell" grep -q '^sigward:.*:/usr/sbin/nologin$' /etc/passwd
  check "its folder is its own" mode "$home" "700 sigward:sigward"
  check "nothing was set up or started" absent "$home/sigward.toml"
  check "the unit is right" systemd-analyze verify --man=no /lib/systemd/system/sigward.service
  check "the unit's exposure is 1.5 of 10 at the most" \
    systemd-analyze security --offline=true --threshold=15 /lib/systemd/system/sigward.service
  systemd-analyze security --offline=true /lib/systemd/system/sigward.service 2>/dev/null | tail -1 || true
  check "there is a manual page for each command" test -s /usr/share/man/man1/sigward-keys-create.1.gz
  check "its pages are there, runbooks too" bash -c '
    for page in README.md docs/operating.md docs/reload.md docs/runbooks/failover.md docs/examples/one-node.toml dist/systemd/sigward.service; do
      dpkg -L sigward | grep -qx "/usr/share/doc/sigward/$page" || { echo "no $page"; exit 1; }
    done'
  check "bash completes it" bash -c '. /usr/share/bash-completion/completions/sigward && complete -p sigward'
  check "its user sets it up" sigward_ init --allow-volatile
  # Another sigward of this machine may have the usual port.
  sed -i 's/^listen = .*/listen = "127.0.0.1:26651"/' "$home/sigward.toml"
  check "its user makes a key" sigward_ keys create validator
  check "it serves without systemd, and tells systemd when it does" serves
  local before
  before=$(fingerprint)
  check "it is removed" dpkg -r sigward
  check "the program is gone" absent /usr/bin/sigward
  check "removal leaves state and keys" test "$before" = "$(fingerprint)"
  check "it is purged" dpkg -P sigward
  check "purging leaves state and keys" test "$before" = "$(fingerprint)"
  check "purging leaves their user" getent passwd sigward
  check "it installs over what it left" dpkg -i "$1"
  check "what it left is whole" sigward_ audit verify
  check "it serves what it left" serves
  sum
}

log=$(mktemp)
case ${1:-} in
--overlay) overlay "$2" "$3" ;;
--inside) inside "$2" ;;
*) outside "$@" ;;
esac
rm -f "$log"

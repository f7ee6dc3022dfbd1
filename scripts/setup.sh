#!/usr/bin/env bash
# Installs what a fresh Debian machine lacks: `base` (compiler, make, age), `monitoring` (Prometheus with promtool, and tmux: what
# the tests of dashboard, alerts and `sigward top` run), `tokens`
# (SoftHSM2 and OpenSC, which the tests of keys in tokens use), `docs` (what the runbooks use, whose commands are run), `tools` (cargo-deny,
# cargo-fuzz and cargo-deb into target/tools), `dist` (buildah, and cargo-cyclonedx into target/tools).
# Idempotent; does nothing where a tool is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

need() { # command package
  command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

base() {
  local missing=()
  need cc build-essential
  need c++ build-essential
  need make make
  need curl curl
  need git git
  need python3 python3
  need age age
  # Where Go is too old, peers.sh gets it by pip.
  python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
  install_missing
}

monitoring() {
  local missing=()
  need prometheus prometheus
  need promtool prometheus
  need tmux tmux
  install_missing
}

tokens() {
  local missing=()
  need softhsm2-util softhsm2
  need pkcs11-tool opensc
  install_missing
}

docs() {
  local missing=()
  need jq jq
  need stunnel stunnel4
  need wg wireguard-tools
  need wireguard-go wireguard-go
  need ip iproute2
  need openssl openssl
  install_missing
}

install_missing() { # what is in $missing
  [ ${#missing[@]} -eq 0 ] && return
  echo "setup: installing ${missing[*]}"
  local as_root=""
  [ "$(id -u)" -eq 0 ] || as_root=sudo
  $as_root apt-get update -qq
  # RUNLEVEL=1: a package that brings a service (Prometheus) is installed, not started.
  $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

cargo_tool() { # binary crate@version
  [ -x "target/tools/bin/$1" ] && return
  echo "setup: building $2"
  # These only have to run, not to run fast.
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    CARGO_TARGET_DIR="$PWD/target/tools/build" cargo install --quiet --locked --root target/tools "$2"
}

tools() {
  # The package is tried as an operator would; small disks are made of files.
  local missing=()
  need systemd-analyze systemd
  need adduser adduser
  need mkfs.ext4 e2fsprogs
  install_missing
  cargo_tool cargo-deny cargo-deny@0.20.2
  cargo_tool cargo-fuzz cargo-fuzz@0.13.1
  cargo_tool cargo-deb cargo-deb@3.8.0
  rm -rf target/tools/build
}

dist() {
  local missing=()
  need buildah buildah
  need ip iproute2
  install_missing
  cargo_tool cargo-cyclonedx cargo-cyclonedx@0.5.9
  rm -rf target/tools/build
}

for what in "$@"; do "$what"; done

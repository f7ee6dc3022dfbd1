#!/usr/bin/env bash
# The container image, with no daemon and no registry: the Dockerfile's last stage over a binary that is there already.
#
#   scripts/image.sh rootfs PROGRAM FOLDER   the image's file system: the program, the libraries it is linked to, an empty home
#   scripts/image.sh build PROGRAM [TAG]     the image (sigward:latest), by buildah; also as target/image/sigward.tar
#   scripts/image.sh try [TAG]               runs it: read-only root, no capabilities, user 10001
set -euo pipefail
cd "$(dirname "$0")/.."
tag=sigward:latest

rootfs() { # program folder
  local program=$1 root=$2 library
  rm -rf "$root"
  install -D -m 0755 "$program" "$root/usr/local/bin/sigward"
  # Where the loader stands is written in the program; it finds the rest in its default folders.
  for library in $(ldd "$program" | grep -oE '/[^ ]+'); do
    install -D -m 0755 "$(realpath "$library")" "$root$library"
  done
  # Names of nodes: the hosts file, then DNS. Both are in glibc itself.
  install -d "$root/etc" "$root/var/lib"
  echo "hosts: files dns" >"$root/etc/nsswitch.conf"
  install -d -m 0700 "$root/var/lib/sigward"
  # The same bytes give the same layer.
  find "$root" -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH:-0}" {} +
}

build() { # program tag
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
  export SOURCE_DATE_EPOCH
  rootfs "$1" target/image/rootfs
  buildah build --isolation chroot --storage-driver vfs --build-arg ROOTFS=prebuilt --timestamp "$SOURCE_DATE_EPOCH" \
    --ignorefile scripts/image.ignore --tag "$tag" .
  # The same image gives the same archive.
  rm -rf target/image/oci
  buildah push --quiet --storage-driver vfs "$tag" "oci:target/image/oci:$tag"
  tar --create --file target/image/sigward.tar --directory target/image/oci --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime "@$SOURCE_DATE_EPOCH" .
}

try() { # tag
  local container root volume status=0
  container=$(buildah from --storage-driver vfs "$tag")
  root=$(buildah mount --storage-driver vfs "$container")
  volume=$(mktemp -d "$PWD/target/image/volume.XXXXXX")
  chown 10001:10001 "$volume"
  buildah inspect --storage-driver vfs --format 'user {{.OCIv1.Config.User}}, {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}' "$container"
  unshare --mount --pid --fork --kill-child --net python3 scripts/image-try.py "$root" "$volume" || status=$?
  buildah umount --storage-driver vfs "$container" >/dev/null
  buildah rm --storage-driver vfs "$container" >/dev/null
  rm -rf "$volume"
  return "$status"
}

case ${1:-} in
rootfs) rootfs "$2" "$3" ;;
build) tag=${3:-$tag} && build "$2" ;;
try) tag=${2:-$tag} && try ;;
*) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

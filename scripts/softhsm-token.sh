#!/usr/bin/env bash
# Makes a development token of SoftHSM2 in a folder of its own, and prints the [[provider]] section that names it.
set -euo pipefail

usage() {
  cat <<'HELP'
Makes a SoftHSM2 token to develop and test with, and prints the [[provider]] section that sigward needs for it.

Usage: softhsm-token.sh [--label LABEL] [--id ID] FOLDER

  FOLDER         where everything of the token goes; made if it is not there, mode 0700
  --label LABEL  what the token calls itself (default: validators)
  --id ID        what sigward shall call it (default: soft)

In FOLDER: softhsm2.conf (SOFTHSM2_CONF), tokens/ (the keys, encrypted under the PIN), user.pin and so.pin (0600, random).
Standard output is the section and nothing else; the rest is said on standard error. Run again, it changes nothing and prints the
same. It is finished where it was cut off.

Run it as the user that sigward runs as: its files are that user's alone.

  softhsm-token.sh ~/dev-token
  softhsm-token.sh /var/lib/sigward/softhsm >> /var/lib/sigward/sigward.toml
  export SOFTHSM2_CONF=/var/lib/sigward/softhsm/softhsm2.conf      # for sigward, and for softhsm2-util and pkcs11-tool

It is a token for development: its keys are files, and whoever has the folder has them and the PIN. softhsm2-util takes PINs as
arguments, so other users of the machine could see them for the moment in which the token is made.

Exit codes: 0 done, 1 failed, 2 wrong usage.
HELP
}

fail() { # MESSAGE WHAT_TO_DO
  printf 'softhsm-token: %s\n  %s\n' "$1" "$2" >&2
  exit "${3-1}"
}

label=validators id=soft folder=
while [ $# -gt 0 ]; do
  case $1 in
  -h | --help) usage && exit 0 ;;
  --label | --id)
    [ $# -gt 1 ] || fail "$1 needs a value" "see softhsm-token.sh --help" 2
    if [ "$1" = --id ]; then id=$2; else label=$2; fi
    shift
    ;;
  -*) fail "unknown option $1" "see softhsm-token.sh --help" 2 ;;
  *)
    [ -z "$folder" ] || fail "more than one folder" "see softhsm-token.sh --help" 2
    folder=$1
    ;;
  esac
  shift
done
[ -n "$folder" ] || { usage >&2 && exit 2; }
# What stands in quotes below must not end them; a token's label has 32 bytes (PKCS#11 v3.0, 3.2).
[[ $label =~ ^[A-Za-z0-9._-]{1,32}$ ]] || fail "\"$label\" is no label" "1 to 32 of A-Z a-z 0-9 . _ -" 2
[[ $id =~ ^[a-z0-9_][a-z0-9._-]{0,63}$ && $id != software ]] || fail "\"$id\" is no id" "1 to 64 of a-z 0-9 . _ -, and not \"software\"" 2

command -v softhsm2-util >/dev/null || fail "softhsm2-util is not there" "apt-get install softhsm2"
module=
for candidate in /usr/lib/softhsm/libsofthsm2.so "/usr/lib/$(uname -m)-linux-gnu/softhsm/libsofthsm2.so" \
  /usr/lib64/softhsm/libsofthsm.so /usr/local/lib/softhsm/libsofthsm2.so; do
  [ -z "$module" ] && [ -f "$candidate" ] && module=$candidate
done
[ -n "$module" ] || fail "libsofthsm2.so is not where packages put it" "apt-get install libsofthsm2"

umask 077
mkdir -p "$folder"
folder=$(cd "$folder" && pwd -P)
# A line of softhsm2.conf, and a string of the section.
[[ $folder =~ ^[A-Za-z0-9/._-]+$ ]] || fail "the folder $folder has unusual characters" "choose a plainer path"
mkdir -p "$folder/tokens"

# Appears whole or not at all: a run that was cut off leaves no half of a file.
file() { # NAME, contents on standard input
  cat >"$folder/.$1.new"
  mv "$folder/.$1.new" "$folder/$1"
}
random_pin() { # NAME
  [ -s "$folder/$1" ] || od -An -N 16 -tx1 /dev/urandom | tr -d ' \n' | file "$1"
}

# One that is there may have been changed, on purpose.
[ -s "$folder/softhsm2.conf" ] || file softhsm2.conf <<CONF
directories.tokendir = $folder/tokens
objectstore.backend = file
log.level = ERROR
CONF
export SOFTHSM2_CONF=$folder/softhsm2.conf

tokens() { softhsm2-util --show-slots | sed -n 's/^ *Label: *\([^ ]*\) *$/\1/p' | grep -cFx -- "$label" || true; }

case $(tokens) in
0)
  random_pin so.pin
  random_pin user.pin
  softhsm2-util --init-token --free --label "$label" --so-pin "$(<"$folder/so.pin")" --pin "$(<"$folder/user.pin")" >&2
  ;;
1)
  [ -s "$folder/user.pin" ] ||
    fail "the token $label is there, and $folder/user.pin is not" \
      "bring the file back; without the PIN the keys are lost: remove $folder/tokens and run this again"
  echo "softhsm-token: $label is there already; nothing was changed" >&2
  ;;
*) fail "several tokens are called $label" "softhsm2-util --delete-token --serial SERIAL removes one; SOFTHSM2_CONF=$SOFTHSM2_CONF" ;;
esac

echo "softhsm-token: sigward finds it with SOFTHSM2_CONF=$SOFTHSM2_CONF in its environment" >&2
cat <<SECTION

[[provider]]
id = "$id"

[provider.pkcs11]
module = "$module"
token_label = "$label"
pin_file = "$folder/user.pin"
SECTION

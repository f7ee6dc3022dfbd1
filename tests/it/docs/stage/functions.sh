# What scenes are made of. Sourced in a machine's shell before its part of a scene.

# unit NAME COMMAND…: a service that systemctl can start.
unit() {
  local name=$1
  shift
  printf '[Service]\nExecStart=%s\n' "$*" >"$MACHINE/etc/systemd/system/$name.service"
}

# setting KEY VALUE FILE: a setting of CometBFT's config.toml, which must be there.
setting() {
  grep -q "^$1 = " "$3"
  sed -i "s|^$1 = .*|$1 = $2|" "$3"
}

# node FOLDER RPC_PORT P2P_PORT: a node's home with short timers, the kvstore app inside, and a key of its own.
node() {
  local config=$1/config/config.toml
  cometbft init --home "$1" >/dev/null
  setting proxy_app '"kvstore"' "$config"
  sed -i "s|^laddr = \"tcp://127.0.0.1:.*|laddr = \"tcp://127.0.0.1:$2\"|; s|^laddr = \"tcp://0.0.0.0:.*|laddr = \"tcp://127.0.0.1:$3\"|" "$config"
  setting pex false "$config"
  setting addr_book_strict false "$config"
  setting allow_duplicate_ip true "$config"
  setting timeout_propose '"1s"' "$config"
  setting timeout_prevote '"200ms"' "$config"
  setting timeout_precommit '"200ms"' "$config"
  setting timeout_commit '"100ms"' "$config"
}

# genesis FOLDER CHAIN_ID ADDRESS PUBLIC_KEY: one validator.
genesis() {
  local file=$1/config/genesis.json
  jq --arg id "$2" --arg address "$3" --arg key "$4" '.chain_id = $id | .genesis_time = "2025-01-01T00:00:00Z"
    | .validators = [{address: $address, pub_key: {type: "tendermint/PubKeyEd25519", value: $key}, power: "10", name: "validator"}]' \
    "$file" >"$file.new"
  mv "$file.new" "$file"
}

# height RPC: the node's last block; 0 while it does not answer.
height() {
  curl -sf "$1/status" | jq -r .result.sync_info.latest_block_height 2>/dev/null || echo 0
}

# reach RPC HEIGHT: waits until the node has that block.
reach() {
  for _ in $(seq 600); do
    [ "$(height "$1")" -lt "$2" ] || return 0
    sleep 0.1
  done
  echo "$1 does not reach $2" >&2
  return 1
}

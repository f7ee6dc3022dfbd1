# What scenes are made of. Stands before each part of a scene.

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

# node FOLDER RPC P2P: a node's home with short timers, the kvstore app inside, and a key of its own.
node() {
  local config=$1/config/config.toml
  cometbft init --home "$1" >/dev/null
  setting proxy_app '"kvstore"' "$config"
  sed -i "s|^laddr = \"tcp://127.0.0.1:.*|laddr = \"tcp://$2\"|; s|^laddr = \"tcp://0.0.0.0:.*|laddr = \"tcp://$3\"|" "$config"
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
  for _ in $(seq 300); do
    [ "$(height "$1")" -lt "$2" ] || return 0
    sleep 0.1
  done
  echo "$1 does not reach $2" >&2
  return 1
}

export SIGWARD_HOME=/var/lib/sigward
rpc=http://127.0.0.1:26657

# cometbft_unit: the node of this machine as a service, which removes the socket that a stop left behind.
cometbft_unit() {
  unit cometbft cometbft start --home /var/lib/cometbft
  echo 'ExecStartPre=-/bin/rm -f /run/cometbft/signer.sock' >>/etc/systemd/system/cometbft.service
}

# listen_for_signer FOLDER ADDRESS: the node asks whoever dials there.
listen_for_signer() {
  setting priv_validator_laddr "\"$2\"" "$1/config/config.toml"
}

# own_genesis FOLDER CHAIN_ID: one validator, the node's own key.
own_genesis() {
  local key=$1/config/priv_validator_key.json
  genesis "$1" "$2" "$(jq -r .address "$key")" "$(jq -r .pub_key.value "$key")"
}

# sigward_genesis FOLDER CHAIN_ID: one validator, sigward's key.
sigward_genesis() {
  local key
  key=$(sigward keys show validator --json)
  genesis "$1" "$2" "$(jq -r .address <<<"$key")" "$(jq -r .public_key_base64 <<<"$key")"
}

# served CHAIN_ID NAME ADDRESS …: sigward with a key made here, that chain, and those nodes.
served() {
  [ -f "$SIGWARD_HOME/sigward.toml" ] || sigward init
  sigward keys create validator
  printf '\n[[chain]]\nid = "%s"\nkey = "validator"\n' "$1" >>"$SIGWARD_HOME/sigward.toml"
  shift
  while [ $# -gt 0 ]; do
    printf '\n[[chain.node]]\nname = "%s"\naddress = "%s"\n' "$1" "$2" >>"$SIGWARD_HOME/sigward.toml"
    shift 2
  done
  unit sigward sigward --home /var/lib/sigward serve
}

# signed_validator: a validator whose key sigward made, on one machine, with five blocks behind it.
signed_validator() {
  served my-chain-1 node-a unix:///run/cometbft/signer.sock
  node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
  sigward_genesis /var/lib/cometbft my-chain-1
  listen_for_signer /var/lib/cometbft unix:///run/cometbft/signer.sock
  cometbft_unit
  systemctl start sigward
  ready_soon
  systemctl start cometbft
  reach "$rpc" 5
}

# ready_soon: waits until sigward answers at all.
ready_soon() {
  for _ in $(seq 200); do
    ! curl -sf http://127.0.0.1:26650/livez >/dev/null || return 0
    sleep 0.1
  done
  return 1
}

# validators FOLDER POWER KEY_JSON …: these validators instead of what the genesis has. KEY_JSON is what `sigward keys show --json`
# printed, or CometBFT's priv_validator_key.json.
validators() {
  local file=$1/config/genesis.json
  shift
  jq '.validators = []' "$file" >"$file.new" && mv "$file.new" "$file"
  while [ $# -gt 0 ]; do
    jq --arg power "$1" --slurpfile key "$2" '.validators += [{address: $key[0].address, power: $power, name: "v",
      pub_key: {type: "tendermint/PubKeyEd25519", value: ($key[0].public_key_base64 // $key[0].pub_key.value)}}]' \
      "$file" >"$file.new" && mv "$file.new" "$file"
    shift 2
  done
}

# network_of CHAIN_ID OUR_KEY_JSON: the rest of the network, as one node that holds nine tenths of the power and signs by itself.
network_of() {
  node /var/lib/cometbft 192.0.2.20:26671 192.0.2.20:26672
  own_genesis /var/lib/cometbft "$1"
  validators /var/lib/cometbft 90 /var/lib/cometbft/config/priv_validator_key.json 10 "$2"
  cp /var/lib/cometbft/config/genesis.json "$MACHINES/genesis.json"
  cometbft show-node-id --home /var/lib/cometbft >"$MACHINES/network.id"
  cometbft_unit
  systemctl start cometbft
}

# join_network FOLDER: the node of this machine is one of that network.
join_network() {
  cp "$MACHINES/genesis.json" "$1/config/genesis.json"
  setting persistent_peers "\"$(<"$MACHINES/network.id")@192.0.2.20:26672\"" "$1/config/config.toml"
}

# joining_node: the node of this machine asks a signer, and is one of that network.
joining_node() {
  node /var/lib/cometbft 127.0.0.1:26657 127.0.0.1:26656
  listen_for_signer /var/lib/cometbft unix:///run/cometbft/signer.sock
  join_network /var/lib/cometbft
  cometbft_unit
}

# joining_validator: that node and the sigward of this machine, both running.
joining_validator() {
  joining_node
  systemctl start sigward
  ready_soon
  systemctl start cometbft
}

# signed HEIGHT: waits until sigward has signed that far.
signed() {
  for _ in $(seq 300); do
    [ "$(sigward state show --json | jq '.[0].height // 0')" -lt "$1" ] || return 0
    sleep 0.1
  done
  echo "sigward signs nothing at $1" >&2
  return 1
}

# tunnel MACHINE NAME: the end, on this machine, of a tunnel to the signer socket of that machine's node.
tunnel() {
  ln -s "$MACHINES/$1.run/cometbft/signer.sock" "/run/sigward/$2.sock"
}

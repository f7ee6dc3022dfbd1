package signer

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cometbft/cometbft/crypto/ed25519"

	"sigward/benches/privval/internal/node"
)

// tmkms 0.15.0 with its softsign provider: one process, a thread a chain, one
// key for all of them (it allows no second one). It renames a state file before
// it answers, but never syncs it. It drops vote extensions (tmkms#1174), so none
// are asked of it.
type tmkms struct {
	program string
}

func (tmkms) Name() string                { return "tmkms" }
func (tmkms) About() string               { return "never syncs; one process, one key; no vote extensions" }
func (tmkms) Extensions() node.Extensions { return node.WithoutExtensions }

func (s tmkms) Start(_ context.Context, dir string, chains []Chain) (Running, error) {
	running := Running{Processes: NewProcesses(dir), Keys: map[string][]byte{}}
	public, err := writeKey(filepath.Join(dir, "consensus.key"))
	if err != nil {
		return running, err
	}
	if _, err := writeKey(filepath.Join(dir, "connection.key")); err != nil {
		return running, err
	}
	for _, chain := range chains {
		running.Keys[chain.ID] = public
	}
	config := filepath.Join(dir, "tmkms.toml")
	if err := os.WriteFile(config, tmkmsConfig(dir, chains), 0o600); err != nil {
		return running, err
	}
	return running, running.Spawn("tmkms", s.program, "start", "-c", config)
}

// writeKey makes an Ed25519 key in tmkms' format, the seed in base64, and
// returns the public key.
func writeKey(path string) ([]byte, error) {
	key := ed25519.GenPrivKey()
	text := base64.StdEncoding.EncodeToString(key.Bytes()[:32])
	return key.PubKey().Bytes(), os.WriteFile(path, []byte(text), 0o600)
}

func tmkmsConfig(dir string, chains []Chain) []byte {
	var text bytes.Buffer
	ids := ""
	for _, chain := range chains {
		ids += fmt.Sprintf("%q, ", chain.ID)
		fmt.Fprintf(&text, "[[chain]]\nid = %q\nkey_format = { type = \"hex\" }\nstate_file = %q\n\n",
			chain.ID, filepath.Join(dir, chain.ID+".state.json"))
		fmt.Fprintf(&text, "[[validator]]\naddr = \"tcp://%s\"\nchain_id = %q\nreconnect = true\nsecret_key = %q\nprotocol_version = \"v0.38\"\n\n",
			chain.Address, chain.ID, filepath.Join(dir, "connection.key"))
	}
	fmt.Fprintf(&text, "[[providers.softsign]]\nchain_ids = [%s]\nkey_type = \"consensus\"\npath = %q\n",
		ids, filepath.Join(dir, "consensus.key"))
	return text.Bytes()
}

package signer

import (
	"context"
	"path/filepath"

	"github.com/cometbft/cometbft/privval"

	"sigward/benches/privval/internal/node"
)

// privValServer: CometBFT's own remote signer around FilePV. It serves one chain,
// so many chains are as many processes. It writes its state with O_SYNC and
// renames it over the old one before it answers.
type privValServer struct {
	program string
}

func (privValServer) Name() string                { return "priv_val_server" }
func (privValServer) About() string               { return "durable; one process a chain" }
func (privValServer) Extensions() node.Extensions { return node.WithExtensions }

func (s privValServer) Start(_ context.Context, dir string, chains []Chain) (Running, error) {
	running := Running{Processes: NewProcesses(dir), Keys: map[string][]byte{}}
	for _, chain := range chains {
		key := filepath.Join(dir, chain.ID+".key.json")
		state := filepath.Join(dir, chain.ID+".state.json")
		validator := privval.GenFilePV(key, state)
		validator.Save()
		running.Keys[chain.ID] = validator.Key.PubKey.Bytes()
		err := running.Spawn(chain.ID, s.program,
			"-addr", "tcp://"+chain.Address, "-chain-id", chain.ID, "-priv-key", key, "-priv-state", state)
		if err != nil {
			return running, err
		}
	}
	return running, nil
}

// Package signer starts the programs that are compared: writes their keys and
// configuration into a folder, starts them, and counts their memory. It knows
// nothing of measuring.
package signer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sigward/benches/privval/internal/node"
)

// Chain is one node that a signer has to serve.
type Chain struct {
	ID      string
	Address string // host:port that the node listens on
}

// Running is a started signer: its processes, and each chain's public key (32 bytes).
type Running struct {
	*Processes
	Keys map[string][]byte
}

// Signer is one of the programs compared.
type Signer interface {
	Name() string
	// About is a line for the report: what it does to be safe.
	About() string
	Extensions() node.Extensions
	// Start fills `dir` and starts serving `chains`. What it started is returned
	// even when it fails, so that the caller can stop it.
	Start(ctx context.Context, dir string, chains []Chain) (Running, error)
}

// sigward, with keys in sealed files and with keys in a token.
const (
	Software = "sigward"
	Token    = "sigward-token"
)

// Paths says where the programs are.
type Paths struct {
	Sigward         string
	SigwardTemplate string // file; empty: the built-in one
	Provider        string // id of the [[provider]] that keys of sigward-token are made in
	ProviderConfig  string // file with its table
	Peers           string // the folder that scripts/peers.sh fills
}

// Named finds a signer and checks that its program is there.
func Named(name string, paths Paths) (Signer, error) {
	var found Signer
	var program string
	switch name {
	case Software, Token:
		program = paths.Sigward
		template, err := sigwardTemplate(paths.SigwardTemplate)
		if err != nil {
			return nil, err
		}
		one := sigward{program: program, template: template}
		if name == Token {
			if paths.Provider == "" {
				return nil, fmt.Errorf("%s wants --provider and --provider-config", name)
			}
			one.provider, one.providerConfig = paths.Provider, paths.ProviderConfig
		}
		found = one
	case "priv_val_server":
		program = filepath.Join(paths.Peers, "v0.38.25", "priv_val_server")
		found = privValServer{program: program}
	case "tmkms":
		program = filepath.Join(paths.Peers, "tmkms", "bin", "tmkms")
		found = tmkms{program: program}
	default:
		return nil, fmt.Errorf("unknown signer %q: sigward, sigward-token, priv_val_server or tmkms", name)
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%s: %w\nbuild it (cargo build --release, scripts/peers.sh bench) or leave it out with --signers", name, err)
	}
	return found, nil
}

package votes

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/types"

	"sigward/benches/privval/internal/node"
)

// outcomes runs all cases against a signer in this process: case name → error.
func outcomes(t *testing.T, signer types.PrivValidator) map[string]error {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	n, err := node.Listen("unix://"+socket, "votes-1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	dialer := privval.NewSignerDialerEndpoint(log.NewNopLogger(), privval.DialUnixFn(socket))
	server := privval.NewSignerServer(dialer, "votes-1", signer)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { go func() { _ = server.Stop() }() })
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	s := newSuite(n, 100)
	got := map[string]error{}
	for _, c := range s.cases([]int{0, 5000}) {
		_, err := c.run()
		got[c.name] = err
		if err := s.stillConnected(); err != nil {
			t.Fatal(c.name, err)
		}
	}
	return got
}

func TestFilePVIsRightInEveryCase(t *testing.T) {
	dir := t.TempDir()
	signer := privval.GenFilePV(filepath.Join(dir, "key"), filepath.Join(dir, "state"))
	for name, err := range outcomes(t, signer) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestASignerThatSignsAnythingIsFoundOut(t *testing.T) {
	got := outcomes(t, types.NewMockPV())
	for _, name := range []string{
		"conflict_block", "conflict_nil", "conflict_precommit_with_extension", "proposal_conflict",
		"height_regression", "round_regression", "step_regression",
		"repeat_timestamp_prevote", "repeat_timestamp_precommit",
	} {
		if err, ran := got[name]; !ran || err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestAWrongSignatureIsFoundOut(t *testing.T) {
	got := outcomes(t, types.NewMockPVWithParams(ed25519.GenPrivKey(), true, true))
	for _, name := range []string{"precommit_extension_0_bytes", "nil_precommit", "other_block_at_next_step", "proposal"} {
		if err, ran := got[name]; !ran || err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

package bench

import (
	stded25519 "crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/types"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	"sigward/benches/privval/internal/node"
)

const (
	floorRepeats   = 400     // of each piece in each round
	floorFileBytes = 1 << 20 // preallocated and written, so that a sync moves data and no metadata
	floorWrite     = 128     // bytes a sync
)

// floorMeter times the pieces that a durable signature cannot do without. Two
// Ed25519 implementations are tried, CometBFT's and Go's; the faster one counts.
type floorMeter struct {
	file    *os.File
	offset  int64
	message []byte
	key     ed25519.PrivKey
	rounds  []floorPieces
}

// floorPieces are p50s in microseconds.
type floorPieces struct {
	Sign   float64 `json:"sign_us"`
	Verify float64 `json:"verify_us"`
	Sync   float64 `json:"fdatasync_us"`
	Ping   float64 `json:"ping_us"`
	Sum    float64 `json:"sum_us"`
}

func newFloorMeter(path string) (*floorMeter, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// Written out, not only allocated: the first write into an allocated extent changes metadata.
	if _, err := file.Write(make([]byte, floorFileBytes)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := file.Sync(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	at := node.Position{Height: 1}
	vote := &cmtproto.Vote{Type: cmtproto.PrevoteType, Height: 1, BlockID: node.BlockID(at, 0), Timestamp: time.Now()}
	return &floorMeter{file: file, key: ed25519.GenPrivKey(), message: types.VoteSignBytes("bench-0", vote)}, nil
}

func (f *floorMeter) close() { _ = f.file.Close() }

// measure adds one round.
func (f *floorMeter) measure() error {
	var pieces floorPieces
	standard := stded25519.PrivateKey(f.key)
	public := f.key.PubKey()
	signature, err := f.key.Sign(f.message)
	if err != nil {
		return err
	}
	pieces.Sign, err = fastest(
		func() error { _, err := f.key.Sign(f.message); return err },
		func() error { stded25519.Sign(standard, f.message); return nil },
	)
	if err != nil {
		return err
	}
	pieces.Verify, err = fastest(
		func() error { return verified(public.VerifySignature(f.message, signature)) },
		func() error {
			return verified(stded25519.Verify(stded25519.PublicKey(public.Bytes()), f.message, signature))
		},
	)
	if err != nil {
		return err
	}
	pieces.Sync, err = fastest(f.sync)
	if err != nil {
		return err
	}
	f.rounds = append(f.rounds, pieces)
	return nil
}

func (f *floorMeter) sync() error {
	if _, err := f.file.WriteAt(make([]byte, floorWrite), f.offset); err != nil {
		return err
	}
	f.offset = (f.offset + floorWrite) % floorFileBytes
	if err := syscall.Fdatasync(int(f.file.Fd())); err != nil {
		return fmt.Errorf("fdatasync: %w", err)
	}
	return nil
}

// medians of the rounds, with the ping of the quickest signer at one connection:
// a slow one must not raise the floor it is measured against.
func (f *floorMeter) medians(ping float64) floorPieces {
	pick := func(of func(floorPieces) float64) float64 {
		values := make([]float64, len(f.rounds))
		for i, r := range f.rounds {
			values[i] = of(r)
		}
		return median(values)
	}
	m := floorPieces{
		Sign:   pick(func(p floorPieces) float64 { return p.Sign }),
		Verify: pick(func(p floorPieces) float64 { return p.Verify }),
		Sync:   pick(func(p floorPieces) float64 { return p.Sync }),
		Ping:   ping,
	}
	m.Sum = m.Sign + m.Verify + m.Sync + m.Ping
	return m
}

// fastest returns the smallest p50, in microseconds, of several ways to do one thing.
func fastest(ways ...func() error) (float64, error) {
	var best float64
	for i, way := range ways {
		samples := make([]time.Duration, floorRepeats)
		for j := range samples {
			began := time.Now()
			if err := way(); err != nil {
				return 0, err
			}
			samples[j] = time.Since(began)
		}
		if p50 := summarize(samples).P50; i == 0 || p50 < best {
			best = p50
		}
	}
	return best, nil
}

func verified(ok bool) error {
	if !ok {
		return errors.New("a signature of our own does not verify")
	}
	return nil
}

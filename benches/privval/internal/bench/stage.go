package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"sigward/benches/privval/internal/node"
	"sigward/benches/privval/internal/signer"
)

// How long a signer may take to connect all its chains.
const connectWithin = 30 * time.Second

// stage is one signer, connected to a number of nodes, and its rounds so far.
type stage struct {
	signer   signer.Signer
	running  signer.Running
	count    int // of chains wanted
	chains   []*chain
	rounds   []round
	resident residents
	failure  error // the first one; nothing is measured after it
}

// residents is the most memory seen, after any round.
type residents struct {
	Sum       uint64 `json:"sum_bytes"`
	Largest   uint64 `json:"largest_process_bytes"`
	Processes int    `json:"processes"`
}

// newStage opens the nodes, starts the signer and waits until all are connected.
func newStage(ctx context.Context, s signer.Signer, count int, dir string) *stage {
	st := &stage{signer: s, count: count}
	st.failure = st.start(ctx, dir)
	return st
}

func (s *stage) start(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var served []signer.Chain
	for i := range s.count {
		id := fmt.Sprintf("bench-%d", i)
		n, err := node.Listen("tcp://127.0.0.1:0", id)
		if err != nil {
			return err
		}
		s.chains = append(s.chains, &chain{node: n})
		served = append(served, signer.Chain{ID: id, Address: n.Address()})
	}
	var err error
	if s.running, err = s.signer.Start(ctx, dir, served); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		if ended := s.running.Ended(); ended != nil {
			return ended
		}
		return err
	}
	return s.checkKeys()
}

// connect waits for all chains, but no longer than all processes live.
func (s *stage) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	connected := make(chan error, 1)
	go func() {
		connected <- s.eachChain(func(c *chain) error { return c.node.Connect(ctx) })
	}()
	for {
		select {
		case err := <-connected:
			return err
		case <-time.After(200 * time.Millisecond):
			if s.running.Ended() != nil {
				cancel()
			}
		}
	}
}

func (s *stage) checkKeys() error {
	for _, c := range s.chains {
		if want := s.running.Keys[c.node.ChainID]; !bytes.Equal(want, c.node.PublicKey().Bytes()) {
			return fmt.Errorf("chain %s: the signer serves another key than it made", c.node.ChainID)
		}
	}
	return nil
}

// eachChain runs work for all chains at once and returns one of the errors.
func (s *stage) eachChain(work func(*chain) error) error {
	errs := make(chan error, len(s.chains))
	var all sync.WaitGroup
	for _, c := range s.chains {
		all.Go(func() {
			if err := work(c); err != nil {
				errs <- err
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// takeTurn measures one round, unless the signer has failed before.
func (s *stage) takeTurn(ctx context.Context, slice time.Duration) {
	if s.failure != nil {
		return
	}
	s.failure = s.measureRound(ctx, slice)
	if s.failure != nil {
		if ended := s.running.Ended(); ended != nil {
			s.failure = fmt.Errorf("%w (%w)", s.failure, ended)
		}
	}
}

func (s *stage) noteMemory() error {
	sum, largest, err := s.running.ResidentBytes()
	s.resident.Sum = max(s.resident.Sum, sum)
	s.resident.Largest = max(s.resident.Largest, largest)
	s.resident.Processes = len(s.running.Pids())
	return err
}

func (s *stage) close() {
	if s.running.Processes != nil {
		s.running.Stop()
	}
	for _, c := range s.chains {
		c.node.Close()
	}
}

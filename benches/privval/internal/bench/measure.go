package bench

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	"sigward/benches/privval/internal/node"
)

// The part of a turn that goes to warming up (first round only) and to pings, of
// the time that votes get.
const (
	warmUpShare = 0.1
	pingShare   = 0.15
)

// chain is one node and where its consensus stands.
type chain struct {
	node   *node.Node
	height int64
	block  cmtproto.BlockID
	voted  bool // the prevote of this height is signed; next is its precommit
}

// next is the following vote: heights rise by one, prevote then precommit.
func (c *chain) next() *cmtproto.Vote {
	if c.voted {
		c.voted = false
		return c.node.Vote(cmtproto.PrecommitType, node.Position{Height: c.height}, c.block)
	}
	c.voted = true
	c.height++
	c.block = node.BlockID(node.Position{Height: c.height}, 0)
	return c.node.Vote(cmtproto.PrevoteType, node.Position{Height: c.height}, c.block)
}

// sample is one vote: what was asked, what came back, how long it took.
type sample struct {
	asked, answer *cmtproto.Vote
	took          time.Duration
}

// round is what one turn of one signer gave.
type round struct {
	ping, prevote, precommit, vote latency
	pingsPerSecond                 float64
	votesPerSecond                 float64
}

func (s *stage) measureRound(ctx context.Context, slice time.Duration) error {
	if len(s.rounds) == 0 {
		if _, _, err := s.votes(ctx, time.Duration(warmUpShare*float64(slice))); err != nil {
			return err
		}
	}
	var r round
	pings, took, err := s.pings(ctx, time.Duration(pingShare*float64(slice)))
	if err != nil {
		return err
	}
	r.ping = summarize(pings)
	r.pingsPerSecond = float64(len(pings)) / took.Seconds()

	samples, took, err := s.votes(ctx, slice)
	if err != nil {
		return err
	}
	var all, prevotes, precommits []time.Duration
	for _, one := range samples {
		all = append(all, one.took)
		if one.asked.Type == cmtproto.PrevoteType {
			prevotes = append(prevotes, one.took)
		} else {
			precommits = append(precommits, one.took)
		}
	}
	r.vote, r.prevote, r.precommit = summarize(all), summarize(prevotes), summarize(precommits)
	r.votesPerSecond = float64(len(samples)) / took.Seconds()
	s.rounds = append(s.rounds, r)
	return s.noteMemory()
}

// votes drives all chains for the given time, then verifies every answer.
func (s *stage) votes(ctx context.Context, slice time.Duration) ([]sample, time.Duration, error) {
	perChain := make(map[*chain][]sample, len(s.chains))
	var lock sync.Mutex
	began := time.Now()
	until := began.Add(slice)
	err := s.eachChain(func(c *chain) error {
		samples, err := c.voteUntil(ctx, until)
		lock.Lock()
		defer lock.Unlock()
		perChain[c] = samples
		return err
	})
	took := time.Since(began)
	if err != nil {
		return nil, 0, err
	}
	var all []sample
	for c, samples := range perChain {
		if len(samples) == 0 {
			return nil, 0, fmt.Errorf("chain %s got no vote signed in its turn", c.node.ChainID)
		}
		all = append(all, samples...)
	}
	return all, took, s.verify(perChain)
}

func (c *chain) voteUntil(ctx context.Context, until time.Time) ([]sample, error) {
	samples := make([]sample, 0, 1024)
	for now := time.Now(); now.Before(until); now = time.Now() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		vote := c.next()
		asked := *vote
		began := time.Now()
		err := c.node.SignVote(vote)
		took := time.Since(began)
		if err != nil {
			return nil, fmt.Errorf("chain %s, %v at height %d: %w", c.node.ChainID, asked.Type, asked.Height, err)
		}
		samples = append(samples, sample{asked: &asked, answer: vote, took: took})
	}
	return samples, nil
}

func (s *stage) pings(ctx context.Context, slice time.Duration) ([]time.Duration, time.Duration, error) {
	var lock sync.Mutex
	var all []time.Duration
	began := time.Now()
	until := began.Add(slice)
	err := s.eachChain(func(c *chain) error {
		var mine []time.Duration
		for now := time.Now(); now.Before(until); {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := c.node.Ping(); err != nil {
				return fmt.Errorf("chain %s, ping: %w", c.node.ChainID, err)
			}
			after := time.Now()
			mine = append(mine, after.Sub(now))
			now = after
		}
		lock.Lock()
		defer lock.Unlock()
		all = append(all, mine...)
		return nil
	})
	return all, time.Since(began), err
}

// verify checks all answers, on all processors, after the clock was stopped.
func (s *stage) verify(perChain map[*chain][]sample) error {
	slots := make(chan struct{}, runtime.NumCPU())
	return s.eachChain(func(c *chain) error {
		slots <- struct{}{}
		defer func() { <-slots }()
		for _, one := range perChain[c] {
			if !one.answer.Timestamp.Equal(one.asked.Timestamp) {
				return fmt.Errorf("chain %s, height %d: a new vote came back with another timestamp", c.node.ChainID, one.asked.Height)
			}
			if err := node.CheckVote(c.node.ChainID, c.node.PublicKey(), one.asked, one.answer, s.signer.Extensions()); err != nil {
				return fmt.Errorf("chain %s, %v at height %d: %w", c.node.ChainID, one.asked.Type, one.asked.Height, err)
			}
		}
		return nil
	})
}

package votes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	"sigward/benches/privval/internal/node"
)

// suite is one connected node and the next height that nobody voted on.
type suite struct {
	node     *node.Node
	height   int64
	accepted int64 // connections there were when the cases began
}

func newSuite(n *node.Node, height int64) *suite {
	return &suite{node: n, height: height, accepted: n.Accepted()}
}

// fresh is the first round of a new height: cases do not depend on each other.
func (s *suite) fresh() node.Position {
	s.height++
	return node.Position{Height: s.height - 1}
}

func (s *suite) prevote(at node.Position, salt byte) *cmtproto.Vote {
	return s.node.Vote(cmtproto.PrevoteType, at, node.BlockID(at, salt))
}

func (s *suite) precommit(at node.Position, salt byte) *cmtproto.Vote {
	return s.node.Vote(cmtproto.PrecommitType, at, node.BlockID(at, salt))
}

// signed asks for a vote that must be signed, and verifies the answer.
func (s *suite) signed(asked *cmtproto.Vote) (*cmtproto.Vote, error) {
	answer := *asked
	if err := s.node.SignVote(&answer); err != nil {
		return nil, fmt.Errorf("%v at %d/%d: %w", asked.Type, asked.Height, asked.Round, err)
	}
	return &answer, node.CheckVote(s.node.ChainID, s.node.PublicKey(), asked, &answer, node.WithExtensions)
}

// signedNow also demands the timestamp that was asked for, as new votes must have.
func (s *suite) signedNow(asked *cmtproto.Vote) (*cmtproto.Vote, error) {
	answer, err := s.signed(asked)
	if err == nil && !answer.Timestamp.Equal(asked.Timestamp) {
		err = fmt.Errorf("a new vote came back with timestamp %v instead of %v", answer.Timestamp, asked.Timestamp)
	}
	return answer, err
}

// refused turns the outcome of a request around: only a RemoteSignerError is right.
func refused(outcome error) (string, error) {
	var refusal *privval.RemoteSignerError
	switch {
	case outcome == nil:
		return "", errors.New("it was signed")
	case errors.As(outcome, &refusal):
		return fmt.Sprintf("refused: code %d, %s", refusal.Code, refusal.Description), nil
	default:
		return "", fmt.Errorf("no RemoteSignerError but: %w", outcome)
	}
}

// refusedVote asks for a vote that must be refused.
func (s *suite) refusedVote(vote *cmtproto.Vote) (string, error) {
	return refused(s.node.SignVote(vote))
}

// stored demands the very signature and timestamp that an earlier answer had.
func stored(first, second *cmtproto.Vote) error {
	if !bytes.Equal(first.Signature, second.Signature) {
		return errors.New("a second signature for one position")
	}
	if !first.Timestamp.Equal(second.Timestamp) {
		return fmt.Errorf("timestamp %v instead of the stored %v", second.Timestamp, first.Timestamp)
	}
	return nil
}

// later is the same vote, one second on: a node that restarted asks so.
func later(vote *cmtproto.Vote) *cmtproto.Vote {
	second := *vote
	second.Timestamp = vote.Timestamp.Add(time.Second)
	return &second
}

// stillConnected proves that it is the same connection, and that it answers.
func (s *suite) stillConnected() error {
	if err := s.node.Ping(); err != nil {
		return fmt.Errorf("the connection is lost: %w", err)
	}
	if now := s.node.Accepted(); now != s.accepted {
		return fmt.Errorf("the signer connected anew: connection %d, before it was %d", now, s.accepted)
	}
	return nil
}

// reconnect lets the cases that are left have a connection of their own.
func (s *suite) reconnect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reconnectWithin)
	defer cancel()
	err := s.node.Reconnect(ctx)
	s.accepted = s.node.Accepted()
	return err
}

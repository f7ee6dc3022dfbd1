package node

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cometbft/cometbft/crypto"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// Position is where in the life of a chain a message stands.
type Position struct {
	Height int64
	Round  int32
}

// BlockID is a complete block id, made of the position and a salt: another salt
// is another block.
func BlockID(at Position, salt byte) cmtproto.BlockID {
	var seed [13]byte
	binary.BigEndian.PutUint64(seed[:8], uint64(at.Height))
	binary.BigEndian.PutUint32(seed[8:12], uint32(at.Round))
	seed[12] = salt
	block := sha256.Sum256(seed[:])
	parts := sha256.Sum256(block[:])
	return cmtproto.BlockID{
		Hash:          block[:],
		PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: parts[:]},
	}
}

// Vote is an unsigned vote of this node's validator, stamped with the time.
func (n *Node) Vote(kind cmtproto.SignedMsgType, at Position, block cmtproto.BlockID) *cmtproto.Vote {
	return &cmtproto.Vote{
		Type:             kind,
		Height:           at.Height,
		Round:            at.Round,
		BlockID:          block,
		Timestamp:        time.Now().UTC(),
		ValidatorAddress: n.key.Address(),
	}
}

// Proposal is an unsigned proposal without a proof-of-lock round.
func (n *Node) Proposal(at Position, block cmtproto.BlockID) *cmtproto.Proposal {
	return &cmtproto.Proposal{
		Type:      cmtproto.ProposalType,
		Height:    at.Height,
		Round:     at.Round,
		PolRound:  -1,
		BlockID:   block,
		Timestamp: time.Now().UTC(),
	}
}

// Extensions says whether a signer is expected to sign vote extensions.
type Extensions int

const (
	// WithExtensions: every precommit for a block carries an extension signature.
	WithExtensions Extensions = iota
	// WithoutExtensions: the signer knows none, and nothing is asked of them.
	WithoutExtensions
)

// CheckVote proves that a signed vote answers the one asked for: the vote that
// was *asked* for, with what a node takes from the answer (types/vote.go:421-455
// of v0.38.25: signature, extension signature, timestamp) and nothing else.
func CheckVote(chainID string, key crypto.PubKey, asked, answer *cmtproto.Vote, extensions Extensions) error {
	vote := *asked
	vote.Timestamp = answer.Timestamp
	if !key.VerifySignature(types.VoteSignBytes(chainID, &vote), answer.Signature) {
		return errors.New("the vote's signature does not verify")
	}
	if extensions == WithoutExtensions {
		return nil
	}
	if vote.Type != cmtproto.PrecommitType || len(vote.BlockID.Hash) == 0 {
		if len(answer.ExtensionSignature) != 0 {
			return errors.New("an extension signature on a vote that may have none: the node panics")
		}
		return nil
	}
	if !key.VerifySignature(types.VoteExtensionSignBytes(chainID, &vote), answer.ExtensionSignature) {
		return errors.New("the extension's signature does not verify")
	}
	return nil
}

// CheckProposal does the same for proposals, of which a node takes the
// signature only: the timestamp stays the one asked for.
func CheckProposal(chainID string, key crypto.PubKey, asked, answer *cmtproto.Proposal) error {
	if !key.VerifySignature(types.ProposalSignBytes(chainID, asked), answer.Signature) {
		return errors.New("the proposal's signature does not verify")
	}
	return nil
}

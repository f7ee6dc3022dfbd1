package votes

import (
	"bytes"
	"errors"
	"fmt"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	"sigward/benches/privval/internal/node"
)

// oneCase asks something and says what came of it; an error is a wrong answer.
type oneCase struct {
	name string
	run  func() (detail string, err error)
}

// cases in the order they run. Each takes fresh heights of its own.
func (s *suite) cases(extensions []int) []oneCase {
	var all []oneCase
	for _, size := range extensions {
		name := fmt.Sprintf("precommit_extension_%d_bytes", size)
		all = append(all, oneCase{name, func() (string, error) { return s.extension(size) }})
	}
	return append(all, []oneCase{
		{"prevote_with_extension", s.prevoteWithExtension},
		{"nil_precommit", s.nilPrecommit},
		{"nil_precommit_with_extension", s.nilPrecommitWithExtension},
		{"repeat_identical", s.repeatIdentical},
		{"repeat_timestamp_prevote", func() (string, error) { return s.repeatTimestamp(cmtproto.PrevoteType) }},
		{"repeat_timestamp_precommit", func() (string, error) { return s.repeatTimestamp(cmtproto.PrecommitType) }},
		{"repeat_other_extension", s.repeatOtherExtension},
		{"conflict_block", s.conflictBlock},
		{"conflict_nil", s.conflictNil},
		{"conflict_precommit_with_extension", s.conflictPrecommit},
		{"other_block_at_next_step", s.otherBlockAtNextStep},
		{"height_regression", s.heightRegression},
		{"round_regression", s.roundRegression},
		{"step_regression", s.stepRegression},
		{"other_chain_id", s.otherChainID},
		{"proposal", s.proposal},
		{"proposal_conflict", s.proposalConflict},
	}...)
}

// The reply must fit the 10 KiB that a v0.38 node reads (privval/signer_endpoint.go:95),
// however long the extension was.
func (s *suite) extension(size int) (string, error) {
	vote := s.precommit(s.fresh(), 0)
	vote.Extension = bytes.Repeat([]byte{0xe5}, size)
	_, err := s.signedNow(vote)
	return fmt.Sprintf("vote and extension of %d bytes verify", size), err
}

func (s *suite) prevoteWithExtension() (string, error) {
	at := s.fresh()
	vote := s.prevote(at, 0)
	vote.Extension = []byte("not here")
	detail, err := s.refusedVote(vote)
	if err != nil {
		return detail, err
	}
	// A refusal burns nothing: the same vote without it is signed.
	_, err = s.signedNow(s.prevote(at, 0))
	return detail, err
}

func (s *suite) nilPrecommit() (string, error) {
	_, err := s.signedNow(s.node.Vote(cmtproto.PrecommitType, s.fresh(), cmtproto.BlockID{}))
	return "signed, without an extension signature", err
}

func (s *suite) nilPrecommitWithExtension() (string, error) {
	vote := s.node.Vote(cmtproto.PrecommitType, s.fresh(), cmtproto.BlockID{})
	vote.Extension = []byte("not here")
	return s.refusedVote(vote)
}

func (s *suite) repeatIdentical() (string, error) {
	vote := s.prevote(s.fresh(), 0)
	first, err := s.signedNow(vote)
	if err != nil {
		return "", err
	}
	second, err := s.signed(vote)
	if err != nil {
		return "", err
	}
	return "the stored signature", stored(first, second)
}

func (s *suite) repeatTimestamp(kind cmtproto.SignedMsgType) (string, error) {
	at := s.fresh()
	vote := s.node.Vote(kind, at, node.BlockID(at, 0))
	first, err := s.signedNow(vote)
	if err != nil {
		return "", err
	}
	second, err := s.signed(later(vote))
	if err != nil {
		return "", err
	}
	return "the stored signature and timestamp", stored(first, second)
}

// FilePV signs the extension of a repeat anew (privval/file.go:319-333).
func (s *suite) repeatOtherExtension() (string, error) {
	vote := s.precommit(s.fresh(), 0)
	vote.Extension = []byte("first")
	first, err := s.signedNow(vote)
	if err != nil {
		return "", err
	}
	again := later(vote)
	again.Extension = []byte("second")
	second, err := s.signed(again)
	if err != nil {
		return "", err
	}
	return "the stored vote, the new extension signed", stored(first, second)
}

func (s *suite) conflictBlock() (string, error) {
	at := s.fresh()
	if _, err := s.signedNow(s.prevote(at, 0)); err != nil {
		return "", err
	}
	return s.refusedVote(s.prevote(at, 1))
}

func (s *suite) conflictNil() (string, error) {
	at := s.fresh()
	if _, err := s.signedNow(s.prevote(at, 0)); err != nil {
		return "", err
	}
	return s.refusedVote(s.node.Vote(cmtproto.PrevoteType, at, cmtproto.BlockID{}))
}

func (s *suite) conflictPrecommit() (string, error) {
	at := s.fresh()
	first := s.precommit(at, 0)
	first.Extension = []byte("one")
	if _, err := s.signedNow(first); err != nil {
		return "", err
	}
	other := s.precommit(at, 1)
	other.Extension = first.Extension
	detail, err := s.refusedVote(other)
	if err == nil && len(other.ExtensionSignature) != 0 {
		err = errors.New("the refused vote came with an extension signature")
	}
	return detail, err
}

// Prevote A and then precommit B in one round is legal.
func (s *suite) otherBlockAtNextStep() (string, error) {
	at := s.fresh()
	if _, err := s.signedNow(s.prevote(at, 0)); err != nil {
		return "", err
	}
	_, err := s.signedNow(s.precommit(at, 1))
	return "signed", err
}

func (s *suite) heightRegression() (string, error) {
	below := s.fresh()
	if _, err := s.signedNow(s.prevote(s.fresh(), 0)); err != nil {
		return "", err
	}
	return s.refusedVote(s.prevote(below, 0))
}

func (s *suite) roundRegression() (string, error) {
	at := s.fresh()
	above := at
	above.Round = 3
	if _, err := s.signedNow(s.prevote(above, 0)); err != nil {
		return "", err
	}
	return s.refusedVote(s.precommit(at, 0))
}

func (s *suite) stepRegression() (string, error) {
	at := s.fresh()
	if _, err := s.signedNow(s.precommit(at, 0)); err != nil {
		return "", err
	}
	return s.refusedVote(s.prevote(at, 0))
}

func (s *suite) otherChainID() (string, error) {
	at := s.fresh()
	detail, err := refused(s.node.SignVoteFor(s.node.ChainID+"-other", s.prevote(at, 0)))
	if err != nil {
		return detail, err
	}
	_, err = s.signedNow(s.prevote(at, 1))
	return detail, err
}

func (s *suite) proposal() (string, error) {
	at := s.fresh()
	asked := s.node.Proposal(at, node.BlockID(at, 0))
	answer := *asked
	if err := s.node.SignProposal(&answer); err != nil {
		return "", err
	}
	return "it verifies", node.CheckProposal(s.node.ChainID, s.node.PublicKey(), asked, &answer)
}

func (s *suite) proposalConflict() (string, error) {
	at := s.fresh()
	if err := s.node.SignProposal(s.node.Proposal(at, node.BlockID(at, 0))); err != nil {
		return "", err
	}
	return refused(s.node.SignProposal(s.node.Proposal(at, node.BlockID(at, 1))))
}

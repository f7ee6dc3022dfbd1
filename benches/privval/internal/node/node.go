package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/privval"
	privvalproto "github.com/cometbft/cometbft/proto/tendermint/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
)

// Node is one chain's validator node: one listening address, at most one signer.
type Node struct {
	ChainID  string
	listener *countingListener
	endpoint *privval.SignerListenerEndpoint
	client   *privval.SignerClient
	key      crypto.PubKey
}

// Listen opens the node's `priv_validator_laddr`. Port 0 picks a free port.
func Listen(laddr, chainID string) (*Node, error) {
	listener, err := listen(laddr)
	if err != nil {
		return nil, err
	}
	endpoint := privval.NewSignerListenerEndpoint(log.NewNopLogger(), listener)
	client, err := privval.NewSignerClient(endpoint, chainID)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &Node{ChainID: chainID, listener: listener, endpoint: endpoint, client: client}, nil
}

// Address is what a signer dials, without the scheme.
func (n *Node) Address() string { return n.listener.Addr().String() }

// Connect waits for a signer and asks it for the public key, again and again
// until ctx ends: unlike a node, which asks once and gives up.
func (n *Node) Connect(ctx context.Context) error {
	for {
		err := n.connectOnce()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("chain %s: no signer: %w", n.ChainID, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Reconnect drops the connection, whatever its state, and waits for the next one.
func (n *Node) Reconnect(ctx context.Context) error {
	_ = n.client.Close()
	return n.Connect(ctx)
}

func (n *Node) connectOnce() error {
	if err := n.client.WaitForConnection(time.Second); err != nil {
		return err
	}
	key, err := n.client.GetPubKey()
	if err != nil {
		// A dead socket stays in the endpoint until its ping fails; drop it now.
		_ = n.client.Close()
		return err
	}
	n.key = key
	return nil
}

// PublicKey is the signer's answer to the request that Connect made.
func (n *Node) PublicKey() crypto.PubKey { return n.key }

// Accepted counts the connections that a signer has opened here so far.
func (n *Node) Accepted() int64 { return n.listener.accepted.Load() }

// Ping is one PingRequest and its answer. (SignerClient.Ping hides errors.)
func (n *Node) Ping() error {
	answer, err := n.endpoint.SendRequest(privvalproto.Message{
		Sum: &privvalproto.Message_PingRequest{PingRequest: &privvalproto.PingRequest{}},
	})
	if err != nil {
		return err
	}
	if answer.GetPingResponse() == nil {
		return errors.New("the answer to a ping is no ping response")
	}
	return nil
}

// SignVote has the vote signed in place, as consensus does.
func (n *Node) SignVote(vote *cmtproto.Vote) error {
	return n.client.SignVote(n.ChainID, vote)
}

// SignVoteFor asks under another chain id than the node's own.
func (n *Node) SignVoteFor(chainID string, vote *cmtproto.Vote) error {
	return n.client.SignVote(chainID, vote)
}

// SignProposal has the proposal signed in place.
func (n *Node) SignProposal(proposal *cmtproto.Proposal) error {
	return n.client.SignProposal(n.ChainID, proposal)
}

// Close ends the connection and stops listening.
func (n *Node) Close() {
	_ = n.endpoint.Stop()
}

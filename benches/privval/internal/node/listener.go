// Package node is the validator node that a signer meets: CometBFT's listener,
// endpoint and client, put together as node/node.go of v0.38.25 does it.
package node

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/privval"
)

// countingListener counts the connections that got through their handshake, so
// that a caller can tell "the signer stayed" from "it came back".
type countingListener struct {
	net.Listener
	accepted atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

// listen opens `tcp://host:port` (SecretConnection, with a fresh key at every
// start, as nodes do) or `unix:///path` (plain). A socket file left over from an
// earlier run is removed.
func listen(laddr string) (*countingListener, error) {
	protocol, address, found := strings.Cut(laddr, "://")
	if !found {
		return nil, fmt.Errorf("%q: want tcp://HOST:PORT or unix:///PATH", laddr)
	}
	if protocol == "unix" {
		if info, err := os.Lstat(address); err == nil && info.Mode()&os.ModeSocket != 0 {
			if err := os.Remove(address); err != nil {
				return nil, err
			}
		}
	}
	inner, err := net.Listen(protocol, address)
	if err != nil {
		return nil, err
	}
	switch inner.(type) {
	case *net.TCPListener:
		return &countingListener{Listener: privval.NewTCPListener(inner, ed25519.GenPrivKey())}, nil
	case *net.UnixListener:
		return &countingListener{Listener: privval.NewUnixListener(inner)}, nil
	default:
		_ = inner.Close()
		return nil, fmt.Errorf("%q: only tcp and unix are privval transports", laddr)
	}
}

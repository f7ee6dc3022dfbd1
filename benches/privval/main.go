// Command node-driver plays the node's side of the remote-signer protocol,
// with CometBFT's own `privval` package: what it drives believes that a real
// v0.38 node is asking.
//
//	node-driver bench …   times signers side by side (internal/bench says how)
//	node-driver access …  times votes beside floods at the doors (internal/bench/access.go)
//	node-driver flood …   is such a flood (internal/flood)
//	node-driver votes …   asks one signer for votes with extensions, repeats and
//	                      conflicts, and judges the answers (internal/votes)
//
// It listens on loopback only and ends everything that it starts.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"sigward/benches/privval/internal/bench"
	"sigward/benches/privval/internal/flood"
	"sigward/benches/privval/internal/votes"
)

const usage = `usage: node-driver bench [flags]   times signers side by side
       node-driver access [flags]  times votes beside floods at sigward's doors
       node-driver flood [flags]   is such a flood
       node-driver votes [flags]   checks one signer's answers, a JSON line a case
Each takes -h.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	switch args[0] {
	case "bench":
		return bench.Main(ctx, args[1:])
	case "access":
		return bench.AccessMain(ctx, args[1:])
	case "flood":
		return flood.Main(ctx, args[1:])
	case "votes":
		return votes.Main(ctx, args[1:])
	default:
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
}

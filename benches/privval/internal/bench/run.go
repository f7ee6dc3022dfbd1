// Package bench times signers side by side.
//
// Method. For each number of chains every signer is started with fresh keys and
// states, and stays connected while the signers take turns, in rounds: A B C, A B C, …
// What the machine does to one of them it does to the others too; each figure is
// the median of its rounds. A turn is some pings, then votes in a closed loop: one
// goroutine and one connection a chain, a prevote and a precommit for each
// height, each sent when the last answer came. Time is taken around the one call
// that a node makes (SignerClient.SignVote). Every signature is verified, after
// the turn, outside its time. A failed check or connection spoils the signer's
// figures: they are reported as failed, never as numbers.
//
// The floor of the run is what no durable signer can beat on this machine at this
// time: one Ed25519 signature, one verification, one fdatasync of 128 bytes beside
// the states, and one ping (floor.go).
package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"sigward/benches/privval/internal/signer"
)

// Exit codes.
const (
	exitFailed = 1 // a signer or the run failed
	exitUsage  = 2
	exitMissed = 3 // --strict, and a target was missed
)

// Main runs `node-driver bench` and returns its exit code.
func Main(ctx context.Context, args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "node-driver:", err)
		return exitUsage
	}
	// The driver's garbage collector is no part of what is measured: let it run seldom.
	debug.SetGCPercent(800)
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()

	report, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "node-driver:", err)
		return exitFailed
	}
	report.print(os.Stdout)
	if o.json != "" {
		if err := report.writeJSON(o.json); err != nil {
			fmt.Fprintln(os.Stderr, "node-driver:", err)
			return exitFailed
		}
	}
	switch {
	case report.failed():
		return exitFailed
	case o.strict && report.missed():
		return exitMissed
	default:
		return 0
	}
}

func run(ctx context.Context, o options) (*Report, error) {
	var signers []signer.Signer
	for _, name := range o.signers {
		found, err := signer.Named(name, o.paths)
		if err != nil {
			return nil, err
		}
		signers = append(signers, found)
	}
	folder, remove, err := o.workFolder()
	if err != nil {
		return nil, err
	}
	defer remove()
	machine, err := describeMachine(folder)
	if err != nil {
		return nil, err
	}
	floor, err := newFloorMeter(filepath.Join(folder, "floor"))
	if err != nil {
		return nil, err
	}
	defer floor.close()

	began := time.Now()
	report := newReport(machine, o, signers)
	for _, chains := range o.chains {
		if err := runStage(ctx, o, signers, chains, folder, floor, report); err != nil {
			// What is measured by now is still worth reading.
			report.Stopped = err.Error()
			break
		}
	}
	report.finish(floor, time.Since(began))
	return report, nil
}

// runStage measures all signers with one number of chains.
func runStage(ctx context.Context, o options, signers []signer.Signer, chains int, folder string, floor *floorMeter, report *Report) error {
	stages := make([]*stage, len(signers))
	defer func() {
		for _, s := range stages {
			if s != nil {
				s.close()
			}
		}
	}()
	for i, s := range signers {
		fmt.Fprintf(os.Stderr, "%s: starting for %d chain(s)\n", s.Name(), chains)
		stages[i] = newStage(ctx, s, chains, filepath.Join(folder, fmt.Sprintf("%s-%d", s.Name(), chains)))
	}
	err := takeTurns(ctx, o, stages, floor, report)
	for _, s := range stages {
		report.add(s.result(o.rounds))
	}
	return err
}

// takeTurns runs all rounds, unless the time is up or somebody interrupts.
func takeTurns(ctx context.Context, o options, stages []*stage, floor *floorMeter, report *Report) error {
	slice := time.Duration(o.seconds / float64(o.rounds) * float64(time.Second))
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "%d chain(s): round %d of %d\n", stages[0].count, round+1, o.rounds)
		if err := floor.measure(); err != nil {
			return err
		}
		for _, s := range stages {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			s.takeTurn(ctx, slice)
		}
		if o.bare != "" {
			if err := report.bare.measure(ctx, o.bare); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

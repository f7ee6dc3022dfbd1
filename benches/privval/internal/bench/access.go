package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sigward/benches/privval/internal/flood"
	"sigward/benches/privval/internal/signer"
)

// What is aimed at: p99 beside a flood over p99 of the quiet turn of the same round.
const mostBesideFlood = 2.0

// busyKeeping has the audit chain written into segments and taken out of the
// database as fast as a configuration can ask for.
const busyKeeping = `segment_records = 500
segment_age_s = 1
retention_s = 1
`

// AccessMain runs `node-driver access`: votes of one signer, quiet and beside
// each flood, by turns in one run; the same flood at another signer shows what
// the machine alone makes of it (both share its processors). And votes of a
// signer whose audit chain is pruned all the time.
func AccessMain(ctx context.Context, args []string) int {
	var a access
	var sigward, floods string
	flags := flag.NewFlagSet("node-driver access", flag.ContinueOnError)
	flags.Float64Var(&a.slice, "slice", 1.5, "seconds of votes in a turn")
	flags.IntVar(&a.count, "rounds", 5, "rounds; each figure is the median of its rounds")
	flags.IntVar(&a.chains, "chains", 1, "chains that vote, a connection each")
	flags.IntVar(&a.workers, "workers", 4, "how many ask at once in a flood")
	flags.StringVar(&floods, "floods", strings.Join(flood.Kinds, ","), "the floods to vote beside")
	flags.StringVar(&sigward, "sigward", "target/release/sigward", "the sigward program")
	dir := flags.String("dir", "target/bench", "folder for keys and states; on a real disk")
	out := flags.String("json", "", "also write the report to this file")
	strict := flags.Bool("strict", false, "exit with 3 when a target is missed")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return exitUsage
	}
	for _, kind := range strings.Split(floods, ",") {
		if !slices.Contains(flood.Kinds, kind) {
			fmt.Fprintf(os.Stderr, "node-driver access: no flood is called %q; there are %s\n", kind, strings.Join(flood.Kinds, ", "))
			return exitUsage
		}
		a.kinds = append(a.kinds, kind)
	}
	debug.SetGCPercent(800)
	o := options{dir: *dir, paths: signer.Paths{Sigward: sigward}}
	err := o.absolutePaths()
	if err == nil {
		err = a.run(ctx, o)
	}
	if err == nil && *out != "" {
		err = a.write(*out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "node-driver:", err)
		return exitFailed
	}
	if a.print(os.Stdout) && *strict {
		return exitMissed
	}
	return 0
}

type access struct {
	slice                  float64
	count, chains, workers int
	kinds, names           []string
	turns                  map[string]*besides
	kept                   json.RawMessage
}

// besides is what was measured beside one load: votes, and the load.
type besides struct {
	Rounds []latency     `json:"rounds"`
	Load   []flood.Count `json:"load,omitempty"`
}

func (a *access) run(ctx context.Context, o options) error {
	folder, remove, err := o.workFolder()
	if err != nil {
		return err
	}
	defer remove()
	a.turns = map[string]*besides{}
	stages := map[string]*stage{}
	doors := map[string]*signer.Doors{}
	for _, one := range []struct{ name, extra string }{{"asked", ""}, {"other", ""}, {"pruned", busyKeeping}} {
		d, err := signer.WithDoors(o.paths, one.extra)
		if err != nil {
			return err
		}
		s := newStage(ctx, d, a.chains, filepath.Join(folder, one.name))
		defer s.close()
		if s.failure != nil {
			return fmt.Errorf("%s: %w", one.name, s.failure)
		}
		stages[one.name], doors[one.name] = s, d
	}
	// Something to read, and everybody warm.
	for _, s := range stages {
		if _, _, err := s.votes(ctx, time.Second); err != nil {
			return err
		}
	}
	for round := range a.count {
		fmt.Fprintf(os.Stderr, "access: round %d of %d\n", round+1, a.count)
		if err := a.turn(ctx, stages["asked"], "quiet", nil, ""); err != nil {
			return err
		}
		for _, kind := range a.kinds {
			for _, at := range []string{"asked", "other"} {
				if err := a.turn(ctx, stages["asked"], kind+"/"+at, doors[at], kind); err != nil {
					return fmt.Errorf("%s at %s: %w", kind, at, err)
				}
			}
		}
		if err := a.turn(ctx, stages["pruned"], "pruned", nil, ""); err != nil {
			return err
		}
	}
	a.kept, err = doors["pruned"].Kept(ctx)
	return err
}

// turn measures votes for one slice, beside a flood if there is one.
func (a *access) turn(ctx context.Context, s *stage, name string, at *signer.Doors, kind string) error {
	if a.turns[name] == nil {
		a.turns[name] = &besides{}
		a.names = append(a.names, name)
	}
	beside := a.turns[name]
	end := func() (flood.Count, error) { return flood.Count{}, nil }
	if at != nil {
		var err error
		if end, err = a.begin(ctx, at, kind); err != nil {
			return err
		}
		// It gets going.
		time.Sleep(300 * time.Millisecond)
	}
	samples, _, err := s.votes(ctx, time.Duration(a.slice*float64(time.Second)))
	count, ended := end()
	if err := errors.Join(err, ended); err != nil {
		return err
	}
	var all []time.Duration
	for _, one := range samples {
		all = append(all, one.took)
	}
	beside.Rounds = append(beside.Rounds, summarize(all))
	if at != nil {
		beside.Load = append(beside.Load, count)
		// What it left behind is worked off.
		time.Sleep(300 * time.Millisecond)
	}
	return nil
}

// begin starts a flood in a process of the lowest priority; the answer ends it.
func (a *access) begin(ctx context.Context, at *signer.Doors, kind string) (func() (flood.Count, error), error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, own, "flood", "--kind", kind, "--address", at.Door(kind), "--ca", at.CA(),
		"--cert", at.Client(kind), "--strange", at.Strange(), "--issuer", at.Issuer(), "--workers", strconv.Itoa(a.workers))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := child.Start(); err != nil {
		return nil, err
	}
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, child.Process.Pid, 19)
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		return nil, errors.Join(err, child.Wait())
	}
	return func() (count flood.Count, err error) {
		err = child.Process.Signal(syscall.SIGTERM)
		said, _ := io.ReadAll(lines)
		return count, errors.Join(err, child.Wait(), json.Unmarshal(said, &count))
	}, nil
}

func (a *access) medians(name string) latency {
	var rounds []round
	for _, one := range a.turns[name].Rounds {
		rounds = append(rounds, round{vote: one})
	}
	return medianLatency(rounds, func(r round) latency { return r.vote })
}

// print says whether a target was missed.
func (a *access) print(to io.Writer) (missed bool) {
	quiet := a.medians("quiet")
	fmt.Fprintf(to, "\nVotes of %d chain(s) beside floods at the doors; medians of %d rounds, %d asking at once in a process of the lowest priority\n\n",
		a.chains, a.count, a.workers)
	fmt.Fprintf(to, "%-20s %9s %9s %9s %8s %8s   %s\n", "beside", "p50 µs", "p99 µs", "p99.9 µs", "p50 ×", "p99 ×", "load")
	for _, name := range a.names {
		found := a.medians(name)
		fmt.Fprintf(to, "%-20s %9.0f %9.0f %9.0f %8.2f %8.2f   %s\n", name, found.P50, found.P99, found.P999,
			found.P50/quiet.P50, found.P99/quiet.P99, a.load(name))
	}
	fmt.Fprintln(to, "\n  asked: the flood is at the signer that votes; other: the same flood at another process, which costs the same processors")
	fmt.Fprintf(to, "  pruned: %s\n\n", a.kept)
	for _, kind := range a.kinds {
		ratio := a.medians(kind+"/asked").P99 / quiet.P99
		word := "met"
		if ratio > mostBesideFlood {
			word, missed = "missed", true
		}
		fmt.Fprintf(to, "p99 beside %-11s ≤ %.0f × quiet   measured %.2f   %s\n", kind, mostBesideFlood, ratio, word)
	}
	return missed
}

func (a *access) load(name string) string {
	counts := a.turns[name].Load
	if len(counts) == 0 {
		return ""
	}
	var answered, other, size []float64
	for _, one := range counts {
		answered = append(answered, float64(one.Answered)/one.Seconds)
		other = append(other, float64(one.Else)/one.Seconds)
		size = append(size, float64(one.Bytes)/one.Seconds/1e6)
	}
	text := fmt.Sprintf("%.0f/s answered, %.0f/s turned away", median(answered), median(other))
	if median(size) > 0.1 {
		text += fmt.Sprintf(", %.1f MB/s", median(size))
	}
	return text
}

func (a *access) write(path string) error {
	text, err := json.MarshalIndent(map[string]any{"turns": a.turns, "kept": a.kept}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

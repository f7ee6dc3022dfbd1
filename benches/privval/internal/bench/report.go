package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"sigward/benches/privval/internal/signer"
)

// Report is all that one run found out.
type Report struct {
	Machine machine     `json:"machine"`
	Began   time.Time   `json:"began"`
	Took    float64     `json:"took_seconds"`
	Rounds  int         `json:"rounds"`
	Seconds float64     `json:"seconds_per_measurement"`
	Signers []about     `json:"signers"`
	Stopped string      `json:"stopped,omitempty"` // why not all was measured
	Results []result    `json:"results"`
	Floor   floorPieces `json:"floor"`
	Bare    *bareToken  `json:"bare_token,omitempty"`
	Targets []target    `json:"targets"`
	bare    bareMeter
}

// about is what a signer does to be safe.
type about struct {
	Signer string `json:"signer"`
	About  string `json:"about"`
}

// result is one signer with one number of chains: medians over the rounds.
type result struct {
	Signer         string    `json:"signer"`
	Chains         int       `json:"chains"`
	Failure        string    `json:"failure,omitempty"`
	Ping           latency   `json:"ping"`
	Prevote        latency   `json:"prevote"`
	Precommit      latency   `json:"precommit"`
	Vote           latency   `json:"vote"`
	PingsPerSecond float64   `json:"pings_per_second"`
	VotesPerSecond float64   `json:"votes_per_second"`
	EachRound      []float64 `json:"votes_per_second_each_round"`
	Resident       residents `json:"resident"`
}

func newReport(m machine, o options, signers []signer.Signer) *Report {
	r := &Report{Machine: m, Began: time.Now().UTC(), Rounds: o.rounds, Seconds: o.seconds}
	for _, s := range signers {
		r.Signers = append(r.Signers, about{s.Name(), s.About()})
	}
	return r
}

// result is a failure unless all rounds were measured: figures of fewer would
// not be the medians that they are taken for.
func (s *stage) result(rounds int) result {
	r := result{Signer: s.signer.Name(), Chains: s.count, Resident: s.resident}
	switch {
	case s.failure != nil:
		r.Failure = s.failure.Error()
		return r
	case len(s.rounds) != rounds:
		r.Failure = fmt.Sprintf("stopped after %d of %d rounds", len(s.rounds), rounds)
		return r
	}
	r.Ping = medianLatency(s.rounds, func(r round) latency { return r.ping })
	r.Prevote = medianLatency(s.rounds, func(r round) latency { return r.prevote })
	r.Precommit = medianLatency(s.rounds, func(r round) latency { return r.precommit })
	r.Vote = medianLatency(s.rounds, func(r round) latency { return r.vote })
	r.PingsPerSecond = medianOf(s.rounds, func(r round) float64 { return r.pingsPerSecond })
	r.VotesPerSecond = medianOf(s.rounds, func(r round) float64 { return r.votesPerSecond })
	for _, one := range s.rounds {
		r.EachRound = append(r.EachRound, one.votesPerSecond)
	}
	return r
}

func (r *Report) add(one result) { r.Results = append(r.Results, one) }

// finish works out the floor and the targets.
func (r *Report) finish(floor *floorMeter, took time.Duration) {
	var ping float64
	for _, one := range r.Results {
		if one.Chains == 1 && one.Failure == "" && (ping == 0 || one.Ping.P50 < ping) {
			ping = one.Ping.P50
		}
	}
	r.Floor = floor.medians(ping)
	r.Bare = r.bare.medians()
	for _, p := range r.promises() {
		r.Targets = append(r.Targets, p.judge(r))
	}
	r.Took = took.Seconds()
}

func (r *Report) failed() bool {
	if r.Stopped != "" {
		return true
	}
	for _, one := range r.Results {
		if one.Failure != "" {
			return true
		}
	}
	return false
}

func (r *Report) missed() bool {
	for _, t := range r.Targets {
		if t.Verdict == missed {
			return true
		}
	}
	return false
}

func (r *Report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// print writes the report for people.
func (r *Report) print(to io.Writer) {
	fmt.Fprintf(to, "%s × %d, Linux %s, %s; %s, cometbft %s\n", r.Machine.Processor, r.Machine.Processors,
		r.Machine.Kernel, r.Machine.FileSystem, r.Machine.Go, r.Machine.CometBFT)
	fmt.Fprintf(to, "%d rounds, %g s of votes a line, medians of rounds; every signature verified; %.0f s in all\n\n",
		r.Rounds, r.Seconds, r.Took)
	if r.Machine.busy() {
		fmt.Fprintf(to, "BUSY MACHINE: load average %.2f before the run; take these figures for a trial, and measure again in quiet\n\n", r.Machine.LoadBefore)
	}
	for _, s := range r.Signers {
		fmt.Fprintf(to, "%s: %s\n", s.Signer, s.About)
	}
	for _, print := range []func(*tabwriter.Writer){r.printLatencies, r.printRates, r.printFloor, r.printBare, r.printTargets} {
		fmt.Fprintln(to)
		table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
		print(table)
		_ = table.Flush()
	}
	if r.Stopped != "" {
		fmt.Fprintf(to, "\nSTOPPED: %s\n", r.Stopped)
	}
	for _, one := range r.Results {
		if one.Failure != "" {
			fmt.Fprintf(to, "\nFAILED %s, %d chain(s): %s\n", one.Signer, one.Chains, one.Failure)
		}
	}
}

func (r *Report) printLatencies(table *tabwriter.Writer) {
	fmt.Fprintln(table, "µs, 1 connection\tp50\tp90\tp99\tp99.9\tsamples\t")
	for _, one := range r.Results {
		if one.Chains != 1 || one.Failure != "" {
			continue
		}
		for _, row := range []struct {
			what string
			latency
		}{{"ping", one.Ping}, {"prevote", one.Prevote}, {"precommit", one.Precommit}} {
			fmt.Fprintf(table, "%s %s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t\n", one.Signer, row.what, row.P50, row.P90, row.P99, row.P999, row.Count)
		}
	}
}

func (r *Report) printRates(table *tabwriter.Writer) {
	fmt.Fprintln(table, "chains\tvotes/s\tp50 µs\tp99 µs\tpings/s\tresident MiB\tprocesses\teach\t")
	for _, one := range r.Results {
		if one.Failure != "" {
			fmt.Fprintf(table, "%s %d\tfailed\t\t\t\t\t\t\t\n", one.Signer, one.Chains)
			continue
		}
		fmt.Fprintf(table, "%s %d\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%d\t%.1f\t\n", one.Signer, one.Chains, one.VotesPerSecond,
			one.Vote.P50, one.Vote.P99, one.PingsPerSecond, float64(one.Resident.Sum)/mebibyte, one.Resident.Processes,
			float64(one.Resident.Largest)/mebibyte)
	}
}

func (r *Report) printFloor(table *tabwriter.Writer) {
	fmt.Fprintln(table, "floor, p50 µs\tsign\tverify\tfdatasync 128 B\tping\tsum\t")
	fmt.Fprintf(table, "\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", r.Floor.Sign, r.Floor.Verify, r.Floor.Sync, r.Floor.Ping, r.Floor.Sum)
}

func (r *Report) printTargets(table *tabwriter.Writer) {
	fmt.Fprintln(table, "target\tbound\tmeasured\t\t")
	for _, t := range r.Targets {
		measured := "-"
		if t.Verdict != notMeasured {
			measured = fmt.Sprintf("%.2f", t.Measured)
		}
		fmt.Fprintf(table, "%s\t%s %g\t%s\t%s\t\n", t.What, t.Relation, t.Bound, measured, t.Verdict)
	}
}

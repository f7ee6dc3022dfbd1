package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"text/tabwriter"

	"sigward/benches/privval/internal/signer"
)

// bareThreads is what some threads together get out of the token, each in a session of its own.
type bareThreads struct {
	Threads int     `json:"threads"`
	Rate    float64 `json:"signatures_per_second"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
}

// bareToken is a token without sigward: C_SignInit and C_Sign, and what it costs to wake a thread for them.
type bareToken struct {
	Token   string        `json:"token"`
	Threads []bareThreads `json:"bare"`
	Hops    float64       `json:"two_hops_p50_us"`
}

// bareMeter has one bareToken a round.
type bareMeter struct{ rounds []bareToken }

// measure adds a round: the program prints one bareToken.
func (m *bareMeter) measure(ctx context.Context, program string) error {
	output, err := exec.CommandContext(ctx, program, "--bare-json").Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w\n%s", err, failed.Stderr)
		}
		return fmt.Errorf("%s: %w", program, err)
	}
	var one bareToken
	if err := json.Unmarshal(output, &one); err != nil {
		return fmt.Errorf("%s printed %q: %w", program, output, err)
	}
	if len(one.Threads) == 0 || (len(m.rounds) > 0 && len(m.rounds[0].Threads) != len(one.Threads)) {
		return fmt.Errorf("%s printed other lines than before: %q", program, output)
	}
	m.rounds = append(m.rounds, one)
	return nil
}

// medians of each number; nil when nothing was measured.
func (m *bareMeter) medians() *bareToken {
	if len(m.rounds) == 0 {
		return nil
	}
	pick := func(of func(bareToken) float64) float64 {
		values := make([]float64, len(m.rounds))
		for i, r := range m.rounds {
			values[i] = of(r)
		}
		return median(values)
	}
	found := &bareToken{Token: m.rounds[0].Token, Hops: pick(func(b bareToken) float64 { return b.Hops })}
	for i, line := range m.rounds[0].Threads {
		found.Threads = append(found.Threads, bareThreads{
			Threads: line.Threads,
			Rate:    pick(func(b bareToken) float64 { return b.Threads[i].Rate }),
			P50:     pick(func(b bareToken) float64 { return b.Threads[i].P50 }),
			P99:     pick(func(b bareToken) float64 { return b.Threads[i].P99 }),
		})
	}
	return found
}

func (r *Report) printBare(table *tabwriter.Writer) {
	if r.Bare == nil {
		return
	}
	fmt.Fprintf(table, "bare C_Sign, %s\tsignatures/s\tp50 µs\tp99 µs\t\n", r.Bare.Token)
	for _, line := range r.Bare.Threads {
		fmt.Fprintf(table, "%d thread(s)\t%.0f\t%.1f\t%.1f\t\n", line.Threads, line.Rate, line.P50, line.P99)
	}
	fmt.Fprintf(table, "two hops\t\t%.1f\t\t\n", r.Bare.Hops)
}

// perVote: of two votes the precommit has a second signature, its extension's; each is a C_Sign.
const perVote = 1.5

// tokenPromises compare keys in a token with the bare token and with keys in software, all of this run. A signature of a token costs
// what the token takes and what sigward takes: the bound of a rate is 1 / (1/bare + 1/software).
var tokenPromises = []promise{
	{"signatures/s, 1 chain / bound by one bare thread", ">=", 0.9, signatures(signer.Token, 1), rateBound(1, oneThread)},
	{"signatures/s, 1 chain / bound by the best bare rate", ">=", 0.9, signatures(signer.Token, 1), rateBound(1, bestThreads)},
	{"signatures/s, 16 chains / bound by the best bare rate", ">=", 0.9, signatures(signer.Token, 16), rateBound(16, bestThreads)},
	{"prevote p50, 1 chain / bare + software's overhead + two hops", "<=", 1, prevoteP50(signer.Token), latencyBound},
	{"signatures/s, 1 chain / 1,390 (a Go signer, another machine)", ">=", 1.5, signatures(signer.Token, 1), constant(1390)},
	{"signatures/s, 16 chains / 2,020 (a Go signer, another machine)", ">=", 2, signatures(signer.Token, 16), constant(2020)},
}

// signatures a second, extensions counted.
func signatures(name string, chains int) figure {
	return of(name, chains, func(r result) float64 { return perVote * r.VotesPerSecond })
}

func rateBound(chains int, bare func(*bareToken) float64) figure {
	return func(r *Report) (float64, bool) {
		software, measured := signatures(signer.Software, chains)(r)
		if !measured || software == 0 || bare(r.Bare) == 0 {
			return 0, false
		}
		return 1 / (1/bare(r.Bare) + 1/software), true
	}
}

// latencyBound: software's overhead is all of its way but the signature itself.
func latencyBound(r *Report) (float64, bool) {
	software, measured := prevoteP50(signer.Software)(r)
	return r.Bare.Threads[0].P50 + software - r.Floor.Sign + r.Bare.Hops, measured
}

func oneThread(b *bareToken) float64 { return b.Threads[0].Rate }

func bestThreads(b *bareToken) float64 {
	var best float64
	for _, line := range b.Threads {
		best = max(best, line.Rate)
	}
	return best
}

func constant(value float64) figure { return func(*Report) (float64, bool) { return value, true } }

package bench

import "testing"

// A token that signs 1,000 times a second in one thread and 4,000 times in four, and a sigward that is just good enough with it.
func tokenAtTheBound() *Report {
	bare := bareToken{Token: "t", Hops: 30, Threads: []bareThreads{{1, 1000, 1000, 1100}, {4, 4000, 1000, 1200}}}
	r := &Report{
		Floor: floorPieces{Ping: 20, Sign: 10, Sum: 70},
		Results: []result{
			{Signer: "sigward", Chains: 1, Prevote: latency{P50: 300}, VotesPerSecond: 4000 / perVote},
			{Signer: "sigward", Chains: 16, VotesPerSecond: 12000 / perVote},
			{Signer: "sigward-token", Chains: 1, Prevote: latency{P50: 1000 + 290 + 30}, VotesPerSecond: 2085 / perVote},
			{Signer: "sigward-token", Chains: 16, VotesPerSecond: 4040 / perVote},
		},
	}
	for range 3 {
		r.bare.rounds = append(r.bare.rounds, bare)
	}
	r.Bare = r.bare.medians()
	return r
}

func TestATokenIsJudgedByItsBareRateAndSoftware(t *testing.T) {
	r := tokenAtTheBound()
	want := []float64{2085 / 800.0, 2085 / 2000.0, 4040 / 3000.0, 1, 1.5, 2}
	for i, p := range r.promises() {
		got := p.judge(r)
		if diff := got.Measured - want[i]; got.Verdict != met || diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%+v, want %g", got, want[i])
		}
	}
	r.Results[2].Prevote.P50++
	r.Results[2].VotesPerSecond, r.Results[3].VotesPerSecond = 700/perVote, 2600/perVote
	for _, p := range r.promises() {
		if got := p.judge(r); got.Verdict != missed {
			t.Errorf("%+v", got)
		}
	}
}

func TestWithoutATokenTheOthersAreJudged(t *testing.T) {
	r := borderline()
	r.Bare = r.bare.medians()
	if len(r.promises()) != len(promises) {
		t.Fatal(r.promises())
	}
}

func TestTheMedianOfATokensRounds(t *testing.T) {
	var m bareMeter
	for _, rate := range []float64{9, 1, 5} {
		m.rounds = append(m.rounds, bareToken{Hops: rate, Threads: []bareThreads{{1, rate, rate, rate}}})
	}
	if got := m.medians(); got.Hops != 5 || got.Threads[0] != (bareThreads{1, 5, 5, 5}) {
		t.Fatal(got)
	}
}

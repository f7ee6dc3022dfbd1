package bench

import "testing"

// A report in which sigward is just good enough everywhere.
func borderline() *Report {
	quick := func(signer string, chains int, p50, p99, rate, mib float64) result {
		return result{
			Signer: signer, Chains: chains, Prevote: latency{P50: p50, P99: p99},
			VotesPerSecond: rate, Resident: residents{Sum: uint64(mib * mebibyte)},
		}
	}
	return &Report{
		Floor: floorPieces{Ping: 20, Sum: 70},
		Results: []result{
			quick("sigward", 1, 91, 350, 0, 0), quick("priv_val_server", 1, 182, 700, 0, 0), quick("tmkms", 1, 130, 500, 0, 0),
			quick("sigward", 16, 0, 0, 2500, 0), quick("tmkms", 16, 0, 0, 1000, 0),
			quick("sigward", 128, 0, 0, 6000, 20), quick("priv_val_server", 128, 0, 0, 1000, 0), quick("tmkms", 128, 0, 0, 2000, 0),
		},
	}
}

func verdicts(r *Report) map[string]int {
	count := map[string]int{}
	for _, p := range promises {
		count[p.judge(r).Verdict]++
	}
	return count
}

func TestBoundsThemselvesAreMet(t *testing.T) {
	r := borderline()
	for _, p := range promises {
		if got := p.judge(r); got.Verdict != met {
			t.Errorf("%+v", got)
		}
	}
}

func TestEachTargetIsMissedBeyondItsBound(t *testing.T) {
	r := borderline()
	for i := range r.Results {
		if one := &r.Results[i]; one.Signer == "sigward" {
			one.Prevote.P50, one.Prevote.P99 = one.Prevote.P50*1.01, one.Prevote.P99*1.01
			one.VotesPerSecond *= 0.99
			one.Resident.Sum++
		}
	}
	if got := verdicts(r); got[missed] != len(promises) {
		t.Fatal(got)
	}
}

func TestFailedOrAbsentSignersAreNotMeasuredAndNeverMet(t *testing.T) {
	r := borderline()
	for i := range r.Results {
		r.Results[i].Failure = "broken"
	}
	if got := verdicts(r); got[notMeasured] != len(promises) {
		t.Fatal(got)
	}
	if got := verdicts(&Report{}); got[notMeasured] != len(promises) {
		t.Fatal(got)
	}
}

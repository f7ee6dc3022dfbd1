package bench

// target is one of the ratios that sigward promises, judged in this run.
type target struct {
	What     string  `json:"what"`
	Bound    float64 `json:"bound"`
	Relation string  `json:"relation"` // "<=" or ">="
	Measured float64 `json:"measured"`
	Verdict  string  `json:"verdict"`
}

// Verdicts.
const (
	met         = "met"
	missed      = "missed"
	notMeasured = "not measured"
)

// figure finds one number in the report; false when it was not measured.
type figure func(*Report) (float64, bool)

// promise is a bound on the quotient of two figures.
type promise struct {
	what     string
	relation string
	bound    float64
	above    figure
	below    figure
}

const mebibyte = 1 << 20

var promises = []promise{
	{"prevote p50, 1 chain / priv_val_server", "<=", 0.5, prevoteP50("sigward"), prevoteP50("priv_val_server")},
	{"prevote p99, 1 chain / priv_val_server", "<=", 0.5, prevoteP99("sigward"), prevoteP99("priv_val_server")},
	{"prevote p50, 1 chain / tmkms", "<=", 0.7, prevoteP50("sigward"), prevoteP50("tmkms")},
	{"prevote p99, 1 chain / tmkms", "<=", 0.7, prevoteP99("sigward"), prevoteP99("tmkms")},
	{"prevote p50, 1 chain / floor", "<=", 1.3, prevoteP50("sigward"), theFloor},
	{"signatures/s, 128 chains / tmkms", ">=", 3, rate("sigward", 128), rate("tmkms", 128)},
	{"signatures/s, 128 chains / priv_val_server", ">=", 6, rate("sigward", 128), rate("priv_val_server", 128)},
	{"signatures/s, 16 chains / tmkms", ">=", 2.5, rate("sigward", 16), rate("tmkms", 16)},
	{"resident MiB, 128 chains", "<=", 20, resident("sigward", 128), unit},
}

// promises are those that speak of what the run measures: a run with a token has its own.
func (r *Report) promises() []promise {
	if r.Bare != nil {
		return tokenPromises
	}
	return promises
}

func (p promise) judge(r *Report) target {
	t := target{What: p.what, Bound: p.bound, Relation: p.relation, Verdict: notMeasured}
	above, haveAbove := p.above(r)
	below, haveBelow := p.below(r)
	if !haveAbove || !haveBelow || below == 0 {
		return t
	}
	t.Measured = above / below
	t.Verdict = missed
	if (p.relation == "<=" && t.Measured <= p.bound) || (p.relation == ">=" && t.Measured >= p.bound) {
		t.Verdict = met
	}
	return t
}

func of(name string, chains int, pick func(result) float64) figure {
	return func(r *Report) (float64, bool) {
		for _, one := range r.Results {
			if one.Signer == name && one.Chains == chains && one.Failure == "" {
				return pick(one), true
			}
		}
		return 0, false
	}
}

func prevoteP50(name string) figure {
	return of(name, 1, func(r result) float64 { return r.Prevote.P50 })
}

func prevoteP99(name string) figure {
	return of(name, 1, func(r result) float64 { return r.Prevote.P99 })
}

func rate(name string, chains int) figure {
	return of(name, chains, func(r result) float64 { return r.VotesPerSecond })
}

func resident(name string, chains int) figure {
	return of(name, chains, func(r result) float64 { return float64(r.Resident.Sum) / mebibyte })
}

func theFloor(r *Report) (float64, bool) { return r.Floor.Sum, r.Floor.Ping > 0 }

func unit(*Report) (float64, bool) { return 1, true }

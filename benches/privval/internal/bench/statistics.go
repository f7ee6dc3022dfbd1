package bench

import (
	"math"
	"slices"
	"time"
)

// latency holds quantiles in microseconds.
type latency struct {
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p99_9_us"`
	Count int     `json:"count"`
}

// summarize sorts its argument. Without samples all is zero.
func summarize(samples []time.Duration) latency {
	slices.Sort(samples)
	return latency{
		P50:   quantile(samples, 0.5),
		P90:   quantile(samples, 0.9),
		P99:   quantile(samples, 0.99),
		P999:  quantile(samples, 0.999),
		Count: len(samples),
	}
}

// quantile is the nearest rank of a sorted list, in microseconds: the smallest
// sample that at least this share of all does not exceed.
func quantile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(share * float64(len(sorted))))
	return float64(sorted[max(rank, 1)-1]) / float64(time.Microsecond)
}

// median of a list; zero when it is empty. An even list's is the mean of the middle two.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// medianOf takes one figure of each round.
func medianOf(rounds []round, figure func(round) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = figure(r)
	}
	return median(values)
}

// medianLatency takes each quantile's median over the rounds, and counts all samples.
func medianLatency(rounds []round, of func(round) latency) latency {
	var count int
	for _, r := range rounds {
		count += of(r).Count
	}
	return latency{
		P50:   medianOf(rounds, func(r round) float64 { return of(r).P50 }),
		P90:   medianOf(rounds, func(r round) float64 { return of(r).P90 }),
		P99:   medianOf(rounds, func(r round) float64 { return of(r).P99 }),
		P999:  medianOf(rounds, func(r round) float64 { return of(r).P999 }),
		Count: count,
	}
}

package bench

import (
	"testing"
	"time"
)

func TestQuantilesAreNearestRanks(t *testing.T) {
	var samples []time.Duration
	for i := 1000; i >= 1; i-- {
		samples = append(samples, time.Duration(i)*time.Microsecond)
	}
	got := summarize(samples)
	want := latency{P50: 500, P90: 900, P99: 990, P999: 999, Count: 1000}
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if got := summarize(nil); got != (latency{}) {
		t.Fatalf("no samples: %+v", got)
	}
	if got := summarize([]time.Duration{7 * time.Microsecond}).P50; got != 7 {
		t.Fatalf("one sample: %v", got)
	}
}

func TestMedianOfRoundsIgnoresOneBadRound(t *testing.T) {
	if got := median([]float64{3, 1000, 1, 2, 4}); got != 3 {
		t.Fatal(got)
	}
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Fatal(got)
	}
	if got := median(nil); got != 0 {
		t.Fatal(got)
	}
}

package bench

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sigward/benches/privval/internal/signer"
)

type options struct {
	signers []string
	chains  []int
	seconds float64
	rounds  int
	limit   time.Duration
	dir     string
	keep    bool
	json    string
	strict  bool
	bare    string
	paths   signer.Paths
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("node-driver bench", flag.ContinueOnError)
	signers := flags.String("signers", "sigward,priv_val_server,tmkms", "whom to measure; sigward-token has its keys in a token")
	chains := flags.String("chains", "1,16,128", "numbers of chains, a connection each")
	flags.Float64Var(&o.seconds, "seconds", 8, "seconds of votes for each signer and number of chains, all rounds together")
	flags.IntVar(&o.rounds, "rounds", 10, "rounds in which the signers take turns; each figure is the median of its rounds")
	flags.DurationVar(&o.limit, "limit", 4*time.Minute, "end the run, as failed, after this time")
	flags.StringVar(&o.dir, "dir", "target/bench", "folder for keys and states; on a real disk")
	flags.BoolVar(&o.keep, "keep", false, "leave keys, states and standard errors in --dir")
	flags.StringVar(&o.json, "json", "", "also write the report to this file")
	flags.BoolVar(&o.strict, "strict", false, "exit with 3 when a target is missed")
	flags.StringVar(&o.paths.Sigward, "sigward", "target/release/sigward", "the sigward program")
	flags.StringVar(&o.paths.SigwardTemplate, "sigward-template", "", "text/template of what is appended to sigward.toml; it gets a list of {ID, Address} (default: built in)")
	flags.StringVar(&o.paths.Provider, "provider", "", "id of the [[provider]] that keys of sigward-token are made in")
	flags.StringVar(&o.paths.ProviderConfig, "provider-config", "", "file with that [[provider]] table, appended to sigward.toml before the keys are made; paths in it absolute")
	flags.StringVar(&o.bare, "bare", "", "program that prints, as JSON, what a bare thread gets out of the token (hsm's bench pkcs11); run once a round")
	flags.StringVar(&o.paths.Peers, "peers", "target/peers", "what scripts/peers.sh has installed")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if (o.paths.Provider == "") != (o.paths.ProviderConfig == "") {
		return o, errors.New("--provider and --provider-config go together")
	}
	o.signers = strings.Split(*signers, ",")
	for _, text := range strings.Split(*chains, ",") {
		count, err := strconv.Atoi(text)
		if err != nil || count < 1 || count > 1024 {
			return o, fmt.Errorf("--chains %q: numbers from 1 to 1024", *chains)
		}
		o.chains = append(o.chains, count)
	}
	if !(o.seconds > 0 && o.seconds <= 600) || o.rounds < 1 || o.rounds > 100 {
		return o, errors.New("--seconds is more than 0 and at most 600, --rounds from 1 to 100")
	}
	return o, o.absolutePaths()
}

// absolutePaths: children run in other folders' names only by full paths.
func (o *options) absolutePaths() error {
	for _, path := range []*string{&o.dir, &o.paths.Sigward, &o.paths.Peers} {
		full, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = full
	}
	return nil
}

// workFolder makes a fresh folder under --dir for this run.
func (o *options) workFolder() (path string, remove func(), err error) {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return "", nil, err
	}
	path, err = os.MkdirTemp(o.dir, "run-")
	if err != nil {
		return "", nil, err
	}
	if o.keep {
		return path, func() { fmt.Fprintln(os.Stderr, "kept:", path) }, nil
	}
	return path, func() { _ = os.RemoveAll(path) }, nil
}

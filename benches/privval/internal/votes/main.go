// Package votes asks one signer, as a v0.38 node, for what the kvstore app of
// CometBFT never asks: votes with large extensions, repeats, conflicts and
// regressions. It judges the answers by CometBFT's own sign bytes and prints a
// JSON line for each case:
//
//	{"case":"conflict_block","ok":true,"detail":"refused: …"}
//
// What is right is what FilePV does (privval/file.go of v0.38.25), sharpened: every
// refusal is a RemoteSignerError, and the connection lives on.
package votes

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"sigward/benches/privval/internal/node"
)

type options struct {
	laddr      string
	chainID    string
	publicKey  string
	height     int64
	wait       time.Duration
	extensions []int
}

// Main runs `node-driver votes`: 0 when all cases are right, 1 when one is not or
// no signer came, 2 for wrong flags.
func Main(ctx context.Context, args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "node-driver:", err)
		return 2
	}
	n, err := node.Listen(o.laddr, o.chainID)
	if err != nil {
		fmt.Fprintln(os.Stderr, "node-driver:", err)
		return 1
	}
	defer n.Close()
	fmt.Fprintln(os.Stderr, "listening:", n.Address())

	if err := connect(ctx, n, o); err != nil {
		emit("connect", "", err)
		return 1
	}
	emit("connect", hex.EncodeToString(n.PublicKey().Bytes()), nil)
	return runCases(ctx, newSuite(n, o.height), o.extensions)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("node-driver votes", flag.ContinueOnError)
	flags.StringVar(&o.laddr, "laddr", "tcp://127.0.0.1:26659", "where to listen for the signer: tcp://HOST:PORT or unix:///PATH")
	flags.StringVar(&o.chainID, "chain-id", "votes-1", "chain id")
	flags.StringVar(&o.publicKey, "public-key", "", "the key that the signer must serve, in hex (default: any)")
	flags.Int64Var(&o.height, "height", 100, "first height to ask for; the signer must have signed none from here on")
	flags.DurationVar(&o.wait, "wait", 30*time.Second, "how long to wait for the signer")
	extensions := flags.String("extensions", "0,10240,1048576", "sizes of vote extensions, in bytes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.height < 2 {
		return o, errors.New("--height is at least 2: a case asks for the one below")
	}
	for _, text := range strings.Split(*extensions, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < 0 {
			return o, fmt.Errorf("--extensions %q: sizes in bytes", *extensions)
		}
		o.extensions = append(o.extensions, size)
	}
	return o, nil
}

func connect(ctx context.Context, n *node.Node, o options) error {
	ctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	if err := n.Connect(ctx); err != nil {
		return err
	}
	key := hex.EncodeToString(n.PublicKey().Bytes())
	if o.publicKey != "" && !strings.EqualFold(o.publicKey, key) {
		return fmt.Errorf("the signer serves key %s, not %s", key, o.publicKey)
	}
	return nil
}

// How long a signer that lost its connection may take to come back for the cases left.
const reconnectWithin = 10 * time.Second

func runCases(ctx context.Context, s *suite, extensions []int) int {
	code := 0
	lost := error(nil)
	for _, c := range s.cases(extensions) {
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "node-driver: stopped")
			return 1
		}
		if lost != nil {
			emit(c.name, "", fmt.Errorf("not asked: %w", lost))
			continue
		}
		detail, err := c.run()
		if gone := s.stillConnected(); gone != nil {
			err = errors.Join(err, gone)
			lost = s.reconnect(ctx)
		}
		emit(c.name, detail, err)
		if err != nil {
			code = 1
		}
	}
	return code
}

func emit(name, detail string, err error) {
	if err != nil {
		detail = err.Error()
	}
	// A struct of strings and a bool always encodes.
	line, _ := json.Marshal(struct {
		Case   string `json:"case"`
		OK     bool   `json:"ok"`
		Detail string `json:"detail"`
	}{name, err == nil, detail})
	fmt.Println(string(line))
}

package signer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Doors is a sigward that clients on other machines can reach: a door for
// certificates and one for tokens, and rules that allow one client to read the
// audit chain.
type Doors struct {
	sigward
	home, certificates, tokens string
}

// WithDoors is sigward with doors, and with `audit` in that table of its configuration.
func WithDoors(paths Paths, audit string) (*Doors, error) {
	found, err := Named(Software, paths)
	if err != nil {
		return nil, err
	}
	d := &Doors{sigward: found.(sigward)}
	d.prepare = func(ctx context.Context, home, config string) error {
		d.home = home
		return d.open(ctx, config, audit)
	}
	return d, nil
}

// Door is the address for floods of a kind.
func (d *Doors) Door(kind string) string {
	if kind == "tokens" {
		return d.tokens
	}
	return d.certificates
}

// CA is the authority's certificate.
func (d *Doors) CA() string { return filepath.Join(d.home, "pki", "ca.crt") }

// Client is the certificate of a client that may read the audit chain, or of one that may nothing.
func (d *Doors) Client(kind string) string {
	name := "nobody"
	if kind == "reading" {
		name = "auditor"
	}
	return filepath.Join(d.home, "pki", "clients", name)
}

// Strange is a certificate of another authority.
func (d *Doors) Strange() string { return filepath.Join(d.home, "strange", "clients", "nobody") }

// Issuer is the public key of the one issuer of tokens.
func (d *Doors) Issuer() string { return filepath.Join(d.home, "alice.pub") }

// Kept says how far segments and the pruning of the database have come.
func (d *Doors) Kept(ctx context.Context) ([]byte, error) {
	return d.command(ctx, "audit", "checkpoint", "--home", d.home, "--json")
}

func (d *Doors) open(ctx context.Context, config, audit string) error {
	strange := filepath.Join(d.home, "strange")
	for _, args := range [][]string{
		{"pki", "init"}, {"pki", "server", "--ip", "127.0.0.1"}, {"pki", "client", "nobody"}, {"pki", "client", "auditor"},
		{"pki", "init", "--dir", strange}, {"pki", "client", "nobody", "--dir", strange},
	} {
		if _, err := d.command(ctx, append(args, "--home", d.home)...); err != nil {
			return err
		}
	}
	if err := d.issuer(ctx); err != nil {
		return err
	}
	var err error
	if d.certificates, err = freeAddress(); err != nil {
		return err
	}
	if d.tokens, err = freeAddress(); err != nil {
		return err
	}
	const doors = `
[listen]
address = "%s"
certificate = "pki/server/server.crt"
private_key = "pki/server/server.key"
client_ca = "pki/ca.crt"
crl = "pki/crl.pem"

[listen.bearer]
address = "%s"
certificate = "pki/server/server.crt"
private_key = "pki/server/server.key"
audience = "https://%[2]s"

[[listen.bearer.issuer]]
name = "alice"
key_file = "alice.pub"
`
	const policy = `version = 1

[[rule]]
id = "the-auditor"
effect = "allow"
subjects = ["dns:auditor"]
roles = ["auditor"]
`
	return errors.Join(
		within(config, "[policy]\n", "file = \"policy.toml\"\n"),
		within(config, "[audit]\n", audit),
		os.WriteFile(filepath.Join(d.home, "policy.toml"), []byte(policy), 0o600),
		appendTo(config, fmt.Appendf(nil, doors, d.certificates, d.tokens)),
	)
}

// issuer makes the key of tokens; the command writes into the folder that it runs in.
func (d *Doors) issuer(ctx context.Context) error {
	command := exec.CommandContext(ctx, d.program, "token", "keygen", "alice")
	command.Dir = d.home
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("sigward token keygen: %w\n%s", err, said)
	}
	return nil
}

// within puts text behind a line of the configuration that `init` wrote.
func within(config, line, text string) error {
	found, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	before, after, there := strings.Cut(string(found), line)
	if !there {
		return fmt.Errorf("%s has no %s", config, line)
	}
	return os.WriteFile(config, []byte(before+line+text+after), 0o600)
}

// freeAddress is one of loopback that nobody listens on now.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

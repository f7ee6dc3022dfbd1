package signer

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"

	"sigward/benches/privval/internal/node"
)

//go:embed sigward.toml.tmpl
var builtInTemplate string

// sigward: one process, a key for each chain, every signature durable.
type sigward struct {
	program        string
	template       *template.Template
	provider       string // empty: the software store
	providerConfig string
	prepare        func(ctx context.Context, home, config string) error // more of the configuration; nil: none
}

func sigwardTemplate(path string) (*template.Template, error) {
	text := builtInTemplate
	if path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text = string(content)
	}
	return template.New("sigward.toml").Option("missingkey=error").Parse(text)
}

func (sigward) Extensions() node.Extensions { return node.WithExtensions }

func (s sigward) Name() string {
	if s.provider == "" {
		return Software
	}
	return Token
}

func (s sigward) About() string {
	if s.provider == "" {
		return "durable; one process, a key a chain"
	}
	return "durable; one process, a key a chain, all keys in one token"
}

func (s sigward) Start(ctx context.Context, dir string, chains []Chain) (Running, error) {
	running := Running{Processes: NewProcesses(dir), Keys: map[string][]byte{}}
	home := filepath.Join(dir, "home")
	if _, err := s.command(ctx, "init", "--home", home); err != nil {
		return running, err
	}
	config := filepath.Join(home, "sigward.toml")
	if err := anyHealthPort(config); err != nil {
		return running, err
	}
	if s.provider != "" {
		table, err := os.ReadFile(s.providerConfig)
		if err != nil {
			return running, err
		}
		if err := appendTo(config, append([]byte("\n"), table...)); err != nil {
			return running, err
		}
	}
	if s.prepare != nil {
		if err := s.prepare(ctx, home, config); err != nil {
			return running, err
		}
	}
	for _, chain := range chains {
		key, err := s.createKey(ctx, home, chain.ID)
		if err != nil {
			return running, err
		}
		running.Keys[chain.ID] = key
	}
	if err := s.appendConfig(config, chains); err != nil {
		return running, err
	}
	return running, running.Spawn("sigward", s.program, "serve", "--home", home)
}

// anyHealthPort lets two of them run at once: by default each listens on the same port.
func anyHealthPort(config string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	const usual, any = `listen = "127.0.0.1:26650"`, `listen = "127.0.0.1:0"`
	if !bytes.Contains(text, []byte(usual)) {
		return fmt.Errorf("%s does not say %s", config, usual)
	}
	return os.WriteFile(config, bytes.Replace(text, []byte(usual), []byte(any), 1), 0o600)
}

func (s sigward) createKey(ctx context.Context, home, name string) ([]byte, error) {
	args := []string{"keys", "create", name, "--home", home, "--json"}
	if s.provider != "" {
		args = append(args, "--provider", s.provider)
	}
	output, err := s.command(ctx, args...)
	if err != nil {
		return nil, err
	}
	var created struct {
		PublicKeyHex string `json:"public_key_hex"`
	}
	if err := json.Unmarshal(output, &created); err != nil {
		return nil, fmt.Errorf("sigward keys create %s printed %q: %w", name, output, err)
	}
	key, err := hex.DecodeString(created.PublicKeyHex)
	if err == nil && len(key) != 32 {
		err = fmt.Errorf("public_key_hex has %d bytes", len(key))
	}
	return key, err
}

// appendConfig adds the template's text to the configuration that `init` wrote.
func (s sigward) appendConfig(path string, chains []Chain) error {
	var text bytes.Buffer
	if err := s.template.Execute(&text, chains); err != nil {
		return err
	}
	return appendTo(path, text.Bytes())
}

func appendTo(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// command runs one short CLI command and returns what it printed.
func (s sigward) command(ctx context.Context, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	command := exec.CommandContext(ctx, s.program, args...)
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("sigward %v: %w\n%s", args, err, stderr.Bytes())
	}
	return output, nil
}

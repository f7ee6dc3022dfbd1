// Package flood asks sigward for what it will not give, or for all that it has,
// as fast as a few connections can: the load beside which votes are timed. It
// runs in a process of its own, of the lowest priority, and says at its end how
// much came of it.
//
//	denied      calls over one connection with a certificate that no rule allows anything
//	handshakes  a connection each, by turns with a certificate of a strange authority and a good one
//	tokens      requests with well-formed tokens that somebody else signed
//	reading     queries and exports of the whole audit chain
package flood

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Kinds, in the order of a report.
var Kinds = []string{"denied", "handshakes", "tokens", "reading"}

// Count is what a flood came to: requests that were answered as they should be,
// and others.
type Count struct {
	Answered int64   `json:"answered"`
	Else     int64   `json:"else"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
}

type flood struct {
	address, ca, cert, strange, issuer string
	roots                              *x509.CertPool
	answered, other, bytes             atomic.Int64
}

// Main runs `node-driver flood` until it is told to end.
func Main(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("node-driver flood", flag.ContinueOnError)
	var f flood
	kind := flags.String("kind", "denied", "denied, handshakes, tokens or reading")
	workers := flags.Int("workers", 4, "how many ask at once")
	flags.StringVar(&f.address, "address", "", "host:port of the door")
	flags.StringVar(&f.ca, "ca", "", "certificate of the door's authority")
	flags.StringVar(&f.cert, "cert", "", "client certificate, without .crt and .key")
	flags.StringVar(&f.strange, "strange", "", "a certificate of another authority, without .crt and .key")
	flags.StringVar(&f.issuer, "issuer", "", "public key of the issuer in whose name tokens are forged")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if err := f.run(ctx, *kind, *workers); err != nil {
		fmt.Fprintln(os.Stderr, "node-driver flood:", err)
		return 1
	}
	return 0
}

func (f *flood) run(ctx context.Context, kind string, workers int) error {
	authority, err := os.ReadFile(f.ca)
	if err != nil {
		return err
	}
	f.roots = x509.NewCertPool()
	f.roots.AppendCertsFromPEM(authority)
	work := map[string]func(context.Context) error{
		"denied": f.denied, "handshakes": f.handshakes, "tokens": f.tokens, "reading": f.reading,
	}[kind]
	if work == nil {
		return fmt.Errorf("unknown kind %q", kind)
	}
	began := time.Now()
	var all sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		all.Go(func() {
			if err := work(ctx); err != nil {
				failed <- err
			}
		})
	}
	fmt.Println("begun")
	all.Wait()
	close(failed)
	count := Count{f.answered.Load(), f.other.Load(), f.bytes.Load(), time.Since(began).Seconds()}
	return errors.Join(json.NewEncoder(os.Stdout).Encode(count), <-failed)
}

func (f *flood) client(pair string) (*http.Client, error) {
	config := &tls.Config{RootCAs: f.roots, MinVersion: tls.VersionTLS13}
	if pair != "" {
		certificate, err := tls.LoadX509KeyPair(pair+".crt", pair+".key")
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}, nil
}

// ask makes one gRPC call, reads its answer to the end, and says its status.
func (f *flood) ask(ctx context.Context, client *http.Client, method string, message []byte, token string) (string, error) {
	body := append([]byte{0, 0, 0, 0, byte(len(message))}, message...)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+f.address+method, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("content-type", "application/grpc")
	request.Header.Set("te", "trailers")
	if token != "" {
		request.Header.Set("authorization", "Bearer "+token)
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	read, err := io.Copy(io.Discard, answer.Body)
	f.bytes.Add(read)
	status := answer.Header.Get("grpc-status")
	if status == "" {
		status = answer.Trailer.Get("grpc-status")
	}
	return status, err
}

// repeat asks until the end, and counts answers with the wanted status.
func (f *flood) repeat(ctx context.Context, pair, wanted string, ask func(*http.Client) (string, error)) error {
	client, err := f.client(pair)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		switch status, err := ask(client); {
		case ctx.Err() != nil:
		case err == nil && status == wanted:
			f.answered.Add(1)
		default:
			f.other.Add(1)
			if err != nil {
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	return nil
}

func (f *flood) denied(ctx context.Context) error {
	return f.repeat(ctx, f.cert, "7", func(client *http.Client) (string, error) {
		return f.ask(ctx, client, "/sigward.v1.KeyService/List", nil, "")
	})
}

func (f *flood) reading(ctx context.Context) error {
	export := false
	return f.repeat(ctx, f.cert, "0", func(client *http.Client) (string, error) {
		export = !export
		var message []byte
		if export {
			message = []byte{11 << 3, 1} // QueryRequest.export
		}
		return f.ask(ctx, client, "/sigward.v1.AuditService/Query", message, "")
	})
}

func (f *flood) tokens(ctx context.Context) error {
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	kid, err := f.keyID()
	if err != nil {
		return err
	}
	const path = "/sigward.v1.StatusService/Get"
	return f.repeat(ctx, "", "16", func(client *http.Client) (string, error) {
		token, err := forge(stranger, kid, "https://"+f.address, path)
		if err != nil {
			return "", err
		}
		return f.ask(ctx, client, path, nil, token)
	})
}

// keyID is the issuer's key's name in a token (RFC 7638): with it, sigward has a signature to check.
func (f *flood) keyID() (string, error) {
	text, err := os.ReadFile(f.issuer)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil || len(block.Bytes) < ed25519.PublicKeySize {
		return "", fmt.Errorf("%s is no public key in PEM", f.issuer)
	}
	raw := block.Bytes[len(block.Bytes)-ed25519.PublicKeySize:]
	encode := base64.RawURLEncoding.EncodeToString
	print := sha256.Sum256(fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":"%s"}`, encode(raw)))
	return encode(print[:]), nil
}

// forge makes a token that is good but for its signature.
func forge(key ed25519.PrivateKey, kid, audience, path string) (string, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	now := time.Now().Unix()
	body := sha256.Sum256(make([]byte, 5))
	claims, err := json.Marshal(map[string]any{
		"iss": "alice", "sub": "alice", "aud": audience, "iat": now, "exp": now + 60,
		"jti": base64.RawURLEncoding.EncodeToString(id), "htm": "POST", "path": path,
		"body_sha256": base64.RawURLEncoding.EncodeToString(body[:]),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode(fmt.Appendf(nil, `{"alg":"EdDSA","typ":"sigward-request+jwt","kid":%q}`, kid)) + "." + encode(claims)
	return text + "." + encode(ed25519.Sign(key, []byte(text))), nil
}

func (f *flood) handshakes(ctx context.Context) error {
	good, err := tls.LoadX509KeyPair(f.cert+".crt", f.cert+".key")
	if err != nil {
		return err
	}
	strange, err := tls.LoadX509KeyPair(f.strange+".crt", f.strange+".key")
	if err != nil {
		return err
	}
	for n := 0; ctx.Err() == nil; n++ {
		certificate := &good
		if n%2 == 0 {
			certificate = &strange
		}
		config := &tls.Config{
			RootCAs: f.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil },
		}
		if f.shake(ctx, config) {
			f.answered.Add(1)
		} else {
			f.other.Add(1)
		}
	}
	return nil
}

// shake says whether there was a handshake, to its end or to the alert that ends it.
func (f *flood) shake(ctx context.Context, config *tls.Config) bool {
	raw, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", f.address)
	if err != nil {
		return false
	}
	defer raw.Close()
	_ = raw.SetDeadline(time.Now().Add(2 * time.Second))
	connection := tls.Client(raw, config)
	if err := connection.HandshakeContext(ctx); err != nil {
		return false
	}
	// What the door says of the certificate comes behind the handshake (RFC 8446, 4.4.2.4).
	_ = connection.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	_, _ = connection.Read(make([]byte, 1))
	return true
}

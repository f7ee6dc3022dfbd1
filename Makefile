# The developer's menu. Every recipe installs what it needs, once.

SHELL := /bin/bash
FUZZ_SECONDS ?= 60
# What tests and lints build: everything. What is released has none of them.
FEATURES := $(shell cat scripts/features)

.PHONY: help demo test check bench fuzz fmt lint deny audit doc peers build man dist deb image sbom clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## a real CometBFT node makes blocks that sigward signs
	@scripts/setup.sh base
	@scripts/peers.sh demo
	@cargo build --release --quiet --bin sigward
	@target/release/sigward demo

test: ## everything: format, lints, licences, unit and integration tests with real nodes, 10 s of each fuzz target
	@scripts/test.sh

check: ## what a commit must pass before review: format, lints, unit tests, licences, docs
	@scripts/setup.sh base tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features $(FEATURES) -- -D warnings
	cargo test --workspace --features $(FEATURES) --lib --bins
	scripts/deny.sh
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --features $(FEATURES) --no-deps --document-private-items --quiet

bench: ## keys in a token beside the bare token; votes beside floods, rules and records; sigward beside priv_val_server and tmkms
	@scripts/setup.sh base tokens
	@scripts/peers.sh bench
	@scripts/token-bench.sh
	@scripts/access-bench.sh
	@target/peers/node-driver bench

fuzz: ## every fuzz target for FUZZ_SECONDS (60)
	@scripts/setup.sh base tools
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

fmt: ## format the code
	cargo fmt --all

lint: ## clippy, warnings are errors
	cargo clippy --workspace --all-targets --features $(FEATURES) -- -D warnings

deny: ## licences, bans and sources of dependencies
	@scripts/setup.sh tools
	scripts/deny.sh

audit: ## advisories against dependencies (fetches the advisory database)
	@scripts/setup.sh tools
	target/tools/bin/cargo-deny --all-features check advisories

doc: ## the API documentation
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --features $(FEATURES) --no-deps --document-private-items

peers: ## real CometBFT nodes and the node-side driver, into target/peers
	@scripts/setup.sh base
	@scripts/peers.sh nodes

build: ## the release binary (`cargo build --release --features otel` makes one that can send traces)
	cargo build --release --bin sigward

man: build ## manual pages, into target/man
	@target/release/sigward man --dir target/man && ls target/man

dist: ## all that is given to others, into target/dist: binary, Debian package, image, SBOM, checksums
	@scripts/setup.sh base tools dist
	@scripts/dist.sh

deb: ## the Debian package, into target/dist
	@scripts/setup.sh base tools
	@scripts/dist.sh binary deb

image: ## the container image, built and tried without a daemon, into target/dist
	@scripts/setup.sh base dist
	@scripts/dist.sh binary image

sbom: ## what sigward is made of, as CycloneDX JSON, into target/dist
	@scripts/setup.sh base dist
	@scripts/dist.sh sbom

clean: ## everything that was built, peers and tools too
	rm -rf target fuzz/target

# `make` alone lists the targets. Arguments for the program go into ARGS: make run ARGS='--help'.
ARGS ?=
# In CI the versions are exactly those of Cargo.lock.
LOCKED := $(if $(CI),--locked)
HUSHLOG := target/release/hushlog
# cargo-nextest runs every test in its own process and says at the end what failed; without it,
# Cargo's own runner does.
TEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

CHAOS = cargo run --release $(LOCKED) -p hushlog-chaos-tests --bin chaos --

.DEFAULT_GOAL := help
.PHONY: help setup build run demo demo-power bench test clients chaos chaos-sim fuzz museum soak verify fix clean-cache

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## install what is missing on this machine, compile RocksDB once
	@scripts/setup.sh
	@scripts/rocksdb.sh

build: setup ## build target/release/hushlog
	cargo build --release $(LOCKED) -p hushlog-cli

run: build ## serve one node here, data in ./hushlog-data
	@exec $(HUSHLOG) serve $(ARGS)

demo: build ## three nodes, a million lines, one node killed on the way, every answer checked
	cargo run --release $(LOCKED) -p hushlog-chaos-tests --bin demo -- $(ARGS)

demo-power: build ## cut the power of a live cluster's nodes, show that what was acknowledged is whole (root)
	$(CHAOS) demo-power $(ARGS)

bench: build ## measure ingest and queries of one node here (NODES=3: of three)
	@scripts/bench.sh $(ARGS)

# One profile: the processes that the tests start are built like the tests, so that a machine without
# anything compiles every dependency once.
test: setup ## run all tests
	cargo build --workspace --all-targets $(LOCKED)
	HUSHLOG_BIN=$(CURDIR)/target/debug/hushlog cargo $(TEST) --workspace $(LOCKED) $(ARGS)

clients: build ## send with real clients to one node, installing them (ARGS='--list', "'otlp-*' --strict")
	@HUSHLOG_BIN=$${HUSHLOG_BIN:-$(HUSHLOG)} clients/run.py $(ARGS)

chaos-sim: setup ## simulate clusters under faults (SEEDS=1000 for more of them)
	$(if $(SEEDS),HUSHLOG_SIM_SEEDS=$(SEEDS)) cargo $(TEST) -p hushlog-chaos-tests $(LOCKED) --test sim_raft --test sim_full $(ARGS)

chaos: build ## every scenario of real faults (root); ARGS='kill power-all --seed 7' for some
	$(CHAOS) run $(or $(ARGS),all)

fuzz: setup ## feed decoders and the masker what nobody would send; ARGS='--minutes 60 json mask', --list
	cargo run $(LOCKED) -p hushlog-chaos-tests --bin fuzz -- $(ARGS)

# Never into target/release: what people run must not have these bugs.
museum: setup ## plant classic bugs, one at a time, and show that each is caught (two of them: root)
	cargo build --workspace --bins $(LOCKED) --features museum
	target/debug/chaos museum $(ARGS)

soak: build ## a random mix of all faults under load (root); ARGS='--minutes 60 --seed 7'
	$(CHAOS) soak $(ARGS)

verify: setup ## check formatting, lints and structure; writes nothing to the tree
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(LOCKED) -- -D warnings
	cargo clippy --workspace $(LOCKED) --features museum -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; fi

fix: setup ## format, and let clippy mend what it can
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

clean-cache: ## remove the compiled RocksDB and the installed clients (shared by all checkouts)
	rm -rf $${XDG_CACHE_HOME:-$$HOME/.cache}/hushlog .cargo/local.toml

# What people type. `make test` is what the README names and what CI runs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
DATA ?= ./millwright-data
SHARD ?= 0/1

.PHONY: up build image test test-services test-docker test-versions lint deny torture bench bench-services mutants clean

up: ## build and start the demo system
	cargo build --release -p millwright
	./target/release/millwright up --demo --data $(DATA)

build: ## the program, optimised
	cargo build --release -p millwright

test: ## everything that must hold; needs mosquitto clients and curl for the black-box part
	./tests/prepare.sh
	cargo build -p millwright
	cargo test --workspace

image: ## the container image, millwright:latest
	docker build -t millwright .

test-services: ## the same black-box tests against every service in a process of its own
	./tests/prepare.sh
	cargo build -p millwright
	MILLWRIGHT_SYSTEM=services cargo test -p mw-blackbox

test-docker: ## the stack of compose/ under everything that can happen to containers; needs root or an engine
	MILLWRIGHT_DOCKER=$${MILLWRIGHT_DOCKER:-try} cargo test -p mw-blackbox --test stack -- --nocapture --test-threads 1

test-versions: ## services of this commit together with those of the commit that last changed what they say to each other
	cargo build -p millwright
	MILLWRIGHT_PREVIOUS_BIN=$$(./tests/previous.sh) cargo test -p mw-blackbox --test services replaced -- --nocapture

lint: ## format and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## licences, sources and bans of the dependency tree
	cargo deny check bans licenses sources

torture: ## the slow forms: crash, power loss (root) and the two-minute soak
	./tests/prepare.sh
	cargo build --release -p millwright
	MILLWRIGHT_TORTURE=1 cargo test --release -p mw-log --test crash --test power_loss -- --nocapture
	MILLWRIGHT_TORTURE=1 MILLWRIGHT_BIN=$(CURDIR)/target/release/millwright cargo test --release -p mw-blackbox --test soak --test restart -- --nocapture

bench: build ## the figures of README, side by side in one run
	./bench/run.sh

bench-services: build ## one program beside processes and containers of the same binary
	./bench/services.sh

mutants: ## deletes each rule's check of both deciders in turn; the tests must notice. SHARD=0/20: every twentieth
	mkdir -p target/mw-production.mutants target/mw-after-service.mutants
	failed=0; for crate in mw-production mw-after-service; do \
	  cargo mutants -p $$crate --jobs 1 --timeout 60 --sharding round-robin --shard $(SHARD) \
	    --output target/$$crate.mutants -- --lib || failed=1; \
	done; exit $$failed

clean:
	cargo clean

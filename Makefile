# Everything a person does with this repository, by one word each.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test lint bench services run-distributed dashboards

CARGO ?= cargo

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, then run everything in one process; prints the address, data in ./data
	@$(CARGO) run --release --bin cabildo -- up

test: services ## run every test, against real servers that the tests start themselves
	@$(CARGO) test --workspace

lint: ## formatting, clippy with warnings denied, licences and advisories
	@$(CARGO) fmt --all -- --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --workspace check; \
	else \
		echo "cargo-deny is not installed: licences and advisories are not checked (cargo install cargo-deny)" >&2; \
	fi

bench: services ## measure, each figure beside a baseline of the same run
	@$(CARGO) bench --workspace

services: ## install nats-server, redis-server, mongod and prometheus into .services/bin
	@deploy/services.sh

run-distributed: services ## NATS, Redis, MongoDB, a gateway and a consumer; Ctrl-C stops all
	@$(CARGO) build --release --bin cabildo
	@deploy/run-distributed.sh

dashboards: ## write the dashboards and alerts anew from dashboards/src
	@$(CARGO) run --bin cabildo -- dashboards export dashboards --prometheus http://prometheus:9090 --api http://gateway:8080

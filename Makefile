# Everything a person does with this repository, by one word each.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run web test test-web lint bench services run-distributed dashboards

CARGO ?= cargo

# What the web front end is built from; its lock file also says whether the packages are the right ones.
WEB_SOURCES := $(shell find web/src web/public web/build -type f) web/index.html web/package.json web/vite.config.ts web/svelte.config.js
WEB_PACKAGES := web/node_modules/.package-lock.json
# Node.js of this machine, or one that is fetched.
NPM = PATH="$$(deploy/node.sh):$$PATH" && export PATH && cd web && npm

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: web ## build, then run everything in one process; prints the address, data in ./data
	@$(CARGO) run --release --bin cabildo -- up

web: web/dist/index.html ## build the web front end, which the binary takes in

web/dist/index.html: $(WEB_SOURCES) $(WEB_PACKAGES)
	@$(NPM) run --silent build -- --logLevel warn
	@touch $@

$(WEB_PACKAGES): web/package.json web/package-lock.json
	@$(NPM) ci --silent
	@touch $@

test: services web ## run every test, against real servers that the tests start themselves
	@$(CARGO) test --workspace
	@$(MAKE) --no-print-directory test-web

test-web: web ## the tests of the web front end, in a real browser against the real binary
	@$(CARGO) build --bin cabildo
	@deploy/chromium.sh >/dev/null
	@$(NPM) test --silent
	@$(NPM) run --silent test:browser

lint: $(WEB_PACKAGES) ## formatting, clippy and types with warnings denied, licences and advisories
	@$(NPM) run --silent lint
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

run-distributed: services web ## NATS, Redis, MongoDB, a gateway and a consumer; Ctrl-C stops all
	@$(CARGO) build --release --bin cabildo
	@deploy/run-distributed.sh

dashboards: ## write the dashboards and alerts anew from dashboards/src
	@$(CARGO) run --bin cabildo -- dashboards export dashboards --prometheus http://prometheus:9090 --api http://gateway:8080

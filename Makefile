# Two commands matter: `make run` and `make test`. Each sets up .venv where it is missing.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCKED := $(BIN)/uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-header --quiet
ARGS ?=
# One file's tests stay on one core, since they share what is dear to make, and the longest begin.
CORES ?= --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# Telemetry of the tools used here stays off.
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := yes
export BENTOML_DO_NOT_TRACK := True
export MLFLOW_DISABLE_TELEMETRY := true
# XGBoost's threads give their core away while they wait: spinning, they take it from each other.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: setup run test bench check lock audit clean
.DEFAULT_GOAL := run

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@set -e; \
	for python in $${PYTHON:-python3 python3.11 python3.12 python3.13}; do \
	  if command -v $$python >/dev/null && $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo "Python 3.11 or newer was not found. Install it (Debian: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then echo "$$($$found --version) has no venv. Install it (Debian: apt install python3-venv), then run this again." >&2; exit 1; fi; \
	echo "Setting up $(VENV) with $$($$found --version): once, about two minutes ..."; \
	$$found -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	touch $(STAMP); \
	echo "$(VENV) is ready."

run: setup
	@$(BIN)/prospect run $(ARGS)

test: setup
	@echo "Running the whole test suite ..."
	@$(BIN)/python -m pytest $(CORES) $(ARGS)

check: setup
	@echo "ruff, mypy, import-linter ..."
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: setup
	@$(BIN)/python -m prospect_pipeline_tests.benchmarks $(ARGS)

# The versions, and no addresses. NCCL is left out: it serves GPU training over several machines. What
# serves is pinned to the same versions, and its xgboost-cpu to that of xgboost.
lock: setup
	@$(LOCKED) pyproject.toml --extra dev \
	  --no-emit-package nvidia-nccl-cu12 --no-emit-package nvidia-nccl-cu13 -o requirements.lock
	@{ cat requirements.lock; sed -n 's/^xgboost==/xgboost-cpu==/p' requirements.lock; } | \
	  $(LOCKED) --group serving --constraints - --no-annotate -o requirements-serving.lock

# Known vulnerabilities of what is pinned, as PyPI tells them; --strict: what is unknown there fails.
audit: setup
	@for lock in requirements.lock requirements-serving.lock; do \
	  echo "$$lock ..."; \
	  $(BIN)/uv tool run --quiet pip-audit --strict --no-deps --disable-pip --requirement $$lock || exit 1; \
	done

clean:
	@rm -rf $(VENV)

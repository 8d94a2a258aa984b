# Everything a newcomer needs: `make run` and `make test`. Each creates .venv first if it is not there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test reproduce check bench-speed format clean

# Where weights cannot be fetched, the metrics that need them are null, and the rest goes on.
run: .venv/ready  ## the main job on the embedded data: verify, train over two seeds, evaluate, compare
	-$(BIN)/bench fetch all
	$(BIN)/bench run submissions/* --profile smoke --embedded

test: .venv/ready  ## the test suite; tests that need official data or a GPU say why they are skipped
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Hours on a GPU, weeks on a CPU: choose there, e.g. `make reproduce SUBMISSIONS=submissions/se_dsconv SEEDS=3`. Repeat
# the command after an interruption, here or, with `bench unpack`, elsewhere. A run that fails stops no other.
SUBMISSIONS ?= $(wildcard submissions/*)
ABLATIONS ?= $(filter submissions/se_dsconv,$(SUBMISSIONS))
reproduce: .venv/ready  ## the official protocol on real data, then docs/reproduction.md and an archive to carry
	-$(BIN)/bench fetch all
	$(BIN)/bench data list
	-$(BIN)/bench run $(SUBMISSIONS) $(if $(SEEDS),--seeds $(SEEDS))
	$(if $(ABLATIONS),-$(BIN)/bench ablate $(ABLATIONS) --seeds $(or $(SEEDS),3))
	$(BIN)/bench leaderboard
	$(BIN)/bench reproduction submissions/* > docs/reproduction.md
	$(BIN)/bench pack

check: .venv/ready  ## what CI checks besides the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# It writes docs/performance.md, and .benchmarks/now.json: a baseline for later, if it is copied, for
# `bench check --baseline somewhere.json`.
bench-speed: .venv/ready  ## speeds and growth on this machine, on which nothing else should run: some 25 minutes
	$(BIN)/python -m benchmarks

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "capbench needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,generative,gpu,ray,report,slurm,tune]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache

# Everything a newcomer needs: `make run` and `make test`. Each creates .venv first if it is not there.
PYTHON ?= python3
# What pip says of itself is no concern of whoever runs this.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
BIN := .venv/bin

.PHONY: run smoke test test-all reproduce check bench-speed format clean

# Where weights cannot be fetched, the metrics that need them are null, and the rest goes on.
# The generator first, for it takes longest.
DEMO := dcgan_002 densenet_bc baby_mobilenet inverted_residual_se se_dsconv
run: .venv/ready  ## the main job on drawn images: verify, train, evaluate, compare, and a site of it
	-@$(BIN)/bench fetch all
	@$(BIN)/bench run $(addprefix submissions/,$(DEMO)) --profile demo --results results/demo
	@$(BIN)/bench leaderboard --results results/demo
	@echo
	@echo "The site:    results/demo/site/index.html"
	@echo "The samples: $$(find results/demo/runs -name samples.png | head -n 1)"
	@echo "Next:        bench verify submissions/*, or your own: bench new my_net (in $(BIN), or after: . $(BIN)/activate)"

# All others for a few steps, all their phases and metrics; what CI runs.
smoke: .venv/ready
	$(BIN)/bench run $(filter-out $(addprefix submissions/,$(DEMO)),$(wildcard submissions/*)) \
		--profile smoke --embedded --seeds 1 --results $(or $(RESULTS),results/smoke)

PYTEST := $(BIN)/python -m pytest --dist loadgroup --no-loadscope-reorder
test: .venv/ready  ## the test suite; tests that need official data or a GPU say why they are skipped
	$(PYTEST) -n 2 -m "not processes"

test-all: test  ## and walls, kills and clusters, on real processes
	$(PYTEST) -n 4 -m processes  # they mostly wait

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

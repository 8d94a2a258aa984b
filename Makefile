# Start with `make run` and `make test`. Each creates .venv first, if it does not exist.
PYTHON ?= python3
# Hide pip's notices about its own version and about running as root.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
BIN := .venv/bin

.PHONY: run smoke test test-all tour docs reproduce check bench-speed format clean

# If the weights cannot be downloaded, the metrics that need them are null, and all else runs.
# The generator comes first, because it takes longest.
DEMO := dcgan_002 densenet_bc baby_mobilenet inverted_residual_se se_dsconv
run: .venv/ready  ## demo on synthetic images: verify, train, evaluate, compare, and build the site
	-@$(BIN)/bench fetch all
	@$(BIN)/bench run $(addprefix submissions/,$(DEMO)) --profile demo --results results/demo
	@$(BIN)/bench leaderboard --results results/demo
	@echo
	@echo "The site:    results/demo/site/index.html"
	@echo "The samples: $$(find results/demo/runs -name samples.png | head -n 1)"
	@echo "Next:        bench verify submissions/*, or your own: bench new my_net (in $(BIN), or after: . $(BIN)/activate)"

# All other submissions for a few steps, with all phases and metrics; CI runs this.
smoke: .venv/ready
	$(BIN)/bench run $(filter-out $(addprefix submissions/,$(DEMO)),$(wildcard submissions/*)) \
		--profile smoke --embedded --seeds 1 --results $(or $(RESULTS),results/smoke)

PYTEST := $(BIN)/python -m pytest --dist loadgroup --no-loadscope-reorder
test: .venv/ready  ## the test suite; skipped tests, such as those that need official data or a GPU, say why
	$(PYTEST) -n 2 -m "not processes"

test-all: test  ## additionally the sandbox, signals and clusters, on real processes
	$(PYTEST) -n 4 -m processes  # four workers on two cores: these tests mostly wait

tour: .venv/ready  ## execute docs/tour.ipynb in place, after a change of what it shows; a minute
	$(BIN)/python -m tests.tour

# Hours on a GPU, weeks on a CPU; on a CPU select submissions and seeds, e.g.
# `make reproduce SUBMISSIONS=submissions/se_dsconv SEEDS=3`. Repeat the command after an interruption to resume, on
# another machine after `bench unpack --own`. A failed run does not stop the others.
SUBMISSIONS ?= $(wildcard submissions/*)
ABLATIONS ?= $(filter submissions/se_dsconv,$(SUBMISSIONS))
reproduce: .venv/ready  ## the official protocol on real data, then docs/reproduction.md and an archive of the results
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

docs: .venv/ready  ## the documents as a site, with references of commands and code; a warning is an error
	@$(BIN)/python -m docs.site

# Writes docs/performance.md and .benchmarks/now.json. A copy of the latter can be the baseline of
# `bench check --baseline FILE.json`.
bench-speed: .venv/ready  ## speeds and scaling on this machine, which should run nothing else: about 25 minutes
	$(BIN)/python -m benchmarks

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "capbench needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs,frame,generative,gpu,mlflow,ray,report,slurm,tensorboard,trackio,tune,wandb]'
	touch $@

clean:
	rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache

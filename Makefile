.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -c

VENV := .venv
BIN := $(VENV)/bin
# What a user of the demo needs, and what a developer needs on top.
EXTRAS := export,track,video
DEV_EXTRAS := dev,export,hub,baselines,track,video
DEMO := runs/demo
# The first of these that is 3.11 or newer; to choose: make PYTHON=/path/to/python3
PYTHON ?= python3 python3.11 python3.12 python3.13 python
FIND_PYTHON = for p in $(PYTHON); do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; exit 0; }; done; \
	echo "make: no Python >= 3.11 among: $(PYTHON). Install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1

.PHONY: help install install-dev demo test test-slow check format bench clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@python="$$($(FIND_PYTHON))"; echo "making $(VENV) with $$("$$python" -V)"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); \
	echo "make: '$$python -m venv' failed; install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }

# Stamps: an installation is repeated only when the pins or the package's own description change.
# constraints.txt is not optional: without its torch pin, pip takes the newest build with several GB of CUDA libraries.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): about 2 GB, some minutes"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): about 3 GB, some minutes"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(DEV_EXTRAS)]'
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed  ## make .venv with what training, export and reports need

install-dev: $(VENV)/.installed-dev  ## the same, with tests, linters and baselines

demo: $(VENV)/.installed  ## the main job: train, evaluate on unseen dynamics, export, run the exported file, report
	$(BIN)/sim2real train fetch_reach --run-dir $(DEMO)
	$(BIN)/sim2real export $(DEMO) --out $(DEMO)/bundle
	$(BIN)/sim2real run $(DEMO)/bundle --env sim2real/FetchReach-v0 --dynamics unseen
	$(BIN)/sim2real report $(DEMO)

test: $(VENV)/.installed-dev  ## the fast suite
	$(BIN)/python -m pytest -m "not slow and not gpu"

test-slow: $(VENV)/.installed-dev  ## the tests that take minutes, and those that need a GPU where there is one
	$(BIN)/python -m pytest -m "slow or gpu"

check: $(VENV)/.installed-dev  ## ruff and mypy, as CI runs them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev  ## let ruff repair and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev  ## short forms of the benchmarks; each prints one JSON object as its last line
	@for name in env_throughput learner inference "profile_training fetch_reach" "time_to_solve FetchReach" meta_rl few_shot; do \
	echo "== $$name"; set -- $$name; script=$$1; shift; $(BIN)/python benchmarks/$$script.py "$$@" --quick; done

clean:  ## remove .venv and what builds and tools leave behind (runs/ stays)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

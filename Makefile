# `make train` on a fresh machine: environment, training run, curves. `make help` lists
# the rest. Every variable below can be given on the command line: make train SEED=3.

STEPS ?= 100000
SEED ?= 0
WORKDIR ?= runs/halfcheetah-m_iq_tuned-seed$(SEED)
VENV ?= .venv
TESTS ?=
# Test files side by side, a process each; `make test SIDE_BY_SIDE=` runs them in turn.
SIDE_BY_SIDE ?= -n logical --maxprocesses=4 --dist=loadfile

CORE_VENV ?= .venv-core

PYTHON := $(VENV)/bin/python
# Exists once everything is installed; older than what says what to install: stale.
INSTALLED := $(VENV)/.installed
CORE_INSTALLED := $(CORE_VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install train test test-fast test-core lint format lock doctor clean

help:  ## Lists what make can do here.
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 18
	@echo 'Variables: STEPS=$(STEPS) SEED=$(SEED) WORKDIR=$(WORKDIR) TESTS=tests/replay'

install: $(INSTALLED)  ## Creates .venv with the locked versions; at most once.

$(INSTALLED): requirements.lock setup.py pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh $(VENV)
	@touch $@

$(CORE_INSTALLED): requirements-core.lock setup.py pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh $(CORE_VENV) core
	@touch $@

train: $(INSTALLED)  ## Trains M-IQ (tuned) on HalfCheetah-v4 into WORKDIR; resumes what is there.
	$(PYTHON) -m iq_acme train --env_name=gym:HalfCheetah-v4 --settings=tuned \
	  --num_steps=$(STEPS) --seed=$(SEED) --workdir=$(WORKDIR)

test: $(INSTALLED)  ## Runs the test suite, or only TESTS.
	$(PYTHON) -m pytest $(SIDE_BY_SIDE) $(TESTS)

test-fast: $(INSTALLED)  ## Runs what starts no programs and trains nothing for long.
	$(PYTHON) -m pytest -m 'not slow' $(SIDE_BY_SIDE) $(TESTS)

test-core: $(CORE_INSTALLED)  ## Runs what needs no Acme, on the newest Python there is.
	$(CORE_VENV)/bin/python -m pytest -m 'not slow or core' $(SIDE_BY_SIDE) $(TESTS)

lint: $(INSTALLED)  ## Checks style and formatting.
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format: $(INSTALLED)  ## Formats the code and fixes what can be fixed.
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

lock:  ## Renews both lock files from setup.py.
	scripts/make_lock.sh

doctor: $(INSTALLED)  ## Says what is installed, and whether it loads.
	$(PYTHON) -m iq_acme doctor

clean:  ## Removes environments and caches; runs/ stays.
	rm -rf $(VENV) $(CORE_VENV) build dist *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

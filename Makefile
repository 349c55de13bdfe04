# make run      everything, on http://localhost:8000   (PORT=, HOST=, DATA_DIR=)
# make replace  the same in the place of the one that runs, without an interruption
# make demo     the whole job without a browser        (BUDGET=60)
# make setup    the environment in .venv
# make weights  torchvision's pretrained weights, where there is a network (AUTODL_WEIGHTS_DIR=)
# make challenge-env   Python 3.6 or 3.7 for challenge code of 2019 and 2020 (CHALLENGE_BASE_PYTHON=, CHALLENGE_ENV=)
# make test     the test suite (test-site and test-engine beside each other; AUTODL_TEST_SERVERS=required as in CI)
# make test-long with all small cases and more random inputs (AUTODL_TEST_RANDOM=many: many)
# make test-faults processes killed and frozen, a full disk, Redis or the database away
# make test-load   300 viewers, 50 uploads, 3 GB through cuts, 1,000 waiting runs: time and memory of the web server
# make test-data   every real data set of AUTODL_TEST_DATA through formatters, engine and export
# make check    lint, format, types, import table
# make help     these lines
SHELL := /bin/bash
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3))
BIN := .venv/bin
CHALLENGE_ENV ?= .challenge-env
CHALLENGE_BASE_PYTHON ?= python3.6 python3.7 $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.[67].*/bin/python)

.PHONY: run replace help setup demo weights challenge-env test test-site test-engine test-long test-faults test-load check test-data
.DEFAULT_GOAL := run

run: setup
	@exec $(BIN)/python -m webapp.ops.up

replace: setup
	@exec $(BIN)/python -m webapp.ops.up --replace

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

setup: .venv/.installed

.venv/.installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 was not found: install it, or name it as in: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { echo "$(PYTHON) is $$($(PYTHON) -V), but Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the packages of requirements.txt (once, a few minutes) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -c 'import lightgbm' || { echo "LightGBM needs the OpenMP library of the system: install it (Debian, Ubuntu: apt-get install libgomp1; macOS: brew install libomp) and try again."; exit 1; }
	@touch $@

.venv/.installed-dev: requirements-dev.txt requirements-baselines.txt .venv/.installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: setup
	@$(BIN)/python -m webapp.ops.demo

weights: setup
	@$(BIN)/python -m automl_engine.weights

challenge-env: $(CHALLENGE_ENV)/.installed
	@echo "Challenge code runs in it where CHALLENGE_PYTHON=$(abspath $(CHALLENGE_ENV))/bin/python is set."

$(CHALLENGE_ENV)/.installed: requirements-challenge.txt
	@for python in $(CHALLENGE_BASE_PYTHON); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 6), (3, 7)))' 2>/dev/null && break; python=; \
	done; \
	test -n "$$python" || { echo "Python 3.6 or 3.7 was not found; install one (pyenv install 3.6.15) or name it: make challenge-env CHALLENGE_BASE_PYTHON=/path/to/python3.6"; exit 1; }; \
	echo "Installing the packages of requirements-challenge.txt with $$python (once, about 2 GB) ..."; \
	"$$python" -m venv --clear $(CHALLENGE_ENV)
	@$(CHALLENGE_ENV)/bin/python -m pip install -q --disable-pip-version-check pip==20.3.4
	@$(CHALLENGE_ENV)/bin/python -m pip install -q --disable-pip-version-check setuptools==58.5.3 wheel==0.37.1
	@$(CHALLENGE_ENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps -r requirements-challenge.txt
	@touch $@

# The site's tests beside the engine's: two processes use two cores better than one
test: .venv/.installed-dev
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),-O) test-site test-engine

test-site: .venv/.installed-dev
	$(BIN)/python -m pytest tests/webapp tests/e2e

test-engine: .venv/.installed-dev
	$(BIN)/python -m pytest --ignore=tests/webapp --ignore=tests/e2e

test-long: .venv/.installed-dev
	AUTODL_TEST_NETWORKS=1 $(BIN)/python -m pytest -m "" -o timeout=3600

test-faults: .venv/.installed-dev
	$(BIN)/python -m pytest -m "" -o timeout=3600 tests/webapp/test_faults*.py

test-load: .venv/.installed-dev
	$(BIN)/python -m tests.load

check: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_rooms.py

test-data: .venv/.installed-dev
	$(BIN)/python -m tests.data_sweep --write

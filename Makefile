# make run      everything, on http://localhost:8000   (PORT=, HOST=, DATA_DIR=)
# make demo     the whole job without a browser        (BUDGET=60)
# make weights  torchvision's pretrained weights, where there is a network (AUTODL_WEIGHTS_DIR=)
# make test     the test suite
# make test-long with all small cases and more random inputs (AUTODL_TEST_RANDOM=many: many)
# make test-faults processes killed and frozen while runs learn
# make test-load   300 viewers, 50 uploads, 1,000 waiting runs: time and memory of the web server
# make check    lint, format, types, import table
SHELL := /bin/bash
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3))
BIN := .venv/bin

.PHONY: run setup demo weights test test-long test-faults test-load check test-data
.DEFAULT_GOAL := run

run: setup
	@exec $(BIN)/python -m webapp.ops.up

setup: .venv/.installed

.venv/.installed: requirements.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 was not found: install it, or name it as in: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { echo "$(PYTHON) is $$($(PYTHON) -V), but Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the packages of requirements.txt (once, a few minutes) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -c 'import lightgbm' || { echo "LightGBM needs the OpenMP library of the system: install it (Debian, Ubuntu: apt-get install libgomp1; macOS: brew install libomp) and try again."; exit 1; }
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: setup
	@$(BIN)/python -m webapp.ops.demo

weights: setup
	@$(BIN)/python -m automl_engine.weights

test: .venv/.installed-dev
	$(BIN)/python -m pytest

test-long: .venv/.installed-dev
	$(BIN)/python -m pytest -m ""

test-faults: .venv/.installed-dev
	$(BIN)/python -m pytest -m "" tests/webapp/test_faults.py

test-load: .venv/.installed-dev
	$(BIN)/python -m tests.load

check: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_rooms.py

test-data: .venv/.installed-dev
	$(BIN)/python -m tests.data_sweep --write

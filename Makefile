# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
CORE := $(VENV)/.core
FULL := $(VENV)/.train-dev
DEFINITION := pyproject.toml constraints.txt
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow check tiny bench clean

help:
	@echo "make demo       paint, caption and answer with the bundled checkpoint; a gallery in demo/"
	@echo "make install    everything for training and development, in $(VENV)"
	@echo "make test       the fast tests;  make test-slow  all of them"
	@echo "make check      ruff and mypy --strict"
	@echo "make tiny       the whole road in small: world, codebook, training, paint, caption, answer"
	@echo "make bench      time our models beside their baselines, in about ten minutes"
	@echo "make clean      remove caches and builds"

install: $(FULL)

demo: $(CORE)
	$(BIN)/xlxmert demo

test: $(FULL)
	$(PYTEST) -q

test-slow: $(FULL)
	$(PYTEST) -q -m ""

check: $(FULL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tiny: $(FULL)
	$(PYTEST) -q -m "" tests/chain

bench: $(FULL)
	$(BIN)/python scripts/bench.py

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: an installation counts only when it has come to its end, and until pyproject or constraints change.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: expected Python 3.11 or later, found $$($(PYTHON) --version): make PYTHON=python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(CORE): $(DEFINITION) | $(BIN)/python
	@echo "installing the core into $(VENV): minutes the first time, as PyTorch is large"
	$(PIP) -e .
	@touch $@

$(FULL): $(DEFINITION) | $(BIN)/python
	@echo "installing everything for training and development into $(VENV)"
	$(PIP) -e ".[train,dev]"
	@touch $(CORE) $@

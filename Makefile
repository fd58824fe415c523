# One command each; everything runs in .venv, which `make setup` makes. Nothing is installed outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test lint types bench docs clean

help:
	@echo "make demo    train the recogniser of spoken digits, print its error rates, leave a report (<= 6 minutes)"
	@echo "make test    set up, then run all tests (<= 15 minutes)"
	@echo "make setup | lint | types | bench | docs | clean"

setup: $(READY)

# torch first, by itself: with the pinned build there, no other package can pull another one
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -U "pip>=25.3"
	$(BIN)/pip install -q -c constraints.txt torch
	$(BIN)/pip install -q -c constraints.txt --build-constraint constraints.txt -e ".[audio,export,tables]" --group test --group interp --group lint
	@touch $@

demo: setup
	$(BIN)/karussell train digits --out runs/digits --overwrite

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

bench: setup
	$(BIN)/karussell bench layers --quick

docs: setup
	$(BIN)/pip install -q -c constraints.txt --group docs
	$(BIN)/zensical build

clean:
	rm -rf $(VENV) build dist site runs .pytest_cache .mypy_cache .ruff_cache

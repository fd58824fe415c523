# One command each; everything runs in .venv, which `make setup` makes. Nothing is installed outside it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test lint types bench gpu docs wheel clean

help:
	@echo "make demo    train the recogniser of spoken digits, print its error rates, leave a report (<= 6 minutes)"
	@echo "make test    set up, then run all tests (<= 15 minutes)"
	@echo "make gpu     on a machine with a CUDA device: parity of every kernel, then times beside cuDNN"
	@echo "make setup | lint | types | bench | docs | wheel | clean"

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

# cells compile at -O2 here, in half the time; the tests of builds have the flags that users have
test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 KARUSSELL_CXXFLAGS=-O2 $(BIN)/pytest -n 2 --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

bench: setup
	$(BIN)/karussell bench layers --quick

# in the environment at hand, whose torch has a device: make gpu GPU_PYTHON=/path/to/python
GPU_PYTHON ?= python3
gpu: export PYTHONPATH = src
gpu:
	$(GPU_PYTHON) -m pytest tests/ops/test_triton_engine.py tests/ops/test_triton_options.py \
	    tests/ops/test_triton_parity.py tests/ctc/test_triton_ctc.py
	$(GPU_PYTHON) tools/check_triton.py --every 11 --seconds 900
	$(GPU_PYTHON) -m karussell.bench.cuda_main ctc benchmarks/results/cuda_ctc.json
	$(GPU_PYTHON) -m karussell.bench.cuda_main layers benchmarks/results/cuda_layers.json

docs: setup
	$(BIN)/pip install -q -c constraints.txt --group docs
	$(BIN)/zensical build

# needs a C++ compiler; whoever installs the wheel needs none
wheel: setup
	$(BIN)/python tools/carry.py
	$(BIN)/pip wheel . --no-deps -w dist

clean:
	rm -rf $(VENV) build dist site runs .pytest_cache .mypy_cache .ruff_cache

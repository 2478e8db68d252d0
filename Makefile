# Two commands on a fresh machine: `make run` and `make test`. Each sets up .venv first.
ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
else
PYTHON ?= python3
BIN := .venv/bin
endif
MINUTES ?= 10
OUT ?= runs/digits
LAB ?= --quick

.PHONY: help setup run test test-slow test-all lint format lab handouts slides bench bench-quality bench-own bench-memory bench-busy docs dist clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "fromnoise needs Python 3.11 or newer; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: .venv/.ready  ## make the virtual environment .venv and install fromnoise in it

run: setup  ## train on the packaged digits, sample and score (MINUTES=10 OUT=runs/digits)
	$(BIN)/fromnoise run --data digits --out "$(OUT)" --minutes $(MINUTES)

test: setup  ## the fast tests (about seven minutes on two cores)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

test-slow: setup  ## the slow tests and those that need extras
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench,browser,dinov2,docs,export,hf,lab,tensorboard,ui]'
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "slow and not alone"
	$(BIN)/python -m pytest -q -m alone

test-all: test test-slow  ## every test

lint: setup  ## ruff (lint and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## format the code with ruff, and fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lab: setup  ## run the lab and make a page of it, build/lab/index.html (LAB= for the full setting)
	rm -rf build/lab
	$(BIN)/fromnoise lab $(LAB) --out build/lab

handouts: setup  ## notebooks for students, teachers and nbgrader, and the wheel they install: build/handouts
	rm -rf build/handouts
	$(BIN)/fromnoise lab handouts build/handouts
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/handouts .

slides: setup  ## run the lab and make slides, one figure per page: build/slides (LAB= for the full setting)
	rm -rf build/slides
	$(BIN)/fromnoise lab slides build/slides $(LAB)

bench: setup  ## training and sampling speed beside peers and the hardware's limits (ten minutes at most)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.speed

bench-quality: setup  ## quality after minutes of training, fromnoise and peers (hours; for parts see benchmarks/quality.py)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.quality

bench-own: setup  ## quality on emoji, icons and clothes, fetched by npm and apt-get (many hours; for parts see benchmarks/own.py)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.own

bench-memory: setup  ## peak memory of evaluate and sample from 1,000 to 50,000 images (about ten minutes)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/memory.py

bench-busy: setup  ## training and sampling beside other processes (a quarter of an hour)
	$(BIN)/python -m benchmarks.busy

docs: setup  ## build the documentation site in build/site; a warning is an error
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

dist: setup  ## build wheel and sdist in dist, and sample 64 digits from the wheel in an empty environment
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,dist]'
	rm -rf dist build/empty
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	$(PYTHON) -m venv build/empty
	build/empty/$(notdir $(BIN))/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd build && empty/$(notdir $(BIN))/fromnoise sample digits --n 64 --out digits.png --overwrite

clean:  ## remove the environment and caches, never runs/
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache

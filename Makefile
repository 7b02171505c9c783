# `make bench` and `make test` each set everything up first, in .venv, and then do their work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
READY := $(VENV)/.ready
ARGS ?=

.PHONY: bench test test-slow fuzz lint types format docs links setup constraints clean

bench: $(READY)  ## the comparison on the built-in synthetic corpus, about five minutes the first time: results/
	$(BIN)/sotto bench --out results $(ARGS)

# mypy takes one core for long, so the tests begin beside it.  What Python compiles is kept for the next process.
test: export PYTHONDONTWRITEBYTECODE =
test: $(READY) lint links  ## lint, types and the fast tests
	$(BIN)/mypy & types=$$!; $(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal $(ARGS); \
	tests=$$?; wait $$types && exit $$tests

test-slow: $(READY)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow $(ARGS)

fuzz: $(READY)  ## malformed input at every decoder, 8 s each: ARGS="--seconds 60 --engine coverage --decoder he."
	$(BIN)/python -m tests.fuzz $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) links
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) links  ## the documentation as a site: build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# mypy and mkdocstrings know no package-dir: links give them the folders under their import names, build/links/sotto.
PACKAGES := $(patsubst %/__init__.py,%,$(filter-out sotto/% tests/%,$(wildcard */__init__.py)))
links:
	rm -rf build/links && mkdir -p build/links/sotto
	for each in $(notdir $(wildcard sotto/*)); do ln -s ../../../sotto/$$each build/links/sotto/$$each; done
	for each in $(PACKAGES); do ln -s ../../../$$each build/links/sotto/$$each; done

setup: $(READY)  ## install only

# torch first and pinned: a range would fetch another build.  CrypTen last and without its own requirements,
# which name a withdrawn package; pyproject's extra `mpc` lists what it really needs.
$(READY): pyproject.toml constraints.txt $(wildcard */__init__.py)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sotto needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[mpc,dev]'
	$(PIP) install --quiet --no-deps crypten==0.4.1
	$(BIN)/python -c 'import sotto.mpc.protocols.malicious.session, sotto.mpc.two_party.session'  # compiles their kernels
	touch $@

constraints: $(READY)  ## write what is installed now into constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable | sed -e '/^crypten==/d' -e 's/^torch==\([0-9.]*\).*/torch==\1/' -e '/^-e /d' > constraints.txt

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache

# Everything here sets itself up: Python 3.11 or later and make are all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/sentiment
STEPS ?= 500
# Tests run in a process for each core, four at most; JOBS=0 runs them in one.
JOBS ?= auto

.PHONY: help sentiment test lint stubs clean

help:
	@echo "make sentiment  train the tweet classifier on real tweets and print its accuracy"
	@echo "make test       run the whole test suite"
	@echo "make lint       check style and types"
	@echo "make stubs      write the .pyi files, the list of checks and that of layers anew"

sentiment: $(VENV)/.ready-sentiment
	$(BIN)/layerkit train sentiment --output "$(RUN)" --steps $(STEPS) --overwrite

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest --numprocesses $(JOBS) --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

stubs: $(VENV)/.ready-dev
	$(BIN)/python -m layerkit.plugins.stubs
	$(BIN)/python -m layerkit.testing.page docs/checks.md
	$(BIN)/python -m layerkit.plugins.library_page docs/library.md

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "layerkit needs Python 3.11 or later; say which: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-sentiment: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[jax,nlp]"
	@touch $@

$(VENV)/.ready-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	@touch $@ $(VENV)/.ready-sentiment

clean:
	rm -rf $(VENV) .venv-examples .venv-torch build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

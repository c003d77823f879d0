# `make` or `make help` lists the targets; CI runs the same ones.
.DEFAULT_GOAL := help
.PHONY: help setup train fix check test test-all pages docs package benchmark clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
JOBS ?= 2
ENVIRONMENT := pyproject.toml constraints.txt

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the environment in .venv: the tested set and the tools
	@echo "setup: $(VENV) is ready"

$(READY): $(ENVIRONMENT)
	@echo "setup: making the environment in $(VENV); this takes a few minutes, once"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "setup: Expected Python 3.11 or later, but $(PYTHON) is older. Pass PYTHON=python3.11."; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || sh .ci/install-venv.sh $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip
	@$(BIN)/python -m pip install --quiet --progress-bar off -c constraints.txt --group dev --editable .
	@touch $(READY)

train: $(READY) ## train a small network on handwritten digits; ARGS="model=mlp seed=1" for more
	$(BIN)/python train.py model=cnn data=auto $(ARGS)

fix: $(READY) ## mend style where that is safe
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(READY) ## style, types, import contracts, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

test: $(READY) ## the default tests, by JOBS=2 processes; ARGS="-k plan" to choose
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-all: $(READY) ## the default and the slow tests, with coverage
	$(BIN)/python -m pytest -m "not gpu and not network" --cov --cov-report=term $(ARGS)

pages: $(READY) ## the pages of reports, in a headless browser, which is installed if there is none
	sh .ci/install-browser.sh
	$(BIN)/python -m pytest -m slow tests/report/test_page_in_browser.py $(ARGS)

docs: $(READY) ## the pages, warnings as errors, code in them run
	$(BIN)/python -m sphinx -W -n -q docs docs/_build
	$(BIN)/python -m sphinx -W -n -q -b doctest docs docs/_build/doctest

package: $(READY) ## build, install the wheel elsewhere, and run tests and commands against it
	sh .ci/check-package.sh $(BIN)/python

benchmark: $(READY) ## measure the data path beside its peers; ARGS="--only tiny" for a part
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target build/peers -r benchmarks/requirements.txt
	PYTHONPATH=build/peers $(BIN)/python benchmarks/data.py $(ARGS)

clean: ## remove what the others left, but not the environment, data and runs
	rm -rf build dist docs/_build htmlcov .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Two commands are all a newcomer types: `make demo` and `make test`.
# Both make the virtual environment they need; nothing outside this folder is touched.
PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-gpu lint format clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# torch goes first and pinned: anything looser lets the resolver pull gigabytes of CUDA libraries.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[export,text,train,dev]'
	@touch $(READY)

setup: $(READY)  ## make the virtual environment (.venv)

demo: $(READY)  ## see the toolkit at work
	$(BIN)/dit4sr-export --describe
	$(BIN)/dit4sr-export --output demo/bundle --force
	$(BIN)/dit4sr-export --inspect demo/bundle
	@echo
	@echo "The picture demo needs dit4sr-tiny, the trained model that is not in this repository yet."

test: lint  ## lint, types, contracts and the whole test suite
	$(BIN)/pytest -q -n 2

test-slow: $(READY)  ## the tests that take minutes or gigabytes
	$(BIN)/pytest -q -m slow

test-gpu: $(READY)  ## the tests that need a CUDA device; they fail where there is none
	$(BIN)/pytest -q -m gpu

lint: $(READY)  ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(READY)  ## let ruff format and mend what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove everything that was made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo

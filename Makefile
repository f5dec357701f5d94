# What a stranger needs: `make demo` to see it work, `make check test` before a change goes in.
# Everything is installed into .venv by plain pip; the environment is made anew when pyproject.toml changes.

PYTHON ?= python3
# Not `?=`: shells keep a variable of this name for themselves, and one that leaked into the environment must not count.
SECONDS = 60
unexport SECONDS

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Two installations into one environment at a time would damage each other; pytest brings its own workers.
.NOTPARALLEL:
.PHONY: help demo test check bench soak enumerate crashes format build clean agree walks

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

demo: .venv/demo.stamp ## walk a real change to a real package through all nine phases; KEEP=folder keeps it
	$(BIN)/enforcer demo $(if $(KEEP),--keep '$(KEEP)')

test: .venv/dev.stamp ## run every test on two cores
	$(BIN)/python -m pytest -n 2

check: .venv/dev.stamp ## lint, formatting, types and the rules of who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

bench: .venv/dev.stamp ## measure against the floor of this machine; fails when a limit is missed
	$(BIN)/python -m bench

soak: .venv/dev.stamp ## play random commands against the model; SECONDS=60
	$(BIN)/python -m acceptance.soak --seconds $(SECONDS)

enumerate: .venv/dev.stamp ## tamper with a ledger in every way and ask `verify`; about an hour, goes on where it stopped
	$(BIN)/python -m acceptance.enumerate

crashes: .venv/dev.stamp ## fail every system call of a writing process, one at a time; goes on where it stopped
	$(BIN)/python -m acceptance.crashes --all --report docs/crashes.md

walks: .venv/dev.stamp ## walk 200 honest tasks of every kind; not one may be refused
	$(BIN)/python -m acceptance.honest --count 200 --jobs 2

agree: .venv/dev.stamp ## hold 10,000 changed ledgers against both verifiers; goes on where it stopped
	$(BIN)/python -m acceptance.agree --count 10000 --seed 1 --report docs/agreement.md

format: .venv/dev.stamp ## put the source into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: .venv/dev.stamp ## make the sdist and the wheel in dist/
	$(BIN)/python -m build --no-isolation

clean: ## remove everything that was made here, except state/
	rm -rf .venv dist build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find acceptance bench enforcer tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/made.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=…")'
	$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/demo.stamp: .venv/made.stamp
	$(PIP) --editable '.[telemetry]'
	@touch $@

.venv/dev.stamp: .venv/made.stamp
	$(PIP) --editable '.[dev]'
	@touch $@ .venv/demo.stamp

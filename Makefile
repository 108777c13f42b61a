# The commands of the README. Everything lives in .venv; nothing is installed outside this folder.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test test-long test-fast check check-fast bench install install-dev lock clean

run: .venv/installed
	@args=$$($(BIN)/python -m portal.instance) && PATH="$(CURDIR)/$(BIN):$$PATH" exec $(BIN)/honcho start --no-prefix --no-colour -e /dev/null $$args

# Work is shared out in whole files as far as possible, so that a file's server is started once.
PYTEST = $(BIN)/python -m pytest -n $${WORKERS:-2} --dist worksteal

test: .venv/installed-dev
	@$(PYTEST) -m "not long" $(ARGS)

# What `make test` leaves to this: other programs that judge ours, long runs, and all the rest on PostgreSQL.
test-long: .venv/installed-dev
	@$(PYTEST) -m long $(ARGS)

# For work in between: no browser, and SQLite only.
test-fast: .venv/installed-dev
	@$(PYTEST) -m "not long and not browser and not postgresql" $(ARGS)

check: check-fast
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/djlint templates --check --lint
	@$(BIN)/python .ci/audit.py

# A few seconds; what .pre-commit-config.yaml runs.
check-fast: .venv/installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

# CPU time against floors of our own; PEERS=all installs the peers too and measures them.
bench: .venv/installed-dev
	@$(BIN)/python -m bench

install: .venv/installed
install-dev: .venv/installed-dev

# Reinstalled only when the lock files change: a second start needs no network.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Portal needs Python 3.11 or newer; set PYTHON=…") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv .venv

.venv/installed: requirements.txt | .venv/bin/python
	@echo "Installing the portal's libraries…"
	@$(BIN)/pip install --quiet --require-hashes -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@echo "Installing the tools for tests and checks…"
	@$(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

lock: .venv/installed-dev
	@$(BIN)/pip-compile -q --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements.txt requirements.in
	@$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements-dev.txt requirements-dev.in

clean:
	rm -rf .venv instance .mypy_cache .ruff_cache .hypothesis

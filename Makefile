# The commands of the README. Everything lives in .venv; nothing is installed outside this folder.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
unexport PYTHONDONTWRITEBYTECODE  # otherwise each process of the tests compiles every module again

.PHONY: run test test-long test-fast faults check check-fast bench docs install install-dev lock clean

run: .venv/installed
	@args=$$($(BIN)/python -m portal.settings.instance) && PATH="$(CURDIR)/$(BIN):$$PATH" exec $(BIN)/honcho start --no-prefix --no-colour -e /dev/null $$args

# Work is shared out in whole files as far as possible, so that a file's server is started once.
PYTEST = $(BIN)/python -m pytest -n $${WORKERS:-4} --dist worksteal

test: .venv/installed-dev
	@$(PYTEST) -m "not long" $(ARGS)

# What `make test` leaves out: third-party checkers, long runs, and all other tests on PostgreSQL.
test-long: .venv/installed-dev
	@$(PYTEST) -m long $(ARGS)

# Three hosts behind nginx, two workers and beat: 10,000 events of 500 customers, while each is killed. Ten minutes.
# FAULTS=small: 400 events, behind nginx and HAProxy.
FAULTS ?= all
faults: .venv/installed-dev
	@FAULTS=$(FAULTS) $(BIN)/python -m pytest -s tests/faults/test_several_hosts.py

# A quick run while you work: no browser, no PostgreSQL, and no running portal with its sandbox.
test-fast: .venv/installed-dev
	@$(PYTEST) -m "not long and not browser and not postgresql and not world" $(ARGS)

check: check-fast
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/djlint templates --check --lint
	@$(BIN)/python .ci/audit.py

# A few seconds; what .pre-commit-config.yaml runs.
check-fast: .venv/installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

# CPU time as a ratio to hand-written minimal versions; PEERS=all also installs and measures the peers.
bench: .venv/installed-dev
	@$(BIN)/python -m bench

# Generates the tables of docs/ from the code.
docs: .venv/installed-dev
	@$(BIN)/python .ci/docs.py

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
	@$(BIN)/pip-compile -q --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements-workers.txt requirements-workers.in
	@$(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements-dev.txt requirements-dev.in

clean:
	rm -rf .venv instance .mypy_cache .ruff_cache .hypothesis

# `make run` and `make test` install all that they need. `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# Tests run in three processes, each with its own servers: many wait, so that two processors are busy. If DATABASE_URL
# or REDIS_URL names a server, they run in one process.
PARALLEL ?= $(if $(DATABASE_URL)$(REDIS_URL),,-n 3 --dist loadfile)
SHELL := /bin/bash

.PHONY: help install run demo demo-tls simulate manage test conformance bench bench-quick chaos chaos-quick screenshots messages lint types migration-check audit clean
.DEFAULT_GOAL := help

help:
	@echo "make run        start everything on this machine; Ctrl-C stops it"
	@echo "make demo       the same with three simulated chargers"
	@echo "make demo-tls   the same with TLS: one charger without it, one with a key, one with a certificate"
	@echo "make simulate   connect simulated chargers, also odd ones, such as ARGS='505 --quirk kwh'; ARGS=--help lists them"
	@echo "make manage     run Django's manage.py with the settings of make run, such as ARGS='shell'"
	@echo "make test       run all tests, or some with ARGS='-k presence'"
	@echo "make conformance  run the certification cases of all OCPP versions; print the tables and write docs/conformance.md"
	@echo "make bench      measure this system and others under the same load; write docs/performance.md (half an hour)"
	@echo "make bench-quick  measure the essentials in two minutes, without writing a file"
	@echo "make chaos      cause every known failure under load; write docs/reliability.md (an hour)"
	@echo "make chaos-quick  cause the short failures once, without writing a file"
	@echo "make screenshots  take the screenshots of the pages in docs/; requires Chromium"
	@echo "make messages   add new texts of the pages to locale/, and compile the translations; requires gettext"
	@echo "make lint       run ruff and check the import contract"
	@echo "make types      check the types with mypy"
	@echo "make migration-check  check that the migrations make the columns of the models"
	@echo "make audit      list known vulnerabilities of the installed packages, if their database can be reached"
	@echo "make clean      remove .venv; the data in .run stays"

install: .venv/installed

.venv/installed: requirements.txt requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is required. Install it, or name it with PYTHON=/path/to/python3 make run."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is required, but $(PYTHON) is older. Name another with PYTHON=python3.12 make run."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "This Python has no venv module. Install it (Debian: apt install python3-venv)."; exit 1; }
	@echo "Installing the pinned requirements into .venv (the first time takes a minute)."
	@$(PYTHON) -m venv .venv
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt 2> .venv/pip.log \
	  | awk '/^Collecting/ { printf "\r  %d packages", ++n; fflush() } /^Installing/ { print ", unpacking"; fflush() }' \
	  || { tail -n 5 .venv/pip.log; echo "The requirements could not be installed. Check the access to the package index, and the free space of the disk."; exit 1; }
	@touch $@

run demo demo-tls: install
	@exec $(BIN)/python -m tools.stack $@

simulate: install
	@exec $(BIN)/python -m tools.stack manage simulate_charger $(or $(ARGS),505)

manage: install
	@exec $(BIN)/python -m tools.stack manage $(ARGS)

# Modules are compiled once, even where the environment says otherwise: the tests start hundreds of processes.
test: export PYTHONDONTWRITEBYTECODE :=
test: install
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

conformance: install
	@$(BIN)/python -m pytest tests/conformance tests/conformance201 --write-table $(ARGS)

bench: install
	@$(BIN)/python -m tools.bench $(ARGS)

bench-quick: install
	@$(BIN)/python -m tools.bench --quick $(ARGS)

screenshots: install
	@$(BIN)/python -m tests.screenshots

messages types migration-check: export SECRET_KEY := none
messages types migration-check: export SECRETS_KEYS := none
messages: install
	@$(BIN)/python manage.py makemessages -l en -l de --no-wrap --add-location file --no-obsolete -i .venv -i 'tests/*'
	@$(BIN)/python manage.py compilemessages -l de -i .venv

chaos: install
	@$(BIN)/python -m tools.chaos $(ARGS)

chaos-quick: install
	@$(BIN)/python -m tools.chaos --quick $(ARGS)

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: install
	@$(BIN)/mypy core chargers transactions commands gateway dashboard config tools

migration-check: install
	@$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

audit: install
	@.ci/audit

clean:
	rm -rf .venv

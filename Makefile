# `make run` and `make test` do all the set-up themselves; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# Tests run in as many processes as there are processors, at most three, each with servers of its own; where you give a
# server it is used by one.
PARALLEL ?= $(if $(DATABASE_URL)$(REDIS_URL),,-n auto --maxprocesses 3 --dist loadfile)
SHELL := /bin/bash

.PHONY: help install run demo demo-tls simulate manage test conformance bench bench-quick chaos chaos-quick screenshots lint audit clean
.DEFAULT_GOAL := help

help:
	@echo "make run        start everything on this machine, Ctrl-C stops it"
	@echo "make demo       the same with three simulated chargers"
	@echo "make demo-tls   the same with TLS: a charger without, one with a key, one with a certificate"
	@echo "make simulate   connect simulated chargers, ARGS='505 506 --silent'; ARGS=--help lists the options"
	@echo "make manage     Django's manage.py against what make run started, ARGS='shell'"
	@echo "make test       all tests, ARGS='-k presence' for some"
	@echo "make conformance  the 77 certification cases, their table printed and written to docs/conformance.md"
	@echo "make bench      this system and its peers on the same load, written to docs/performance.md (half an hour)"
	@echo "make bench-quick  the essentials in two minutes, only printed"
	@echo "make chaos      everything that may fail made to fail under load, written to docs/reliability.md (an hour)"
	@echo "make chaos-quick  the short ones, once, only printed"
	@echo "make screenshots  the pages as docs/ shows them; needs Chromium"
	@echo "make lint       ruff and the import contract"
	@echo "make audit      known vulnerabilities of what is installed, where their database can be reached"
	@echo "make clean      remove .venv (the data in .run stays)"

install: .venv/installed

.venv/installed: requirements.txt requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: install it, or say which with PYTHON=/path/to/python3 make run."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is older: say which with PYTHON=python3.12 make run."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "This Python has no venv module: install it (Debian: apt install python3-venv)."; exit 1; }
	@echo "Installing the pinned requirements into .venv (the first time takes a minute)."
	@$(PYTHON) -m venv .venv
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.txt 2> .venv/pip.log \
	  | awk '/^Collecting/ { printf "\r  %d packages", ++n; fflush() } /^Installing/ { print ", unpacking"; fflush() }' \
	  || { tail -n 5 .venv/pip.log; echo "The requirements could not be installed: is the package index reachable, and is there space on the disk?"; exit 1; }
	@touch $@

run demo demo-tls: install
	@exec $(BIN)/python -m config.stack $@

simulate: install
	@exec $(BIN)/python -m config.stack manage simulate_charger $(or $(ARGS),505)

manage: install
	@exec $(BIN)/python -m config.stack manage $(ARGS)

test: install
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

conformance: install
	@$(BIN)/python -m pytest tests/conformance --write-table $(ARGS)

bench: install
	@$(BIN)/python -m bench $(ARGS)

bench-quick: install
	@$(BIN)/python -m bench --quick $(ARGS)

screenshots: install
	@$(BIN)/python -m tests.screenshots

chaos: install
	@$(BIN)/python -m chaos $(ARGS)

chaos-quick: install
	@$(BIN)/python -m chaos --quick $(ARGS)

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

audit: install
	@.ci/audit

clean:
	rm -rf .venv

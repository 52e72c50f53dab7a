# Two commands on a fresh machine: `make run` and `make test`. Everything goes into .venv.
# Needs Python 3.11 or newer with venv, and make. Nothing is installed outside this folder.

PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { command -v $$name; break; }; done)
BIN := .venv/bin
# Carries the local copy of htmx. Without its dependencies: Django is not wanted.
HTMX := django-htmx==1.29.0
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install run test check format bench faults screens clean

help: ## This list
	@echo "Banklink. Commands:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: .venv/.run ## Start Banklink with its demo, http://localhost:5000 (PORT=…, BANKLINK_DATA=…)
	@exec $(BIN)/python app.py

install: .venv/.run ## Make the environment and start nothing

test: .venv/.dev ## All tests (ARGS=… goes to pytest: ARGS="-k renew", ARGS="-n 2 --dist loadfile")
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/.dev ## Formatting, lint, types and templates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/djlint --lint --quiet templates

format: .venv/.dev ## Let ruff format and repair what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev ## Measurements (ONLY=name for one)
	@ONLY="$(ONLY)" $(BIN)/python -m tests.bench

faults: .venv/.dev ## Kills, refusals, power losses and full disks by the thousand, an hour or more (ONLY=…)
	@ONLY="$(ONLY)" $(BIN)/python -m tests.faults

screens: .venv/.dev ## Draw the pictures of docs/screens.md anew
	$(BIN)/python -m tests.browser.pictures

clean: ## Remove .venv, build and caches; your data stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made environment (no pip, or a Python that has gone) is thrown away, never repaired.
.venv/.run: requirements.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "Banklink needs Python 3.11 or newer, and found none."; \
		echo "  Debian, Ubuntu: apt install python3 python3-venv    macOS: brew install python"; \
		exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Banklink needs Python 3.11 or newer; $(PYTHON) is not."; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is missing. Debian, Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
		echo "Making .venv with $(PYTHON)"; rm -rf .venv; "$(PYTHON)" -m venv .venv \
		|| { rm -rf .venv; exit 1; }; }
	@echo "Installing what Banklink needs (once)"
	@$(BIN)/python -m pip install --quiet -r requirements.txt
	@$(BIN)/python -m pip install --quiet --no-deps "$(HTMX)"
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv/.dev: .venv/.run requirements-dev.txt
	@echo "Installing what the tests need (once)"
	@$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

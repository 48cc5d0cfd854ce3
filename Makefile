# Everything that a checkout needs: `make demo` shows pictures, `make test` checks everything.
# Python ≥ 3.11 and make are enough; the browser tests want Chromium, which is installed for root on Debian.

PYTHON ?= python3
BIN    := .venv/bin
PY     := $(BIN)/python

# Personal settings, keys above all, do not reach a check; WAN_TEST_BROWSER is meant for the checks. Compiled tests are kept.
CLEAN  := env -u PYTHONDONTWRITEBYTECODE $$(env | grep -oE '^(WAN|DASHSCOPE)_[A-Za-z0-9_]+' | grep -v '^WAN_TEST_BROWSER$$' | sed 's/^/-u /')
PYTEST := $(CLEAN) $(PY) -m pytest
TWO    := -n 2 --dist loadfile
FAST   := -m "not notebook and not process and not nightly" --ignore=tests/browser --ignore=tests/lab tests
# What `make nightly` tries beside .venv, where it is installed.
PYTHONS ?= python3.12 python3.13 python3.14
# The files of tests with a marker: to read all of them takes longer than some of them run.
MARKED  = $$(grep -rlE 'mark\.$(1)\b' tests --include='*.py')
TITLE   = @printf '\n=== %s ===\n' "$(1)"

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo lab test lint types unit processes notebooks browser nightly lowest pythons bench screenshots install clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: .venv/.demo ## Make pictures on the built-in simulator, headless; no key, no browser
	@$(PY) -m wan_notebook demo

lab: .venv/.full ## Open JupyterLab on the notebooks
	$(BIN)/jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks

test: ## Run every check, in order, up to the first that fails
	@for check in lint types unit processes notebooks browser; do $(MAKE) --no-print-directory $$check || exit 1; done

lint: .venv/.full ## ruff: rules and format
	$(call TITLE,ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/.full ## mypy, strict
	$(call TITLE,mypy)
	@$(BIN)/mypy

unit: .venv/.full ## Unit and acceptance tests, in two processes
	$(call TITLE,unit and acceptance tests)
	@$(PYTEST) $(TWO) $(FAST)

processes: .venv/.full ## Tests that start processes: killed kernels, forks, scripts, command lines
	$(call TITLE,tests with processes of their own)
	@$(PYTEST) $(TWO) -m "process and not notebook and not nightly" $(call MARKED,process) || [ $$? = 5 ]

notebooks: .venv/.full ## Whole notebooks: their tests, and nbval's comparison with the saved outputs
	$(call TITLE,notebooks)
	@$(PYTEST) $(TWO) --no-loadscope-reorder -m "notebook and not nightly" -p nbval -p tests.nbval_homes \
	  --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg $(call MARKED,notebook) notebooks

# Long files first, so that the two processes end together.
browser: .venv/.full ## Front-end modules, JupyterLab, Notebook 7 and Voilà, in Chromium
	$(call TITLE,browser tests)
	@scripts/ensure_browser.sh
	@$(PY) -m tests.lab.kernels
	@$(PYTEST) $(TWO) --no-loadscope-reorder -m "not nightly" $$(ls -S tests/lab/test_*.py) tests/browser

nightly: .venv/.full ## Everything, with the full fault matrix, long property tests, lowest versions, other Pythons
	@for check in lint types; do $(MAKE) --no-print-directory $$check || exit 1; done
	$(call TITLE,all tests with the long profile)
	@scripts/ensure_browser.sh
	@$(PY) -m tests.lab.kernels
	@$(PYTEST) $(TWO) --hypothesis-profile nightly tests
	@for check in notebooks lowest pythons; do $(MAKE) --no-print-directory $$check || exit 1; done

lowest: .venv-lowest/.made ## Unit and acceptance tests with the lowest versions of our dependencies
	$(call TITLE,lowest versions)
	@$(CLEAN) .venv-lowest/bin/python -m pytest $(TWO) $(FAST)

pythons: ## Unit and acceptance tests with the other Pythons of this machine
	@for python in $(PYTHONS); do \
	  $$python -c '' 2>/dev/null || { echo "$$python is not installed: left out"; continue; }; \
	  printf '\n=== %s ===\n' "$$python"; \
	  $$python -m venv ".venv-$$python" && ".venv-$$python/bin/python" -m pip install --quiet 'pip>=25.1' && \
	  ".venv-$$python/bin/python" -m pip install --quiet -e '.[all]' --group test </dev/null && \
	  $(CLEAN) ".venv-$$python/bin/python" -m pytest $(TWO) $(FAST) || exit 1; \
	done

bench: .venv/.full ## Measure what a person waits for
	@scripts/ensure_browser.sh
	@$(CLEAN) PYTHONPATH="$(CURDIR)" $(PY) benchmarks/run.py

screenshots: .venv/.full ## Take the pictures of the documentation anew
	@scripts/ensure_browser.sh
	@$(CLEAN) PYTHONPATH="$(CURDIR)" $(PY) scripts/screenshots.py

install: .venv/.full ## Only make .venv

clean: ## Remove what these targets made
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

# ---------------------------------------------------------------- the environment

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; $(PYTHON) is {sys.version.split()[0]}. Name one: make PYTHON=python3.12 ...")'
	@echo "Making .venv"
	@[ -x $(PY) ] || $(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --upgrade 'pip>=25.1' </dev/null
	@touch $@

# The demo needs a kernel and an exporter, no test tools.
.venv/.demo: pyproject.toml | .venv/.python
	@echo "Installing the package with what runs a notebook (a minute or two the first time)"
	@$(PY) -m pip install --quiet -e '.[notebook]' </dev/null
	@touch $@

.venv/.full: pyproject.toml | .venv/.python
	@echo "Installing the package with everything that checks it (some minutes the first time)"
	@$(PY) -m pip install --quiet -e '.[all]' --group test --group lint </dev/null
	@touch .venv/.demo $@

.venv-lowest/.made: pyproject.toml tests/lowest.py | .venv/.python
	@echo "Making .venv-lowest"
	@$(PYTHON) -m venv --clear .venv-lowest && .venv-lowest/bin/python -m pip install --quiet 'pip>=25.1' </dev/null
	@$(PY) tests/lowest.py > .venv-lowest/lowest.txt
	@.venv-lowest/bin/python -m pip install --quiet -e '.[all]' --group test -c .venv-lowest/lowest.txt </dev/null
	@touch $@

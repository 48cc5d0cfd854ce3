# Everything that a checkout needs: `make demo` shows pictures, `make test` checks everything.
# Python ≥ 3.11 and make are enough; the browser tests want Chromium, which root on Debian gets installed.

PYTHON ?= python3
BIN    := .venv/bin
PY     := $(BIN)/python

# Settings of the person's, keys above all, do not reach a check; WAN_TEST_BROWSER is meant for the checks.
CLEAN  := env $$(env | grep -oE '^(WAN|DASHSCOPE)_[A-Za-z0-9_]+' | grep -v '^WAN_TEST_BROWSER$$' | sed 's/^/-u /')
PYTEST := $(CLEAN) $(PY) -m pytest
TITLE   = @printf '\n=== %s ===\n' "$(1)"

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo lab test lint types unit notebooks browser bench screenshots install clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: .venv/.demo ## Make pictures on the built-in simulator, headless; no key, no browser
	@$(PY) -m wan_notebook demo

lab: .venv/.full ## Open JupyterLab on the notebooks
	$(BIN)/jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root) notebooks

test: ## Run every check, in order, up to the first that fails
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory notebooks
	@$(MAKE) --no-print-directory browser

lint: .venv/.full ## ruff: rules and format
	$(call TITLE,ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/.full ## mypy, strict
	$(call TITLE,mypy)
	@$(BIN)/mypy

unit: .venv/.full ## Tests without a browser and without whole notebooks
	$(call TITLE,unit tests)
	@$(PYTEST) -m "not browser and not lab and not notebook" tests

notebooks: .venv/.full ## Whole notebooks: their tests, and nbval's comparison with the saved outputs
	$(call TITLE,notebooks)
	@$(PYTEST) -m notebook tests || [ $$? = 5 ]
	@if [ -z "$$(ls notebooks/*.ipynb 2>/dev/null)" ]; then echo "notebooks/ holds no notebook yet"; exit 0; fi; \
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
	$(CLEAN) HOME="$$home" IPYTHONDIR="$$home/.ipython" JUPYTER_RUNTIME_DIR="$$home/.run" WAN_HOME="$$home/wan-pictures" \
	  WAN_PROVIDER=simulator WAN_SIMULATOR_SECONDS=0.3 PYTHONPATH="$(CURDIR)" \
	  $(PY) -m pytest -p no:cacheprovider --nbval --nbval-current-env \
	  --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks/

browser: .venv/.full ## Front-end modules, JupyterLab, Notebook 7 and Voilà, in Chromium
	$(call TITLE,browser tests)
	@scripts/ensure_browser.sh
	@$(PY) -m tests.lab.kernels
	@$(PYTEST) -m "browser or lab" tests

bench: .venv/.full ## Measure what a person waits for
	@$(CLEAN) PYTHONPATH="$(CURDIR)" $(PY) benchmarks/run.py

screenshots: .venv/.full ## Take the pictures of the documentation anew
	@scripts/ensure_browser.sh
	@$(CLEAN) PYTHONPATH="$(CURDIR)" $(PY) scripts/screenshots.py

install: .venv/.full ## Only make .venv

clean: ## Remove what these targets made
	rm -rf .venv .venv-k6 .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
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

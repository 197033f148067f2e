# From a fresh clone with python3 (3.10 or newer), a C++ compiler and make:
#   make demo     installs the layer into .venv, then runs the demonstration
#   make test     installs the recipes and the tools of developers too, then runs all the tests
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install --quiet --constraint constraints.txt
LAYER := $(VENV)/.layer-installed
INSTALLED := $(VENV)/.installed

# Versions are pinned in constraints.txt and nowhere else. The build tools go in first, so that the
# extension is compiled by the pinned ones too, whatever version of pip is at hand.
BUILD_TOOLS := scikit-build-core nanobind cmake ninja

.PHONY: help install demo examples test test-all check bench clean

help:
	@echo 'make demo      install the layer into .venv, then show a real forecaster before and after the swap'
	@echo 'make examples  install the recipes too, then train every recipe on real data beside its baselines'
	@echo 'make test      install everything into .venv, then run all the tests'
	@echo 'make test-all  the same with the slow matrix (every instruction-set level)'
	@echo 'make check     formatting, lint, types'
	@echo 'make bench     measure against torch.nn.GRU on this machine'
	@echo 'make clean     remove .venv and everything built'

install: $(INSTALLED)

# Python files are used from src/ and recipes/src/ directly; only what is listed here asks for a new installation.
$(LAYER): pyproject.toml constraints.txt CMakeLists.txt $(shell find csrc -type f)
	@scripts/preflight $(PYTHON)
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo 'Installing into $(VENV); the first time this takes a few minutes.'
	@$(PIP_INSTALL) $(BUILD_TOOLS)
	@$(PIP_INSTALL) --no-build-isolation --editable '.[demo]'
	@touch $@

# The layer is there already, so `fastgru[all]` only brings packages. setuptools builds the recipes, and pysword, which
# comes as source alone and which the setuptools of an older venv cannot build.
$(INSTALLED): $(LAYER) recipes/pyproject.toml
	@echo 'Installing the recipes and the tools of developers as well.'
	@$(PIP_INSTALL) setuptools
	@$(PIP_INSTALL) --no-build-isolation 'fastgru[all]' --editable './recipes[examples,sktime]'
	@touch $@

demo: $(LAYER)
	@$(BIN)/fastgru demo

# The directory of an earlier run would be refused; what `make` makes it may also replace.
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

clean:
	rm -rf $(VENV) build

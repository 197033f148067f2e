# From a fresh clone with python3 (3.10 or newer), a C++ compiler and make:
#   make demo     installs everything into .venv, then runs the demonstration
#   make test     the same, then all the tests
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PIP_INSTALL := $(PIP) install --quiet --constraint constraints.txt
INSTALLED := $(VENV)/.installed

# Versions are pinned in constraints.txt and nowhere else. The build tools go in first, so that the
# extension is compiled by the pinned ones too, whatever version of pip is at hand. setuptools is for
# pysword, which comes as source alone and which the setuptools of an older venv cannot build.
BUILD_TOOLS := scikit-build-core nanobind cmake ninja setuptools

.PHONY: help install demo examples test test-all check bench clean

help:
	@echo 'make demo      install into .venv, then show a real forecaster before and after the swap'
	@echo 'make examples  install into .venv, then train every recipe on real data beside its baselines'
	@echo 'make test      install into .venv, then run all the tests'
	@echo 'make test-all  the same with the slow matrix (every instruction-set level)'
	@echo 'make check     formatting, lint, types'
	@echo 'make bench     measure against torch.nn.GRU on this machine'
	@echo 'make clean     remove .venv and everything built'

install: $(INSTALLED)

# Python files are used from src/ directly; only what is listed here asks for a new installation.
$(INSTALLED): pyproject.toml constraints.txt CMakeLists.txt $(shell find csrc -type f)
	@scripts/preflight $(PYTHON)
	@$(PIP) --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo 'Installing into $(VENV); the first time this takes a few minutes.'
	@$(PIP_INSTALL) $(BUILD_TOOLS)
	@$(PIP_INSTALL) --no-build-isolation --editable '.[all]'
	@touch $@

demo: $(INSTALLED)
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

bench: $(INSTALLED)
	@$(BIN)/fastgru bench

clean:
	rm -rf $(VENV) build

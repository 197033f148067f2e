"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch

import fastgru
import fastgru_recipes

MODULES = [module.name for module in pkgutil.walk_packages(fastgru_recipes.__path__, "fastgru_recipes.")]


@pytest.mark.parametrize("module", ["fastgru_recipes", *MODULES])
def test_the_examples_of_docstrings_run(module):
    names = {"torch": torch, "fastgru": fastgru}
    flags = doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(module), extraglobs=names, optionflags=flags)
    assert result.failed == 0

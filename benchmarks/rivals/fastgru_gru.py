"""Our layer, as it comes and frozen."""

from __future__ import annotations

import functools

import fastgru
from rivals import torch_gru

VERSIONS = {"fastgru": fastgru.__version__}

make = functools.partial(torch_gru.make, layer_class=fastgru.GRU)
make_frozen = functools.partial(make, freeze=True)

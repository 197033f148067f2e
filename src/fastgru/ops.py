"""Importing this module registers our operators with torch, for programs that load an exported model."""

from fastgru.backends.cpu.ops import backward as backward
from fastgru.backends.cpu.ops import forward as forward
from fastgru.rows.linear_operators import linear as linear
from fastgru.rows.linear_operators import linear_gradients as linear_gradients
from fastgru.rows.operators import activate as activate
from fastgru.rows.operators import layer_norm as layer_norm
from fastgru.rows.operators import softmax as softmax

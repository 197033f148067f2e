"""Row-wise operations on tensors: linear layers, functions of one value, softmax and layer norm, on the core."""

# Whoever imports a part of this package finds the operators registered with torch.
from fastgru.rows import linear_operators as linear_operators
from fastgru.rows import operators as operators

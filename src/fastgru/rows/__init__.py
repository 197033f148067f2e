"""Row-wise operations on tensors: linear layers, functions of one value, softmax and layer norm, on the core."""

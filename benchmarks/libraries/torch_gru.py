"""torch.nn.GRU, the reference of the comparison."""

from __future__ import annotations

import torch

VERSIONS = {"torch": torch.__version__}


def layer_of(case, weights, layer_class):
    """A layer with these weights."""
    layer = layer_class(case.hidden, case.hidden)
    with torch.no_grad():
        for name, values in weights.items():
            getattr(layer, f"{name}_l0").copy_(torch.from_numpy(values))
    return layer


def make(case, weights, x, d_output, threads, layer_class=torch.nn.GRU, freeze=False):
    """A call of the layer, and its results."""
    torch.set_num_threads(threads)
    # For the whole process, so that no call pays for entering and leaving a context.
    torch.set_grad_enabled(case.train)
    layer = layer_of(case, weights, layer_class)
    if freeze:
        layer.freeze()
    x = torch.from_numpy(x).requires_grad_(case.train)
    d_output = torch.from_numpy(d_output)
    leaves = [x, *layer.parameters()]

    def train():
        for leaf in leaves:
            leaf.grad = None
        layer(x)[0].backward(d_output)

    def results():
        found = {"output": layer(x)[0].detach().numpy()}
        if case.train:
            train()
            found |= {"weight_hh": layer.weight_hh_l0.grad.numpy(), "x": x.grad.numpy()}
        return found

    return (train if case.train else lambda: layer(x)), results

"""Files of models as modules of torch: the same results as the runtime's, and gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import fastgru
import graphs
from fastgru import runtime


def both(graph, path, seed=0, steps=6, batch=3):
    """The module, the runtime's model, and inputs for each."""
    runtime.save(graph, path / "m.safetensors")
    given = graphs.feed(graph, steps, batch, seed)
    tensors = {name: torch.from_numpy(array) for name, array in given.items()}
    return fastgru.load(path / "m.safetensors"), runtime.load(path / "m.safetensors"), given, tensors


@pytest.mark.parametrize("make", [graphs.decoder, graphs.translator])
def test_sequences_that_begin_with_values(make, tmp_path):
    """Without a state, with the one of the call before, and after resets."""
    module, model, given, tensors = both(make(0, "float64"), tmp_path)
    marks = np.random.default_rng(1).random((6, 3)) < 0.3
    mine = marks.T if model.graph.inputs[0].axes.startswith("B") else marks
    state, before = None, None
    for reset in (None, marks, None):
        wanted, state = model.run(given, state, reset=mine if reset is marks else None)
        output, before = module(tensors, before, reset=None if reset is None else torch.from_numpy(reset))
        for name, array in wanted.items():
            np.testing.assert_allclose(output[name].detach().numpy(), array, rtol=0, atol=1e-12)
        for name, array in state.items():
            np.testing.assert_allclose(before[name].detach().numpy(), array, rtol=0, atol=1e-12)


def test_a_learned_beginning_without_resets(tmp_path):
    drawn = graphs.Drawn(0)
    y = drawn.node("Tanh", [drawn.node("GRU", ["x"], input_size=3, hidden_size=4, learn_h0=True)])
    graph = drawn.graph([runtime.Input("x", "TBF", 3)], [runtime.Output("y", y, "TBF")])
    module, model, given, tensors = both(graph, tmp_path)
    np.testing.assert_allclose(module(tensors["x"])[0].detach().numpy(), model.run(given)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["graph", "current_graph", "forward", "double", "training", "_owner", "_modules", "state_dict"]
)
def test_modules_with_the_names_of_attributes(name, tmp_path):
    graph = graphs.denoiser(0, "float64")
    first = next(node for node in graph.nodes if node.operator == "Linear")
    renamed = {key: f"{name}.{role}" for role, key in first.parameters.items()}
    nodes = [
        runtime.Node(node.name, node.operator, node.inputs, node.outputs, node.attributes,
                     {role: renamed.get(key, key) for role, key in node.parameters.items()})
        for node in graph.nodes
    ]  # fmt: skip
    arrays = {renamed.get(key, key): array for key, array in graph.parameters.items()}
    module, model, given, tensors = both(runtime.Graph(graph.inputs, nodes, graph.outputs, arrays), tmp_path)
    np.testing.assert_allclose(module(tensors["noisy"])[0].detach().numpy(), model.run(given)[0], rtol=0, atol=1e-12)
    assert set(module.state_dict()) == set(arrays)
    other = copy.deepcopy(module).float()
    assert all(parameter.dtype == torch.float32 for parameter in other.parameters())
    other.load_state_dict(module.state_dict())
    fastgru.save(module, tmp_path / "again.safetensors")
    assert runtime.load(tmp_path / "again.safetensors").graph.nodes == model.graph.nodes


def test_gradients_reach_what_a_sequence_begins_with(tmp_path):
    module, _, _, tensors = both(graphs.decoder(0, "float64"), tmp_path)
    tensors["context"].requires_grad_()
    module(tensors)[0]["tags"].sum().backward()
    assert tensors["context"].grad.abs().min() > 0
    assert all(parameter.grad.abs().max() > 0 for parameter in module.parameters())

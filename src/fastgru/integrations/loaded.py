"""Models of files as modules of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fastgru import errors
from fastgru.graph import Graph
from fastgru.integrations.torch_execution import run_node
from fastgru.nn.cell import GRUCell
from fastgru.nn.gru import GRU


class LoadedModel(nn.Module):
    """A model from a file. Its parameters have the names with which it was saved.

    Args:
        graph: what it computes. Its weights are copied.

    Example:
        >>> import fastgru, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
        >>> _ = fastgru.save(model, "model.safetensors", args=torch.zeros(2, 3))
        >>> loaded = fastgru.load("model.safetensors")
        >>> output, state = loaded(torch.ones(5, 3))
        >>> torch.equal(output, model(torch.ones(5, 3))), sorted(loaded.state_dict())
        (True, ['0.bias', '0.weight'])
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        for key, array in graph.parameters.items():
            owner, name = self._owner(key)
            owner._parameters[name] = nn.Parameter(torch.from_numpy(array.copy()))

    def _owner(self, key: str) -> tuple[nn.Module, str]:
        """The module that has a parameter, made if there is none, and the parameter's name there.

        Modules and parameters are kept where torch's methods find them, but not as attributes: a file may name them as
        a method or attribute of this class.
        """
        *path, name = key.split(".")
        owner: nn.Module = self
        for part in path:
            inner = owner._modules.get(part)
            if inner is None:
                inner = owner._modules[part] = nn.Module()
            owner = inner
        return owner, name

    def _parameter(self, key: str) -> nn.Parameter:
        owner, name = self._owner(key)
        parameter = owner._parameters[name]
        assert parameter is not None
        return parameter

    def current_graph(self) -> Graph:
        """The graph with the parameters as they are now, whose memory it shares."""
        arrays = {key: self._parameter(key).detach().cpu().numpy() for key in self.graph.parameters}
        return Graph(self.graph.inputs, self.graph.nodes, self.graph.outputs, arrays)

    def forward(
        self,
        x: Tensor | Mapping[str, Tensor],
        state: Mapping[str, Tensor] | None = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Any, dict[str, Tensor]]:
        """The output, or a dict of several by name, and the states of the recurrent nodes by name.

        Args:
            x: the input with the axes that `graph.inputs` say, or a dict of several by name.
            state: from the call before, (layers * directions, B, H) each; None: what sequences begin with.
            lengths: (B,) integers, if the rows do not all have all steps.
            reset: booleans (T, B): steps before which sequences begin anew.

        Raises:
            ShapeError and others: as of `fastgru.GRU`.
        """
        values = dict(self._inputs(x))
        next_state: dict[str, Tensor] = {}
        for node in self.graph.nodes:
            given = [values[name] for name in node.inputs]
            own = {role: self._parameter(key) for role, key in node.parameters.items()}
            before = None if state is None else state[node.name] if node.name in self.graph.recurrent else None
            results, after = run_node(node, own, given, before, lengths, reset)
            values.update(zip(node.outputs, results, strict=False))
            if after is not None:
                next_state[node.name] = after
        outputs = {output.name: self._shown(values[output.value], output) for output in self.graph.outputs}
        return outputs if len(outputs) > 1 else next(iter(outputs.values())), next_state

    def _inputs(self, x: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = [port.name for port in self.graph.inputs]
        if isinstance(x, Tensor):
            if len(names) > 1:
                raise errors.need_inputs_by_name(names)
            x = {names[0]: x}
        if set(x) != set(names):
            raise errors.wrong_input_names(list(x), names)
        arranged = {}
        for port in self.graph.inputs:
            tensor = x[port.name]
            if tensor.ndim != len(port.axes):
                raise errors.wrong_input_rank(port.name, tensor.shape, port.axes, port.axes, port.size)
            letters = port.axes.replace("1", "")
            tensor = tensor[tuple(0 if axis == "1" else slice(None) for axis in port.axes)]
            arranged[port.name] = tensor.permute([letters.index(axis) for axis in port.value.axes])
        return arranged

    def _shown(self, value: Tensor, output: Any) -> Tensor:
        axes = output.axes if "F" in output.axes else f"{output.axes}F"
        canonical = self.graph.values[output.value].axes
        shown = value.permute([canonical.index(axis) for axis in axes.replace("1", "")])
        shown = shown[tuple(None if axis == "1" else slice(None) for axis in axes)]
        return shown if "F" in output.axes else shown.squeeze(-1)


def single_layer(graph: Graph) -> nn.Module | None:
    """The only layer of a graph; None if the graph has more than one node."""
    if len(graph.nodes) != 1 or graph.outputs[0].value != graph.nodes[0].outputs[0] or len(graph.outputs) > 1:
        return None
    node = graph.nodes[0]
    if len(node.inputs) > 1:
        return None
    dtype = torch.from_numpy(next(iter(graph.parameters.values()))).dtype
    layer: nn.Module
    if node.operator == "GRU":
        layer = GRU(**node.attributes, batch_first=graph.inputs[0].axes.startswith("B"), dtype=dtype)
    elif node.operator == "GRUCell":
        layer = GRUCell(**node.attributes, dtype=dtype)
    else:
        return None
    if graph.inputs[0].axes != graph.outputs[0].axes:
        return None
    with torch.no_grad():
        for role, key in node.parameters.items():
            layer.get_parameter(role).copy_(torch.from_numpy(graph.parameters[key].copy()))
    return layer

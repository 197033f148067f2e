"""Random graphs of the runtime, and inputs for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru.graph import Graph, Input, Node, Output
from fastgru.graph.operators import OPERATORS
from fastgru.graph.operators.activations import FUNCTIONS

# Values of attributes that are not their defaults.
UNUSUAL: dict[str, dict[str, Any]] = {
    "LeakyReLU": {"negative_slope": 0.3},
    "ELU": {"alpha": 0.5},
    "GELU": {"approximate": "tanh"},
    "Softplus": {"beta": 2.0, "threshold": 3.0},
    "Hardsigmoid": {"alpha": 0.2, "beta": 0.4},
    "Clamp": {"min": -0.3, "max": 0.4},
}
POSITIVE = {"Log": "Exp", "Sqrt": "Exp"}  # what comes before, so that results are numbers
CELL_SIZES = ("input_size", "hidden_size", "bias")


class Drawn:
    """Adds random nodes to a graph."""

    def __init__(self, seed: int, dtype: str = "float32") -> None:
        self.random = np.random.default_rng(seed)
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.parameters: dict[str, np.ndarray[Any, Any]] = {}

    def array(self, *shape: int) -> np.ndarray[Any, Any]:
        """Small random numbers."""
        return (self.random.standard_normal(shape) * 0.4).astype(self.dtype)

    def node(self, operator: str, inputs: list[str], outputs: int = 1, /, **attributes: Any) -> str:
        """A node with random parameters; the name of its first result."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        complete = {key: one.default for key, one in OPERATORS[operator].attributes.items()} | attributes
        sizes = (
            []
            if operator not in ("Add", "Subtract", "Multiply", "Divide")
            else [Input("", "BF", attributes.pop("size"))]
        )
        complete.pop("size", None) if sizes else None
        shapes = OPERATORS[operator].parameter_shapes(complete, [one.value for one in sizes])
        keys = {role: f"{name}.{role}" for role in shapes}
        self.parameters |= {keys[role]: self.array(*shape) for role, shape in shapes.items()}
        results = tuple(f"{name}:{place}" for place in range(outputs))
        self.nodes.append(Node(name, operator, tuple(inputs), results, attributes, keys))
        return results[0]

    def graph(self, inputs: list[Input], outputs: list[Output]) -> Graph:
        """The graph so far."""
        return Graph(inputs, self.nodes, outputs, self.parameters)


def tagger(seed: int = 0, dtype: str = "float32", layers: int = 2, bidirectional: bool = True) -> Graph:
    """Embedding, GRU, LayerNorm, Linear, LogSoftmax, by steps and batch."""
    drawn = Drawn(seed, dtype)
    x = drawn.node("Embedding", ["words"], num_embeddings=20, embedding_dim=7)
    width = 10 if bidirectional else 5
    sizes = {"input_size": 7, "hidden_size": 5, "num_layers": layers, "bidirectional": bidirectional}
    x = drawn.node("GRU", [x], **sizes)
    x = drawn.node("LayerNorm", [x], size=width)
    x = drawn.node("Linear", [x], in_features=width, out_features=4)
    x = drawn.node("LogSoftmax", [x])
    return drawn.graph([Input("words", "BT", None)], [Output("tags", x, "BTF")])


def denoiser(seed: int = 0, dtype: str = "float32", features: int = 33, hidden: int = 20, axes: str = "BTF") -> Graph:
    """Linear, ReLU, two GRUs, Linear, Sigmoid, times the input."""
    drawn = Drawn(seed, dtype)
    x = drawn.node("Linear", ["noisy"], in_features=features, out_features=hidden)
    x = drawn.node("ReLU", [x])
    x = drawn.node("GRU", [x], input_size=hidden, hidden_size=hidden)
    x = drawn.node("GRU", [x], input_size=hidden, hidden_size=hidden)
    x = drawn.node("Linear", [x], in_features=hidden, out_features=features)
    x = drawn.node("Sigmoid", [x])
    x = drawn.node("Multiply", [x, "noisy"], size=features)
    return drawn.graph([Input("noisy", axes, features)], [Output("clean", x, axes)])


def policy(seed: int = 0, dtype: str = "float32") -> Graph:
    """An encoder, a cell, and two heads: one step for each call."""
    drawn = Drawn(seed, dtype)
    x = drawn.node("Linear", ["observation"], in_features=6, out_features=9)
    x = drawn.node("Tanh", [x])
    x = drawn.node("GRUCell", [x], input_size=9, hidden_size=8)
    action = drawn.node("LogSoftmax", [drawn.node("Linear", [x], in_features=8, out_features=3)])
    value = drawn.node("Linear", [x], in_features=8, out_features=1)
    outputs = [Output("action", action, "BF"), Output("value", value, "B")]
    return drawn.graph([Input("observation", "BF", 6)], outputs)


def everything(seed: int = 0, dtype: str = "float32") -> Graph:
    """Every operator but those of the graphs above, some with unusual attributes, on two inputs."""
    drawn = Drawn(seed, dtype)
    x = drawn.node("Concat", ["steps", "row"])
    for name in FUNCTIONS:
        before = drawn.node(POSITIVE[name], [x]) if name in POSITIVE else x
        y = drawn.node(name, [before], **UNUSUAL.get(name, {}))
        x = drawn.node("Add", [drawn.node("Tanh", [y]), x], size=8)
        x = drawn.node("Softmax", [x]) if name == "Exp" else x
    for name in ("Add", "Subtract", "Multiply", "Divide"):
        x = drawn.node(name, [x], other="vector", swap=name == "Divide", size=8)
        x = drawn.node(name, [x], other="number", number=1.5, swap=name == "Subtract", size=8)
    x = drawn.node("Tanh", [x])
    first = drawn.node("Slice", [x], first=2, size=3)
    first = drawn.node("Multiply", [first, "row"], size=3)
    gate, share = (drawn.node("Sigmoid", [drawn.node("Slice", [one], size=1)]) for one in (x, "row"))
    for name, pair in (("Add", [gate, first]), ("Divide", [None, share]), ("Multiply", [share, None])):
        first = drawn.node(name, [first if one is None else one for one in pair], size=3)
    first = drawn.node("LayerNorm", [first], size=3, weight=False, bias=False, eps=1e-3)
    x = drawn.node("GRU", [first], 2, input_size=3, hidden_size=6, bias=False, learn_h0=True)
    last, state = drawn.node("Last", [x]), x.replace(":0", ":1")
    y = drawn.node("Subtract", [last, state], size=6)
    inputs = [Input("steps", "TBF", 5), Input("row", "BF", 3)]
    return drawn.graph(inputs, [Output("difference", y, "BF"), Output("hidden", x, "TBF")])


def decoder(seed: int = 0, dtype: str = "float32") -> Graph:
    """Two layers that begin with a context and with what was computed of it."""
    drawn = Drawn(seed, dtype)
    first = drawn.node("Tanh", [drawn.node("Linear", ["context"], in_features=6, out_features=5)])
    sizes = {"input_size": 4, "hidden_size": 5, "num_layers": 2}
    x = drawn.node("GRU", ["words", first, drawn.node("Slice", ["context"], size=5)], 3, **sizes)
    inputs = [Input("words", "BTF", 4), Input("context", "BF", 6)]
    return drawn.graph(inputs, [Output("tags", x, "BTF"), Output("last", x.replace(":0", ":2"), "BF")])


def translator(seed: int = 0, dtype: str = "float32") -> Graph:
    """A layer in both directions whose last states another begins with, and a cell that begins with a step."""
    drawn = Drawn(seed, dtype)
    sizes = {"hidden_size": 5, "bidirectional": True}
    x = drawn.node("GRU", ["words"], 3, input_size=4, **sizes)
    states = [x.replace(":0", f":{place}") for place in (1, 2)]
    y = drawn.node("GRU", [x, *states], 2, input_size=10, **sizes)
    last = drawn.node("Slice", [drawn.node("Last", [y])], first=3, size=5)
    cell = drawn.node("GRUCell", [y.replace(":0", ":1"), last], input_size=5, hidden_size=5)
    return drawn.graph([Input("words", "TBF", 4)], [Output("tags", y, "TBF"), Output("next", cell, "BF")])


def feed(graph: Graph, steps: int, batch: int, seed: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Random inputs for a graph, by name."""
    random, sizes = np.random.default_rng(seed), {"T": steps, "B": batch, "1": 1}
    found = {}
    for port in graph.inputs:
        shape = [port.size if axis == "F" else sizes[axis] for axis in port.axes]
        if port.size is None:
            found[port.name] = random.integers(0, graph.index_limits.get(port.name, 9), shape)
        else:
            found[port.name] = random.standard_normal(shape).astype(graph.dtype)
    return found


def with_parameters(graph: Graph, make: Any) -> Graph:
    """The same graph with other weights: `make` gives an array of a shape."""
    parameters = {key: make(array.shape) for key, array in graph.parameters.items()}
    return Graph(graph.inputs, graph.nodes, graph.outputs, parameters)

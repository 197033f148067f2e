"""Long calls of the core go through a model some steps at a time, which must not show."""

from __future__ import annotations

import numpy as np
import pytest

import graphs
from fastgru.runtime import Input, Model, Output
from fastgru.runtime.numpy_execution import NumPyExecution

SIZES = {"input_size": 4, "hidden_size": 4}


def of_a_last_step(drawn):
    return drawn.node("Add", ["x", drawn.node("Last", ["x"])], size=4)


def of_a_last_state(drawn):
    state = drawn.node("GRU", ["x"], 2, **SIZES).replace(":0", ":1")
    return drawn.node("Multiply", [drawn.node("Tanh", [state]), "x"], size=4)


def beside_the_steps(drawn):
    return drawn.node("Concat", [drawn.node("Last", ["x"]), "x"])


@pytest.mark.parametrize("make", [of_a_last_step, of_a_last_state, beside_the_steps])
def test_what_is_known_after_the_last_step_may_be_read_at_each(make):
    drawn = graphs.Drawn(0, "float64")
    y = make(drawn)
    graph = drawn.graph([Input("x", "TBF", 4)], [Output("y", y, "TBF")])
    model = Model(graph)
    fed = graphs.feed(graph, 600, 2)
    for options in ({}, {"lengths": np.array([600, 31])}):
        found = model.run(fed, **options)[0]
        model._execution, core = NumPyExecution(graph), model._execution
        np.testing.assert_allclose(found, model.run(fed, **options)[0], rtol=0, atol=1e-12)
        model._execution = core

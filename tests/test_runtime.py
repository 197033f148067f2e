"""Models without torch: the compiled core beside the operators' definitions, states, the same bits, wrong arguments."""

# ruff: noqa: E501  (the tables of what is wrong have a row for each case)

from __future__ import annotations

import copy
import pickle
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphs
import processes
from fastgru import errors, runtime
from fastgru.levels import cpu_info, use_level
from fastgru.runtime import Graph, Input, Model, Node, Output, State
from fastgru.runtime.model import execution_of
from fastgru.runtime.numpy_execution import NumPyExecution
from tolerance import MODEL, QUANTIZED_OUTPUT

MAKERS = [graphs.tagger, graphs.denoiser, graphs.policy, graphs.everything, graphs.decoder, graphs.translator]
CAUSAL = [graphs.denoiser, lambda seed, dtype: graphs.tagger(seed, dtype, 3, False)]


def by_definition(graph):
    model = Model(graph)
    model._execution = NumPyExecution(graph)
    return model


def named(model, output):
    return output if isinstance(output, dict) else {model.graph.outputs[0].name: output}


def assert_close(graph, found, expected):
    (output, state), (wanted, wanted_state) = found, expected
    pairs = [(named(Model(graph), output)[name], array) for name, array in named(Model(graph), wanted).items()]
    pairs += [(state[name], wanted_state[name]) for name in wanted_state]
    for array, truth in pairs:
        np.testing.assert_allclose(array, truth, rtol=0, atol=MODEL[str(graph.dtype)] * max(1, abs(truth).max()))


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        if isinstance(other, np.ndarray):
            np.testing.assert_array_equal(one, other)
        else:
            assert one.keys() == other.keys()
            for name in other:
                np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("level", [level.name for level in cpu_info() if level.available])
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_core_computes_what_the_operators_define(make, dtype, level):
    graph = make(1, dtype)
    with use_level(level):
        model = Model(graph)
        for steps, batch in ((1, 1), (1, 9), (7, 3), (600, 2)):
            fed = graphs.feed(graph, steps, batch)
            assert_close(graph, model.run(fed), by_definition(graph).run(fed))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MAKERS), st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**16), st.integers(1, 3), st.data()
)
def test_lengths_and_resets(make, steps, batch, seed, threads, data):
    graph = make(seed % 7, "float64")
    if make is graphs.policy:
        steps = 1
    fed = graphs.feed(graph, steps, batch, seed)
    random = np.random.default_rng(seed)
    options = {}
    if make is not graphs.policy and data.draw(st.booleans()):
        options["lengths"] = random.integers(0, steps + 1, batch)
    if data.draw(st.booleans()):
        marks = random.random((steps, batch)) < 0.3
        first = graph.inputs[0].axes
        options["reset"] = marks[0] if "T" not in first else marks.T if first.startswith("B") else marks
    state = Model(graph).initial_state(batch)
    for name in state:
        given = random.random(batch) < 0.8  # the other rows begin anew
        state[name][:, given] = random.standard_normal(state[name][:, given].shape)
    assert_close(
        graph,
        Model(graph, threads=threads).run(fed, state, **options),
        by_definition(graph).run(fed, state, **options),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", CAUSAL)
def test_pieces_rows_and_threads_give_the_same_bits(make, dtype):
    """The promise for whole models: in pieces of any length, alone or in a batch, on any number of threads."""
    graph = make(2, dtype)
    model, steps, batch = Model(graph, threads=1), 1100, 5
    axes = graph.inputs[0].axes
    x = graphs.feed(graph, steps, batch)[graph.inputs[0].name]
    whole, last = model.run(x)
    time = axes.index("T")
    for lengths in ([1] * 5 + [steps - 5], [100, 513, 487], [steps - 1, 1]):
        state, pieces = None, []
        for piece in np.split(x, np.cumsum(lengths)[:-1], axis=time):
            y, state = model.run(piece, state)
            pieces.append(y)
        assert_same((np.concatenate(pieces, time), state), (whole, last))
    for row in range(batch):
        alone, state = model.run(np.take(x, [row], axes.index("B")))
        assert_same((alone,), (np.take(whole, [row], axes.index("B")),))
        np.testing.assert_array_equal(state[next(iter(state))], last[next(iter(state))][:, row : row + 1])
    assert_same(model.run(x, threads=2), (whole, last))
    assert_same(model.run(x, threads=3), (whole, last))
    unbatched, _ = model.run(np.take(x, 0, axes.index("B")))
    np.testing.assert_array_equal(unbatched, np.take(whole, 0, axes.index("B")))


def test_steps_are_the_sequence():
    graph = graphs.denoiser()
    model = Model(graph)
    x = graphs.feed(graph, 20, 3)["noisy"]
    whole, last = model.run(x)
    state = None
    for t in range(20):
        y, state = model.step(x[:, t], state)
        np.testing.assert_array_equal(y, whole[:, t])
    assert_same((state,), (last,))
    y, state = model.step(x[0, 0])
    np.testing.assert_array_equal(y, whole[0, 0])
    assert state.batch == 1


@pytest.mark.parametrize("make", MAKERS)
def test_any_strides_and_out(make):
    graph = make(4, "float32")
    model = Model(graph)
    fed = graphs.feed(graph, 6, 4)
    wanted, state = model.run(fed)
    odd = {name: np.asfortranarray(array) for name, array in fed.items()}
    spread = {name: np.repeat(np.repeat(array, 2, -1), 3, 0)[::3, ..., ::2] for name, array in fed.items()}
    for arrays in (odd, spread):
        out = {name: np.full(array.shape, 7, np.float32, order="F") for name, array in named(model, wanted).items()}
        found, after = model.run(arrays, out=out)
        assert_same((named(model, found), after), (named(model, wanted), state))
        assert all(named(model, found)[name] is out[name] for name in out)


def test_out_may_be_the_input():
    graph = graphs.denoiser()
    model, x = Model(graph), graphs.feed(graph, 9, 2)["noisy"]
    wanted, _ = model.run(x.copy())
    model.run(x, out=x)
    np.testing.assert_array_equal(x, wanted)


def test_arguments_are_not_changed():
    graph = graphs.denoiser()
    model = Model(graph)
    x = graphs.feed(graph, 5, 2)["noisy"]
    state = model.initial_state(2)
    copy, before = x.copy(), state.copy()
    x.setflags(write=False)
    model.run(x, state)
    np.testing.assert_array_equal(x, copy)
    assert_same((state,), (before,))


def test_states_can_be_read_set_and_reset():
    graph = graphs.denoiser()
    model = Model(graph)
    x = graphs.feed(graph, 5, 3)["noisy"]
    _, state = model.run(x)
    assert list(state) == [node.name for node in graph.nodes if node.operator == "GRU"]
    name = next(iter(state))
    with pytest.raises(errors.ShapeError, match="Expected \\(1, 3, 20\\)"):
        state[name] = np.zeros((1, 2, 20))
    with pytest.raises(errors.ArgumentError, match="no state 'gru'"):
        state["gru"] = 0
    again = State.from_bytes(state.to_bytes())
    assert_same((again,), (state,))
    assert_same(model.run(x, again), model.run(x, state))
    picked = state.select([2, 0])
    np.testing.assert_array_equal(picked[name], state[name][:, [2, 0]])
    state.reset([1])
    fresh, _ = model.run(x[1:2])
    np.testing.assert_array_equal(model.run(x, state)[0][1:2], fresh)
    assert state[name][0, 0].any()
    state.reset()
    assert_same(model.run(x, state), model.run(x))
    state[name] = np.ones((1, 3, 20), np.float32)
    assert state[name].sum() == 60


@pytest.mark.parametrize("data", [b"", b"abc", bytes(100), b"\x80\x04K\x01."])
def test_bytes_that_are_no_state_are_refused(data):
    with pytest.raises(errors.FormatError, match="not a state"):
        State.from_bytes(data)


def shapes(graph, batch=2, steps=3):
    return graphs.feed(graph, steps, batch)


TAGGER, DENOISER, POLICY, BOTH = graphs.tagger(), graphs.denoiser(), graphs.policy(), graphs.everything()
X = shapes(DENOISER)["noisy"]
WORDS = shapes(TAGGER)["words"]
WRONG = {
    "features": (DENOISER, (X[..., :5],), {}, errors.ShapeError, r"has 5 features .* Expected 33: shape \(batch, steps, 33\)"),
    "float64": (DENOISER, (X.astype(float),), {}, errors.DTypeError, "float64. Expected float32"),
    "half": (DENOISER, (X.astype(np.float16),), {}, errors.DTypeError, "float16. Expected float32"),
    "integers": (DENOISER, (X.astype(int),), {}, errors.DTypeError, "int64. Expected float32"),
    "complex": (DENOISER, (X.astype(complex),), {}, errors.DTypeError, "complex128. Expected float32"),
    "text": (DENOISER, ("noise",), {}, errors.DTypeError, "Expected float32"),
    "nothing": (DENOISER, (None,), {}, errors.DTypeError, "Expected float32"),
    "one axis": (DENOISER, (X[0, 0],), {}, errors.RankError, r"shape \(33,\). Expected"),
    "four axes": (DENOISER, (X[None],), {}, errors.RankError, "Expected"),
    "no steps": (DENOISER, (X[:, :0],), {}, errors.ShapeError, "no steps"),
    "floats for indices": (TAGGER, (WORDS.astype(np.float32),), {}, errors.DTypeError, "Expected integers"),
    "index too large": (TAGGER, (WORDS + 20,), {}, errors.IndexRangeError, "Expected 0 to 19"),
    "index below 0": (TAGGER, (WORDS - 20,), {}, IndexError, "Expected 0 to 19"),
    "lengths of floats": (TAGGER, (WORDS,), {"lengths": [1.0, 2.0]}, errors.DTypeError, "`lengths` is of type float64"),
    "lengths too long": (TAGGER, (WORDS,), {"lengths": [1, 4]}, errors.SequenceError, "from 1 to 4. Expected 0 to 3"),
    "lengths below 0": (TAGGER, (WORDS,), {"lengths": [-1, 3]}, errors.SequenceError, "from -1 to 3"),
    "lengths of no steps": (POLICY, (shapes(POLICY)["observation"],), {"lengths": [1, 1]}, errors.SequenceError, "no input of this model has steps"),
    "lengths of others": (TAGGER, (WORDS,), {"lengths": [1, 2, 3]}, errors.SequenceError, r"\(3,\). Expected \(2,\)"),
    "reset of integers": (TAGGER, (WORDS,), {"reset": np.zeros((2, 3), int)}, errors.DTypeError, "Expected bool"),
    "reset turned": (TAGGER, (WORDS,), {"reset": np.zeros((3, 2), bool)}, errors.SequenceError, r"Expected \(2, 3\)"),
    "state of a batch": (DENOISER, (X, Model(DENOISER).initial_state(3)), {}, errors.ShapeError, r"Expected \(1, 2, 20\)"),
    "state of a model": (DENOISER, (X, Model(TAGGER).initial_state(2)), {}, errors.ArgumentError, "belongs to the model"),
    "state of a dtype": (DENOISER, (X, Model(graphs.denoiser(0, "float64")).initial_state(2)), {}, errors.DTypeError, "float64"),
    "state an array": (DENOISER, (X, np.zeros((1, 2, 20))), {}, errors.InputTypeError, "ndarray. Expected a fastgru.runtime.State"),
    "threads 0": (DENOISER, (X,), {"threads": 0}, errors.ArgumentError, "threads=0"),
    "threads half": (DENOISER, (X,), {"threads": 1.5}, errors.ArgumentError, "threads=1.5"),
    "threads true": (DENOISER, (X,), {"threads": True}, errors.ArgumentError, "threads=True"),
    "out of a shape": (DENOISER, (X,), {"out": np.zeros((3, 2, 33), np.float32)}, errors.ShapeError, r"Expected \(2, 3, 33\)"),
    "out of a dtype": (DENOISER, (X,), {"out": np.zeros((2, 3, 33))}, errors.DTypeError, "float64. Expected float32"),
    "out a list": (DENOISER, (X,), {"out": []}, errors.InputTypeError, "Expected a writable numpy.ndarray"),
    "out by name": (DENOISER, (X,), {"out": {"y": X.copy()}}, errors.ArgumentError, r"Expected \['clean'\]"),
    "an unknown input": (DENOISER, ({"x": X},), {}, errors.ArgumentError, r"Expected \['noisy'\]"),
    "one of two inputs": (BOTH, (X,), {}, errors.InputTypeError, "the inputs steps, row"),
    "two batches": (BOTH, (shapes(BOTH) | {"row": np.zeros((3, 3), np.float32)},), {}, errors.ShapeError, "'steps' has 2, 'row' has 3"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused_before_anything_happens(name):
    graph, args, options, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        Model(graph).run(*args, **options)


def test_step_wants_no_axis_of_steps():
    with pytest.raises(errors.RankError, match="Use `run` for sequences and `step` for one step"):
        Model(DENOISER).step(X[None])


def test_lists_are_arrays():
    model = Model(TAGGER)
    np.testing.assert_array_equal(model.run(WORDS.tolist())[0], model.run(WORDS)[0])
    np.testing.assert_array_equal(Model(DENOISER).run(X.tolist())[0], Model(DENOISER).run(X)[0])


def test_no_rows():
    output, state = Model(DENOISER).run(X[:0])
    assert output.shape == (0, 3, 33)
    assert state.batch == 0


def test_indices_are_read_once():
    """A thread that changes the indices during a call cannot make the core read outside of the table."""
    model, words = Model(graphs.tagger(layers=1)), np.zeros((4, 2000), np.int64)
    stop = threading.Event()

    def change():
        while not stop.is_set():
            words[...] = 2**40
            words[...] = 0

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            try:
                output, _ = model.run(words)
                assert np.isfinite(output).all()
            except IndexError:
                pass
    finally:
        stop.set()
        thread.join()


def test_threads_share_a_model():
    model, x = Model(DENOISER, threads=1), graphs.feed(DENOISER, 200, 3)["noisy"]
    wanted, found = model.run(x), [None] * 4

    def work(place):
        for _ in range(10):
            found[place] = model.run(x)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        assert_same(one, wanted)


def test_a_model_follows_the_level():
    model = Model(DENOISER)
    with use_level(cpu_info()[-1].name):
        assert_close(DENOISER, model.run(X), by_definition(DENOISER).run(X))
    assert_same(model.run(X), Model(DENOISER).run(X))


def test_without_the_core_numpy_computes_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastgru.runtime.core_execution", None)
    with pytest.warns(errors.SlowPathWarning, match="its compiled core is not installed"):
        model = Model(DENOISER)
    assert isinstance(model._execution, NumPyExecution)
    monkeypatch.undo()
    assert not isinstance(execution_of(DENOISER), NumPyExecution)
    assert_close(DENOISER, Model(DENOISER).run(X), model.run(X))


@pytest.mark.parametrize("weights", ["bfloat16", "float16", "int8"])
def test_weights_in_fewer_bytes(weights):
    large = graphs.denoiser(features=65, hidden=64)
    small = {key: array / 4 for key, array in large.parameters.items()}  # about what layers begin with
    graph = Graph(large.inputs, large.nodes, large.outputs, small)
    exact, model = Model(graph), Model(graph, weights=weights)
    x = graphs.feed(graph, 50, 3)["noisy"]
    wanted, (output, state) = exact.run(x)[0], model.run(x)
    assert 0 < abs(output - wanted).max() < QUANTIZED_OUTPUT * abs(wanted).max()
    frames, now = [], None
    for t in range(50):
        y, now = model.step(x[:, t], now)
        frames.append(y)
    assert_same((np.stack(frames, 1), now), (output, state))


def test_weights_in_fewer_bytes_that_cannot_be():
    with pytest.raises(errors.ArgumentError, match="Expected one of 'float16', 'bfloat16', 'int8'"):
        Model(DENOISER, weights="int4")
    with pytest.raises(errors.ArgumentError, match="it is in float64"):
        Model(graphs.denoiser(0, "float64"), weights="int8")
    drawn = graphs.Drawn(0)
    x = drawn.node("GRU", ["x"], input_size=2, hidden_size=3, reset_after=False)
    graph = drawn.graph([Input("x", "BTF", 2)], [Output("y", x, "BTF")])
    with pytest.raises(errors.ArgumentError, match="reset_after=False"):
        Model(graph, weights="bfloat16")


def test_a_model_that_computes_nothing():
    graph = Graph(
        [Input("x", "BF", 2)], [Node("r", "ReLU", ("x",), ("y",))], [Output("x", "x", "BF"), Output("y", "y", "BF")], {}
    )
    output, state = Model(graph).run(np.array([[-1, 1]], np.float32))
    assert output["x"].tolist() == [[-1, 1]]
    assert output["y"].tolist() == [[0, 1]]
    assert not state
    assert state.batch is None


CLEAN = """
import sys, time
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
begin = time.process_time()
from fastgru import runtime
seconds = time.process_time() - begin
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(seconds, int(status["VmRSS"].split()[0]) / 1024)
begin = time.process_time()
model = runtime.load(sys.argv[1])
print(time.process_time() - begin)
import numpy as np
output, state = model.run(np.zeros((1, 4, 33), np.float32))
print(output.shape, "torch" in sys.modules)
"""


def test_a_clean_process_needs_no_torch_and_little_of_anything(tmp_path):
    """0.2 s and 40 MB. A busy machine makes even processor time longer, so the best of some runs counts."""
    runtime.save(DENOISER, tmp_path / "m.safetensors")
    best = [1e9, 1e9, 1e9]
    for _ in range(12):
        lines = processes.run([sys.executable, "-c", CLEAN, tmp_path / "m.safetensors"], check=True).stdout.split("\n")
        assert lines[2] == "(1, 4, 33) False"
        best = [min(pair) for pair in zip(best, map(float, [*lines[0].split(), lines[1]]), strict=True)]
        if best[0] < 0.2 and best[1] < 40 and best[2] < 0.05:
            return
    raise AssertionError(f"import {best[0]} s, {best[1]} MB, load {best[2]} s")


def test_bytes_of_a_state_whose_arrays_have_been_turned():
    state = runtime.State({"gru": np.arange(12.0).reshape(1, 3, 4)})
    state.arrays["gru"] = state["gru"][:, ::-1]
    np.testing.assert_array_equal(runtime.State.from_bytes(state.to_bytes())["gru"], state["gru"])


def test_a_model_can_be_pickled_and_copied():
    graph = Graph([Input("x", "BTF", 2)], [Node("relu", "ReLU", ("x",), ("y",))], [Output("y", "y", "BTF")], {})
    model, x = Model(graph, threads=2), np.array([[[-1, 2]]], np.float32)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.run(x)[0], model.run(x)[0])
        assert again.threads == 2

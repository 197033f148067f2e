"""The core's readers of arrays: tensors, Python's buffers and addresses give the same bits, and refuse the same."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import Tensor

import fastgru
from fastgru import GRUSpec, _core
from fastgru.backends.cpu import core_calls

NOTHING = (None, None, None, None, False)  # no batch sizes, lengths or resets, and the steps first
READERS = {"tensors": lambda t: t, "buffers": lambda t: t.detach().numpy(), "addresses": core_calls.array_at}
every_reader = pytest.mark.parametrize("reader", READERS)


def handed(reader, value):
    """Tensors as this reader takes them; all else as it is."""
    if isinstance(value, tuple):
        return tuple(handed(reader, one) for one in value)
    return READERS[reader](value) if isinstance(value, Tensor) else value


class Problem:
    """A layer and a batch with whatever a call may have."""

    def __init__(self, dtype=torch.float32, kind="padded"):
        torch.manual_seed(0)
        self.spec, self.dtype = GRUSpec(3, 5, 2, True, True), dtype
        self.sizes = core_calls.sizes_for(self.spec, dtype)
        self.batch_first = kind == "padded"
        lead = (9,) if kind == "packed" else (4, 6)
        rows = 4
        self.x, self.h_0 = self._drawn(*lead, 3), self._drawn(4, rows, 5)
        self.weights = tuple(0.3 * self._drawn(*shape) for shape in self.spec.parameter_shapes)
        self.outer = self._drawn(*lead, 10), self._drawn(4, rows, 5)
        if kind == "packed":
            self.sequences = (torch.tensor([4, 3, 2]), None, None, None)
            slots = total = 9
        else:
            lengths = torch.tensor([6, 0, 3, 5])
            self.sequences = (None, lengths, torch.rand(4, 6) < 0.3, self._drawn(4, rows, 5))
            slots, total = 24, 14
        self.values = self.sizes.saved_values(slots, total, False)
        self.sums = torch.float64 if dtype is torch.float64 else torch.float32

    def _drawn(self, *shape):
        return torch.randn(shape, dtype=torch.float64).to(self.dtype)

    @property
    def inputs(self):
        return self.x, self.h_0, self.weights, *self.sequences, self.batch_first

    def run(self, reader):
        """Output, h_n and all gradients."""
        output, h_n = torch.full_like(self.outer[0], torch.nan), torch.full_like(self.h_0, torch.nan)
        saved = torch.empty(self.values, dtype=self.sums)
        inputs = handed(reader, self.inputs)
        results = handed(reader, (output, h_n, saved))
        assert self.sizes.forward(*inputs, None, False, 1, results) is results
        told = self.x, self.h_0, self.h_0, *self.weights
        found = [torch.full_like(tensor, torch.nan) for tensor in told]
        read = *inputs, results[0], results[2], False, *handed(reader, self.outer)
        assert self.sizes.backward(*read, handed(reader, tuple(found)), 1) is not None
        return output, h_n, *found


@pytest.mark.parametrize("kind", ["padded", "packed"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_every_reader_leads_to_the_same_bits(dtype, kind):
    problem = Problem(dtype, kind)
    want = problem.run("tensors")
    for reader in ("buffers", "addresses"):
        for got, right in zip(problem.run(reader), want, strict=True):
            assert not got.isnan().any()
            assert torch.equal(got, right)


def test_bfloat16_goes_by_address():
    problem = Problem(torch.bfloat16)
    assert all(map(torch.equal, problem.run("addresses"), problem.run("tensors")))


def test_the_layer_agrees_with_its_weights_as_numpy_arrays():
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    want, state = layer(x)
    sizes, weights = _core.LayerSizes(3, 4, 1, 1, True, "float32"), handed("buffers", tuple(layer.parameters()))
    output, h_n = np.empty((5, 2, 4), np.float32), np.empty((1, 2, 4), np.float32)
    assert sizes.forward(x.numpy(), None, weights, *NOTHING, None, False, 1, (output, h_n, None)) is not None
    assert np.array_equal(output, want.detach().numpy())
    assert np.array_equal(h_n, state.detach().numpy())


def forward(x, results=None, weights=None):
    """A step of a small layer on what NumPy has; None where the core refuses."""
    sizes = _core.LayerSizes(3, 4, 1, 1, True, "float32")
    shapes = GRUSpec(3, 4).parameter_shapes
    weights = tuple(np.full(shape, 0.1, np.float32) for shape in shapes) if weights is None else weights
    if results is None:
        results = np.empty((5, 2, 4), np.float32), np.empty((1, 2, 4), np.float32), None
    return sizes.forward(x, None, weights, *NOTHING, None, False, 1, results)


X = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "turned",
    [
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.repeat(x, 2, 0)[::2],
        lambda x: x[:, ::-1].copy()[:, ::-1],
        lambda x: np.concatenate([x, x], 2)[..., :3],
        lambda x: memoryview(x.tobytes()).cast("f", [5, 2, 3]),
        lambda x: x.astype("=f4"),
    ],
    ids=["steps backwards", "gaps between steps", "rows backwards", "gaps between vectors", "memoryview", "native"],
)
def test_buffers_with_other_strides(turned):
    want = forward(X)
    got = forward(turned(X))
    assert np.array_equal(got[0], want[0])
    assert np.array_equal(got[1], want[1])


def misaligned(x):
    memory = np.zeros(x.nbytes + 1, np.uint8)
    own = np.frombuffer(memory[1:], np.float32).reshape(x.shape)
    own.flags.writeable = True
    own[:] = x
    return own


@pytest.mark.parametrize(
    "wrong",
    [
        X.astype(np.float64),
        X.astype(np.int32),
        X.astype(np.complex64),
        X.astype(">f4"),
        X[..., None],
        X[0],
        X[:0],
        X[..., :2],
        np.float32(1),
        X.transpose(1, 0, 2),
        np.repeat(X, 2, 2)[..., ::2],
        misaligned(X),
        np.zeros((5, 2), [("x", "<f4", 3), ("y", "u1")])["x"],  # steps of 13 bytes
        X.tolist(),
        b"123",
        memoryview(X).cast("B"),
        np.array([None]),
        (X.ctypes.data, (5, 2, 3), (6, 3, 1)),
        X.ctypes.data,
    ],
    ids=lambda value: f"{type(value).__name__}{getattr(value, 'shape', '')}{getattr(value, 'dtype', '')}",
)
def test_what_is_no_array_as_the_core_wants_it_is_refused(wrong):
    assert forward(X) is not None
    assert forward(wrong) is None
    weights = tuple(np.full(shape, 0.1, np.float32) for shape in GRUSpec(3, 4).parameter_shapes)
    assert forward(X, weights=(weights[0], wrong, *weights[2:])) is None


def test_results_are_written_to_what_may_be_written_to():
    output, h_n = np.empty((5, 2, 4), np.float32), np.empty((1, 2, 4), np.float32)
    assert forward(X, (output, h_n, None)) is not None
    fixed = output.copy()
    fixed.flags.writeable = False
    for wrong in (fixed, output[:4], np.empty((2, 5, 4), np.float32).transpose(1, 0, 2), output.astype("f8"), None):
        assert forward(X, (wrong, h_n, None)) is None
    assert forward(X, (output, fixed[:1], None)) is None
    assert forward(X, (output, h_n)) is None
    assert forward(X, [output, h_n, None]) is None


@every_reader
@pytest.mark.parametrize("other", READERS)
def test_arrays_of_a_call_are_of_one_kind(reader, other):
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    sizes, weights = _core.LayerSizes(3, 4, 1, 1, True, "float32"), handed(other, tuple(layer.parameters()))
    results = handed(reader, (torch.empty(5, 2, 4), torch.empty(1, 2, 4), None))
    found = sizes.forward(handed(reader, x), None, weights, *NOTHING, None, False, 1, results)
    assert (found is None) == (reader != other)


@pytest.mark.parametrize("reader", ["buffers", "addresses"])
def test_tensors_are_made_for_tensors_only(reader):
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    sizes, weights = _core.LayerSizes(3, 4, 1, 1, True, "float32"), tuple(layer.parameters())
    output, _, saved = sizes.forward(x, None, weights, *NOTHING, torch.empty, False, 1)
    wanted, nothing, memory = (True, *[False] * 6), (False,) * 7, torch.empty_like(x)

    def backward(gradients):
        return sizes.backward(x, None, weights, *NOTHING, output, saved, False, output, None, gradients, 1)

    assert backward(wanted) is not None
    assert backward(nothing) == (None,) * 7
    assert backward((memory, True, *nothing[2:])) is None  # some are given, others to be made
    x, weights, output, saved = handed(reader, (x, weights, output, saved))
    assert sizes.forward(x, None, weights, *NOTHING, None, False, 1) is None
    assert backward(wanted) is None
    assert backward(nothing) == (None,) * 7
    assert backward((handed(reader, memory), True, *nothing[2:])) is None


@pytest.mark.parametrize("reader", ["tensors", "buffers"])
def test_several_models_are_given_by_address(reader):
    x, weights = torch.randn(2, 5, 2, 3), tuple(torch.randn(2, *shape) for shape in GRUSpec(3, 4).parameter_shapes)
    results = torch.empty(2, 5, 2, 4), torch.empty(2, 1, 2, 4)
    models = _core.Models(2, {"input": 120, "output": 160, "h_n": 32}, [4 * w[0].numel() for w in weights], [])
    sizes = _core.LayerSizes(3, 4, 1, 1, True, "float32")

    def run(own):
        first = handed(own, (x[0], None, tuple(w[0] for w in weights)))
        return sizes.forward(
            *first, *NOTHING, None, False, 1, (*handed(own, (results[0][0], results[1][0])), None), models
        )

    assert run(reader) is None
    assert run("addresses") is not None
    layer = fastgru.GRU(3, 4)
    for model in range(2):
        layer.load_state_dict({name: w[model] for (name, _), w in zip(layer.named_parameters(), weights, strict=True)})
        assert torch.equal(results[0][model], layer(x[model])[0])


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (lambda: _core.Models(2, {}, [0] * 3, []), "each parameter"),
        (lambda: _core.Models(2, {"inputs": 4}, [0] * 4, []), "no tensor of this name"),
        (lambda: _core.ArrayAt(None, 0, "int8", (1,), (1,)), "of this type"),
        (lambda: _core.ArrayAt(None, 0, "bool", (1,) * 6, (1,) * 6), "5 dimensions"),
        (lambda: _core.ArrayAt(None, 0, "bool", (1, 2), (1,)), "5 dimensions"),
    ],
)
def test_wrong_models_and_addresses(models, words):
    given = [torch.zeros(5, 2, 3), None, tuple(torch.zeros(shape) for shape in GRUSpec(3, 4).parameter_shapes)]
    results = torch.empty(5, 2, 4), torch.empty(1, 2, 4), None
    with pytest.raises(ValueError, match=words):
        core_calls.sizes_for(GRUSpec(3, 4), torch.float32).forward(
            *handed("addresses", tuple(given)), *NOTHING, None, False, 1, handed("addresses", results), models()
        )


def test_a_user_cannot_pass_arrays_or_addresses_for_tensors():
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    h_0 = torch.zeros(1, 2, 4)
    for hx in (h_0.numpy(), core_calls.array_at(h_0), (h_0, h_0), (h_0.data_ptr(), (1, 2, 4), (8, 4, 1))):
        for own in (layer, fastgru.GRU(3, 4).freeze()):
            with torch.no_grad(), pytest.raises((TypeError, AttributeError)):
                own(x, hx)
    for input in (x.numpy(), core_calls.array_at(x)):
        for own in (layer, fastgru.GRU(3, 4).freeze()):
            with torch.no_grad(), pytest.raises((TypeError, AttributeError)):
                own(input)


def forward_while_memory_goes(values, results):
    """A call during which another thread lets go of the input's memory; its results, and what the thread was told."""
    memory, told, begins, ends = bytearray(values.tobytes()), [], threading.Event(), threading.Event()
    x = memoryview(memory).cast("f", values.shape)

    def give_back():
        begins.wait()
        x.release()
        while not ends.is_set() and "given back" not in told:
            try:
                memory.clear()
                told.append("given back")
            except BufferError:
                told.append("held")

    thread = threading.Thread(target=give_back)
    thread.start()
    begins.set()
    try:
        return forward(x, results), told
    finally:
        ends.set()
        thread.join()


def test_the_memory_of_a_buffer_is_held_while_others_run():
    values = np.random.default_rng(0).normal(size=(2000, 64, 3)).astype(np.float32)
    results = np.empty((2000, 64, 4), np.float32), np.empty((1, 64, 4), np.float32), None
    want = forward(values, results)[0].copy()
    for _ in range(100):  # until the threads meet
        results[0][:] = np.nan
        got, told = forward_while_memory_goes(values, results)
        assert got is None or np.array_equal(got[0], want)  # None: the memory went before the call
        if got is not None and "held" in told:
            return
    pytest.fail("the memory was never held")

"""Mutation tests of test_backends: each argument and result of the core is broken once, at each entry point."""

from __future__ import annotations

import ast
import ctypes
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import fastgru
from fastgru import GRUSpec
from fastgru.backends.cpu import core_calls
from fastgru.errors import OperandError
from ways import CORE_DOORS, LEVELS, PLAIN, Call, check, no_kernel, replaced_cores, through

# Together they use whatever may be broken.
CALLS = [
    Call(GRUSpec(3, 5, 2, True, True), 4, 4, own=(4, 2, 0, 3), batch_first=True, with_reset=True),
    Call(GRUSpec(5, 5, 2, True, True), 4, 4, recompute=True),
    Call(GRUSpec(5, 5), 3, 3, with_grad=False),
]
METHODS = ("forward", "backward")
every_core_door = pytest.mark.parametrize("door", CORE_DOORS)


def _names_of_arguments():
    """Of the methods of the core, in their order, as the stub has them."""
    stub = ast.parse(Path(fastgru.__file__).with_name("_core.pyi").read_text())
    (core,) = (node for node in stub.body if isinstance(node, ast.ClassDef) and node.name == "LayerSizes")
    methods = (node for node in core.body if isinstance(node, ast.FunctionDef))
    return {method.name: [argument.arg for argument in method.args.args[1:]] for method in methods}


NAMES = _names_of_arguments()


class BrokenCore:
    """A core, one of whose methods gets what `change` makes of its arguments."""

    def __init__(self, core, method, change, applied):
        self._core, self._method, self._change, self._applied = core, method, change, applied

    def __getattr__(self, name):
        right = getattr(self._core, name)
        if name != self._method:
            return right

        def wrong(*arguments):
            given = dict(zip(NAMES[name], arguments, strict=False))  # the last ones may be left out
            changed = self._change(dict(given))
            if changed is not None:
                self._applied.append(name)
                given |= changed
            return right(*given.values())

        return wrong


class RefusingCore(BrokenCore):
    """A core, one of whose methods refuses everything."""

    def __getattr__(self, name):
        return (lambda *_: None) if name == self._method else getattr(self._core, name)


@contextmanager
def broken_argument(method, change):
    """Inside, the core's method gets wrong arguments; the list that is given out tells how often."""
    applied = []
    with replaced_cores(lambda core: BrokenCore(core, method, change, applied)):
        yield applied


def without(name):
    return lambda given: None if given[name] is None else {name: None}


def with_others_lengths(given):
    """Every sequence gets the length of another: the sum stays, and with it the memory that is needed."""
    lengths = given["lengths"]
    if lengths is None or isinstance(lengths, torch.Tensor):
        return None if lengths is None else {"lengths": lengths.flip(0)}
    here = (ctypes.c_int64 * CALLS[0].rows).from_address(lengths.address)
    return {"lengths": core_calls.array_at(torch.tensor(here[::-1]))}


def with_turned_input(given):
    """As if the other of the two dimensions came first; both are as long, so that all memory is the call's own."""
    return {"batch_first": not given["batch_first"]}


def with_swapped(kind):
    """The parameters of this place in two cells of the last layer, which have the same shape."""

    def change(given):
        parameters = list(given["parameters"])
        if len(parameters) < 16:
            return None
        parameters[8 + kind], parameters[12 + kind] = parameters[12 + kind], parameters[8 + kind]
        return {"parameters": tuple(parameters)}

    return change


def with_flipped_recompute(given):
    return None if given["recomputes"] else {"recomputes": True}  # the other way it would want memory that is not there


def altered(array):
    """The array with another first number; of its own where it is a tensor."""
    if isinstance(array, torch.Tensor):
        array = array.clone()
        array.view(-1)[0] += 0.5
    else:
        ctypes.c_float.from_address(array.address).value += 0.5
    return array


def with_altered(name):
    return lambda given: {name: altered(given[name])}


FORWARD = {
    "no h_0": without("h_0"),
    "lengths of others": with_others_lengths,
    "no resets": without("reset"),
    "no state of resets": without("reset_state"),
    "input turned": with_turned_input,
    "recompute flipped": with_flipped_recompute,
    **{f"parameter {kind} swapped": with_swapped(kind) for kind in range(4)},
}
BACKWARD = FORWARD | {
    "saved altered": with_altered("saved"),
    "output altered": with_altered("output"),
    "no d_output": without("d_output"),
    "no d_h_n": without("d_h_n"),
}
ARGUMENTS = [(0, name) for name in FORWARD] + [(1, name) for name in BACKWARD if name != "parameter 2 swapped"]


def check_all(door):
    for number, call in enumerate(CALLS):
        torch.manual_seed(number)
        check(door, LEVELS[0], call)


def is_found(door):
    """Whether the check tells of a result that is off, of a call that the core did not take, or of lack of memory."""
    with pytest.raises((AssertionError, ValueError), match=r": off by .*, allowed|took the long way|is too small"):
        check_all(door)


@every_core_door
def test_what_is_not_broken_passes(door):
    with broken_argument(METHODS[0], lambda _: {}) as applied:
        check_all(door)
    assert len(applied) == len(CALLS)


@every_core_door
@pytest.mark.parametrize(("place", "name"), ARGUMENTS)
def test_a_wrong_argument_is_found(door, place, name):
    with broken_argument(METHODS[place], (FORWARD, BACKWARD)[place][name]) as applied:
        is_found(door)
    assert applied


FUNCTIONS = {PLAIN: ("forward_plain", "backward_plain"), "cpu": METHODS}
RESULTS = [(0, 0), (0, 1), *((1, index) for index in (0, 1, 2, 3, 4, 5, 6, -1))]


@every_core_door
@pytest.mark.parametrize(("place", "index"), RESULTS)
def test_a_wrong_result_is_found(door, place, index, monkeypatch):
    name = FUNCTIONS[door][place]
    right, applied = getattr(core_calls, name), []

    def wrong(*arguments, **options):
        found = list(right(*arguments, **options))
        if found[index] is not None:
            applied.append(name)
            found[index] = found[index] * 1.001
        return tuple(found)

    monkeypatch.setattr(core_calls, name, wrong)
    is_found(door)
    assert applied


@pytest.mark.parametrize("method", METHODS)
def test_a_call_that_leaves_the_plain_door_is_found(method):
    told = pytest.raises(AssertionError, match="took the long way")
    with replaced_cores(lambda core: RefusingCore(core, method, None, [])), told:
        check_all(PLAIN)


@every_core_door
@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("kind", ["GRU", "GRUCell"])
def test_a_call_that_reaches_a_kernel_is_found(door, is_training, kind):
    layer, x = getattr(fastgru, kind)(3, 4), torch.randn(*((5, 2, 3) if kind == "GRU" else (2, 3)))
    method = "step" if kind == "GRUCell" and door == PLAIN and not is_training else "forward"
    told = pytest.raises(AssertionError, match=rf"a kernel was reached, by {method}$")
    with torch.set_grad_enabled(is_training), through(door), no_kernel(), told:
        layer(x)
    layer(x)


@pytest.mark.parametrize("method", METHODS)
def test_tensors_that_change_while_a_long_call_begins_are_an_error(method):
    told = pytest.raises(OperandError, match="by another thread")
    with replaced_cores(lambda core: RefusingCore(core, method, None, [])), told:
        check_all("cpu")


@pytest.mark.parametrize("method", METHODS)
def test_models_that_change_while_their_call_begins_are_an_error(method):
    layer, x = fastgru.GRU(3, 4), torch.randn(2, 5, 2, 3)
    parameters = {name: p.detach().expand(2, *p.shape) for name, p in layer.named_parameters()}

    def loss(own, x):
        return torch.func.functional_call(layer, own, (x,))[0].sum()

    told = pytest.raises(OperandError, match="by another thread")
    with replaced_cores(lambda core: RefusingCore(core, method, None, [])), told:
        torch.func.vmap(torch.func.grad(loss))(parameters, x)


@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
def test_packed_sequences_and_lengths_take_the_short_way(monkeypatch, grad):
    layer, x = fastgru.GRU(3, 5, 2, bidirectional=True), torch.randn(4, 2, 3)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, [4, 2])
    expected, last = layer(x, lengths=[4, 2])
    monkeypatch.setattr("fastgru.dispatch._run_requested", None)
    with torch.set_grad_enabled(grad):
        output, h_n = layer(packed)
    assert torch.equal(torch.nn.utils.rnn.pad_packed_sequence(output)[0], expected)
    assert torch.equal(h_n, last)
    if grad:
        h_n.sum().backward()
        assert layer.weight_ih_l0.grad is not None

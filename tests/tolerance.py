"""How far results may be from each other: the only place with such numbers, and why they are what they are.

The truth is the reference in float64. A path in a lower type passes when its error is at most twice the error that
`torch.nn.GRU` makes on the same numbers in the same type: never noticeably worse than torch. Since torch's error may be
0 by chance, a floor of a few units in the last place of the largest value is added.

Where two libraries are compared directly, both may err by that much, in opposite directions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

# A gate is a sum of some ten to some hundred products; its rounding errors add up to a few units in the last place,
# and a recurrence carries them on without making them grow (|h| <= 1 contracts). Measured over thousands of random
# layers, the largest is 9; 16 leaves what random draws may add.
FLOOR_UNITS = 16
TIMES_TORCH = 2

# Long sequences and wide layers, whose gradients are long sums: their errors against float64 beside torch's, largest of
# a tensor. Measured: 0.2 to 1.7 times; before the sums were made of pieces, up to six times.
TIMES_TORCHS_GRADIENTS = 3

# Direct comparisons of results that two programs computed, in units of the last place of the largest value: twice the
# floor, and twice again for gradients, which pass through the recurrence once more.
DIRECT_UNITS = 4 * FLOOR_UNITS

# float64 differs from its own reference in the order of sums alone.
FLOAT64_UNITS = 64

# With weights of 8 bits a step is exact but for the rounding of float32; a layer differs from the same layer with its
# weights unrounded by the rounding of weights, inputs and states. Measured over random layers of all sizes: 0.012.
QUANTIZED_OUTPUT = 0.05

# Weights in fewer bytes may change what a trained model is judged by to this part.
QUANTIZED_MEASURE = 0.005

# ONNX Runtime on the model that we wrote, in float32: it sums in an order of its own and has other approximations of
# sigmoid and tanh. What is promised; measured up to 3e-7 at the sizes of the tests.
ONNX_RUNTIME = 1e-5

# Layers of other frameworks in float32 against our equations in float64, with converted weights of up to 0.6 and five
# steps: rounding alone. Measured over all of them: up to 1.4e-7; a gate in the wrong place gives more than 0.01.
FRAMEWORKS = 1e-6

# A whole model by the compiled core beside the definitions of its operators by NumPy, as a part of the largest value:
# sums in another order and other approximations of functions, through some ten to forty nodes. Measured over random
# graphs: 2e-6 and 3e-15.
MODEL = {"float32": 2e-5, "float64": 5e-14}

# Sigmoid and tanh against float64, over all float32 numbers: largest error in units in the last place of the true
# value, and absolute. Measured: see docs/numerics.md. float64 is compared with its own exp, which errs too.
ACTIVATION_ULP = {torch.float32: 3.0, torch.float64: 5.0}
ACTIVATION_ABSOLUTE = {torch.float32: 1e-7, torch.float64: 3e-16}

# exp, log, erf, sqrt, elu and softplus against long double over all magnitudes, in units in the last place, of which
# subnormal results share one. Measured: up to 1.03, 0.8, 1.14, 0.5, 1.2 and 1.64 (docs/numerics.md).
FUNCTION_ULP = 2.0

# Sums of a linear layer of normally distributed values against long double, in units of the last place for each
# product, and for eight more: a single accumulator is as large as the root of its terms, and rounded as often as there
# are terms (twice at the baseline of x86). Measured: up to 2.3, the largest of some 10 000 outputs.
LINEAR_UNITS = 4
# Softmax and layer norm likewise, of values of up to 25 (exponents are rounded before exp) and a scale that tests say.
NORM_UNITS = 24

# A step through the recurrence of a single step, in seconds of noise: memory may grow by what the allocator keeps.
GROWTH_BYTES = 8 << 20
# Operators that a derivative of higher order may take, of those that torch's layer takes for 24 steps.
MOST_OF_TORCHS_OPERATORS = 0.75


def size_of(tensor: Tensor) -> float:
    """The largest finite value, at least 1: the scale that rounding errors have."""
    finite = tensor.detach().double().abs()
    finite = finite[finite.isfinite()]
    return max(1.0, finite.max().item()) if finite.numel() else 1.0


def error(got: Tensor, truth: Tensor) -> float:
    """Largest distance from the truth."""
    if got.numel() == 0:
        return 0.0
    return (got.detach().double() - truth.detach().double()).abs().max().item()


def rms_error(got: Tensor, truth: Tensor) -> float:
    """Root of the mean squared distance: what rounding does on the whole, where the largest is a matter of luck."""
    return (got.detach().double() - truth.detach().double()).square().mean().sqrt().item()


def assert_no_worse_than_torch(got: Tensor, torchs: Tensor, truth: Tensor, name: str = "") -> None:
    """`got` is at most twice as far from `truth` as torch's result, but for a few units in the last place."""
    assert got.shape == truth.shape, f"{name}: shape {tuple(got.shape)}, expected {tuple(truth.shape)}"
    unit = torch.finfo(got.dtype).eps * size_of(truth)
    units = FLOAT64_UNITS if got.dtype == torch.float64 else FLOOR_UNITS
    allowed = TIMES_TORCH * error(torchs, truth) + units * unit
    distance = error(got, truth)
    assert distance <= allowed, f"{name}: off by {distance:.3g}, allowed {allowed:.3g}"


def assert_agrees(got: dict[str, Tensor], want: dict[str, Tensor]) -> None:
    """Two libraries' results by name: same keys, shapes, types, NaN and infinities; finite values close."""
    assert got.keys() == want.keys()
    for name, expected in want.items():
        mine = got[name]
        assert mine.shape == expected.shape, f"{name}: shape {tuple(mine.shape)}, expected {tuple(expected.shape)}"
        assert mine.dtype == expected.dtype, f"{name}: {mine.dtype}, expected {expected.dtype}"
        if not expected.is_floating_point():
            assert torch.equal(mine, expected), name
            continue
        assert torch.equal(mine.isnan(), expected.isnan()), f"{name}: NaN in other places"
        infinite = expected.isinf()
        assert torch.equal(mine[infinite], expected[infinite]), f"{name}: infinities in other places"
        finite = expected.isfinite()
        allowed = DIRECT_UNITS * torch.finfo(expected.dtype).eps * size_of(expected)
        distance = error(mine[finite], expected[finite])
        assert distance <= allowed, f"{name}: apart by {distance:.3g}, allowed {allowed:.3g}"


def assert_within_units(got: Any, truth: Any, units: float, scale: float) -> None:
    """NumPy arrays: off by at most so many units in the last place of `scale`."""
    assert got.shape == truth.shape
    if got.size == 0:
        return
    distance, allowed = np.abs(got.astype(truth.dtype) - truth).max(), units * scale * np.finfo(got.dtype).eps
    assert distance <= allowed, f"off by {distance:.3g}, allowed {allowed:.3g}"

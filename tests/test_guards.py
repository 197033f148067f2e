"""The guards in scripts/: each of them can fail."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def script(name):
    """A script without a suffix, as a module."""
    known = name.replace("-", "_")
    loader = importlib.machinery.SourceFileLoader(known, str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(known, loader))
    sys.modules[known] = module
    loader.exec_module(module)
    return module


LOOP = """
0000000000000000 <void product<float, 8>(float const*)>:
   0:	push   %rbp
   4:	vmovaps 0x40(%rsp),%zmm3
   8:	vbroadcastss (%rax),%zmm1
   c:	vfmadd231ps (%rdx),%zmm1,%zmm2
  10:	{inside}
  14:	cmp    %rax,%rcx
  18:	jne    8 <void product<float, 8>(float const*)+0x8>
  1c:	vmovaps %zmm2,0x40(%rsp)
  20:	ret
"""


@pytest.mark.parametrize(
    ("inside", "spills"),
    [
        ("add    $0x4,%rax", 0),
        ("mov    0xb8(%rsp),%rax", 0),  # an address, not a vector
        ("vmovaps %zmm2,0x40(%rsp)", 1),
        ("vfmadd231ps -0x78(%rbp),%zmm1,%zmm2", 1),
        ("vmovups %zmm2,0x40(%rsi)", 0),
    ],
)
def test_a_spill_inside_the_loop_is_found_and_nothing_else(inside, spills):
    (loop,) = script("check-spills").loops(LOOP.replace("{inside}", inside))
    assert loop.function == "void product<float, 8>(float const*)"
    assert loop.instructions == 5
    assert len(loop.spills) == spills


@pytest.mark.parametrize("product", ["vpdpbusd", "vpmaddwd"])
def test_products_of_integers_are_found_too(product):
    code = LOOP.replace("vbroadcastss", "vpbroadcastd").replace("vfmadd231ps", product)
    (loop,) = script("check-spills").loops(code.replace("{inside}", "vmovdqu %ymm2,0x40(%rsp)"))
    assert len(loop.spills) == 1


def test_loops_that_broadcast_nothing_are_no_products():
    assert script("check-spills").loops(LOOP.replace("vbroadcastss (%rax)", "vmovaps (%rax)")) == []


def test_loops_that_divide_are_gates_and_no_products():
    assert script("check-spills").loops(LOOP.replace("{inside}", "vdivps %zmm2,%zmm0,%zmm2")) == []


@pytest.mark.parametrize(
    ("now", "before", "fails"),
    [(104, 100, False), (106, 100, True), (100, 100, False), (50, 100, False), (1, None, True)],
)
def test_more_instructions_than_before_fail(now, before, fails):
    assert script("count-instructions").verdict(now, before)[1] is fails

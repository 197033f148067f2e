"""Higher derivatives compared with `torch.nn.GRU`: `python benchmarks/derivatives.py [--quick]`, on a quiet machine.

Every cell runs in its own process for each layer, on one thread. The time is the smallest of some calls after one that
is not counted; the memory is the growth of the peak of resident memory. Figures are ours / torch's: above 1 ours is
worse.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap

import fastgru

Call = Callable[[torch.nn.Module, Tensor], object]
GRID = list(itertools.product((1, 2), (1, 2), (4, 16, 64), (4, 64), (1, 8), ("float32",)))  # L, D, T, H, B, dtype
SMALL = list(itertools.product((1, 2), (1, 2), (4, 16), (4, 8), (1, 4), ("float64",)))  # for whole matrices


def _loss(layer: torch.nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: layer(x)[0].sin().sum()


def _tangent(layer: torch.nn.Module, x: Tensor) -> object:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x.cos()))[0]).tangent


def _penalty(layer: torch.nn.Module, x: Tensor) -> object:
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(_loss(layer)(x), x, create_graph=True)
    return torch.autograd.grad(first.square().sum(), [x, *layer.parameters()])


def _per_sample(layer: torch.nn.Module, x: Tensor) -> object:
    own = {name: p.detach() for name, p in layer.named_parameters()}
    loss = lambda own, x: functional_call(layer, own, (x.unsqueeze(1),))[0].sin().sum()  # noqa: E731
    return vmap(grad(loss), in_dims=(None, 1))(own, x)


VECTORS: dict[str, Call] = {
    "forward_ad": _tangent,
    "jvp": lambda layer, x: jvp(_loss(layer), (x,), (x.cos(),)),
    "penalty": _penalty,
    "hvp": lambda layer, x: torch.autograd.functional.hvp(_loss(layer), x, x.cos()),
    "vhp": lambda layer, x: torch.autograd.functional.vhp(_loss(layer), x, x.cos()),
    "jvp of grad": lambda layer, x: jvp(grad(_loss(layer)), (x,), (x.cos(),)),
    "grad of grad": lambda layer, x: grad(lambda x: grad(_loss(layer))(x).square().sum())(x),
    "per sample": _per_sample,
}
MATRICES: dict[str, Call] = {
    "jacfwd": lambda layer, x: jacfwd(lambda x: layer(x)[1])(x),
    "jacrev": lambda layer, x: jacrev(lambda x: layer(x)[0])(x),
    "hessian": lambda layer, x: hessian(_loss(layer))(x),
    "jacrev twice": lambda layer, x: jacrev(jacrev(_loss(layer)))(x),
    "jacfwd twice": lambda layer, x: jacfwd(jacfwd(_loss(layer)))(x),
    "functional.hessian": lambda layer, x: torch.autograd.functional.hessian(_loss(layer), x),
    "functional.hessian, vectorized": lambda layer, x: torch.autograd.functional.hessian(
        _loss(layer), x, vectorize=True
    ),
}


def measure(kind: str, is_ours: bool, cell: list[object], seconds: float) -> tuple[float, float]:
    """Least seconds of a call, and MiB by which the peak of memory grew."""
    layers, directions, steps, hidden, rows, dtype = cell
    torch.set_num_threads(1)
    torch.manual_seed(0)
    own = {"bidirectional": directions == 2, "dtype": getattr(torch, str(dtype))}
    layer = torch.nn.GRU(hidden, hidden, layers, **own)  # type: ignore[arg-type]
    layer = fastgru.GRU.from_torch(layer) if is_ours else layer  # type: ignore[assignment]
    call = (VECTORS | MATRICES)[kind]
    small, x = (torch.randn(*size, hidden, dtype=layer.weight_hh_l0.dtype) for size in ((2, 1), (steps, rows)))
    call(layer, small)  # what torch imports at a first call is nobody's memory
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call(layer, x)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begin = time.perf_counter()
        call(layer, x)
        times.append(time.perf_counter() - begin)
    return min(times), memory / 1024


def _in_process(kind: str, is_ours: bool, cell: tuple[object, ...], seconds: float) -> tuple[float, float] | None:
    asked = json.dumps([kind, is_ours, cell, seconds])
    done = subprocess.run([sys.executable, "-W", "ignore", __file__, "--one", asked], capture_output=True, text=True)
    return tuple(json.loads(done.stdout)) if done.returncode == 0 else None


def main() -> None:
    """Prints a table, a line for each cell, and how many were lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="every fifth cell")
    parser.add_argument("--kinds", nargs="*", default=[*VECTORS, *MATRICES])
    parser.add_argument("--seconds", type=float, default=0.5)
    own = parser.parse_args()
    if own.one:
        print(json.dumps(measure(*json.loads(own.one))))
        return
    print("| kind | L, D, T, H, B, dtype | torch, ms | time | torch, MiB | memory, MiB |\n|---|---|---|---|---|---|")
    ratios: list[float] = []
    for kind in own.kinds:
        for cell in (GRID if kind in VECTORS else SMALL)[:: 5 if own.quick else 1]:
            torchs, ours = (_in_process(kind, is_ours, cell, own.seconds) for is_ours in (False, True))
            name = ", ".join(map(str, cell))
            if ours is None or torchs is None:
                print(f"| {kind} | {name} | {'torch' if torchs is None else 'ours'} refuses | | | |", flush=True)
                continue
            ratios.append(ours[0] / torchs[0])
            figures = f"{torchs[0] * 1e3:.2f} | {ratios[-1]:.2f} | {torchs[1]:.0f} | {ours[1]:.0f}"
            print(f"| {kind} | {name} | {figures} |", flush=True)
    print(f"\n{sum(ratio > 1 for ratio in ratios)} of {len(ratios)} cells took longer than torch's.")


if __name__ == "__main__":
    main()

"""The classes of a row and of the two libraries, and running a check on one of them."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

import fastgru
from fastgru.backends import base

ROOT = Path(__file__).parents[2]
LONGEST_REASON = 130

YES, NO, NOT_RUN, NOT_ASKED = "yes", "no", "not run", "n/a"


@dataclass(frozen=True)
class Library:
    """Where the layers come from. `patch()` is how a program that builds `torch.nn.GRU` gets them."""

    name: str
    module: ModuleType
    GRU: type[nn.Module]
    patch: Callable[[], AbstractContextManager[Any]]

    def find(self, name: str) -> Any:
        """What the library has beside the layer."""
        found = getattr(self.module, name, None)
        assert found is not None, f"there is no `{name}`"
        return found


STOCK = Library("torch.nn.GRU", nn, nn.GRU, nullcontext)
OURS = Library("fastgru.GRU", fastgru, fastgru.GRU, fastgru.patch)


@dataclass(frozen=True)
class Entry:
    """What a run showed: one of the words above, why it is not "yes", and whether the reference had to serve."""

    status: str
    reason: str = ""
    is_slow: bool = False


@dataclass(frozen=True)
class Capability:
    """A row: a check that takes a library and raises where it fails, or the name of a test that stands elsewhere."""

    title: str
    path: str
    name: str
    check: Callable[[Library], None] | None = None
    stock: Entry | None = None  # for torch's layer, where the row does not ask about it
    is_slow: bool = False  # left out by the ordinary tests

    @property
    def node(self) -> str:
        """The test's name for pytest."""
        return f"{self.path}::{self.name}"


class NotRun(Exception):  # noqa: N818 - no error
    """A check lacks something that is not installed."""


GROUPS: dict[str, list[Capability]] = defaultdict(list)


def capability(title: str, **options: Any) -> Callable[[Callable[[Library], None]], Callable[[Library], None]]:
    """Makes a function of a library a row."""

    def add(check: Callable[[Library], None]) -> Callable[[Library], None]:
        path = Path(check.__code__.co_filename).relative_to(ROOT).as_posix()
        GROUPS[check.__module__].append(Capability(title, path, check.__name__, check, **options))
        return check

    return add


def proved_by(module: str, title: str, node: str, stock: Entry | None = None) -> None:
    """Makes a test of the suite a row. Without `stock` it is one that runs torch's layer too, and speaks for both."""
    path, name = node.split("::")
    GROUPS[module].append(Capability(title, path, name, stock=stock))


def need(*packages: str, how: str) -> Any:
    """The modules, or the reason why a check does not run."""
    try:
        found = [import_module(package) for package in packages]
    except ImportError:
        raise NotRun(how) from None
    return found[0] if len(found) == 1 else found


def measure(one: Capability, library: Library) -> Entry:
    """Runs the row's check on a library. Of warnings only the one counts that says that a call is slow."""
    if library is STOCK and one.stock is not None:
        return one.stock
    assert one.check is not None
    torch.manual_seed(0)
    torch._dynamo.reset()
    said = set(base._warned)
    base._warned.clear()
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            one.check(library)
    except NotRun as missing:
        return Entry(NOT_RUN, str(missing))
    except Exception as failure:
        return Entry(NO, shortened(failure))
    finally:
        base._warned.update(said)
    return Entry(YES, is_slow=any(issubclass(each.category, fastgru.errors.SlowPathWarning) for each in told))


def shortened(failure: BaseException) -> str:
    """The kind of an exception and its first line, of the one that began it; without colours and addresses."""
    while failure.__cause__ is not None:
        failure = failure.__cause__
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    line = re.sub(r"\x1b\[\d*m|0x[0-9a-f]+|\[ONNXRuntimeError\] : \d+ : \w+ : ", "", lines[0]) if lines else ""
    if isinstance(failure, AssertionError) and line and not line.startswith("assert "):
        text = line
    else:
        text = f"{type(failure).__name__}: {line}" if line else type(failure).__name__
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3].rstrip() + "..."

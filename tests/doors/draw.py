"""Random choices of a case from its seed, the same on every side."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from doors import misfits, strange, subclasses  # noqa: F401  (each adds kinds)

Makers = Mapping[str, Callable[["Draw", Any], Any]]


class Name(NamedTuple):
    """A case: `entrance.seed`, or `entrance.seed.argument.kind`."""

    entrance: str
    seed: int
    argument: str = ""
    kind: str = ""

    @classmethod
    def parse(cls, text: str) -> Name:
        entrance, seed, *rest = text.split(".", 3)
        return cls(entrance, int(seed), *rest)

    def __str__(self) -> str:
        return ".".join(str(part) for part in self if part != "")


class Draw:
    """Random choices of one case, and notes of the strange ones.

    Attributes:
        notes: in the order of drawing, what is strange: `x=zero_tensor`.
        is_loose: set where torch itself promises nothing; then only a crash or an inner error is wrong.
        arguments: every argument that could have been strange, with the kinds that it could have had.
    """

    def __init__(self, name: Name, tell: Callable[[list[str]], None] = bool) -> None:  # type: ignore[assignment]
        self.name = name
        self._tell = tell
        self.random = random.Random(f"{name.entrance}.{name.seed}")
        self.generator = torch.Generator().manual_seed(self.random.getrandbits(60))
        self.notes: list[str] = []
        self.is_loose = False
        self.arguments: dict[str, list[str]] = {}
        self._left = self.random.choice((0, 1, 1, 1, 1, 2))

    def note(self, text: str) -> None:
        """Writes down something strange, before it can do harm."""
        self.notes.append(text)
        self._tell(self.notes)

    def one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def integer(self, first: int, last: int) -> int:
        return self.random.randint(first, last)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(dtype)

    def strange(self, argument: str, usual: Any, more: Makers | None = None, share: float = 0.4) -> Any:
        """`usual`, or something strange in its place.

        Args:
            argument: its name in notes and cases.
            usual: a tensor.
            more: kinds of this argument alone, drawn as often as all others together.
            share: how often it is strange while the case has strangeness left.
        """
        known: dict[str, Callable[[Draw, Any], Any]] = {**strange.KINDS, **(more or {})}
        self.arguments[argument] = list(known)
        wants = self.chance(share)
        kind = self.one_of(*(more if more and self.chance(0.5) else known))
        if self.name.argument:
            wants, kind = self.name.argument == argument, self.name.kind
        elif self._left <= 0:
            wants = False
        # An operator gives wrappers beside another strange argument, of which makers would die in torch.
        if not wants or (isinstance(usual, Tensor) and torch._is_functional_tensor(usual)):
            return usual
        self._left -= 1
        self.is_loose |= kind in strange.UNDEFINED
        try:
            made = known[kind](self, usual)
        except Exception as error:  # torch has no such thing, as a sparse tensor of no dimension
            self.note(f"{argument}=no {kind}: {type(error).__name__}")
            return usual
        self.note(f"{argument}={kind}")
        return made

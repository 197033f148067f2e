"""The length of a training while it goes on: one line at its start, a bar where that is wanted, and a limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning as L
import rich
from lightning.pytorch.callbacks import Callback, RichProgressBar

from fastgru_recipes.training.budget import Budget

WARMUP = 5  # the first steps take longer; as many again tell how long all of them take

Say = Callable[[str], None]  # takes a line for people


class Expectation(Callback):
    """Says once how many steps are to come and about how many seconds they take.

    Of a resumed run it says what is left. Where a bar is shown, the line is printed above it.
    """

    def __init__(self, length: Budget, say: Say | None) -> None:
        self.length, self.say = length, say
        self.done, self.since = 0, 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._left(trainer) <= 2 * WARMUP:  # over before it could be timed
            self._tell(trainer, "")

    def on_train_batch_end(self, trainer: L.Trainer, *arguments: Any, **named: Any) -> None:
        self.done += 1
        if self.done == WARMUP:
            self.since = time.perf_counter()
        elif self.done == 2 * WARMUP and self._left(trainer):
            a_step = (time.perf_counter() - self.since) / WARMUP
            seconds = round(a_step * (self._left(trainer) + self.done))
            self._tell(trainer, f", about {max(1, seconds):,} s")

    def _left(self, trainer: L.Trainer) -> int:
        return self.length.total - trainer.global_step

    def _tell(self, trainer: L.Trainer, expected: str) -> None:
        if not trainer.is_global_zero:
            return
        earlier = trainer.global_step - self.done
        resumed = f", of which {earlier:,} are done" if earlier else ""
        bar = getattr(trainer.progress_bar_callback, "_console", None)
        say = self.say if bar is None else bar.print
        if say is not None:
            say(f"{self.length}{resumed}{expected}")


class OutOfTime(Exception):  # noqa: N818  (nothing went wrong)
    """The time of a training is over."""


class Deadline(Callback):
    """Ends a training with `OutOfTime` at the first step after that time of the monotonic clock."""

    def __init__(self, at: float) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: L.Trainer, *arguments: Any, **named: Any) -> None:
        if time.monotonic() > self.at:
            raise OutOfTime


class Bar(RichProgressBar):
    """A progress bar on the error stream, so that a pipe gets only results."""

    def __init__(self) -> None:
        super().__init__(console_kwargs={"stderr": True})

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().teardown(trainer, pl_module, stage)
        rich.reconfigure()  # Lightning's bar replaces rich's global console

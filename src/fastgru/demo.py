"""The main job, start to finish: a forecaster on `torch.nn.GRU`, then the one-line swap.

Read it as an example. Everything down to `train` is ordinary PyTorch; the swap is one line in `compare`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.rnn import GRU as STOCK_GRU

import fastgru
from fastgru.data import temperature

HOURS_SEEN = 96
HOURS_AHEAD = 24
# Two runs that round differently drift apart while they learn; a wrong gradient shows in the first epoch.
LOSS_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Settings:
    """Options of the demonstration.

    Attributes:
        epochs: passes over the training hours.
        hidden: size of the GRU's state.
        batch: windows per step of the optimizer.
        rate: learning rate of Adam.
        clip: largest norm of the gradient.
        seed: of weights and batches.
        stride: hours between the starts of training windows.
    """

    epochs: int = 8
    hidden: int = 64
    batch: int = 32
    rate: float = 3e-3
    clip: float = 1.0
    seed: int = 0
    stride: int = 2


class Windows(NamedTuple):
    """Examples cut from the series.

    Attributes:
        inputs: (N, 96, 5): scaled temperature, hour of the day and day of the year as points on circles.
        targets: (N, 24): scaled temperature of the hours that follow.
        starts: (N,): index of the first of these hours in the series.
    """

    inputs: Tensor
    targets: Tensor
    starts: NDArray[np.int64]


class Series(NamedTuple):
    """The temperatures, ready for learning.

    Attributes:
        celsius: (N,), as measured.
        train: windows of the first 70 % of the year, one every `Settings.stride` hours.
        test: windows of the last 20 %, one for every day, which no training window reaches.
        mean: of the training hours.
        deviation: of the training hours.
    """

    celsius: NDArray[np.float32]
    train: Windows
    test: Windows
    mean: float
    deviation: float


class Forecaster(nn.Module):
    """The next 24 hours from the last 96: a GRU reads them, a linear layer writes the forecast from its last state."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.gru = STOCK_GRU(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, HOURS_AHEAD)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, 96, features) to (B, 24)."""
        _, h_n = self.gru(inputs)
        forecast: Tensor = self.head(h_n[-1])
        return forecast + inputs[:, -1:, 0]  # as a change from the last hour seen


@dataclass(frozen=True)
class Run:
    """One training run and its forecast.

    Attributes:
        losses: mean training loss of each epoch, in squared deviations.
        seconds: of training, without evaluation.
        error: mean absolute error on the test days in degrees Celsius.
        forecast: (N, 24) in degrees Celsius, for the test windows.
    """

    losses: list[float]
    seconds: float
    error: float
    forecast: NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Both runs, and what it takes to beat.

    Attributes:
        stock: the run on torch.nn.GRU.
        swapped: the run after the swap.
        daily_naive: error of the forecast "as yesterday at this hour", in degrees Celsius.
        last_naive: error of the forecast "as in the last hour seen".
        series: the data.
    """

    stock: Run
    swapped: Run
    daily_naive: float
    last_naive: float
    series: Series

    @property
    def ratio(self) -> float:
        """How many times sooner the swapped run was done."""
        return self.stock.seconds / self.swapped.seconds

    @property
    def agrees(self) -> bool:
        """Whether the losses of all epochs agree within `LOSS_TOLERANCE`."""
        pairs = zip(self.stock.losses, self.swapped.losses, strict=True)
        return all(abs(a - b) <= LOSS_TOLERANCE * a for a, b in pairs)

    @property
    def wins(self) -> bool:
        """Whether both runs beat both naive forecasts."""
        return max(self.stock.error, self.swapped.error) < min(self.daily_naive, self.last_naive)


def load_series(stride: int) -> Series:
    """The series that ships with the package, split by time and cut into windows."""
    times, celsius = temperature()
    train_end, test_start = int(0.7 * len(celsius)), int(0.8 * len(celsius))
    mean, deviation = float(celsius[:train_end].mean()), float(celsius[:train_end].std())
    hour, day = times.astype("int64") % 24 / 24, times.astype("int64") / 24 / 365.25
    angles = 2 * np.pi * np.stack([hour, day], axis=1)
    columns = [(celsius[:, None] - mean) / deviation, np.sin(angles), np.cos(angles)]
    features = torch.tensor(np.concatenate(columns, axis=1), dtype=torch.float32)
    train_starts = np.arange(HOURS_SEEN, train_end - HOURS_AHEAD, stride)
    test_starts = np.arange(test_start + HOURS_SEEN, len(celsius) - HOURS_AHEAD, HOURS_AHEAD)
    train, test = (_cut(features, starts) for starts in (train_starts, test_starts))
    return Series(celsius, train, test, mean, deviation)


def _cut(features: Tensor, starts: NDArray[np.int64]) -> Windows:
    inputs = torch.stack([features[start - HOURS_SEEN : start] for start in starts])
    targets = torch.stack([features[start : start + HOURS_AHEAD, 0] for start in starts])
    return Windows(inputs, targets, starts)


def train(model: nn.Module, series: Series, settings: Settings, tick: Callable[[], None]) -> Run:
    """An ordinary training loop; `tick` is called after each batch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.rate)
    generator = torch.Generator().manual_seed(settings.seed)
    losses, start = [], time.perf_counter()
    for _ in range(settings.epochs):
        total = 0.0
        for batch in torch.split(torch.randperm(len(series.train.starts), generator=generator), settings.batch):
            loss = nn.functional.mse_loss(model(series.train.inputs[batch]), series.train.targets[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            total += loss.item() * len(batch)
            tick()
        losses.append(total / len(series.train.starts))
    seconds = time.perf_counter() - start
    with torch.no_grad():
        forecast = model(series.test.inputs).numpy() * series.deviation + series.mean
    return Run(losses, seconds, _error(series, forecast), forecast)


def compare(settings: Settings, tick: Callable[[str], None]) -> Comparison:
    """Trains with `torch.nn.GRU`, swaps the layer, trains again from the same seed.

    Args:
        settings: options.
        tick: called after each batch with the name of the run.
    """
    series = load_series(settings.stride)
    runs = []
    for name in ("torch.nn.GRU", "fastgru.GRU"):
        torch.manual_seed(settings.seed)
        model = Forecaster(series.train.inputs.shape[-1], settings.hidden)
        if name == "fastgru.GRU":
            fastgru.replace_gru(model)  # the one line
        runs.append(train(model, series, settings, lambda name=name: tick(name)))  # type: ignore[misc]
    starts = series.test.starts
    yesterday = np.stack([series.celsius[s - HOURS_AHEAD : s] for s in starts])
    last = np.repeat(series.celsius[starts - 1][:, None], HOURS_AHEAD, axis=1)
    stock, swapped = runs
    return Comparison(stock, swapped, _error(series, yesterday), _error(series, last), series)


def batches(settings: Settings) -> int:
    """How often `compare` will tick for each run."""
    windows = len(load_series(settings.stride).train.starts)
    return settings.epochs * -(-windows // settings.batch)


def _truth(series: Series) -> NDArray[np.float32]:
    return np.stack([series.celsius[s : s + HOURS_AHEAD] for s in series.test.starts])


def _error(series: Series, forecast: NDArray[np.float32]) -> float:
    return float(np.abs(forecast - _truth(series)).mean())


def plot(comparison: Comparison, path: Path, days: int = 8) -> None:
    """Writes the forecasts of some test days as a PNG; the file appears whole or not at all.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as missing:
        raise fastgru.errors.missing_extra("matplotlib", "demo", "the forecast plot") from missing
    figure = Figure(figsize=(11, 4.2), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    series, starts = comparison.series, comparison.series.test.starts[:days]
    times = np.datetime64("2013-01-01T06") + np.arange(starts[0] - 48, starts[-1] + HOURS_AHEAD)
    axes.plot(times, series.celsius[starts[0] - 48 : starts[-1] + HOURS_AHEAD], color="black", lw=1.3, label="measured")
    for i, (start, forecast) in enumerate(_test_days(comparison, days)):
        hours = np.datetime64("2013-01-01T06") + np.arange(start, start + HOURS_AHEAD)
        labels = ("GRU, the day ahead", "as yesterday") if i == 0 else (None, None)
        axes.plot(hours, series.celsius[start - HOURS_AHEAD : start], color="0.65", lw=1, ls="--", label=labels[1])
        axes.plot(hours, forecast, color="tab:blue", lw=1.8, label=labels[0])
        axes.axvline(hours[0], color="0.9", lw=0.8, zorder=0)
    axes.set(ylabel="air temperature, °C", xlim=(times[0], times[-1]))
    axes.set_title(
        f"JFK airport, test days: mean absolute error over all {len(comparison.series.test.starts)} of them "
        f"{comparison.swapped.error:.2f} °C, as yesterday {comparison.daily_naive:.2f} °C",
        fontsize=10,
    )
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, -0.22), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, format="png")
    partial.replace(path)


def _test_days(comparison: Comparison, days: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    starts = comparison.series.test.starts[:days]
    return zip(starts.tolist(), comparison.swapped.forecast, strict=False)

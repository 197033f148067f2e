"""The demo: a forecaster is trained with `torch.nn.GRU`, and again after replacing the layer in one line.

Read it as an example. Everything up to `train_epoch` is ordinary PyTorch; the replacement is one line in `compare`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.rnn import GRU as STOCK_GRU

import fastgru
from fastgru.atomic_files import atomic_write
from fastgru.data import temperature

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HOURS_SEEN = 96
HOURS_AHEAD = 24
# Two runs with different rounding drift apart during training: by at most 4e-8 of the loss, measured over seeds, sizes,
# levels and 25 epochs. A gate's gradient that is missing or has the wrong sign gives 1e-3; 1 % of noise in the gradient
# of the recurrent weights gives 2e-5 after four epochs. A wrong scale of the gradient is not detected, because Adam
# compensates for it.
LOSS_TOLERANCE = 1e-5
# Torch's threads spin while they wait for each other, and wait long if another program uses a core: the ratio was 4 on
# a quiet machine and 26 on a busy one. Quiet runs got at least 95 % of their threads' time, busy ones 62 %.
LEAST_PROCESSOR_SHARE = 0.8
NAMES = ("torch.nn.GRU", "fastgru.GRU")


@dataclass(frozen=True)
class Settings:
    """Options of the demo.

    Attributes:
        epochs: passes over the training hours.
        hidden: size of the GRU's state.
        batch: windows per optimizer step.
        rate: learning rate of Adam.
        clip: largest norm of the gradient.
        seed: seed of weights and batches.
        stride: hours between the starts of training windows.
    """

    epochs: int = 8
    hidden: int = 64
    batch: int = 32
    rate: float = 3e-3
    clip: float = 1.0
    seed: int = 0
    stride: int = 3


class Windows(NamedTuple):
    """Examples cut from the series.

    Attributes:
        inputs: (N, 96, 3): scaled temperature, and the hour of the day as a point on a circle.
        targets: (N, 24): scaled temperature of the following hours.
        starts: (N,): index of the first of these hours in the series.
    """

    inputs: Tensor
    targets: Tensor
    starts: NDArray[np.int64]


class TemperatureSeries(NamedTuple):
    """The temperatures, prepared for training.

    Attributes:
        times: (N,), datetime64[h], UTC.
        celsius: (N,), the measured values.
        train: windows of the first 70 % of the year, one every `Settings.stride` hours.
        test: windows of the last 20 %, one for every day. The 10 % in between were used to choose `Settings`.
        mean: mean of the training hours.
        deviation: standard deviation of the training hours.
    """

    times: NDArray[np.datetime64]
    celsius: NDArray[np.float32]
    train: Windows
    test: Windows
    mean: float
    deviation: float


class TemperatureForecaster(nn.Module):
    """Forecasts the next 24 hours from the last 96: a GRU, and a linear layer on its final state."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.gru = STOCK_GRU(features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, HOURS_AHEAD)

    def forward(self, inputs: Tensor) -> Tensor:
        """Forecasts (B, 24) from inputs (B, 96, features)."""
        _, h_n = self.gru(inputs)
        forecast: Tensor = self.head(h_n[-1])
        return forecast + inputs[:, -1:, 0]  # the head predicts changes from the last hour


@dataclass(frozen=True)
class Run:
    """One training run and its forecast.

    Attributes:
        losses: mean training loss of each epoch, in squared standard deviations.
        seconds: training time, without evaluation.
        error: mean absolute error on the test days in degrees Celsius.
        forecast: (N, 24) in degrees Celsius, for the test windows.
    """

    losses: list[float]
    seconds: float
    error: float
    forecast: NDArray[np.float32]


@dataclass(frozen=True)
class Comparison:
    """Both runs, and the errors of naive forecasts.

    Attributes:
        stock: the run with torch.nn.GRU.
        swapped: the run with fastgru.GRU.
        daily_naive: error of repeating the last 24 hours, in degrees Celsius.
        last_naive: error of repeating the last hour, in degrees Celsius.
        share: fraction of the possible processor time of their threads that the runs got.
        series: the data.
    """

    stock: Run
    swapped: Run
    daily_naive: float
    last_naive: float
    share: float
    series: TemperatureSeries

    @property
    def ratio(self) -> float:
        """The speedup of the run with fastgru."""
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

    def facts(self) -> dict[str, Any]:
        """All figures, by name, as JSON can hold them."""
        pairs = zip(NAMES, (self.stock, self.swapped), strict=True)
        runs = {name: {"losses": run.losses, "error": run.error, "seconds": run.seconds} for name, run in pairs}
        naive = {"as yesterday": self.daily_naive, "as the last hour": self.last_naive}
        verdict = {"agrees": self.agrees, "wins": self.wins, "is_undisturbed": self.is_undisturbed}
        return {"runs": runs, "naive_errors": naive, "ratio": self.ratio, **verdict}

    @property
    def is_undisturbed(self) -> bool:
        """Whether the runs had the processor to themselves; otherwise `ratio` means little."""
        return self.share >= LEAST_PROCESSOR_SHARE


def load_series(stride: int) -> TemperatureSeries:
    """Loads the series of the package, splits it by time and cuts it into windows."""
    times, celsius = temperature()
    train_end, test_start = int(0.7 * len(celsius)), int(0.8 * len(celsius))
    mean, deviation = float(celsius[:train_end].mean()), float(celsius[:train_end].std())
    angle = 2 * np.pi * (times.astype("int64") % 24) / 24
    columns = [(celsius - mean) / deviation, np.sin(angle), np.cos(angle)]
    features = torch.tensor(np.stack(columns, axis=1), dtype=torch.float32)
    train_starts = np.arange(HOURS_SEEN, train_end - HOURS_AHEAD, stride)
    test_starts = np.arange(test_start + HOURS_SEEN, len(celsius) - HOURS_AHEAD, HOURS_AHEAD)
    train, test = (_cut(features, starts) for starts in (train_starts, test_starts))
    return TemperatureSeries(times, celsius, train, test, mean, deviation)


def _cut(features: Tensor, starts: NDArray[np.int64]) -> Windows:
    inputs = torch.stack([features[start - HOURS_SEEN : start] for start in starts])
    targets = torch.stack([features[start : start + HOURS_AHEAD, 0] for start in starts])
    return Windows(inputs, targets, starts)


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, windows: Windows, order: Sequence[Tensor], clip: float
) -> Iterator[float]:
    """An ordinary training loop over the batches of `order`. Yields the loss of each, summed over its windows."""
    for batch in order:
        loss = nn.functional.mse_loss(model(windows.inputs[batch]), windows.targets[batch])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        yield loss.item() * len(batch)


def compare(settings: Settings, tick: Callable[[str], None]) -> Comparison:
    """Trains with `torch.nn.GRU` and with `fastgru.GRU`, with the same initial weights and the same batches.

    The two take turns after each epoch, so that other load on the machine affects both.

    Args:
        settings: the options.
        tick: called after each batch with the name of the run.
    """
    series = load_series(settings.stride)
    models = {name: _model(series, settings) for name in NAMES}
    fastgru.replace_gru(models["fastgru.GRU"])  # the replacement
    optimizers = {name: torch.optim.Adam(model.parameters(), lr=settings.rate) for name, model in models.items()}
    losses: dict[str, list[float]] = {name: [] for name in NAMES}
    seconds = dict.fromkeys(NAMES, 0.0)
    generator = torch.Generator().manual_seed(settings.seed)
    processor_start = time.process_time()
    for _ in range(settings.epochs):
        order = torch.randperm(len(series.train.starts), generator=generator).split(settings.batch)  # type: ignore[no-untyped-call]
        for name in NAMES:
            start, total = time.perf_counter(), 0.0
            for loss in train_epoch(models[name], optimizers[name], series.train, order, settings.clip):
                total += loss
                tick(name)
            seconds[name] += time.perf_counter() - start
            losses[name].append(total / len(series.train.starts))
    share = (time.process_time() - processor_start) / (sum(seconds.values()) * torch.get_num_threads())
    stock, swapped = (_finish(models[name], series, losses[name], seconds[name]) for name in NAMES)
    return Comparison(stock, swapped, *_naive_errors(series), share, series)


def _model(series: TemperatureSeries, settings: Settings) -> TemperatureForecaster:
    torch.manual_seed(settings.seed)
    return TemperatureForecaster(series.train.inputs.shape[-1], settings.hidden)


def _finish(model: nn.Module, series: TemperatureSeries, losses: list[float], seconds: float) -> Run:
    with torch.no_grad():
        forecast = model(series.test.inputs).numpy() * series.deviation + series.mean
    return Run(losses, seconds, _error(series, forecast), forecast)


def _naive_errors(series: TemperatureSeries) -> tuple[float, float]:
    """The errors of repeating the last 24 hours, and of repeating the last hour."""
    starts = series.test.starts
    yesterday = np.stack([series.celsius[start - HOURS_AHEAD : start] for start in starts])
    last = np.repeat(series.celsius[starts - 1][:, None], HOURS_AHEAD, axis=1)
    return _error(series, yesterday), _error(series, last)


def batches(settings: Settings) -> int:
    """The number of batches of each run, for which `compare` calls `tick`."""
    windows = len(load_series(settings.stride).train.starts)
    return settings.epochs * -(-windows // settings.batch)


def _truth(series: TemperatureSeries) -> NDArray[np.float32]:
    return np.stack([series.celsius[s : s + HOURS_AHEAD] for s in series.test.starts])


def _error(series: TemperatureSeries, forecast: NDArray[np.float32]) -> float:
    return float(np.abs(forecast - _truth(series)).mean())


def plot(comparison: Comparison, path: Path, days: int = 8) -> None:
    """Writes the forecasts of some test days as a PNG, atomically.

    Raises:
        MissingExtra: if matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.dates import ConciseDateFormatter, DayLocator
        from matplotlib.figure import Figure
    except ModuleNotFoundError as missing:
        raise fastgru.errors.missing_extra("matplotlib", "demo", "the forecast plot") from missing
    figure = Figure(figsize=(11, 4.2), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _draw_days(axes, comparison, days)
    locator = DayLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set(ylabel="air temperature, °C", xlabel="UTC")
    axes.set_title(
        f"JFK airport: {HOURS_AHEAD} hours ahead, forecast once a day. Mean absolute error over all "
        f"{len(comparison.series.test.starts)} test days: {comparison.swapped.error:.2f} °C, "
        f"as yesterday {comparison.daily_naive:.2f} °C",
        fontsize=10,
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=3, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        figure.savefig(partial, format="png")


def _draw_days(axes: Axes, comparison: Comparison, days: int) -> None:
    series, starts = comparison.series, comparison.series.test.starts[:days]
    shown = slice(starts[0] - 2 * HOURS_AHEAD, starts[-1] + HOURS_AHEAD)
    axes.plot(series.times[shown], series.celsius[shown], color="black", lw=1.3, label="measured")
    for i, (start, forecast) in enumerate(zip(starts, comparison.swapped.forecast, strict=False)):
        hours = series.times[start : start + HOURS_AHEAD]
        yesterday = series.celsius[start - HOURS_AHEAD : start]
        labels = ("as yesterday", "GRU, made at the vertical line") if i == 0 else (None, None)
        axes.axvline(hours[0], color="0.9", lw=0.8, zorder=0)
        axes.plot(hours, yesterday, color="tab:orange", lw=1, ls="--", label=labels[0])
        axes.plot(hours, forecast, color="tab:blue", lw=1.8, label=labels[1])
    axes.set_xlim(series.times[shown][0], series.times[shown][-1])

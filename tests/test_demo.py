"""The demonstration: real data, an honest split, agreement of both runs, a plot."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastgru import demo
from fastgru.data import temperature

QUICK = demo.Settings(epochs=2, hidden=24, stride=12)


@pytest.fixture(scope="module")
def comparison():
    return demo.compare(QUICK, lambda name: None)


def test_the_series_is_hourly_complete_and_seasonal():
    times, celsius = temperature()
    assert len(times) == len(celsius) == 8730
    assert (np.diff(times) == np.timedelta64(1, "h")).all()
    assert np.isfinite(celsius).all()
    assert celsius.min() > -20
    assert celsius.max() < 45
    by_hour = [celsius[times.astype("int64") % 24 == hour].mean() for hour in range(24)]
    assert max(by_hour) - min(by_hour) > 3


def test_no_test_hour_is_seen_in_training():
    series = demo.load_series(stride=1)
    assert series.train.starts.max() + demo.HOURS_AHEAD <= series.test.starts.min() - demo.HOURS_SEEN
    assert series.mean == pytest.approx(series.celsius[: int(0.7 * len(series.celsius))].mean())


def test_windows_are_cut_right():
    series = demo.load_series(stride=50)
    start = series.train.starts[3]
    scaled = (series.celsius - series.mean) / series.deviation
    hours = series.train.inputs[3, :, 0].numpy()
    np.testing.assert_allclose(hours, scaled[start - 96 : start], atol=1e-5)
    np.testing.assert_allclose(series.train.targets[3].numpy(), scaled[start : start + 24], atol=1e-5)


def test_both_runs_agree_and_learn(comparison):
    assert comparison.agrees
    assert comparison.wins
    assert len(comparison.stock.losses) == 2
    assert comparison.stock.losses[1] < comparison.stock.losses[0]
    assert comparison.ratio > 0


def test_a_wrong_layer_would_show(monkeypatch):
    right = demo.fastgru.GRU.forward

    def wrong(self, input, hx=None):
        output, h_n = right(self, input, hx)
        return output, h_n * 1.05

    monkeypatch.setattr(demo.fastgru.GRU, "forward", wrong)
    small = demo.Settings(epochs=1, hidden=4, stride=60)
    assert not demo.compare(small, lambda name: None).agrees


def test_ticks_are_as_many_as_announced():
    settings, ticks = demo.Settings(epochs=1, hidden=2, stride=100), []
    demo.compare(settings, ticks.append)
    assert ticks == ["torch.nn.GRU"] * demo.batches(settings) + ["fastgru.GRU"] * demo.batches(settings)


def test_the_plot_is_a_picture_and_leaves_nothing_else(comparison, tmp_path):
    path = tmp_path / "deep" / "forecast.png"
    demo.plot(comparison, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in path.parent.iterdir()] == ["forecast.png"]


def test_the_forecaster_is_ordinary_torch():
    model = demo.Forecaster(5, 8)
    assert type(model.gru) is torch.nn.GRU
    assert model(torch.randn(3, 96, 5)).shape == (3, 24)

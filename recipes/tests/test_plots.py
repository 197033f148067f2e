"""Plots: what their axes, ticks, titles and legends say. Nothing is compared pixel by pixel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import num2date

from fastgru_recipes.plots import figures, forecasts, losses, matrices
from fastgru_recipes.plots.costs import token_costs
from fastgru_recipes.plots.forecasts import SeriesForecast


def labels(axes):
    return axes.get_xlabel(), axes.get_ylabel()


def drawn(figure):
    """Draws a figure without a file, so that ticks and places are final."""
    FigureCanvasAgg(figure).draw()
    return figure


def legends(figure):
    return [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]


def legend_texts(figure):
    return [text.get_text() for legend in legends(figure) for text in legend.get_texts()]


def forecast_of(name="sales", values=None, times=None, horizon=4, low=-1.0):
    """A series, and a forecast of its last steps from `low` - 1 to `low` + 10."""
    values = np.arange(20.0) if values is None else values
    times = pd.date_range("2024-01-01", periods=len(values), freq="D") if times is None else times
    quantiles = {"q0.05": low - 1, "q0.1": low, "q0.5": low + 3, "q0.9": low + 9, "q0.95": low + 10}
    return SeriesForecast(name, times, values, pd.DataFrame({"time": times[-horizon:], **quantiles}))


HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "training_loss": [4.0, 3.0, 2.0, 1.0],
        "validation_loss": [4.0, 2.5, 2.6, 2.5],
        "gradient_norm": [1.0, 1.0, 0.5, 0.5],
        "gradient_norm_largest": [2.0, 2.0, 1.0, 1.0],
    }
)


def test_losses_share_an_axis_and_the_epoch_that_is_kept_is_marked():
    figure = drawn(losses.learning_curve(HISTORY, "tag", "cross-entropy (nats)"))
    axes, norms = figure.axes
    assert labels(axes) == ("epoch", "cross-entropy (nats)")
    assert labels(norms) == ("epoch", "norm of the gradient, before clipping")
    assert figure.get_suptitle() == "tag: losses of each epoch"
    assert "weights kept: epoch 2" in legend_texts(figure)
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines["weights kept: epoch 2"].get_xdata()) == {2}
    styles = {line.get_linestyle() for line in lines.values()}
    assert len(styles) == len(lines) == 3  # without colours, too


@pytest.mark.parametrize("count", [1, 2, 3, 20, 500])
def test_epochs_are_whole_numbers(count):
    history = pd.DataFrame({"epoch": range(1, count + 1), "training_loss": np.linspace(2, 1, count)})
    figure = drawn(losses.learning_curve(history))
    low, high = figure.axes[0].get_xlim()
    seen = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert seen
    assert all(tick == round(tick) for tick in seen)
    assert losses.kept_epoch(history) == count  # without a validation part it is the last one


def test_a_small_confusion_matrix_has_counts_and_colours_of_shares():
    counts = np.array([[90.0, 10.0, 0], [5, 5, 0], [0, 0, 0]])
    figure = matrices.confusion(counts, ["yes", "no", "never met"], "label", "classify: test part")
    axes, bar = figure.axes
    assert [text.get_text() for text in axes.texts] == ["90", "10", "5", "5"]
    assert labels(axes) == ("predicted label", "true label")
    assert bar.get_ylabel() == "share of the true label"
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["yes", "no"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.9, 0.1], [0.5, 0.5]])
    assert "classify: test part" in figure.get_suptitle()
    for text, share in zip(axes.texts, [0.9, 0.1, 0.5, 0.5], strict=True):  # dark on light, and light on dark
        assert (sum(colors.to_rgb(text.get_color())) > 1.5) == (share > 0.55)


def test_of_many_classes_the_most_confused_are_shown():
    counts = 50 * np.eye(30)
    counts[3, 17] = counts[17, 3] = 9
    counts[:11, 20] += 1
    figure = matrices.confusion(counts, [f"class {n}" for n in range(30)], "tag", "tag: test part")
    names = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert names == [f"class {n}" for n in (*range(10), 17, 20)]
    assert "the 12 of 30 tags that are confused most" in figure.get_suptitle().replace("\n", " ")
    assert len(figure.axes[0].texts) == 144


def test_long_names_leave_room_for_the_matrix():
    figure = matrices.confusion(np.eye(2), ["x" * 300, "y"], "label", "pets")
    assert max(len(tick.get_text()) for tick in figure.axes[0].get_yticklabels()) <= figures.LONGEST_NAME


def test_attention_and_costs_name_their_axes():
    figure = matrices.attention(np.full((2, 70), 1 / 70), ["a ", "end"], ["b"] * 70, "translate: test part")
    assert labels(figure.axes[0]) == ("token that is read", "written token")
    assert figure.axes[0].images[0].get_array().shape == (2, matrices.MOST_TOKENS)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["a␣", "end"]
    figure = token_costs(np.array([1.0, 3.0]), ["a b", "\n"], "generate: test part")
    assert labels(figure.axes[0])[1] == "cost (bits per token)"
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["a␣b", "⏎"]
    assert legend_texts(figure) == ["mean of these: 2.00 bits"]


def test_a_forecast_has_an_origin_units_and_a_legend_outside():
    figure = drawn(forecasts.forecasts([forecast_of()], 1, "euros", "day", "test part"))
    (axes,) = figure.axes
    assert labels(axes) == ("day", "euros")
    assert figure.get_suptitle() == "forecast: the last 4 steps of the test part"
    (origin,) = [line for line in axes.get_lines() if line.get_label() == "last value that was known"]
    assert set(pd.to_datetime(origin.get_xdata())) == {pd.Timestamp("2024-01-16")}
    texts = legend_texts(figure)
    assert texts[:2] == ["quantiles 0.05 to 0.95", "quantiles 0.1 to 0.9"]
    (legend,) = figure.legends
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    wide, narrow = axes.collections
    assert sum(wide.get_facecolor()[0]) > sum(narrow.get_facecolor()[0]) + 0.3  # told apart without colours


def test_several_series_are_small_multiples_and_the_choice_is_said():
    series = [forecast_of(f"shop {number}") for number in forecasts.chosen(41)]
    figure = drawn(forecasts.forecasts(series, 41, "value", "time", "validation part"))
    assert [axes.get_title() for axes in figure.axes] == [f"shop {n}" for n in (0, 8, 16, 24, 32, 40)]
    assert "6 of 41 series, at even distances in the order of the data" in figure.get_suptitle().replace("\n", " ")
    places = [axes.get_window_extent() for axes in figure.axes]
    assert not any(legend.get_window_extent().overlaps(place) for legend in figure.legends for place in places)
    three = forecasts.forecasts(series[:3], 3, "value", "time", "test part")
    assert len(three.axes) == 3
    assert "all 3 series" in three.get_suptitle()


@pytest.mark.parametrize(
    ("values", "low", "bottom"),
    [
        (np.arange(20.0) % 3, -5.0, 0.0),  # counts, whatever the quantiles say
        (np.arange(20.0) + 0.5, 2.0, 0.0),
        (np.arange(20.0) - 0.5, 1.0, None),
        (np.arange(20.0) + 100, 99.0, None),  # far from zero, which would only take room
    ],
)
def test_counts_are_not_below_zero(values, low, bottom):
    (axes,) = forecasts.forecasts([forecast_of(values=values, low=low)], 1, "v", "t", "test part").axes
    found = axes.get_ylim()[0]
    assert found == bottom if bottom is not None else found != 0


def test_dates_are_in_the_zone_of_the_data_and_numbers_are_whole():
    hours = pd.date_range("2024-07-01", periods=20, freq="h", tz="America/New_York")
    (axes,) = drawn(forecasts.forecasts([forecast_of(times=hours)], 1, "v", "t", "test part")).axes
    assert 3 <= len(axes.get_xticks()) <= 7
    shown = [tick.get_text() for tick in axes.get_xticklabels()]
    local = [num2date(tick, hours.tz).strftime("%H:%M") for tick in axes.get_xticks()]
    assert [text for text in shown if ":" in text] == [t for t, s in zip(local, shown, strict=True) if ":" in s] != []
    (axes,) = drawn(forecasts.forecasts([forecast_of(times=pd.RangeIndex(20))], 1, "v", "t", "test part")).axes
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_pictures_take_any_script(tmp_path):
    figure = token_costs(np.ones(2), ["\u4eba", "\U0001f600"], "$a_$")
    figures.save(figure, tmp_path / "bars.png")  # a warning would fail
    assert (tmp_path / "bars.png").stat().st_size > 1000

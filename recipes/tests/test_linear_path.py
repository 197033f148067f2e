"""The linear path of the forecaster: exponential smoothing and regression as weights of past values."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from fastgru_recipes.forecast import defaults, fitted, linear_path, smoothing
from fastgru_recipes.forecast.inputs import Inputs
from fastgru_recipes.forecast.network import ForecastNetwork
from fastgru_recipes.forecast.smoothing import Smoothing
from fastgru_recipes.recurrent_layers import RecurrentOptions


def wave(count, season=12, growth=0.0, noise=0.0, seed=0):
    steps = np.arange(count)
    return np.sin(steps * 2 * np.pi / season) + growth * steps + noise * np.random.default_rng(seed).normal(size=count)


@pytest.mark.parametrize("season", [1, 4])
def test_smoothing_is_that_of_statsmodels(season):
    values = 10 + wave(24, 4, growth=0.3, noise=0.3)
    level, share, damping, seasonal = method = Smoothing(0.35, 0.2, 0.9, 0.3 if season > 1 else 0.0)
    begin = season if season > 1 else 4
    slope = (values[begin : 2 * begin].mean() - values[:begin].mean()) / begin
    line = values[:begin].mean() + slope * (np.arange(begin) - (begin - 1) / 2)
    model = ETSModel(
        values[begin:],
        error="add",
        trend="add",
        damped_trend=True,
        seasonal="add" if season > 1 else None,
        seasonal_periods=season if season > 1 else None,
        initialization_method="known",
        initial_level=line[-1],
        initial_trend=slope,
        initial_seasonal=values[:begin] - line if season > 1 else None,
    )
    parameters = [level, level * share, *([(1 - level) * seasonal] if season > 1 else []), damping]
    expected = model.smooth(parameters).forecast(6)
    (weights,) = smoothing.matrices([method], 24, 6, season)
    np.testing.assert_allclose(values @ weights, expected, rtol=1e-9)


@given(st.integers(4, 30), st.integers(1, 12), st.sampled_from([1, 2, 5]))
def test_weights_add_up_to_one_so_that_levels_do_not_matter(steps, horizon, season):
    steps = max(steps, 2 * season)
    group = next(iter(smoothing.grid(season > 1)))
    np.testing.assert_allclose(smoothing.matrices(group, steps, horizon, season).sum(1), 1, atol=1e-9)


@pytest.mark.parametrize("growth", [0.0, 0.05])
def test_a_clean_season_and_a_trend_are_continued(growth):
    values = wave(120, growth=growth)
    weights = linear_path.fitted([values[:-12]], 36, 12, 12)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-9)
    np.testing.assert_allclose(values[-48:-12] @ weights, values[-12:], atol=0.05)


def test_of_noise_it_forecasts_about_the_mean():
    noise = np.random.default_rng(1).normal(size=400)
    weights = linear_path.fitted([noise], 30, 6, 1)
    assert abs(weights).max() < 0.2


def test_short_series_are_smoothed():
    values = wave(26)
    weights = linear_path.fitted([values], 8, 6, 4)
    assert weights.shape == (8, 6)
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-9)


def test_series_are_learned_from_together():
    def error(count):
        weights = linear_path.fitted([wave(70, noise=0.5, seed=seed) for seed in range(count)], 24, 12, 12)
        past, ahead = linear_path.windows([wave(400, noise=0.5, seed=99)], 24, 12, linear_path.ALL, 0, 1000)
        return np.abs(past @ weights - ahead).mean()

    assert error(8) < error(1)


def test_windows_end_before_what_is_held_out():
    past, ahead = linear_path.windows([np.arange(20.0)], 4, 3, linear_path.ALL, 5, 100)
    assert past[0].tolist() == [0, 1, 2, 3]
    assert ahead.max() == 14  # 5 before the end
    past, ahead = linear_path.windows([np.arange(20.0)], 4, 3, 5, 0, 100)
    assert past[0].tolist() == [11, 12, 13, 14]
    assert len(linear_path.windows([np.arange(500.0)], 4, 3, linear_path.ALL, 0, 100).past) <= 130


def test_methods_are_chosen_by_their_first_steps_too():
    walk = np.random.default_rng(0).normal(size=300).cumsum() / 10
    jagged = np.append(walk[0], walk[1:] - 0.5 * np.diff(walk))
    for values in (walk, jagged):
        known, first = (linear_path.windows([values], 20, steps, linear_path.ALL, 0, 300) for steps in (4, 1))
        (found,) = linear_path._best_smoothing([known], [first], 20, 4, 1)
        squares = {kind: ((first.past @ each.weights[:, :1] - first.ahead) ** 2).mean() for kind, each in found.items()}
        errors = {kind: np.abs(known.past @ each.weights - known.ahead).mean() for kind, each in found.items()}
        assert squares["first step"] < 0.998 * squares["smoothing"]
        assert errors["smoothing"] < 0.999 * errors["first step"]
        assert min(found.values(), key=lambda each: each.error) is found["smoothing"]


@pytest.mark.parametrize(
    ("season", "values", "expected"),
    [
        *((12, 150, 48), (12, 100, 36), (12, 60, 24), (12, 30, 6)),
        *((4, 100, 32), (1, 100, 30), (1, 25, 8), (1, 20, 4), (24, 8000, 96), (168, 9000, 504)),
    ],
)
def test_the_context_suits_season_and_length(season, values, expected):
    assert defaults.context(season, defaults.horizon(season), values) == expected


def test_a_new_network_forecasts_what_the_linear_path_does():
    network = ForecastNetwork(
        RecurrentOptions("fastgru", hidden=4),
        context=24, inputs=Inputs(3, 2, (), ()), series=1, embedding=0, horizon=6, width=4, quantiles=3,
    )  # fmt: skip
    series = [wave(100, noise=0.2)]
    fitted.start(network, series, 12, (0.1, 0.5, 0.9))
    weights = linear_path.fitted(series, 24, 6, 12)
    past = torch.randn(5, 24, 3)
    quantiles = network(past, torch.randn(5, 6, 2), torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(quantiles[..., 1], past[..., 0] @ torch.from_numpy(weights).float())
    assert (quantiles.diff(dim=-1) > 0).all()


def test_the_share_of_the_gru_is_the_best_one_if_it_is_worth_it(monkeypatch):
    shares = []
    monkeypatch.setattr(fitted, "set_share", lambda model, share: shares.append(share))
    fitted.choose_share(torch.nn.Module(), lambda share: (share - 0.5) ** 2 + 1, 100)
    fitted.choose_share(torch.nn.Module(), lambda share: (share - 0.5) ** 2 + 1, 1)
    fitted.choose_share(torch.nn.Module(), lambda share: 1 - 0.001 * share, 100)
    assert shares == [pytest.approx(0.5 * 100 / 102), 0.0, 0.0]

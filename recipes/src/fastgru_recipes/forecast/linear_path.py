"""The linear path of the forecaster: the best weighted sum of past values that short histories can tell.

Candidates are exponential smoothing (`smoothing.py`) and ridge regression that shrinks towards a simple forecast: the
last value, seasonal means at the present level, the best smoothing, or the mean of the series, which is 0. Each is a
matrix (T, H), so their average is one too. Their weights come from their errors in the end of the training part, which
earlier values forecast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastgru_recipes.forecast import smoothing

Matrix = NDArray[np.float64]

PENALTIES = np.logspace(-2, 4, 13)  # of ridge regression, for values of deviation 1
SHARPNESS, MOST_SHARPNESS = 4, 32  # the weight of a candidate is its error to the power of minus this
SHARPER = 1 / 4  # for each horizon that was judged: of many the error says more
MOST_WINDOWS = 3_000  # of a regression; evenly spaced ones are taken of more
JUDGED = 300  # windows that choose among the methods of smoothing
FOLDS = 4  # parts of the end, each forecast from what comes before it
NEIGHBOURS = 4  # methods of smoothing that are averaged
ALL = 2**31  # steps before the end: more than any series has
LEAST_WINDOWS = 4  # of a regression
LONG_SEASON = 60  # fewer candidates are tried beyond
MOST_WITHOUT_SEASON = 40  # past values that smoothing without a season reads
FADING = 0.2  # share of a step in the present level of seasonal means


Name = tuple[str, int, float]  # of a candidate: its kind, the number of values that it reads, and the penalty


class Smoothed(NamedTuple):
    """The best methods of smoothing: the mean absolute error, and the weights of past values."""

    error: float
    weights: Matrix


class Windows(NamedTuple):
    """Past values (N, T) and what came after them (N, H)."""

    past: Matrix
    ahead: Matrix


def windows(series: Sequence[Matrix], steps: int, horizon: int, first: int, last: int, most: int) -> Windows:
    """Windows whose forecasts begin between `first` and `last` steps before the ends of the series.

    The values ahead end at least `last` steps before the end. Of more than `most` windows evenly spaced ones are taken.
    """
    past, ahead = [], []
    total = sum(max(0, min(first, len(each) - steps) - last - horizon + 1) for each in series)
    stride = max(1, total // most)
    for each in series:
        for origin in range(max(steps, len(each) - first), len(each) - last - horizon + 1, stride):
            past.append(each[origin - steps : origin])
            ahead.append(each[origin : origin + horizon])
    return Windows(np.array(past).reshape(-1, steps), np.array(ahead).reshape(-1, horizon))


def lengths(season: int, context: int) -> list[int]:
    """Numbers of past values that candidates read: whole seasons, or some steps."""
    named = [season + 2, 2 * season, 3 * season] if season > 1 else [8, 16, 30]
    if season > LONG_SEASON:
        named = named[1:2]
    return sorted({each for each in named if each < context} | {context})


def fitted(series: Sequence[Matrix], context: int, horizon: int, season: int) -> Matrix:
    """The weights (context, horizon) of past values.

    Args:
        series: values, each (T_i,), of deviation about 1; at least one has `context + horizon` of them.
        context: the number of past values.
        horizon: the number of steps to forecast.
        season: the season's length; 1 for none.
    """
    longest = max(map(len, series))
    room = longest - context - 2 * horizon
    end = int(min(max(horizon + season, 0.4 * longest), room)) if room > horizon else 0
    if end < horizon // 2 + 2:  # too short to compare candidates: smoothing has few parameters
        return smoothed(series, context, horizon, season)
    edges = [int(edge) for edge in np.linspace(end, 0, FOLDS + 1 if end >= 2 * horizon else 3)]
    known = _smoothed(series, context, horizon, season, edges)
    errors: dict[Name, float] = {}
    for first, last, before in zip(edges[:-1], edges[1:], known[:-1], strict=True):
        judged = windows(series, context, horizon, first, max(0, last + 1 - horizon), MOST_WINDOWS)
        for name, weights in _candidates(series, context, horizon, season, first, before):
            error = float(np.abs(judged.past @ weights - judged.ahead).sum())
            errors[name] = errors.get(name, 0.0) + error
    sharpness = min(MOST_SHARPNESS, SHARPNESS + SHARPER * end / horizon)
    return _averaged(errors, dict(_candidates(series, context, horizon, season, 0, known[-1])), sharpness)


def smoothed(series: Sequence[Matrix], context: int, horizon: int, season: int) -> Matrix:
    """The weights (context, horizon) of the best exponential smoothing."""
    (found,) = _smoothed(series, context, horizon, season, [0])
    return min(found.values(), key=lambda each: each.error).weights


def _averaged(errors: dict[Name, float], candidates: dict[Name, Matrix], sharpness: float) -> Matrix:
    """The average of candidates, weighted by their errors; of those that differ in the penalty only, the best one."""
    best: dict[tuple[str, int], Name] = {}
    for name in candidates:
        group = name[:2]
        if name in errors and (group not in best or errors[name] < errors[best[group]]):
            best[group] = name
    least = max(1e-12, min(errors[name] for name in best.values()))
    shares = {name: (least / max(errors[name], 1e-12)) ** sharpness for name in best.values()}
    weighted = np.stack([share * candidates[name] for name, share in shares.items()])
    return np.asarray(weighted.sum(0) / sum(shares.values()))


def _candidates(
    series: Sequence[Matrix], context: int, horizon: int, season: int, before: int, methods: dict[Name, Smoothed]
) -> Iterator[tuple[Name, Matrix]]:
    """Names and weights of all candidates, learned from what lies `before` steps before the end."""
    for name, found in methods.items():
        yield name, found.weights
    best = min(methods.values(), key=lambda found: found.error).weights
    for steps in lengths(season, context):
        priors = {"last": _last(steps, horizon), "smoothing": best}
        if season > 1 and steps >= season:
            priors["season"] = _seasonal_means(steps, horizon, season)
        elif season <= 1:
            priors["mean"] = np.full((steps, horizon), 1 / steps)
        priors["series' mean"] = np.zeros((steps, horizon))
        for kind, prior in priors.items():
            known = windows(series, len(prior), horizon, ALL, before, MOST_WINDOWS)
            if len(known.past) >= LEAST_WINDOWS:
                ridges = _ridge(known, prior, steps, keeps_levels=bool(prior.any()))
                for penalty, weights in zip(PENALTIES, ridges, strict=True):
                    yield (kind, steps, float(penalty)), _padded(weights, context)


def _padded(weights: Matrix, context: int) -> Matrix:
    """The weights of `context` values, of which the first do not matter."""
    return np.concatenate([np.zeros((context - len(weights), weights.shape[1])), weights])


def _smoothed(
    series: Sequence[Matrix], context: int, horizon: int, season: int, edges: Sequence[int]
) -> list[dict[Name, Smoothed]]:
    """For what lies before each edge: the best methods for each length of the window, with and without a season."""
    known = [windows(series, context, horizon, ALL, before, JUDGED) for before in edges]
    first = [windows(series, context, 1, ALL, before, JUDGED) for before in edges]
    found: list[dict[Name, Smoothed]] = [{} for _ in edges]
    for steps in lengths(season, context):
        for cycle in sorted({season, 1}):
            kept = min(steps, MOST_WITHOUT_SEASON) if cycle == 1 else steps
            if kept >= 2 * cycle:
                for place, best in enumerate(_best_smoothing(known, first, kept, horizon, cycle)):
                    for kind, each in best.items():
                        weights = _padded(each.weights, context)
                        found[place][f"{kind}, season of {cycle}", kept, 0.0] = Smoothed(each.error, weights)
    return found


def _best_smoothing(
    known: Sequence[Windows], first: Sequence[Windows], steps: int, horizon: int, season: int
) -> list[dict[str, Smoothed]]:
    """For each set of windows: the averages of the best methods by each criterion, and the error of the best one.

    Criteria are the error of all steps, and the squared error of the first step, as the likelihood of exponential
    smoothing has it. First steps are known of later windows.
    """
    found: list[dict[str, list[tuple[float, float, Matrix]]]] = [{} for _ in known]
    for group in smoothing.grid(season > 1):
        maps = smoothing.matrices(group, steps, horizon, season)
        for place, (whole, next_one) in enumerate(zip(known, first, strict=True)):
            errors = np.abs(np.matmul(whole.past[:, -steps:], maps) - whole.ahead).mean((1, 2))
            squares = ((next_one.past[:, -steps:] @ maps[:, :, 0].T - next_one.ahead) ** 2).mean(0)
            for kind, figures in {"smoothing": errors, "first step": squares}.items():
                best = np.argsort(figures)[:NEIGHBOURS]
                found[place].setdefault(kind, []).extend((float(figures[k]), float(errors[k]), maps[k]) for k in best)
    return [{kind: _neighbours(best) for kind, best in each.items()} for each in found]


def _neighbours(methods: list[tuple[float, float, Matrix]]) -> Smoothed:
    """The average of the best methods by their first number, with the error of the best one."""
    best = sorted(methods, key=lambda each: each[0])[:NEIGHBOURS]
    return Smoothed(best[0][1], np.mean([weights for _, _, weights in best], 0))


def _ridge(known: Windows, prior: Matrix, steps: int, keeps_levels: bool) -> Iterator[Matrix]:
    """Weights for each penalty, which shrinks them towards `prior`. They may have to add up to those of `prior`."""
    context = len(prior)
    centred = np.zeros((context, steps))
    centred[context - steps :] = np.eye(steps) - (1 / steps if keeps_levels else 0)
    inputs, rest = known.past @ centred, known.ahead - known.past @ prior
    values, vectors = np.linalg.eigh(inputs.T @ inputs)
    projected = vectors.T @ (inputs.T @ rest)
    for penalty in PENALTIES:
        yield prior + centred @ (vectors @ (projected / (np.maximum(values, 0) + penalty)[:, None]))


def _last(steps: int, horizon: int) -> Matrix:
    """The last value."""
    weights = np.zeros((steps, horizon))
    weights[-1] = 1
    return weights


def _seasonal_means(steps: int, horizon: int, season: int) -> Matrix:
    """The mean of each part of the season over whole seasons, moved to the present level."""
    places = np.arange(-steps, 0) % season
    whole = np.arange(steps) >= steps % season
    cycle = np.zeros((steps, season))
    for place in range(season):
        cycle[whole & (places == place), place] = 1 / (steps // season)
    cycle -= whole[:, None] / whole.sum()
    fading = FADING * (1 - FADING) ** np.arange(steps)[::-1]
    fading /= fading.sum()
    level = fading - cycle[:, places] @ fading
    weights: Matrix = level[:, None] + cycle[:, np.arange(horizon) % season]
    return weights

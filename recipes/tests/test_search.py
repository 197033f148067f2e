"""The search for options: its trials, its result in a run, what it refuses, and its interruption."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from fastgru.cli.commands import app  # with all commands
from fastgru.errors import ArgumentError, MissingExtra
from fastgru_recipes.classify import Classify
from fastgru_recipes.cli import automatic
from fastgru_recipes.errors import TrainingInterrupted
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.forecast.read_series import from_frame
from fastgru_recipes.training import search as searching
from fastgru_recipes.training.search import DONE, LATE, Found, Trial, search
from fastgru_recipes.training.space import Space, suggestions
from tiny_data import Interrupting, texts, wave_table

RECIPE = Classify(hidden=4, embedding=4, steps=1, validation=0.25)


def fastgru(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_first_trial_has_the_defaults_and_none_comes_twice():
    space = Space({"hidden": 8, "rate": 0.1}, {"hidden": [4, 8, 16], "rate": [0.1, 0.2]})
    seen = []
    for options, tell in suggestions(space, seed=0, higher_is_better=False):
        seen.append(options)
        tell(abs(options["hidden"] - 16) + options["rate"])
    assert seen[0] == {"hidden": 8, "rate": 0.1}
    assert len(seen) == len({tuple(each.values()) for each in seen}) == 6  # all that there are
    assert space.changed({"hidden": 16, "rate": 0.1}) == {"hidden": 16}


def test_the_search_goes_where_scores_are_better():
    space = Space({"size": 15, "rate": 5}, {"size": range(30), "rate": range(10)})
    sizes = []
    for options, tell in suggestions(space, seed=0, higher_is_better=True):
        sizes.append(options["size"])
        tell(math.nan if options["rate"] == 9 else options["size"])  # a trial that diverged is no reason to stop
        if len(sizes) == 40:
            break
    assert sum(sizes[20:]) / 20 > 17 > sum(sizes[:10]) / 10  # the first ten are random


def test_a_search_records_its_trials_and_keeps_what_is_given(tmp_path):
    found = search(RECIPE, texts(), given=["dropout", "rate"], most=3, record=tmp_path / "run" / "trials.csv")
    assert found.recipe == replace(RECIPE, **found.changed)
    table = pd.read_csv(tmp_path / "run" / "trials.csv")
    assert table.columns.tolist() == ["trial", "hidden", "layers", "accuracy", "seconds", "outcome"]
    assert table.loc[0, ["hidden", "layers"]].tolist() == [4, 1]
    assert table["outcome"].tolist() == [DONE] * 3
    assert found.after == table["accuracy"].max() >= found.before == table["accuracy"][0]


def test_contexts_are_searched_as_far_as_the_data_allow():
    panel = from_frame(wave_table(24 * 20), Forecast().columns)
    choices = Forecast(transform="none").resolved(panel).choices(panel)
    assert choices["context"] == [48, 72, 96, 144]
    assert {"hidden", "rate", "dropout", "layers"} < {*choices}


def test_the_result_says_what_changed():
    trials = [Trial({"hidden": 64}, DONE, 0.8, 1.0), Trial({"hidden": 128}, DONE, 0.7, 1.0)]
    late = Trial({"hidden": 256}, LATE, math.nan, 1.0)
    found = Found(Forecast(hidden=128), {"hidden": 128}, [*trials, late])
    assert str(found) == (
        "The best of 3 trials: hidden=128 instead of 64; MASE 0.7 on the validation part, 0.8 with the defaults."
    )
    assert (
        str(Found(Forecast(), {}, trials[:1]))
        == "The defaults are the best of 1 trial: MASE 0.8 on the validation part."
    )


def test_the_last_trial_ends_with_the_time():
    found = search(RECIPE, texts(), minutes=0)
    assert [each.outcome for each in found.trials] == [DONE]  # the defaults are trained to their end
    trial = searching._try(RECIPE, {}, {}, texts(), None, until=0.0)
    assert (trial.outcome, math.isnan(trial.score)) == (LATE, True)


def test_an_interrupted_search_names_the_best_so_far(tmp_path, monkeypatch):
    per_trial = Interrupting(monkeypatch, 10**9)
    search(RECIPE, texts(), most=1)
    Interrupting(monkeypatch, 10**9 - per_trial.left + 1)  # at once in the second trial
    record = tmp_path / "run" / "trials.csv"
    with pytest.raises(TrainingInterrupted) as raised:
        search(RECIPE, texts(), record=record)
    said = str(raised.value)
    assert said.startswith(
        "The search was interrupted after 1 trial, and nothing was trained. The defaults are the best so far; "
    )
    assert f"All trials are in {record}" in said
    assert len(pd.read_csv(record)) == 1
    Interrupting(monkeypatch, 1)
    with pytest.raises(TrainingInterrupted, match="interrupted in its first trial"):
        search(RECIPE, texts())


def test_a_run_has_the_options_that_were_found(tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "MOST", 3)
    pd.DataFrame({"text": texts().sequences, "label": texts().labels}).to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "trials.csv").write_text("of a search that was interrupted")
    asked = ("train", "classify", "--data", tmp_path / "d.csv", "--steps", 1, "--hidden", 4, "--embedding", 4)
    asked = (*asked, "--validation", 0.25, "--retrain-below", 0, "--auto", "--out", tmp_path / "run", "--json")
    done = fastgru(*asked)
    assert done.exit_code == 0, done.output
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    found, table = config["auto"], pd.read_csv(tmp_path / "run" / "trials.csv")
    assert "hidden" not in table  # it was given
    assert found["options"].items() <= config["options"].items()
    best = json.loads(done.stdout)
    assert best["auto"] == found
    assert best["scores"]["accuracy"] == found["score"] == table["accuracy"].max()  # the same training again
    said = done.stderr.splitlines()
    assert said[0] == "Searching layers, dropout, rate on the validation part, for up to 5 minutes."
    assert (
        sum(line.startswith(("The best of 3 trials: ", "The defaults are the best of 3 trials: ")) for line in said)
        == 1
    )
    (tmp_path / "run" / "metrics.json").unlink()  # as if the run had been interrupted after its training
    again = fastgru(*asked, "--resume")
    assert again.exit_code == 0, again.output
    assert "Searching" not in again.stderr
    assert json.loads(again.stdout)["scores"] == best["scores"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--auto", "--validation", 0), "--auto chooses by the validation part: leave out --validation 0"),
        (("--auto", "--devices", 2), "--auto searches in one process"),
        (("--minutes", 2), "--minutes is the time of --auto"),
        (
            ("--auto", "--hidden", 4, "--layers", 1, "--dropout", 0, "--rate", 0.1),
            "all of hidden, layers, dropout, rate are given: there is nothing to search",
        ),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_written(tmp_path, options, words):
    (tmp_path / "d.csv").write_text("text,label\n" + "ab,x\nba,y\n" * 10)
    done = fastgru("train", "classify", "--data", tmp_path / "d.csv", *options, "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert words in done.stderr
    assert not (tmp_path / "run").exists()


def test_mistakes_in_python():
    with pytest.raises(
        ArgumentError, match="a search needs validation data: set the parameter validation to more than 0"
    ):
        search(replace(RECIPE, validation=0.0), texts())


def test_the_library_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"Run: pip install 'fastgru-recipes\[auto\]'"):
        search(RECIPE, texts())
    monkeypatch.setattr("fastgru.cli.console.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"--auto needs optuna"):
        automatic.wanted(True, None, 1, [])

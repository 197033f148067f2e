"""The commands of the recipes, from a user's file to predictions."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from fastgru.cli import console
from fastgru.cli.commands import app  # with all commands
from fastgru_recipes import RECIPES
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.cli import commands, run_examples, tables
from fastgru_recipes.cli.run_examples import Result
from fastgru_recipes.example_sets import ExampleSet, Parts

DATA = Labelled(["abab", "bb", "aab", "bba", "ab", "ba"] * 10, ["a", "b", "a", "b", "a", "b"] * 10)


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"text": DATA.sequences, "label": DATA.labels}).to_csv("data.csv", index=False)
    (tmp_path / "text.txt").write_text("to be or not to be\n" * 60)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def train(run, *more, recipe="classify", data="data.csv", out="run"):
    return run("train", recipe, "--data", data, "--out", out, "--epochs", 2, "--hidden", 8, "--embedding", 8, *more)


def test_fastgru_knows_which_commands_come_from_here():
    own = {each.name or each.callback.__name__ for each in commands.app.registered_commands}
    assert own | {group.name for group in commands.app.registered_groups} == {*console.RECIPE_COMMANDS}


def test_info_knows_every_extra(run):
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    table = text.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    own = re.findall(r"^(\w+) = \[", table, re.MULTILINE)
    extras = json.loads(run("info", "--json").output)["extras"]
    assert {name for name in extras if name.startswith("fastgru-recipes")} == {
        "fastgru-recipes",
        *(f"fastgru-recipes[{name}]" for name in own),
    }


@pytest.mark.parametrize("recipe", RECIPES)
def test_help_is_made_from_the_fields(run, recipe):
    result = run("train", recipe, "--help")
    assert result.exit_code == 0
    for word in ("--hidden", "--resume", "--devices", "--tensorboard", "--layer"):
        assert word in result.output


def test_train_predict_and_evaluate(run, tmp_path):
    result = train(run, "--tensorboard")
    assert result.exit_code == 0, result.output
    assert "accuracy" in result.output
    assert "seconds of training on layer fastgru" in result.output
    assert any((tmp_path / "run/tensorboard").iterdir())
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["options"]["hidden"] == 8
    assert len(config["data"]["sha256"]) == 64
    scores = json.loads(run("evaluate", "run", "--data", "data.csv", "--json").output)
    assert set(scores) == {"accuracy", "macro_f1", "cross_entropy", "baselines", "notes"}
    assert list(scores["baselines"]) == ["majority", "naive Bayes", "linear, on n-grams"]
    assert any("baseline" in said for said in scores["notes"])
    assert "The run was trained on this file" in scores["notes"][-1]
    os.rename("data.csv", "others.csv")
    shown = " ".join(run("evaluate", "run", "--data", "others.csv").output.split())
    assert "The training file data.csv is not there, so no baselines are scored. Give it with --training-data" in shown
    shown = run("evaluate", "run", "--data", "others.csv", "--training-data", "others.csv").output
    assert "accuracy of naive Bayes" in shown
    os.rename("others.csv", "data.csv")
    assert run("predict", "run", "--data", "data.csv", "--out", "answers.csv").exit_code == 0
    printed = run("predict", "run", "--data", "data.csv").output
    assert printed.splitlines()[0] == "label,a,b"
    assert printed == (tmp_path / "answers.csv").read_text()


def test_generate_writes_text(run):
    assert train(run, "--window", 16, recipe="generate", data="text.txt").exit_code == 0
    result = run("generate", "run", "--prompt", "to be", "--length", 7)
    assert result.exit_code == 0
    assert len(result.output.removesuffix("\n")) == 12


def test_mistakes_are_one_sentence(run, tmp_path):
    assert train(run).exit_code == 0
    for name, content in {"other": "series,label,f\n1,a,2\n", "labels": "text,label\nab,z\n"}.items():
        (tmp_path / f"{name}.csv").write_text(content)
    (tmp_path / "one.csv").write_text("text,label\n" + "ab,a\n" * 20)
    for arguments, words in (
        (("train", "classify", "--data", "data.csv", "--out", "run"), "exists and is not empty"),
        (("train", "classify", "--data", "none.csv", "--out", "new"), "none.csv does not exist"),
        (("predict", "new", "--data", "data.csv"), "is not a run directory"),
        (("generate", "run"), "only a run of generate can generate text"),
        (("example", "cook"), "no recipe 'cook'"),
        (("example", "tag", "none"), "has no example 'none'. Known: capitals"),
        (("compare", "lstm", "--recipe", "tag", "--option", "hidden"), "is not of the form name=value"),
        (("compare", "lstm", "--recipe", "tag", "--option", "size=3"), "has no option 'size'"),
        (("compare", "lstm", "--recipe", "tag", "--option", "hidden=x"), "option hidden='x' is not an int"),
        (
            ("compare", "lstm", "--recipe", "forecast", "--option", "quantiles=x"),
            "--option quantiles=x is not a list of float",
        ),
        (("compare", "lstm", "--recipe", "tag", "--test-data", "data.csv"), "is given without --data"),
        (("predict", "run", "--data", "data.csv", "--out", "no/where.csv"), "no/where.csv: there is no directory"),
        (("predict", "run", "--data", "data.csv", "--out", "data.csv/a.csv"), "data.csv/a.csv: data.csv is a file"),
        (("predict", "run", "--data", "other.csv"), "other.csv: the data are series, but training was on texts"),
        (("evaluate", "run", "--data", "labels.csv"), "labels.csv: label 'z' is not among the learned ones"),
        (("train", "classify", "--data", "one.csv", "--out", "new"), "one.csv: the data have 1 class"),
        (
            ("train", "classify", "--data", "data.csv", "--test-data", "labels.csv", "--out", "new"),
            "labels.csv: label 'z' is not among the learned ones",
        ),
        (("train", "classify", "--data", "data.csv", "--out", "data.csv/new"), "data.csv/new"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, arguments
        assert words in result.output
        assert "Traceback" not in result.output
        assert not (tmp_path / "new").exists()


def test_answers_go_through_links_and_into_what_is_no_file(run, tmp_path):
    assert train(run).exit_code == 0
    (tmp_path / "answers.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("answers.csv")
    os.mkfifo(tmp_path / "pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_text()))
    reader.start()
    for out in ("link.csv", "pipe"):
        assert run("predict", "run", "--data", "data.csv", "--out", out).exit_code == 0
    reader.join(timeout=10)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "pipe").is_fifo()
    assert got == [(tmp_path / "answers.csv").read_text()]


def test_compare_prints_both(run):
    result = run("compare", "lstm", "--recipe", "classify", "--data", "data.csv", "--option", "epochs=1", "--seeds", 2)
    assert result.exit_code == 0, result.output
    assert result.output.count("fastgru.GRU") == result.output.count("torch.nn.LSTM") == 3  # two runs and their mean
    ratio = next(line for line in result.output.splitlines() if "ratio" in line)
    assert ratio.split("│")[2].strip() == "0.75"  # three gates of four


def test_a_comparison_of_one_run_each_has_no_means():
    results = [Result(layer, score, seconds, 10, size) for layer, score, seconds, size in RUNS]
    console = Console(width=160, record=True)
    console.print(tables.comparison_table(results, "accuracy"))
    *rows, ratio = [line.split("│")[1:-1] for line in console.export_text().splitlines() if "│" in line]
    assert [row[0].strip() for row in rows] == ["fastgru.GRU", "torch.nn.LSTM"]
    assert [cell.strip() for cell in ratio[1:]] == ["0.75", "1.00", "0.50", "+0.1"]


RUNS = [("fastgru", 0.9, 2.0, 3), ("lstm", 0.8, 4.0, 4)]


@pytest.mark.parametrize(("baseline", "code"), [(0.0, 0), (1.1, 1)])
def test_examples_fail_where_a_baseline_is_not_beaten(run, monkeypatch, baseline, code):
    example = ExampleSet(
        "toy",
        "toys",
        lambda recipe, full: Parts(DATA, None, DATA),
        lambda recipe, parts: {"other": {"accuracy": baseline}},
        {"hidden": 8, "embedding": 8, "epochs": 1},
    )
    monkeypatch.setattr(run_examples, "sets", lambda recipe: (example,) if recipe == "classify" else ())
    result = run("examples")
    assert result.exit_code == code, result.output
    assert ("does not beat other" in result.output) == bool(code)
    shown = run("example", "classify")
    assert shown.exit_code == code
    assert all(name in shown.output for name in ("accuracy (higher", "macro_f1", "cross_entropy"))

"""Messages name options as whoever reads them gives them: parameters in Python, options on the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import fastgru_recipes
from fastgru.cli.commands import app
from fastgru_recipes import Forecaster, Generator, SequenceClassifier, Tagger, Translator
from fastgru_recipes.option_names import again, given, named, spoken

SOURCE = Path(fastgru_recipes.__file__).parent
HOURS = pd.DataFrame({"time": pd.date_range("2024", periods=40, freq="h"), "value": range(40)})
FLAG = re.compile(r"(?<![\w-])--[a-z]")
PARAMETER = re.compile(r"\b[a-z]+(_[a-z]+)*=['\d]|the parameter")


def test_options_have_three_names():
    assert (named("directory"), given("context", 3), given("resume", True)) == (
        "the parameter directory",
        "context=3",
        "resume=True",
    )
    with spoken("command"):
        assert (named("directory"), given("context", 3), given("resume", True)) == ("--out", "--context 3", "--resume")
        assert given("time", "") == "--time ''"
        assert given("class_weight", {"cat": 2.0}) == """--class-weight '{"cat": 2.0}'"""
        assert again("resume", True) == "Run the same command with --resume"
        with spoken("pairs"):
            assert given("class_weight", "a b") == "--option 'class_weight=a b'"
    assert again("resume", True) == "Make the same call with resume=True"


PYTHON = [
    (lambda: Forecaster(context=1).fit(HOURS), "context=1 is too small"),
    (lambda: Forecaster(hidden=0).fit(HOURS), "hidden=0 is too small"),
    (lambda: Forecaster(zone="Mars").fit(HOURS), "zone='Mars' is not a time zone"),
    (lambda: Forecaster().fit(HOURS.drop(index=20)), "let gaps be filled: fill='linear'"),
    (lambda: Forecaster(target="sales").fit(HOURS), "that of values with the parameter target"),
    (lambda: Forecaster().fit(HOURS[:12]), "smaller values of the parameter context"),
    (lambda: SequenceClassifier(stride=3).fit(["a", "b"], [1, 2]), "stride=3 is not a power of two"),
    (lambda: SequenceClassifier(class_weight="much").fit(["a", "b"], [1, 2]), "class_weight='much' is neither"),
    (lambda: Tagger(columns="a").fit([["a"]], [["b"]]), "columns='a' does not name two columns"),
    (lambda: Translator(columns="a").fit(["a"], ["b"]), "columns='a' does not name two columns"),
    (lambda: Generator(epochs=1, steps=1).fit("abc"), "steps=1 and epochs=1 are both given"),
]


@pytest.mark.parametrize(("wrong", "words"), PYTHON, ids=[words for _, words in PYTHON])
def test_python_hears_of_parameters(wrong, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        wrong()
    assert not FLAG.search(str(caught.value))


COMMANDS = [
    ("forecast", "--context 1", "--context 1 is too small"),
    ("forecast", "--quantiles 0.5,0.1", "--quantiles 0.5,0.1 must increase"),
    ("forecast", "--zone Mars", "--zone Mars is not a time zone"),
    ("forecast", "", "let gaps be filled: --fill linear"),
    ("forecast", "--target sales", "--time '' numbers the rows"),
    ("classify", "--stride 3", "--stride 3 is not a power of two"),
    ("classify", "", "Name one with --text-column or --series-column"),
    ("tag", "--columns a", "--columns a does not name two columns"),
    ("translate", "--columns 1,1", "--columns 1,1 does not name two columns"),
    ("generate", "--epochs 1 --steps 1", "--steps 1 and --epochs 1 are both given"),
]


@pytest.mark.parametrize(("recipe", "options", "words"), COMMANDS)
def test_the_command_line_hears_of_options(recipe, options, words, tmp_path):
    path = tmp_path / "data.csv"
    HOURS.drop(index=20).to_csv(path, index=False)
    asked = ["train", recipe, "--data", str(path), "--out", str(tmp_path / "run"), *options.split()]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 1
    assert words in done.stderr
    assert not PARAMETER.search(done.stderr)


def test_a_comparison_hears_of_its_pairs(tmp_path):
    path = tmp_path / "data.csv"
    HOURS.drop(index=20).to_csv(path, index=False)
    done = CliRunner().invoke(app, ["compare", "lstm", "--recipe", "forecast", "--data", str(path)])
    assert "let gaps be filled: --option fill=linear" in done.stderr


@pytest.mark.parametrize(
    "path", [path for path in SOURCE.rglob("*.py") if path.parent.name != "cli"], ids=lambda path: path.name
)
def test_no_message_names_a_flag_by_itself(path):
    """Only the commands know that there are flags; `option_names.py` writes them."""
    texts = re.findall(r'"[^"\n]*"', path.read_text(encoding="utf-8").replace('"""', ""))
    found = [text for text in texts if FLAG.search(text)]
    assert not found or path.name == "option_names.py"

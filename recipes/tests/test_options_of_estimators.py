"""Options of estimators: what editors and type checkers see of them, random states, and training that continues."""

from __future__ import annotations

import ast
import inspect
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from typer.testing import CliRunner

import fastgru
import fastgru_recipes
import processes
from fastgru.cli.commands import app
from fastgru.errors import ArgumentError
from fastgru_recipes import RECIPES, Forecaster, Generator, SequenceClassifier, Tagger, Translator, errors, recipe_class
from fastgru_recipes.training.continued import continued
from tiny_data import same_weights

ROOT = Path(__file__).parents[2]
ESTIMATORS = Path(fastgru_recipes.__file__).parent / "estimators"
X, Y = ["aa", "bb", "ab", "ba"] * 8, ["+", "-", "+", "-"] * 8
HOURS = pd.Series(np.sin(np.arange(120) / 4), pd.date_range("2024-01-01", periods=120, freq="h"), name="value")
SMALL = {"hidden": 4, "epochs": 1}


# ---- what editors see


@pytest.mark.parametrize("recipe", RECIPES)
def test_stubs_are_those_of_the_recipes(recipe):
    """If this fails, run scripts/option-stubs."""
    written = (ESTIMATORS / "options" / f"{recipe}.pyi").read_text(encoding="utf-8")
    expected = runpy.run_path(str(ROOT / "scripts/option-stubs"))["stub"](recipe)

    def content(text):  # without docstrings, whose lines ruff may break otherwise
        return ast.dump(ast.parse(text)).replace(" ", "").replace("\\n", "")

    assert content(written) == content(expected)


PROGRAM = """
from fastgru_recipes import Forecaster, SequenceClassifier
Forecaster(context=24, quantiles=(0.1, 0.5, 0.9), target="a,b", random_state=None)
SequenceClassifier(class_weight={"a": 2.0}, layer="lstm")
Forecaster(contxt=24)
Forecaster(context="24")
SequenceClassifier(layer="gru")
reveal_type(Forecaster().context)
"""


def test_a_type_checker_knows_the_options(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    files = [ESTIMATORS.parent / "__init__.py", *ESTIMATORS.glob("*.py"), *ESTIMATORS.glob("options/*.pyi")]
    quick = ["--follow-imports=skip", "--ignore-missing-imports", "--no-incremental", "--no-error-summary"]
    paths = {"MYPYPATH": ":".join(str(Path(each.__file__).parents[1]) for each in (fastgru, fastgru_recipes))}
    done = processes.run(
        [sys.executable, "-m", "mypy", *quick, str(program), *map(str, files)], env=paths, cwd=tmp_path
    )
    said = [line.partition("program.py:")[2] for line in done.stdout.splitlines() if "program.py" in line]
    assert [line.split(":")[0] for line in said if "error" in line] == ["5", "6", "7"]
    assert 'Unexpected keyword argument "contxt" for "Forecaster"; did you mean "context"?' in said[0]
    assert any('incompatible type "str"; expected "int"' in line for line in said)
    assert any('Revealed type is "int"' in line or "builtins.int" in line for line in said)


@pytest.mark.parametrize("kind", [Forecaster, Generator, SequenceClassifier, Tagger, Translator])
def test_a_signature_has_types_and_defaults(kind):
    parameters = inspect.signature(kind).parameters
    assert parameters["hidden"].annotation == "int"
    assert parameters["hidden"].default == kind().hidden
    assert "Literal['fastgru', 'torch', 'lstm']" in str(parameters["layer"].annotation)
    assert "random_state" in parameters
    assert "seed" not in parameters


# ---- random states


def test_a_random_state_is_an_integer_a_state_or_none():
    def seed(random_state):
        return SequenceClassifier(random_state=random_state)._configured().seed

    assert seed(3) == seed(np.int64(3)) == 3  # as --seed 3 on the command line
    assert seed(np.random.RandomState(1)) == np.random.RandomState(1).randint(2**31)
    assert len({seed(None) for _ in range(3)}) == 3


@pytest.mark.parametrize("wrong", ["3", 2.5, -1, True, 2**40])
def test_other_random_states_are_refused(wrong):
    with pytest.raises(ArgumentError, match=r"random_state=.* is not an integer from 0 to .*, a RandomState or None"):
        SequenceClassifier(random_state=wrong).fit(X, Y)


def test_the_option_seed_is_called_random_state(tmp_path):
    with pytest.raises(TypeError, match=r"no option 'seed'\. It is called random_state here"):
        Forecaster(seed=3)
    SequenceClassifier(**SMALL, random_state=5).fit(X, Y).save(tmp_path / "run")
    loaded = SequenceClassifier.load(tmp_path / "run")
    assert loaded.random_state == 5
    assert clone(loaded).get_params()["random_state"] == 5


# ---- your own validation data


def test_validation_data_choose_the_epoch():
    once = {"hidden": 4, "epochs": 2, "linear_below": 0}  # a linear path would change the loss once more
    classifier = SequenceClassifier(**once).fit(X, Y, validation_data=(["aab"] * 8, ["+"] * 8))
    loss = classifier.trained_.metrics["scores"]["cross_entropy"]
    assert loss == pytest.approx(classifier.history_["validation_loss"].min(), rel=1e-4)
    tagger = Tagger(**SMALL).fit([["a", "b"]] * 8, [["A", "B"]] * 8, validation_data=([["b"]], [["B"]]))
    assert tagger.trained_.metrics["scored_on"] == "validation"
    text = Generator(**SMALL, window=8).fit("to be or not " * 20, validation_data="to be")
    assert text.trained_.metrics["scores"]["bits_per_character"] == -text.score("to be")
    translator = Translator(**SMALL, longest=3).fit(X, X, validation_data=(["ab"], ["ab"]))
    assert translator.trained_.metrics["scored_on"] == "validation"


def test_a_forecaster_takes_a_table_as_validation_data():
    forecaster = Forecaster(context=12, horizon=4, **SMALL).fit(HOURS[:80], validation_data=HOURS)
    assert forecaster.trained_.metrics["scored_on"] == "validation"
    assert forecaster.trained_.state["scales"]["value"]["values"] == 80  # all of X was learned from


@pytest.mark.parametrize(
    ("kind", "data", "wrong", "words"),
    [
        (SequenceClassifier, (X, Y), X, "validation_data is list of 32. Give a pair"),
        (SequenceClassifier, (X, Y), (X, Y[:3]), "validation_data: y has 3 labels; 32 sequences"),
        (SequenceClassifier, (X, Y), (["a"], ["?"]), r"label '\?' is not among the learned ones"),
        (Tagger, ([["a", "b"]] * 8, [["A", "B"]] * 8), ([["a"]], [["A", "B"]]), "validation_data: X and y differ"),
        (Translator, (X, X), 5, "validation_data is int. Give a pair"),
        (Generator, ("to be " * 50, None), 5, "validation_data: texts are int"),
        (Forecaster, (HOURS, None), 5, "validation_data: X is int; give a DataFrame"),
    ],
)
def test_wrong_validation_data_are_explained(kind, data, wrong, words, tmp_path):
    with pytest.raises(errors.DataError, match=words):
        kind(**SMALL).fit(*data, validation_data=wrong, directory=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- training that continues


def test_training_begins_with_earlier_weights(tmp_path):
    first = SequenceClassifier(hidden=8, epochs=3, validation=0.0).fit(X, Y, directory=tmp_path / "run")
    still = {"epochs": 1, "rate": 0.0, "validation": 0.0}
    for init in (first, tmp_path / "run", str(tmp_path / "run")):
        again = SequenceClassifier(**still).fit(["ab"] * 4 + ["ba"] * 4, ["+"] * 4 + ["-"] * 4, init=init)
        assert same_weights(first.trained_.model, again.trained_.model)
        assert again.trained_.recipe.hidden == 8
        assert again.trained_.state == first.trained_.state
    with pytest.raises(errors.RunError, match=r"hidden=9 does not fit the earlier run, which has hidden=8"):
        SequenceClassifier(hidden=9).fit(X, Y, init=first)
    with pytest.raises(errors.DataError, match="label 'new' is not among the learned ones"):
        SequenceClassifier(epochs=1).fit(X, ["+", "new"] * 16, init=first)
    with pytest.raises(errors.RunError, match="init is a run of classify; Tagger needs one of tag"):
        Tagger().fit([["a"]], [["A"]], init=first)
    with pytest.raises(ArgumentError, match="init=7 is neither a run directory nor a fitted estimator"):
        Tagger().fit([["a"]], [["A"]], init=7)


def test_a_forecaster_continues_with_new_values():
    options = {"context": 12, "horizon": 4, "hidden": 4}
    first = Forecaster(**options, epochs=2).fit(HOURS[:100])
    again = Forecaster(epochs=1, rate=0.0, validation=0.0).fit(HOURS, init=first)
    learned, before = (each.trained_.model.state_dict() for each in (again, first))
    assert (learned["gru.weight_hh_l0"] == before["gru.weight_hh_l0"]).all()
    assert not (learned["linear.weight"] == before["linear.weight"]).all()  # the linear path is that of all values
    assert learned["share"] == 1
    table = pd.DataFrame({"time": HOURS.index, "value": HOURS.to_numpy(), "more": 1.0})
    with pytest.raises(errors.RunError, match=r"gru.weight_ih_l0 is \(12, \d+\) and \(12, \d+\), here and there"):
        Forecaster(covariates="more", epochs=1).fit(table, init=first)


def test_options_with_their_defaults_are_those_of_the_earlier_run():
    forecast = recipe_class("forecast")
    earlier = forecast(target="sales", context=12, rate=0.1, steps=7, quantiles=(0.2, 0.5, 0.8))
    found = continued(forecast(rate=0.01, stride=2), earlier)
    assert (found.target, found.context, found.quantiles) == (("sales",), 12, (0.2, 0.5, 0.8))
    assert (found.rate, found.steps, found.stride) == (0.01, 0, 2)
    assert continued(forecast(target="other"), earlier).target == ("other",)  # the network does not depend on it
    with pytest.raises(errors.RunError, match="is one of tag, not of forecast"):
        continued(forecast(), recipe_class("tag")())


def test_the_command_line_continues_too(tmp_path):
    pd.DataFrame({"text": X, "label": Y}).to_csv(tmp_path / "d.csv", index=False)

    def trained(out, *options):
        given = ["train", "classify", "--data", tmp_path / "d.csv", "--out", tmp_path / out, "--epochs", 1, *options]
        return CliRunner().invoke(app, [str(each) for each in given])

    assert trained("one", "--hidden", 8).exit_code == 0
    assert trained("two", "--init", tmp_path / "one", "--rate", 0).exit_code == 0
    one, two = (SequenceClassifier.load(tmp_path / name).trained_ for name in ("one", "two"))
    assert same_weights(one.model, two.model)
    refused = trained("three", "--init", tmp_path / "one", "--hidden", 9)
    assert "error: --hidden 9 does not fit the earlier run, which has --hidden 8" in refused.stderr
    assert not (tmp_path / "three").exists()


def test_an_interrupted_fit_is_resumed(tmp_path, monkeypatch):
    options = {"hidden": 4, "epochs": 2, "validation": 0.0}
    with monkeypatch.context() as patch:
        patch.setattr(SequenceClassifier.recipe, "score", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt, match="with resume=True"):
            SequenceClassifier(**options).fit(X, Y, directory=tmp_path / "run")
    resumed = SequenceClassifier(**options).fit(X, Y, directory=tmp_path / "run", resume=True)
    assert same_weights(resumed.trained_.model, SequenceClassifier(**options).fit(X, Y).trained_.model)

"""Habits of a command line: help, completion, streams, exit statuses, texts as arguments, keys of the input."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from dataclasses import fields
from typing import get_origin, get_type_hints

import pandas as pd
import pytest
import torch
import typer
from typer.testing import CliRunner

import processes
from fastgru.cli import console as core
from fastgru.cli.commands import app  # with all commands
from fastgru.errors import ArgumentError
from fastgru_recipes import RECIPES, recipe_class
from fastgru_recipes.classify import Classify
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.cli import console, runs_command, use_commands
from fastgru_recipes.cli.declared_options import constant, declared
from fastgru_recipes.forecast import Forecast
from fastgru_recipes.tag import Tag
from fastgru_recipes.tag.read_tagged import Tagged
from fastgru_recipes.training.run_directory import Trained
from fastgru_recipes.training.train import train
from fastgru_recipes.translate import Pairs, Translate
from tiny_data import CLASSIFIER, wave_table

FASTGRU = [sys.executable, "-m", "fastgru"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of classify."""
    data = Labelled([f"{letter}{number}" for number in range(16) for letter in "ab"], ["a", "b"] * 16)
    directory = tmp_path_factory.mktemp("runs") / "letters"
    train(Classify(**{**CLASSIFIER, "epochs": 1}), data, directory=directory)
    return directory


def fastgru(*arguments, **more):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **more)


# ---- help and completion


@pytest.mark.parametrize("recipe", RECIPES)
def test_options_are_declared_as_the_dataclass_has_them(recipe):
    kind = recipe_class(recipe)
    hints, found = get_type_hints(kind), declared(recipe)
    expected = [
        (each.name, each.default, *(each.metadata[key] for key in ("help", "least", "most"))) for each in fields(kind)
    ]
    assert [(each.name, each.default, each.help, each.least, each.most) for each in found] == expected
    assert [get_origin(hints[each.name]) if each.kind is tuple else hints[each.name] for each in found] == [
        each.kind for each in found
    ]
    assert (constant(recipe, "metric"), constant(recipe, "higher_is_better")) == (kind.metric, kind.higher_is_better)
    assert {each.owner for each in found} >= {"Recipe", kind.__name__}


LIGHT = """
import sys
from typer.testing import CliRunner
from fastgru.cli.commands import app
for arguments in (["-h"], ["train", "-h"], ["train", "forecast", "-h"], ["predict", "-h"], ["runs", "."]):
    CliRunner().invoke(app, arguments)
print(sorted({"torch", "lightning", "pandas", "sklearn", "matplotlib"} & {*sys.modules}))
"""


def test_help_imports_neither_torch_nor_lightning():
    done = processes.run([sys.executable, "-c", LIGHT])
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def walked(command, path=()):
    """All commands below one, with their names."""
    yield path, command
    if hasattr(command, "list_commands"):
        here = typer.Context(command)
        for name in command.list_commands(here):
            yield from walked(command.get_command(here, name), (*path, name))


TREE = dict(walked(typer.main.get_command(app)))
GROUPS = {(), ("train",), ("backtest",)}


def test_all_commands_are_known():
    assert {path for path, each in TREE.items() if hasattr(each, "list_commands")} == GROUPS
    assert {path[0] for path in TREE if path} == {*core.RECIPE_COMMANDS, "demo", "bench", "convert", "info"}


@pytest.mark.parametrize("path", TREE)
def test_help_has_examples_and_fits(monkeypatch, path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    shown = fastgru(*path, "--help").output
    assert "Examples:" in shown
    assert " ".join(["fastgru", *path, ""]) in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    if path[:1] == ("train",) and len(path) == 2:
        assert "Format of the files" in shown
        assert "Network and training" in shown


@pytest.mark.parametrize("path", [path for path in TREE if path not in GROUPS])
def test_every_command_has_json_and_quiet(path):
    flags = {flag for parameter in TREE[path].params for flag in parameter.opts}
    assert flags >= {"--json", "--quiet", "-q"}


@pytest.mark.parametrize("path", [(), ("train", "tag"), ("export",)])
def test_short_help_is_the_help(path):
    short, long = (fastgru(*path, flag) for flag in ("-h", "--help"))
    assert (short.exit_code, short.output) == (0, long.output)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("fastgru tr", "train"),
        ("fastgru train cl", "classify"),
        ("fastgru example tr", "translate"),
        ("fastgru train tag --ov", "--overlap"),
    ],
)
def test_shells_complete(words, found):
    asked = {"_FASTGRU_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    named = "import sys; sys.argv[0] = 'fastgru'; from fastgru.cli import main; main()"
    done = processes.run([sys.executable, "-c", named], env={**os.environ, **asked})
    assert done.stdout.split() == [found], done.stderr


# ---- predictions


def test_one_text_is_an_argument(run):
    found = fastgru("predict", run, "a1")
    assert (found.exit_code, len(found.stdout.splitlines())) == (0, 2)
    assert found.stdout.startswith("label,a,b\n")
    row = json.loads(fastgru("predict", run, "a1", "--json").stdout)
    assert row["label"] in ("a", "b")
    assert row["a"] + row["b"] == pytest.approx(1)


def test_predictions_carry_the_keys_of_their_input(run, tmp_path):
    (tmp_path / "d.csv").write_text("id;text;b\n007;a1;x\n8;b2;y\n")
    found = pd.read_csv(io.StringIO(fastgru("predict", run, "--data", tmp_path / "d.csv").stdout), dtype=str)
    assert found.columns.tolist() == ["id", "input b", "label", "a", "b"]
    assert (found["id"].tolist(), found["input b"].tolist()) == (["007", "8"], ["x", "y"])


def test_several_labels_are_told_with_their_probabilities(run, tmp_path):
    (tmp_path / "d.csv").write_text("id,text\n7,a1\n8,b2\n")
    shares = pd.read_csv(io.StringIO(fastgru("predict", run, "--data", tmp_path / "d.csv", "--probabilities").stdout))
    best = pd.read_csv(io.StringIO(fastgru("predict", run, "--data", tmp_path / "d.csv", "--best", 2).stdout))
    assert best.columns.tolist() == ["id", "rank", "label", "probability"]
    assert (best["id"].tolist(), best["rank"].tolist()) == ([7, 7, 8, 8], [1, 2, 1, 2])
    assert best["label"][::2].tolist() == shares["label"].tolist()
    assert best["probability"][::2].tolist() == pytest.approx(shares[["a", "b"]].max(axis=1).tolist(), rel=1e-5)


def test_the_standard_input_and_other_formats_are_read(run, tmp_path):
    rows = '{"id": 1, "text": "a1"}\n{"id": 2, "text": "b2"}\n'
    found = fastgru("predict", run, "--data", "-", "--json", input=rows)
    assert [json.loads(line)["id"] for line in found.stdout.splitlines()] == [1, 2]
    (tmp_path / "d.csv").write_bytes("text|label\na\xe9|a\n".encode("latin-1"))
    others = ("--data", tmp_path / "d.csv", "--separator", "|", "--encoding", "latin-1")
    assert fastgru("predict", run, *others).exit_code == 0
    assert set(json.loads(fastgru("evaluate", run, *others, "--no-baselines", "--json").stdout)) == {
        "accuracy",
        "macro_f1",
        "cross_entropy",
        "baselines",
        "notes",
    }
    assert Trained.load(run).recipe.encoding == "utf-8"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either a text or --data FILE"),
        (("a", "--data", "-"), "give either a text or --data FILE"),
        ((" ",), "text 1 is empty"),
        (("a", "--horizon", "3"), "a run of classify cannot predict with --horizon"),
        (("a", "--best", "3"), "--best 3 is more than the 2 values of 'label' that were learned"),
        (("--data", "-"), "standard input, line 2: the text is empty"),
    ],
)
def test_mistakes_of_predict_are_one_sentence(run, arguments, words):
    found = fastgru("predict", run, *arguments, input="text,id\n,1\n")
    assert found.exit_code == 1
    assert words in found.stderr
    assert "Traceback" not in found.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "-", "--devices", 2), "the standard input, -, can be read by one process only"),
        (("--data", "-", "--test-data", "-"), "only one of --data, --validation-data and --test-data"),
        (("--data", "-", "--decimal", ";"), "Invalid value for '--decimal'"),
    ],
)
def test_the_standard_input_is_for_one_file_and_process(tmp_path, arguments, words):
    found = fastgru("train", "classify", *arguments, "--out", tmp_path / "run", input="text,label\na,x\n")
    assert found.exit_code in (1, 2)
    assert words in " ".join(found.stderr.split())
    assert not (tmp_path / "run").exists()


def test_a_format_that_a_recipe_does_not_read_is_refused():
    tagger = Trained(Tag(), {}, torch.nn.Identity(), pd.DataFrame())
    assert use_commands.read_as(tagger, {"encoding": "cp1252", "separator": None}).recipe.encoding == "cp1252"
    with pytest.raises(ArgumentError, match="a run of tag does not read tables: leave out --separator"):
        use_commands.read_as(tagger, {"separator": ";"})


def test_a_horizon_may_be_shorter(tmp_path):
    table = wave_table(120)
    recipe = Forecast(context=12, horizon=6, hidden=4, epochs=1, validation=0.0)
    table.to_csv(tmp_path / "d.csv", index=False)
    train(recipe, recipe.read(tmp_path / "d.csv"), directory=tmp_path / "run")
    given = ("predict", tmp_path / "run", "--data", tmp_path / "d.csv")
    assert len(fastgru(*given, "--horizon", 2).stdout.splitlines()) == 3
    assert "--horizon 7 is more than 6, the learned horizon" in fastgru(*given, "--horizon", 7).stderr
    assert "does not take a text" in fastgru("predict", tmp_path / "run", "tomorrow").stderr


def test_several_translations_are_told_with_their_probabilities(tmp_path):
    pairs = [f"{a}{b}" for a in "abc" for b in "xyz"] * 3
    recipe = Translate(unit="characters", hidden=8, embedding=4, epochs=1, validation=0.0, longest=4, beam=3)
    trained = train(recipe, Pairs(pairs, [text.upper() for text in pairs]), directory=tmp_path / "run")
    first = fastgru("predict", tmp_path / "run", "ax", "--json").stdout
    rows = [
        json.loads(line)
        for line in fastgru("predict", tmp_path / "run", "ax", "--best", 3, "--json").stdout.splitlines()
    ]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["translation"] == json.loads(first)["translation"]
    assert len({row["translation"] for row in rows}) == 3
    assert 1 >= rows[0]["probability"] >= rows[1]["probability"] >= rows[2]["probability"] > 0
    model, batch = (
        trained.model,
        recipe.collate(recipe.examples(Pairs(["ax"], [rows[0]["translation"]]), trained.state)),
    )
    memory, start = model.encode(batch["sources"], batch["lengths"])
    tokens = batch["targets"][0, : recipe.longest + 1]  # as many as the search writes
    scores, _, _ = model.decode(tokens[None, :-1], start, memory)
    of_tokens = scores[0].log_softmax(-1)[range(len(tokens) - 1), tokens[1:]]
    assert rows[0]["probability"] == pytest.approx(of_tokens.mean().exp().item(), rel=1e-4)
    (tmp_path / "d.csv").write_text("id,source\n01,ax\n2,by\n")
    asked = ("predict", tmp_path / "run", "--data", tmp_path / "d.csv")
    assert fastgru(*asked).stdout.splitlines()[0] == "id,source,translation"
    keyed = pd.read_csv(io.StringIO(fastgru(*asked, "--best", 2).stdout), dtype=str)
    assert keyed[["id", "source", "rank"]].to_numpy().tolist() == [
        [key, text, rank] for key, text in (("01", "ax"), ("2", "by")) for rank in ("1", "2")
    ]
    assert "--best 4 is more than the 3 candidates" in fastgru("predict", tmp_path / "run", "ax", "--best", 4).stderr


def test_tags_have_probabilities(tmp_path):
    data = Tagged([["a", "tag"], ["the", "tag"]] * 4, [["D", "tag"], ["D", "tag"]] * 4)
    recipe = Tag(hidden=4, embedding=4, spelling=2, epochs=1, validation=0.0)
    train(recipe, data, directory=tmp_path / "run")
    found = pd.read_csv(io.StringIO(fastgru("predict", tmp_path / "run", "the  tag", "--probabilities").stdout))
    assert found.columns.tolist() == ["sentence", "token", "tag", "D", "probability of tag"]
    shares = found[["D", "probability of tag"]]
    assert shares.sum(axis=1).tolist() == pytest.approx([1, 1])
    assert found["tag"].tolist() == [["D", "tag"][index] for index in shares.to_numpy().argmax(1)]
    (tmp_path / "d.jsonl").write_text('{"id": "x", "tokens": []}\n{"id": "y", "tag": 1, "tokens": ["the", "tag"]}\n')
    asked = ("predict", tmp_path / "run", "--data", tmp_path / "d.jsonl")
    table = pd.read_csv(io.StringIO(fastgru(*asked).stdout))
    assert table.columns.tolist() == ["id", "input tag", "sentence", "token", "tag"]
    assert table["id"].tolist() == ["y", "y"]
    assert table["tag"].tolist() == found["tag"].tolist()
    best = pd.read_csv(io.StringIO(fastgru(*asked, "--best", 2).stdout))
    assert best[["id", "sentence", "token", "rank"]].to_numpy().tolist() == [
        ["y", 1, token, rank] for token in ("the", "tag") for rank in (1, 2)
    ]
    assert best["probability"][::2].tolist() == pytest.approx(shares.max(axis=1).tolist(), rel=1e-4)


# ---- streams and statuses


def test_training_prints_json_alone_where_there_is_no_terminal(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\n" + "ab,x\nba,y\n" * 10)
    asked = ("--data", tmp_path / "d.csv", "--epochs", 1, "--hidden", 4, "--retrain-below", 0, "--json")
    done = fastgru("train", "classify", *asked, "--out", tmp_path / "run")
    assert (done.exit_code, done.stderr) == (0, "1 step of 18 examples\n")
    assert json.loads(done.stdout)["scores"]["accuracy"] >= 0
    quiet = fastgru("train", "classify", *asked, "--quiet", "--out", tmp_path / "other")
    assert (quiet.exit_code, quiet.stderr) == (0, "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"), [(Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)]
)
def test_progress_is_for_terminals(monkeypatch, stream, quiet, shown):
    monkeypatch.setattr(sys, "stderr", stream)
    assert console.shows_progress(quiet) is shown


@pytest.mark.filterwarnings("always")
def test_quiet_leaves_out_warnings(run, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    (copy / "metrics.json").write_text("{")
    assert "metrics.json is damaged" in fastgru("predict", copy, "a").stderr
    assert fastgru("predict", copy, "a", "--quiet").stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disks_and_pipes_without_readers(run):
    with open("/dev/full", "w") as full:
        done = processes.run([*FASTGRU, "runs", str(run)], stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: the standard output cannot be written: No space left on device.")
    named = fastgru("predict", run, "a1", "--out", "/dev/full")
    assert (named.exit_code, named.stderr.split(":")[1]) == (1, " /dev/full cannot be written")
    reading, writing = os.pipe()
    os.close(reading)
    done = processes.run([*FASTGRU, "train", "--help"], stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_a_closed_output_is_no_mistake(run):
    closed = (
        "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, '-m', 'fastgru', 'runs', sys.argv[1]])"
    )
    done = processes.run([sys.executable, "-c", closed, str(run)])
    assert (done.returncode, done.stderr) == (0, "")


# ---- runs


def test_runs_are_compared(run, tmp_path):
    for name, score in (("worse", 0.5), ("better", 0.75)):
        place = tmp_path / "runs" / "letters" / name
        place.mkdir(parents=True)
        (place / "config.json").write_text('{"recipe": "classify", "options": {}}')
        baselines = {"majority": {"accuracy": 0.6}, "nothing": {"accuracy": 0.1}}
        facts = {"scores": {"accuracy": score}, "training_seconds": 2, "steps": 1040, "baselines": baselines}
        (place / "metrics.json").write_text(json.dumps(facts))
        (place / "metrics.csv").write_text("epoch,seconds\n1,1\n2,1\n")
    begun = tmp_path / "runs" / "begun"
    begun.mkdir()
    (begun / "config.json").write_text('{"recipe": "classify", "options": {}}')
    for name, content in (("repeats", '{"scores": {"MASE": null}, "training_seconds": 2}'), ("damaged", "{")):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "config.json").write_text('{"recipe": "forecast", "options": {}}')
        (tmp_path / "runs" / name / "metrics.json").write_text(content)
    (tmp_path / "runs" / "config.json").write_text("[]")  # of something else
    found = runs_command.find_runs(tmp_path / "runs")
    assert [each.name for each in found] == ["letters/better", "letters/worse", "begun", "damaged", "repeats"]
    assert found[0] == ("letters/better", "classify", "accuracy", 0.75, 0.6, 1040, 2, 2, "finished")
    assert [each.state for each in found[2:]] == ["unfinished", "damaged", "finished"]
    printed = fastgru("runs", tmp_path / "runs").stdout
    assert "unfinished" in printed
    assert "undefined" in printed
    assert json.loads(fastgru("runs", run.parent, "--json").stdout)[0]["metric"] == "accuracy"


def test_mistakes_of_runs_are_one_sentence(tmp_path):
    assert "holds no run directories" in fastgru("runs", tmp_path).stderr
    assert "is not a directory" in fastgru("runs", tmp_path / "none").stderr

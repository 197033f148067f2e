"""Networks as files that run without PyTorch: their predictions are those of `predict`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from tokenizers import Tokenizer
from typer.testing import CliRunner

from fastgru import runtime
from fastgru.cli.commands import app  # with all commands
from fastgru.errors import ArgumentError, WriteError
from fastgru_recipes import export
from fastgru_recipes.classify import Classify
from fastgru_recipes.classify.read_labelled import Labelled
from fastgru_recipes.errors import RunError
from fastgru_recipes.forecast import Forecast, features
from fastgru_recipes.forecast.read_series import from_frame
from fastgru_recipes.generate import Generate
from fastgru_recipes.tag import Tag, Tagged
from fastgru_recipes.training import export as module
from fastgru_recipes.training.run_directory import Trained
from fastgru_recipes.translate import Pairs, Translate
from tiny_data import texts, wave_table

TEXT = "to be or not to be, that is the question\n" * 4
SERIES = Labelled([np.random.default_rng(n).normal(size=(60 + n, 2)) for n in range(6)], ["a", "b"] * 3)
TAGGED = Tagged([["a", "tag", "zz"], ["the", "tag"]] * 4, [["D", "T", "Z"], ["D", "T"]] * 4)
PAIRS = Pairs(["abc", "bc", "ccca"], ["ABC", "BC", "CCCA"])
WAVE = from_frame(wave_table(200), Forecast().columns)
FORECAST = {"context": 24, "horizon": 6, "hidden": 8, "transform": "none", "recent": 0}


def made(recipe, data):
    """A network with weights that matter, as if it was trained."""
    torch.manual_seed(0)
    state = recipe.learn_state(data)
    model = recipe.network(state).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.4)
    history = pd.DataFrame({"epoch": [1], "training_loss": [1.0], "gradient_norm": [1.0]})
    return Trained(recipe, state, model, history)


def begun(trained):
    """Gives the network a linear path, and its changes a share."""
    trained.recipe.start(trained.model, trained.state, texts())
    if trained.model.linear is not None:
        trained.model.linear.share.fill_(0.3)


def softmax(scores):
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def shares_of_texts(trained, run, about, dtype=np.float32):
    """The probabilities of labels by the file and its description alone, as in `predict`."""
    tokenizer = Tokenizer.from_str(json.dumps(about["state"]["tokenizer"]))
    rows = [{"tokens": np.array([tokenizer.encode(text).ids])} for text in texts().sequences]
    if known := about["state"].get("ngrams"):
        counter = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True, vocabulary=known["names"], dtype=dtype
        )
        counter.idf_ = np.array(known["idf"], dtype)
        for row, text in zip(rows, texts().sequences, strict=True):
            row["ngrams"] = counter.transform([text]).toarray()
    found = [softmax(run(row))[0] for row in rows]
    expected = trained.recipe.predict(trained.model, trained.state, Labelled(texts().sequences, None))
    np.testing.assert_allclose(found, expected[about["state"]["labels"]], atol=1e-6)
    assert about["state"]["labels"] == ["a", "b"]


@pytest.mark.parametrize(
    "options", [{}, {"layer": "torch", "layers": 2}, {"precision": "64-true"}, {"linear_below": 0}]
)
def test_texts_are_classified_by_the_file_alone(tmp_path, options):
    trained = made(Classify(hidden=8, embedding=4, **options), texts())
    begun(trained)
    found = export(trained, tmp_path / "m.safetensors")
    assert found.difference <= found.tolerance
    model = runtime.load(found.files[0])
    about = json.loads(found.description.read_text())
    assert about["files"][0]["inputs"]["tokens"]["axes"] == ["batch", "steps"]
    dtype = np.float64 if "precision" in options else np.float32
    shares_of_texts(trained, lambda given: model.run(given if "ngrams" in given else given["tokens"])[0], about, dtype)


def test_onnx_gives_the_same(tmp_path):
    import onnxruntime

    trained = made(Classify(hidden=8, embedding=4), texts())
    begun(trained)
    found = export(trained, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(found.files[0]))

    def run(given):
        return session.run(None, {**given, "lengths": np.array([given["tokens"].shape[1]])})[0]

    shares_of_texts(trained, run, json.loads(found.description.read_text()))


def test_text_costs_the_same_bits(tmp_path):
    trained = made(Generate(hidden=8, embedding=8, window=8, layers=2), TEXT)
    found = export(trained, tmp_path / "g.safetensors")
    about = json.loads(found.description.read_text())
    ids = [2, *Tokenizer.from_str(json.dumps(about["state"]["tokenizer"])).encode(TEXT).ids]
    scores, _ = runtime.load(found.files[0]).run(np.array([ids[:-1]]))
    shares = softmax(scores[0])[range(len(ids) - 1), ids[1:]]
    expected = trained.recipe.score(trained.model, trained.state, TEXT)["bits_per_character"]
    assert -np.log2(shares).mean() == pytest.approx(expected, rel=1e-4)


def test_series_without_convolutions(tmp_path):
    trained = made(Classify(hidden=8, filters=0, pooling="last"), SERIES)
    found = export(trained, tmp_path / "s.safetensors")
    batch = trained.recipe.collate(trained.recipe.examples(SERIES, trained.state))
    given = {name: batch[key].numpy() for name, key in (("steps", "sequences"), ("statistics", "statistics"))}
    scores, _ = runtime.load(found.files[0]).run(given, lengths=batch["lengths"].numpy())
    table = trained.recipe.predict(trained.model, trained.state, SERIES)
    np.testing.assert_allclose(softmax(scores), table[["a", "b"]], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "data", "files"),
    [
        (Classify(hidden=8, filters=8), SERIES, ["m"]),
        (Generate(hidden=8, embedding=8, window=8, layers=2), TEXT, ["m"]),
        (Forecast(**FORECAST, embedding=3), WAVE, ["m"]),
        (Tag(hidden=8, embedding=4, spelling=4), TAGGED, ["m"]),
        (Translate(unit="characters", hidden=8, embedding=8, layers=2), PAIRS, ["m-encoder", "m-decoder"]),
    ],
)
def test_every_recipe_becomes_onnx(tmp_path, recipe, data, files):
    found = export(made(recipe, data), tmp_path / "m.onnx")
    assert [path.name for path in found.files] == [f"{name}.onnx" for name in files]
    assert found.difference <= found.tolerance


@pytest.mark.slow
def test_forecasts_through_onnx_are_those_of_predict(tmp_path):
    import onnxruntime

    trained = made(Forecast(**FORECAST), WAVE)
    trained.recipe.start(trained.model, trained.state, WAVE)
    session = onnxruntime.InferenceSession(str(export(trained, tmp_path / "f.onnx").files[0]))
    batch = trained.recipe.collate(trained.recipe.examples(WAVE, trained.state)[-1:])
    (scaled,) = session.run(None, {"past": batch["past"].numpy(), "future": batch["future"].numpy()})
    scale = trained.state["scales"]["value"]
    known = replace(WAVE, series=(WAVE.series[0].until(194),))  # what comes before the last example
    table = trained.recipe.predict(trained.model, trained.state, known)
    found = features.untransformed_values(scaled[0].astype(np.float64), scale, "none", are_counts=False)
    np.testing.assert_allclose(found, table[["q0.1", "q0.5", "q0.9"]], rtol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "data", "to", "words"),
    [
        (Forecast(**FORECAST), WAVE, "m.safetensors", r"of forecast cannot be exported: .*Give format='onnx'\."),
        (Tag(), TAGGED, "m.safetensors", "of tag cannot be exported: the runtime cannot look up the spelling"),
        (Tag(crf=True), TAGGED, "m.onnx", "of tag cannot be exported: the search .* Train with crf=False"),
        (Tag(affix=0), TAGGED, "m.onnx", "of tag cannot be exported: .* Train without affix=0"),
        (Translate(), PAIRS, "m.safetensors", "of translate cannot be exported: the runtime has no attention"),
        (Classify(pooling="mean"), texts(), "m.safetensors", "no mean or maximum over time"),
        (Classify(pooling="last"), SERIES, "m.safetensors", "the runtime has no convolutions over time"),
        (Classify(layer="lstm"), texts(), "m.onnx", "its layers are LSTMs. Train with layer='fastgru'"),
        (Classify(precision="64-true"), texts(), "m.onnx", "compute in 32 bits"),
        (Classify(), texts(), "m.bin", "m.bin does not end in .safetensors"),
        (Classify(), texts(), None, "a trained recipe has no directory"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path, recipe, data, to, words):
    with pytest.raises(ArgumentError, match=words):
        export(made(recipe, data), to and tmp_path / to)
    assert not [*tmp_path.iterdir()]


def test_a_file_with_other_results_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_run_own", lambda part, path, given: [np.zeros((3, 2), np.float32)])
    with pytest.raises(RunError, match="differ from those of the network"):
        export(made(Classify(hidden=4), texts()), tmp_path / "m.safetensors")
    assert not [*tmp_path.iterdir()]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where nobody can write")
def test_a_place_that_cannot_be_written_is_named():
    with pytest.raises(WriteError, match=r"^/proc/m\.safetensors cannot be written"):
        export(made(Classify(hidden=4), texts()), "/proc/m.safetensors")


def test_the_command_writes_into_the_run(tmp_path):
    made(Classify(hidden=4), texts()).save(tmp_path / "run")
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--json"])
    facts = json.loads(done.stdout)
    assert facts["files"] == [str(tmp_path / "run/exported.safetensors")]
    assert (tmp_path / "run/exported.json").is_file()
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--to", str(tmp_path / "none/m.onnx")])
    assert (done.exit_code, "there is no directory" in done.stderr) == (1, True)

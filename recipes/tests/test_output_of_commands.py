"""Output of the commands: on terminals of any encoding, and when the disk is full."""

from __future__ import annotations

import errno
import io
import os
import sys

import pandas as pd
import pytest

import processes
from fastgru import cli

LETTERS = ["добре…", "café ↑", "猫±"]
OPTIONS = ["--epochs", "1", "--hidden", "4", "--embedding", "4"]
FOREIGN = b"data-caf\xe9.csv"  # a name that is no UTF-8


@pytest.fixture
def fastgru(monkeypatch, tmp_path):
    """Runs a command on streams of an encoding: status, output, errors."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"text": LETTERS * 8, "label": ["ö…", "猫", "ö…"] * 8}).to_csv("data.csv", index=False)

    def run(*arguments, encoding="utf-8"):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding) for name in ("stdout", "stderr")}
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["fastgru", *arguments])
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        texts = [stream.buffer.getvalue().decode(encoding) for stream in streams.values() if not stream.flush()]
        return ended.value.code or 0, *texts

    return run


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "koi8-r"])
def test_every_command_works_on_a_terminal_that_lacks_letters(fastgru, tmp_path, encoding):
    trained = fastgru("train", "classify", "--data", "data.csv", "--out", "run", *OPTIONS, encoding=encoding)
    assert trained[0] == 0, trained
    assert (tmp_path / "run/metrics.json").exists()
    status, printed, said = fastgru("predict", "run", "--data", "data.csv", encoding=encoding)
    assert (status, len(printed.splitlines())) == (0, 25)
    assert f"encoding, {encoding}, has no" in said
    for arguments in (["evaluate", "run", "--data", "data.csv"], ["info"], ["train", "tag", "--help"], ["--help"]):
        assert fastgru(*arguments, encoding=encoding)[0] == 0
    status, _, said = fastgru("predict", "猫", "--data", "data.csv", encoding=encoding)
    assert status == 1
    assert "error: ? is not a run directory" in said


def test_a_name_that_is_no_utf8_is_taken(fastgru, tmp_path):
    os.rename("data.csv", FOREIGN)
    name = os.fsdecode(FOREIGN)
    assert fastgru("train", "classify", "--data", name, "--out", "run", *OPTIONS)[0] == 0
    status, _, said = fastgru("predict", "run", "--data", "x" + name)
    assert status == 1
    assert "xdata-caf?.csv does not exist" in said


LIMITED = """
import resource, sys
from fastgru.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
sys.argv = ["fastgru", "train", "classify", "--data", "data.csv", "--out", "run", "--epochs", "1", "--hidden", "32"]
main()
"""


def test_a_checkpoint_that_does_not_fit_is_one_sentence(fastgru, tmp_path):
    done = processes.run([sys.executable, "-c", LIMITED])
    assert done.returncode == 1
    assert "run/checkpoints/last.ckpt cannot be written: File too large. The file exceeds the size limit" in done.stderr
    assert "--resume then, to continue in run" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()} == {"config.json", "vocabulary.json"}
    assert fastgru("train", "classify", "--data", "data.csv", "--out", "run", "--resume", "--epochs", "1", "--hidden",
                   "32")[0] == 0  # fmt: skip


def test_a_config_that_cannot_be_written_leaves_no_directory_in_the_way(fastgru, tmp_path, monkeypatch):
    def failing(path, content):
        if "config" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    arguments = ["train", "classify", "--data", "data.csv", "--out", "run", *OPTIONS]
    write = type(tmp_path).write_bytes
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "write_bytes", failing)
        status, _, said = fastgru(*arguments)
    assert (status, said.count("run/config.json cannot be written: No space left on device")) == (1, 1)
    assert fastgru(*arguments)[0] == 0

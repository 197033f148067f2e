"""Output of the command line to pipes and full disks."""

from __future__ import annotations

import errno
import os
import sys

import pytest

import processes
from fastgru import atomic_files, errors


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_output_is_one_sentence(tmp_path):
    with open("/dev/full", "w") as full:
        done = processes.run([sys.executable, "-m", "fastgru", "info", "--json"], stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the standard output cannot be written: No space left on device.")
    assert done.stderr.count("\n") == 1


def test_an_output_that_nobody_reads_ends_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    done = processes.run([sys.executable, "-m", "fastgru", "info", "--json"], stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_a_file_is_told_by_the_users_name(tmp_path, number):
    path = tmp_path / "answers.csv"
    path.write_text("old")
    with pytest.raises(errors.WriteError) as caught, atomic_files.atomic_write(path) as partial:  # noqa: PT012
        partial.write_text("half of")
        raise OSError(number, os.strerror(number), str(partial))
    assert str(caught.value).startswith(f"{path} cannot be written: {os.strerror(number)}. ")
    assert (caught.value.errno, caught.value.filename) == (number, str(path))
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("answers.csv", "old")]

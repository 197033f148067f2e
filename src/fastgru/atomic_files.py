"""Atomic writing of files: a file is complete or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from fastgru.errors import cannot_write

__all__ = ["atomic_write"]

_unfinished: set[Path] = set()


def remove_unfinished() -> None:
    """Removes the files that `atomic_write` has begun. For a process that ends without leaving its `with` blocks."""
    for partial in tuple(_unfinished):
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary file next to `path`, renamed to `path` when the block ends, or removed when the block raises.

    The temporary name has the same extension as `path`, because libraries derive the format from it. If `path` is a
    symbolic link, the file that it points to is replaced. A device such as /dev/stdout is written to directly.

    Args:
        path: the file to write.

    Yields:
        The path to write to inside the block.

    Raises:
        WriteError: an OSError that names `path`, if it cannot be written.

    Example:
        >>> import tempfile
        >>> from fastgru.atomic_files import atomic_write
        >>> path = Path(tempfile.mkdtemp()) / "figures.json"
        >>> with atomic_write(path) as partial:
        ...     _ = partial.write_text("{}")
        >>> path.read_text()
        '{}'
    """
    target = path.resolve()
    is_file = not target.exists() or target.is_file() or target.is_dir()
    if is_file and not target.parent.is_dir():
        raise FileNotFoundError(
            f"{path}: there is no directory {target.parent}. Make it first, or choose another name."
        )
    partial = target.with_name(f".partial-{target.name[-60:]}") if is_file else path
    try:
        with _unfinished_until_done(partial) if is_file else nullcontext():
            yield partial
            if is_file:
                _rename(partial, target)
    except BrokenPipeError:
        raise  # the reader of a pipe has ended, which is not an error
    except OSError as error:
        if error.filename not in (None, str(partial), str(target)):
            raise
        raise cannot_write(path, error) from error


@contextmanager
def _unfinished_until_done(partial: Path) -> Iterator[None]:
    _unfinished.add(partial)
    try:
        yield
    finally:
        with suppress(OSError):  # if it could not be made, that error has been raised
            partial.unlink(missing_ok=True)
        _unfinished.discard(partial)


def _rename(partial: Path, target: Path) -> None:
    with partial.open("rb+") as file:
        os.fsync(file.fileno())  # the content must be on the disk before the name is
    partial.replace(target)

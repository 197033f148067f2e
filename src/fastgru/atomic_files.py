"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from fastgru.errors import cannot_write

__all__ = ["whole"]

_unfinished: set[Path] = set()


def remove_unfinished() -> None:
    """Removes what `whole` has begun: for a process that ends without leaving its blocks."""
    for partial in tuple(_unfinished):
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; the file gets its own name when the block ends well, and else goes away.

    The name keeps the ending of `path`, from which libraries tell the format. A link stays, and what it points to is
    replaced; what is no file, such as /dev/stdout, is written to as it is.

    Raises:
        WriteError: an OSError that names `path`, when it cannot be written.

    Example:
        >>> import tempfile
        >>> from fastgru.atomic_files import whole
        >>> path = Path(tempfile.mkdtemp()) / "figures.json"
        >>> with whole(path) as partial:
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
        raise  # whoever read it has ended, which is no mistake
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
        with suppress(OSError):  # where it could not be made it cannot be removed, and that was told
            partial.unlink(missing_ok=True)
        _unfinished.discard(partial)


def _rename(partial: Path, target: Path) -> None:
    with partial.open("rb+") as file:
        os.fsync(file.fileno())  # the name must not be there before the content is
    partial.replace(target)

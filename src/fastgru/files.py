"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_unfinished: set[Path] = set()


def remove_unfinished() -> None:
    """Removes what `whole` has begun: for a process that ends without leaving its blocks."""
    for partial in tuple(_unfinished):
        partial.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; the file gets its own name when the block ends well, and else goes away.

    The name keeps the ending of `path`, from which libraries tell the format. A link stays, and what it points to is
    replaced; what is no file, such as /dev/stdout, is written to as it is.

    Raises:
        OSError: naming `path`, when it cannot be written.

    Example:
        >>> import tempfile
        >>> from fastgru.files import whole
        >>> path = Path(tempfile.mkdtemp()) / "figures.json"
        >>> with whole(path) as partial:
        ...     _ = partial.write_text("{}")
        >>> path.read_text()
        '{}'
    """
    target = path.resolve()
    if target.exists() and not (target.is_file() or target.is_dir()):
        yield path
        return
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{path}: there is no directory {target.parent}. Make it first, or choose another name."
        )
    partial = target.with_name(f".partial-{target.name[-60:]}")
    _unfinished.add(partial)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # the name must not be there before the content is
        partial.replace(target)
    except OSError as error:
        if error.filename == str(partial):
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)
        _unfinished.discard(partial)

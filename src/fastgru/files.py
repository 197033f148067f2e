"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; the file gets its own name when the block ends well, and else goes away.

    The name keeps the ending of `path`, from which libraries tell the format.

    Example:
        >>> import tempfile
        >>> from fastgru.files import whole
        >>> path = Path(tempfile.mkdtemp()) / "figures.json"
        >>> with whole(path) as partial:
        ...     _ = partial.write_text("{}")
        >>> path.read_text()
        '{}'
    """
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

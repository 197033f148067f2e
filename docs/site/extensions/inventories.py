"""Inventories of other projects' documentation, made of short lists in this repository: a build needs no network.

Each list names the address of a documentation, and below it the names that our pages link to, with their pages.
"""

from __future__ import annotations

import zlib
from pathlib import Path

_HEADER = "# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
_HEADER += "# The remainder of this file is compressed using zlib.\n"


def mapping(lists: Path, built: Path) -> dict[str, tuple[str, str]]:
    """What `intersphinx_mapping` needs: project -> (address, path of its inventory).

    Args:
        lists: the folder of the lists, one `PROJECT.txt` each.
        built: the folder that gets the inventories.
    """
    built.mkdir(parents=True, exist_ok=True)
    found = {}
    for path in sorted(lists.glob("*.txt")):
        address, entries = read(path)
        target = built / f"{path.stem}.inv"
        target.write_bytes(inventory(path.stem, entries))
        found[path.stem] = (address, str(target))
    return found


def read(path: Path) -> tuple[str, list[tuple[str, str, str]]]:
    """The address in a list, and its entries: (name, kind, page).

    A line is a name, its kind in Sphinx's Python domain, and its page. A `$` in a page stands for the name.

    Raises:
        ValueError: a line has another form. The message names it.
    """
    address, *lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    entries = []
    for line in lines:
        parts = line.split()
        if len(parts) != 3:
            raise ValueError(f"{path}: {line!r} has {len(parts)} parts. Expected a name, its kind and its page.")
        entries.append((parts[0], parts[1], parts[2].replace("$", parts[0])))
    return address, entries


def inventory(project: str, entries: list[tuple[str, str, str]]) -> bytes:
    """An inventory in Sphinx's second format.

    Example:
        >>> inventory("torch", [("torch.save", "function", "save.html#torch.save")])[:28]
        b'# Sphinx inventory version 2'
    """
    body = "".join(f"{name} py:{kind} 1 {page} -\n" for name, kind, page in entries)
    return _HEADER.format(project=project).encode() + zlib.compress(body.encode())

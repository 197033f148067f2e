"""The Pythons of this machine, for the scripts that build and check wheels."""

from __future__ import annotations

import shutil
from pathlib import Path

SUPPORTED = ["3.10", "3.11", "3.12", "3.13", "3.14"]


def interpreters() -> dict[str, str]:
    """Versions such as "3.12" -> paths: those that pyenv keeps, else those on the PATH."""
    found = {}
    for version in SUPPORTED:
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))
        path = str(kept[-1]) if kept else shutil.which(f"python{version}")
        if path is not None:
            found[version] = path
    return found

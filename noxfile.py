"""Sessions for nox: the wheels in dist/ on every supported Python, and on the oldest versions that are supported.

nox and not tox, whose environments would stand beside the clean ones that the script makes.

nox --list
nox -s "installed(3.12)"
nox -s oldest
nox -s "installed(3.11)" -- --torch torch==2.13.0
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent / "scripts"))
from interpreters import SUPPORTED, interpreters

# scripts/check-installed makes clean environments itself.
nox.options.default_venv_backend = "none"
nox.options.sessions = ["installed", "oldest"]


def check(session: nox.Session, *options: str) -> None:
    """Runs the script; what follows -- on the command line goes to it too."""
    session.run("scripts/check-installed", "--suite", *options, *session.posargs, external=True)


@nox.session
@nox.parametrize("version", SUPPORTED, ids=SUPPORTED)
def installed(session: nox.Session, version: str) -> None:
    """The wheel that pip chooses for a Python, with the newest NumPy."""
    if version not in interpreters():
        session.skip(f"Python {version} is not on this machine")
    check(session, "--python", version)


@nox.session
def oldest(session: nox.Session) -> None:
    """The oldest Python and NumPy."""
    check(session, "--oldest")

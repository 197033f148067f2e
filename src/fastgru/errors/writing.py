"""Errors of writing files: full disks, limits, permissions."""

from __future__ import annotations

import errno

from fastgru.errors.classes import WriteError

_ROOM = "Make room there, or choose a place on another disk."
_RIGHTS = "You have no permission to write there: choose another place, or ask its owner."
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "The file exceeds the size limit here: raise it (ulimit -f), or choose a place on another disk.",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "That disk is read-only: choose a place on another one.",
    errno.EIO: "The disk or its connection is failing: choose a place on another one.",
    errno.ENOTDIR: "A part of the path is a file where a directory is needed: choose another path.",
    errno.EISDIR: "It is a directory: give a file.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def remedy(error: OSError) -> str:
    """What a user can do about an OSError."""
    return _REMEDIES.get(error.errno or 0, "Check the path and its permissions.")


def cannot_write(path: object, error: OSError) -> WriteError:
    """For a file that cannot be written. `error` may name a temporary file, which the user does not know."""
    reason = (error.strerror or str(error)).rstrip(".")
    found = WriteError(f"{path} cannot be written: {reason}. {remedy(error)}")
    found.errno, found.strerror, found.filename = error.errno, error.strerror, str(path)
    return found

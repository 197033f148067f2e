"""What cannot be written or read: full disks, limits, rights."""

from __future__ import annotations

import errno

from fastgru.errors.classes import WriteError

_ROOM = "Make room there, or choose a place on another disk."
_RIGHTS = "You may not write there: choose another place, or have its owner let you."
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "No file may grow that large here: raise the limit (ulimit -f), or choose a place on another disk.",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "That disk is for reading alone: choose a place on another one.",
    errno.EIO: "The disk or its connection is failing: choose a place on another one.",
    errno.ENOTDIR: "A part of the path is a file where a directory is needed: choose another path.",
    errno.EISDIR: "It is a directory: give a file.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def remedy(error: OSError) -> str:
    """What a user can do about an error of the system."""
    return _REMEDIES.get(error.errno or 0, "Check the path, and who may use it.")


def cannot_write(path: object, error: OSError) -> WriteError:
    """For a file of the user's that the system does not write; `error` may name another, which only we know."""
    reason = (error.strerror or str(error)).rstrip(".")
    found = WriteError(f"{path} cannot be written: {reason}. {remedy(error)}")
    found.errno, found.strerror, found.filename = error.errno, error.strerror, str(path)
    return found

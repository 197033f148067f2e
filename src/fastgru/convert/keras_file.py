"""The content of a .keras file: the configuration of the model, and the arrays of its layers."""

from __future__ import annotations

import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastgru.convert.hdf5 import HDF5File
from fastgru.convert.layout import Array
from fastgru.errors import ConversionError, FormatError

_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
# Keras does not compress its files. Content that is this much larger than the file was made to fill memory.
_MOST_COMPRESSION = 64


class KerasFile:
    """A .keras file that was read into memory.

    Args:
        path: the file.

    Raises:
        FormatError: it is no such file, or is damaged.
        ConversionError: it is of Keras 2.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        metadata, config, weights = _members(self.path)
        version = str(_json(self.path, "metadata.json", metadata).get("keras_version"))
        if not re.match(r"[3-9]\.", version):
            raise ConversionError(
                f"{self.path!r} was written by Keras {version[:20]}. Expected Keras 3. Load it there and save it again."
            )
        self.config = _json(self.path, "config.json", config)
        with self._place("the file"):
            self._weights = HDF5File(weights)
        self._arrays: dict[str, list[Array]] = {}  # layers may be called more than once

    def arrays(self, place: str) -> list[Array]:
        """The variables of a layer in Keras' order, such as those of ``layers/gru/cell``.

        Raises:
            FormatError: they are missing or damaged.
        """
        if place not in self._arrays:
            with self._place(place):
                address = self._address(f"{place}/vars")
                if address is None:
                    raise FormatError("it is missing")
                members = self._weights.members(address)
            self._arrays[place] = [self._array(f"{place}/vars/{k}", members) for k in range(len(members))]
        return self._arrays[place]

    def name_of(self, place: str) -> str | None:
        """The name of the layer whose variables these are; None where the file does not tell."""
        with self._place(place):
            address = self._address(f"{place}/vars")
            return None if address is None else self._weights.text(address, "name")

    def _array(self, place: str, members: Mapping[str, int]) -> Array:
        with self._place(place):
            name = place.rpartition("/")[2]
            if name not in members:
                raise FormatError("it is missing")
            return self._weights.array(members[name])

    def _address(self, place: str) -> int | None:
        address: int | None = self._weights.root
        for part in place.split("/"):
            address = None if address is None else self._weights.members(address).get(part)
        return address

    @contextmanager
    def _place(self, place: str) -> Iterator[None]:
        """Adds to errors where in the file of weights they are."""
        try:
            yield
        except FormatError as error:
            raise FormatError(
                f"{self.path!r}, {place} in model.weights.h5: {error}. Save the model again with Keras 3."
            ) from error


def _members(path: str) -> list[bytes]:
    """The content of the members that are needed, with a limit to their sizes."""
    try:
        with zipfile.ZipFile(path) as archive:
            if missing := [name for name in _MEMBERS if name not in archive.namelist()]:
                raise FormatError(
                    f"{path!r} has no {missing[0]}. Expected a file that `model.save('model.keras')` of Keras 3 wrote. "
                    "For weights alone, pass them to fastgru.convert.read."
                )
            sizes = [archive.getinfo(name).file_size for name in _MEMBERS]
            if sum(sizes) > _MOST_COMPRESSION * os.path.getsize(path):
                raise FormatError(
                    f"{path!r} unpacks to {sum(sizes)} bytes, over {_MOST_COMPRESSION} times its size. Keras does not "
                    "compress its files; save the model again."
                )
            return [_read(archive, name, size) for name, size in zip(_MEMBERS, sizes, strict=True)]
    except FormatError:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise FormatError(
            f"{path!r} is not a .keras file, or is damaged: {error}. Expected a file that `model.save('model.keras')` "
            "of Keras 3 wrote."
        ) from error


def _read(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    with archive.open(name) as member:
        content = member.read(size + 1)
    if len(content) != size:
        raise zipfile.BadZipFile(f"{name} has {len(content)} bytes or more, not {size}")
    return content


def _json(path: str, name: str, content: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path!r}: {name} is damaged: {error}. Save the model again.") from error
    if not isinstance(parsed, Mapping):
        raise FormatError(f"{path!r}: {name} is not a JSON object. Save the model again.")
    return parsed

"""The content of a .keras file: the configuration of the model, and the arrays of its layers. Needs h5py."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

from fastgru.convert.arrays import to_numpy
from fastgru.convert.layout import Array
from fastgru.errors import ConversionError, FormatError, missing_extra

_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
# Keras does not compress its files. Content that is this much larger than the file was made to fill memory.
_MOST_COMPRESSION = 64


class KerasFile:
    """A .keras file that was read into memory.

    Args:
        path: the file.

    Raises:
        FormatError: it is no such file, or is damaged.
        ConversionError: it is of Keras 2, or its weights are stored outside.
        MissingExtra: h5py is not installed.
        OSError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        metadata, config, weights = _members(self.path)
        try:
            import h5py
        except ModuleNotFoundError as missing:
            raise missing_extra("h5py", "keras", "fastgru.convert.keras_model") from missing
        self._h5py = h5py
        version = str(_json(self.path, "metadata.json", metadata).get("keras_version"))
        if not re.match(r"[3-9]\.", version):
            raise ConversionError(
                f"{self.path!r} was written by Keras {version[:20]}. Expected Keras 3. Load it there and save it again."
            )
        self.config = _json(self.path, "config.json", config)
        self._limit = _MOST_COMPRESSION * os.path.getsize(self.path)
        try:
            self._weights = h5py.File(io.BytesIO(weights), "r")
        except (OSError, RuntimeError) as error:
            raise FormatError(f"{self.path!r}: model.weights.h5 is damaged: {error}. Save the model again.") from error

    def arrays(self, place: str) -> list[Array]:
        """The variables of a layer in Keras' order, such as those of ``layers/gru/cell``.

        Raises:
            FormatError: they are missing, damaged or stored elsewhere.
        """
        group = self._group(f"{place}/vars")
        if group is None:
            raise FormatError(f"{self.path!r} has no weights for {place!r}. Save the model again.")
        return [self._array(group, f"{place}/vars", str(index)) for index in range(len(group))]

    def name_of(self, place: str) -> str | None:
        """The name of the layer whose variables these are; None where the file does not tell."""
        group = self._group(f"{place}/vars")
        name = None if group is None else group.attrs.get("name")
        return None if name is None else str(name)

    def _group(self, place: str) -> Any:
        group: Any = self._weights
        for part in place.split("/"):
            if not self._is_inside(group, part) or not isinstance(group[part], self._h5py.Group):
                return None
            group = group[part]
        return group

    def _is_inside(self, group: Any, name: str) -> bool:
        """Whether there is such a member, and it is not a link to another file or place."""
        link = group.get(name, getlink=True)
        return isinstance(link, self._h5py.HardLink) and name in group

    def _array(self, group: Any, place: str, name: str) -> Array:
        data = group[name] if self._is_inside(group, name) else None
        if not isinstance(data, self._h5py.Dataset) or data.external or data.is_virtual or data.shape is None:
            raise FormatError(f"{self.path!r}: {place}/{name} is not an array in this file. Save the model again.")
        if data.size * data.dtype.itemsize > self._limit:
            raise FormatError(
                f"{self.path!r}: {place}/{name} claims {data.size} values, more than the file can hold. "
                "It is damaged; save the model again."
            )
        try:
            return to_numpy(f"{place}/{name}", data[()])
        except (OSError, RuntimeError) as error:
            raise FormatError(f"{self.path!r}: {place}/{name} is damaged: {error}. Save the model again.") from error


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

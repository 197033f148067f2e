"""A reader of the HDF5 files that Keras writes: groups, arrays of floats stored in one piece, text attributes.

HDF5's own library crashes on damaged files. This reader looks at nothing outside the bytes that it was given, follows
no links to other files, and takes time and memory in proportion to the file.

Source: HDF5 File Format Specification, version 3.0: superblock 0, object headers 1, symbol tables, data layout 3.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastgru.convert.layout import Array
from fastgru.errors import FormatError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DATASPACE, _DATATYPE, _LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUATION, _SYMBOLS = 1, 3, 8, 11, 12, 16, 17
_SOFT_LINK = 2  # what a symbol is from this number on: a link by name
_MOST_DIMENSIONS = 8
# The first byte of a type of text whose length varies.
_TEXT_IN_HEAP = (b"\x19", b"\x29", b"\x39")
# Size of a float -> bits of its exponent and mantissa, and the exponent's bias.
_FLOATS = {2: (5, 10, 15), 4: (8, 23, 127), 8: (11, 52, 1023)}


class _Message(NamedTuple):
    kind: int
    flags: int
    data: bytes


class HDF5File:
    """An HDF5 file in memory.

    Args:
        content: the bytes of the file.

    Raises:
        FormatError: it is no HDF5 file, or one with a newer layout than Keras writes.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._groups: dict[int, dict[str, int]] = {}
        self._unread = len(content)  # bytes of arrays: no two share any
        head = self._bytes(0, 96)
        if head[:8] != _SIGNATURE:
            raise FormatError("it is not an HDF5 file")
        if head[8] != 0 or head[13:15] != b"\x08\x08" or int.from_bytes(head[24:32], "little") != 0:
            raise FormatError("it has another layout than Keras writes: expected superblock 0 with sizes of 8 bytes")
        self.root = int.from_bytes(head[64:72], "little")

    def members(self, address: int) -> dict[str, int]:
        """Addresses of the members of a group by name; none for what is no group.

        Raises:
            FormatError: the file is damaged.
        """
        if address not in self._groups:
            symbols = [message for message in self._messages(address) if message.kind == _SYMBOLS]
            self._groups[address] = self._named(*_numbers("<QQ", symbols[0].data)) if symbols else {}
        return self._groups[address]

    def _named(self, tree: int, heap: int) -> dict[str, int]:
        signature, names = _numbers("<4s20xQ", self._bytes(heap, 32))
        if signature != b"HEAP":
            raise FormatError("the names of a group are missing")
        return {self._name(names + name): member for name, member, kind in self._symbols(tree) if kind < _SOFT_LINK}

    def array(self, address: int) -> Array:
        """A copy of an array.

        Raises:
            FormatError: it is no array of floats stored in one piece, or the file is damaged.
        """
        messages = {message.kind: message for message in self._messages(address)}
        if not {_DATASPACE, _DATATYPE, _LAYOUT} <= set(messages) or _FILTERS in messages:
            raise FormatError("it is no array stored in one piece")
        if any(messages[kind].flags & 2 for kind in (_DATASPACE, _DATATYPE, _LAYOUT)):
            raise FormatError("its type is shared with others, which Keras does not write")
        dtype, shape = _dtype(messages[_DATATYPE].data), _shape(messages[_DATASPACE].data)
        size = math.prod(shape) * dtype.itemsize
        self._unread -= size
        if self._unread < 0 or max(shape, default=0) > len(self._content):
            raise FormatError(f"it claims {math.prod(shape)} numbers, more than the file can hold")
        data = self._stored(messages[_LAYOUT].data, size)
        return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))

    def text(self, address: int, name: str) -> str | None:
        """An attribute that is text of any length; None if there is none of this name and type."""
        for message in self._messages(address):
            if message.kind != _ATTRIBUTE or message.data[:1] != b"\x01":
                continue
            sizes = _numbers("<HHH", message.data[2:])
            _, kind, _, value = itertools.accumulate(map(_padded, sizes), initial=8)
            found = message.data[8 : 8 + sizes[0]].rstrip(b"\0")
            if found == name.encode() and message.data[kind : kind + 1] in _TEXT_IN_HEAP:
                return self._text_in_heap(message.data[value:])
        return None

    def _text_in_heap(self, data: bytes) -> str:
        length, heap, index = _numbers("<IQI", data)
        signature, size = _numbers("<4s4xQ", self._bytes(heap, 16))
        if signature != b"GCOL":
            raise FormatError("the heap of a text is missing")
        place, end = heap + 16, heap + size
        while place + 16 <= end:
            number, used = _numbers("<H6xQ", self._bytes(place, 16))
            if number == index:
                return self._bytes(place + 16, min(length, used)).decode(errors="replace")
            place += 16 + _padded(used)
        raise FormatError("a text is missing")

    def _stored(self, layout: bytes, size: int) -> bytes:
        if layout[:2] == b"\x03\x01":
            address, stored = _numbers("<QQ", layout[2:])
            if stored == size:
                return self._bytes(address, size)
        elif layout[:2] == b"\x03\x00":
            (stored,) = _numbers("<H", layout[2:])
            if stored == size == len(layout[4 : 4 + size]):
                return layout[4 : 4 + size]
        raise FormatError("it is not stored in one piece of the right size")

    def _messages(self, address: int) -> list[_Message]:
        """The messages of an object, with those of its continuations."""
        version, size = _numbers("<BxHII", self._bytes(address, 12))[0::3]
        if version != 1:
            raise FormatError("an object has another layout than Keras writes")
        blocks: list[tuple[int, ...]] = [(address + 16, size)]
        messages: list[_Message] = []
        seen = 0
        while blocks:
            start, size = blocks.pop()
            block, place = self._bytes(start, size), 0
            seen += size
            if seen > len(self._content):
                raise FormatError("an object goes round in a circle")
            while place + 8 <= size:
                kind, length, flags = _numbers("<HHB", block[place:])
                data = block[place + 8 : place + 8 + length]
                place += 8 + length
                if kind == _CONTINUATION:
                    blocks.append(_numbers("<QQ", data))
                messages.append(_Message(kind, flags, data))
        return messages

    def _symbols(self, tree: int) -> Iterator[tuple[int, int, int]]:
        """Of each member of a group the place of its name, its address, and its type."""
        places, seen = [tree], set[int]()
        while places:
            place = places.pop()
            if place in seen:
                raise FormatError("a group goes round in a circle")
            seen.add(place)
            signature = self._bytes(place, 4)
            if signature == b"TREE":
                kind, _, count = _numbers("<BBH", self._bytes(place + 4, 4))
                if kind != 0:
                    raise FormatError("a group has the tree of an array")
                entries = self._bytes(place + 24, 16 * count)
                places += [child for _, child in struct.iter_unpack("<QQ", entries)]
            elif signature == b"SNOD":
                (count,) = _numbers("<2xH", self._bytes(place + 4, 4))
                yield from struct.iter_unpack("<QQI20x", self._bytes(place + 8, 40 * count))
            else:
                raise FormatError("the members of a group are missing")

    def _name(self, place: int) -> str:
        end = self._content.find(b"\0", place, place + 1024)
        if place < 0 or end < 0:
            raise FormatError("a name is missing")
        return self._content[place:end].decode(errors="replace")

    def _bytes(self, place: int, size: int) -> bytes:
        if place + size > len(self._content):
            raise FormatError(f"it ends before byte {place + size}")
        return self._content[place : place + size]


def _numbers(form: str, data: bytes) -> tuple[Any, ...]:
    if len(data) < struct.calcsize(form):
        raise FormatError("a part of it is too short")
    return struct.unpack_from(form, data)


def _padded(size: int) -> int:
    return -(-size // 8) * 8


def _shape(dataspace: bytes) -> tuple[int, ...]:
    version, rank = dataspace[:1], dataspace[1:2]
    sizes = dataspace[8:] if version == b"\x01" else dataspace[4:] if version == b"\x02" else b""
    if not rank or rank[0] > _MOST_DIMENSIONS or len(sizes) < 8 * rank[0]:
        raise FormatError("the shape of an array is missing")
    return struct.unpack_from(f"<{rank[0]}Q", sizes)


def _dtype(datatype: bytes) -> np.dtype[Any]:
    """The dtype of IEEE floats.

    Raises:
        FormatError: another type.
    """
    if len(datatype) >= 20 and datatype[0] & 15 == 1:
        size, start, precision, exponent, exponent_size, mantissa, mantissa_size, bias = struct.unpack_from(
            "<IHHBBBBI", datatype, 4
        )
        is_ieee = _FLOATS.get(size) == (exponent_size, mantissa_size, bias)
        in_order = (start, precision, exponent, mantissa) == (0, 8 * size, mantissa_size, 0)
        if is_ieee and in_order and datatype[1] & 0x40 == 0:
            return np.dtype(f"{'>' if datatype[1] & 1 else '<'}f{size}")
    raise FormatError("an array is not of float16, float32 or float64")

"""The reader of HDF5 files: the arrays of Keras' files, and errors for everything else, without a crash."""

from __future__ import annotations

import contextlib
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgru.convert.hdf5 import HDF5File, _shape
from fastgru.errors import FormatError

FIXTURES = Path(__file__).parent / "converters" / "fixtures"
FILES = {
    path.stem: zipfile.ZipFile(path).read("model.weights.h5")
    for path in sorted(FIXTURES.glob("*.keras"))
    if path.stem in ("steps", "classifier")
}


def found(content):
    """All arrays and attributes `name` of a file, by path."""
    file, arrays, names = HDF5File(content), {}, {}
    places = [("", file.root)]
    while places:
        path, address = places.pop()
        members = file.members(address)
        names[path] = file.text(address, "name")
        if not members and path.rpartition("/")[2].isdigit():
            arrays[path] = file.array(address)
        assert len(names) < 1000, "a group holds itself"
        places += [(f"{path}/{name}", member) for name, member in members.items()]
    return arrays, names


def test_arrays_and_attributes_are_found():
    arrays, names = found(FILES["classifier"])
    shapes = {path: array.shape for path, array in arrays.items()}
    cell = "/layers/bidirectional"
    assert shapes == {
        "/layers/gru/cell/vars/0": (4, 15),
        "/layers/gru/cell/vars/1": (5, 15),
        "/layers/gru/cell/vars/2": (15,),
        **{f"{cell}/{side}_layer/cell/vars/0": (5, 9) for side in ("forward", "backward")},
        **{f"{cell}/{side}_layer/cell/vars/1": (3, 9) for side in ("forward", "backward")},
        "/layers/layer_normalization/vars/0": (6,),
        "/layers/dense/vars/0": (6, 2),
    }
    assert all(array.dtype == np.float32 and 0.1 < np.abs(array).max() <= 0.8 for array in arrays.values())
    assert names["/layers/gru/vars"] == "first"
    assert names["/layers/gru"] is None


def place_of(content, path):
    file = HDF5File(content)
    address = file.root
    for part in path.split("/"):
        address = file.members(address)[part]
    return address


def messages_of(content, address):
    """Place, kind and size of each message in the first block of an object."""
    place, end = address + 16, address + 16 + struct.unpack_from("<I", content, address + 8)[0]
    while place + 8 <= end:
        kind, size = struct.unpack_from("<HH", content, place)
        yield place + 8, kind, size
        place += 8 + size


def changed(kind, offset, form, *values):
    """The kernel of the first layer after a change in one message of its header."""
    content = bytearray(FILES["classifier"])
    address = place_of(content, "layers/gru/cell/vars/0")
    places = [place for place, own, _ in messages_of(content, address) if own == kind]
    assert places, "no such message"
    struct.pack_into(form, content, places[0] + offset, *values)
    return HDF5File(bytes(content)).array(address)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((1, 8, "<QQ", 4, 14), "not stored in one piece of the right size"),
        ((1, 8, "<Q", 1 << 40), "claims 16492674416640 numbers, more than the file can hold"),
        ((1, 8, "<QQ", 0, 1 << 40), "claims 0 numbers"),
        ((1, 1, "<B", 200), "the shape of an array is missing"),
        ((3, 0, "<B", 0x10), "not of float16, float32 or float64"),
        ((3, 4, "<I", 8), "not of float16, float32 or float64"),
        ((3, 16, "<I", 126), "not of float16, float32 or float64"),
        ((3, 10, "<H", 31), "not of float16, float32 or float64"),
        ((3, -4, "<B", 2), "its type is shared with others"),
        ((5, -8, "<H", 11), "it is no array stored in one piece"),
        ((8, 1, "<B", 2), "not stored in one piece of the right size"),
        ((8, 2, "<Q", 1 << 60), "it ends before byte"),
    ],
)
def test_a_header_that_lies_is_refused(change, words):
    with pytest.raises(FormatError) as caught:
        changed(*change)
    assert words in str(caught.value)


def test_big_endian_floats_are_read():
    content = FILES["classifier"]
    plain = HDF5File(content).array(place_of(content, "layers/gru/cell/vars/0"))
    assert changed(3, 1, "<B", 0x21).tobytes() == plain.byteswap().tobytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it ends before byte 96"),
        (bytes(200), "it is not an HDF5 file"),
        (FILES["steps"][:8] + b"\x02" + FILES["steps"][9:], "another layout than Keras writes"),
        (FILES["steps"][:13] + b"\x04" + FILES["steps"][14:], "another layout than Keras writes"),
    ],
)
def test_other_files_are_refused(content, words):
    with pytest.raises(FormatError) as caught:
        HDF5File(content)
    assert words in str(caught.value)


def test_more_dimensions_than_numpy_has_are_refused():
    with pytest.raises(FormatError, match="the shape of an array is missing"):
        _shape(b"\x02\x46\x00\x01" + struct.pack("<70Q", *[1] * 70))


def test_links_by_name_are_not_followed():
    content = bytearray(FILES["steps"])
    root = HDF5File(bytes(content)).root
    place = content.find(struct.pack("<Q", HDF5File(bytes(content)).members(root)["layers"]), content.find(b"SNOD"))
    struct.pack_into("<I", content, place + 8, 2)
    assert list(HDF5File(bytes(content)).members(root)) == ["vars"]


def test_a_group_that_holds_itself_is_refused():
    content = bytearray(FILES["steps"])
    tree = content.find(b"TREE")
    struct.pack_into("<Q", content, tree + 32, tree)
    with pytest.raises(FormatError, match="goes round in a circle"):
        found(bytes(content))


def test_an_object_that_continues_in_itself_is_refused():
    content = bytearray(FILES["steps"])
    address = HDF5File(bytes(content)).root
    place, _, size = next(messages_of(content, address))
    struct.pack_into("<HHB3xQQ", content, place - 8, 16, size, 0, address + 16, size + 8)
    with pytest.raises(FormatError, match="goes round in a circle"):
        HDF5File(bytes(content)).members(address)


def test_an_array_is_not_read_more_often_than_the_file_is_large():
    content = FILES["steps"]
    file, address = HDF5File(content), place_of(content, "layers/dense/vars/0")
    for _ in range(len(content) // file.array(address).nbytes - 1):
        file.array(address)
    with pytest.raises(FormatError, match="more than the file can hold"):
        file.array(address)


@settings(max_examples=300)
@given(st.sampled_from(list(FILES)), st.data())
def test_changed_bytes_give_results_or_our_errors(name, data):
    content = bytearray(FILES[name])
    used = [place for place, byte in enumerate(content) if byte]
    for place in data.draw(st.lists(st.sampled_from(used), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError, AssertionError):
        found(bytes(content))

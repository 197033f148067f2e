"""Torch's C table for tensors when one of its functions fails: nothing leaks."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pytest
import torch

import fastgru
import processes
from fastgru import _core

DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
ALLOCATE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_void_p
)


class Managed(ctypes.Structure):
    """DLPack's DLManagedTensorVersioned, as far as is needed here."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("type_code", ctypes.c_uint8),
    ]


class Table(ctypes.Structure):
    """DLPack's DLPackExchangeAPI."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("previous", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("from_object", ctypes.c_void_p),
        ("to_object", ctypes.c_void_p),
        ("describe", ctypes.c_void_p),
        ("current_stream", ctypes.c_void_p),
    ]


def _table(capsule):
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.argtypes, get.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
    return Table.from_address(get(capsule, b"dlpack_exchange_api"))


def count_frees():
    """How often the one result that could not become a tensor was freed. The process keeps the table: use a new one."""
    layer, x = fastgru.GRU(3, 4), torch.randn(5, 2, 3)
    layer(x)  # what loads torch's own table has run
    torchs = _table(torch.Tensor.__dlpack_c_exchange_api__)
    freed, kept = [], []

    @ALLOCATE
    def allocate(prototype, out, context, set_error):
        failed = ALLOCATE(torchs.allocate)(prototype, out, context, set_error)
        managed = Managed.from_address(out[0])
        torchs_deleter = DELETER(managed.deleter)

        @DELETER
        def deleter(at):
            freed.append(at)
            torchs_deleter(at)

        kept.append(deleter)
        managed.deleter = ctypes.cast(deleter, ctypes.c_void_p).value
        managed.type_code = 99  # that no tensor has
        return failed

    ours = Table.from_buffer_copy(torchs)
    ours.allocate = ctypes.cast(allocate, ctypes.c_void_p).value
    new = ctypes.pythonapi.PyCapsule_New
    new.argtypes, new.restype = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p], ctypes.py_object
    capsule = new(ctypes.addressof(ours), b"dlpack_exchange_api", None)
    type_ = type("Tensor", (), {"__dlpack_c_exchange_api__": capsule})
    assert _core.load_tensors((type_, torch.Tensor, torch.nn.Parameter), None, None, None, False)
    with torch.no_grad(), pytest.raises(RuntimeError, match="99"):
        layer(x)
    return len(freed)


def test_a_result_that_becomes_no_tensor_is_freed_once():
    code = "import test_table; print(test_table.count_frees())"
    paths = Path(fastgru.__file__).parents[1], Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = processes.run([sys.executable, "-c", code], env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1\n"

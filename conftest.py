"""What every test runs under: known seeds, and fresh memory full of garbage."""

from __future__ import annotations

import ctypes
import os
import signal

import pytest
import torch
from hypothesis import HealthCheck, settings

import fastgru
from fastgru import _core
from fastgru.levels import use_level

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

LEVELS = [level.name for level in fastgru.cpu_info() if level.available]


@pytest.fixture(autouse=True, scope="session")
def _garbage_in_fresh_memory():
    """Whatever malloc hands out, tensors included, is filled with a byte pattern that reads as -1.7e38."""
    m_perturb = -6
    if hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(m_perturb, 1)


@pytest.fixture(autouse=True)
def _nan_in_scratch_memory():
    """The core's own scratch memory and saved buffers are full of NaN, so reading before writing shows."""
    _core.set_poison(True)
    yield
    _core.set_poison(False)


@pytest.fixture(autouse=True, scope="session")
def _default_handler_of_ctrl_c():
    """Also where the tests run in the background of a script, which ignores it."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _threads():
    """Two threads, however many the machine has; tests may change it."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=LEVELS)
def level(request):
    """Each instruction-set level of this machine in turn, active."""
    with use_level(request.param):
        yield request.param

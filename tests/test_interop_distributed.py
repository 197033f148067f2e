"""DistributedDataParallel and FSDP2 in two processes: the same as in one process, and as with torch's layer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

if not (distributed.is_available() and distributed.is_gloo_available()):
    pytest.skip("this build of torch has no processes that talk over gloo", allow_module_level=True)

import distributed_training
from processes import run
from tolerance import assert_agrees

SECONDS = 120


def run_in_two_processes(folder: Path) -> str:
    """Runs the script; what it printed. The processes of a run that failed or takes too long are ended."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    count = f"--nproc-per-node={distributed_training.PROCESSES}"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if sys.platform == "linux":
        environment["GLOO_SOCKET_IFNAME"] = "lo"  # also where the machine's own name leads nowhere
    command = [*launcher, count, distributed_training.__file__, folder]
    running = run(command, env=environment, stderr=subprocess.STDOUT, timeout=SECONDS)
    printed = running.stdout
    assert running.returncode == 0, printed
    return printed


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each process saved, by ways of training."""
    folder = tmp_path_factory.mktemp("processes")
    printed = run_in_two_processes(folder)
    assert "returned a view tensor" not in printed, printed  # FSDP2 warns: its hooks would be lost with the view
    return [torch.load(folder / f"{rank}.pt") for rank in range(distributed_training.PROCESSES)]


@pytest.fixture(scope="module")
def alone():
    """The same for one process, torch's layer and whole batches."""
    model = distributed_training.built(nn.GRU)
    losses = torch.stack(distributed_training.train(model, slice(None)))
    return {"losses": losses, **{name: p.detach() for name, p in model.named_parameters()}}


@pytest.mark.parametrize("way", distributed_training.WAYS)
def test_two_processes_learn_what_one_does(processes, alone, way):
    assert alone["losses"][-1] < 0.5 * alone["losses"][0]
    for found in processes:
        assert_agrees(found[way], alone)


@pytest.mark.parametrize("way", distributed_training.WAYS)
def test_all_processes_end_with_the_same_weights(processes, way):
    first, *others = (found[way] for found in processes)
    assert all(torch.equal(other[name], first[name]) for other in others for name in first)

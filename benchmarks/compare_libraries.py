"""Measures fastgru against the GRUs of other libraries on the same machine.

Run `compare_libraries.py --environments DIR --python PYTHON`; see README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Contender -> its environment (None: the one of --python), module, function, and whether it takes gradients.
CONTENDERS = {
    "torch": (None, "torch_gru", "make", True),
    "onnxruntime": ("onnxruntime", "onnxruntime_gru", "make", False),
    "openvino": ("openvino", "openvino_gru", "make", False),
    "tract": ("tract", "tract_gru", "make", False),
    "jax": ("jax", "jax_gru", "make", True),
    "onednn": ("onednn", "onednn_gru", "make", True),
    "fastgru": (None, "fastgru_gru", "make", True),
    "fastgru-frozen": (None, "fastgru_gru", "make_frozen", False),
    "fastgru-stepper": (None, "fastgru_gru", "make_stepper", False),
}
OURS = ("fastgru", "fastgru-frozen", "fastgru-stepper")
# Level -> what holds each library to it. ONNX Runtime has no such setting, and always uses what the processor has.
LEVELS = {
    "native": {},
    "avx2": {
        "FASTGRU_ISA": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "TRACT_CPU_ISA": "-avx512f",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
}
TURN_SECONDS = 0.01
LEAST_ROUNDS, MOST_ROUNDS = 7, 51
# A cell is slow if a round takes more seconds than this. It gets fewer rounds, so that the grid ends the same day.
SLOW_SECONDS, LEAST_SLOW_ROUNDS = 7.0, 3
# After the first rounds a contender's slower number of threads is dropped, if it is this much slower.
FIRST_ROUNDS, FIRST_SLOW_ROUNDS, HOPELESS = 3, 1, 1.5
BEHIND = 1.05


class Failure(Exception):  # noqa: N818  (it is what happened)
    """A contender that failed, and why."""


class Worker:
    """A contender at a number of threads, in its own process."""

    def __init__(self, contender, threads, options, folder):
        environment, *self._names, _ = CONTENDERS[contender]
        self.contender, self.threads, self.versions = contender, threads, {}
        self._python = options.python if environment is None else options.environments / environment / "bin/python"
        self._level = LEVELS[options.level]
        self._errors = Path(folder) / f"{contender}-{threads}.log"
        self._process = None

    def _start(self):
        count = str(self.threads)
        environment = os.environ | {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "JAX_PLATFORMS": "cpu"}
        environment |= self._level
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
        if self.threads == 1:
            one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
            environment["XLA_FLAGS"] = " ".join(filter(None, [self._level.get("XLA_FLAGS"), one]))
        command = [str(self._python), "-m", "libraries.worker", *self._names, count]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
            )
        self.versions = self._answer()

    def ask(self, *request):
        """The answer to a request. A worker that is not running is started."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        with contextlib.suppress(BrokenPipeError):  # the missing answer says so
            print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            last = self._errors.read_text().strip().splitlines()[-1:] or ["no words"]
            raise Failure(f"{self.contender} stopped with status {status}: {last[0]}")
        reply = json.loads(line)
        if "error" in reply:
            raise Failure(reply["error"])
        return reply["answer"]

    def stop(self):
        """Ends the process."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()


def grid(hidden=(), batch=(), modes=(False, True)):
    """The cells as dictionaries. Empty `hidden` or `batch` means all; `modes` are the values of train."""
    cells = [
        {"hidden": h, "batch": b, "steps": 100, "train": train}
        for train, h, b in itertools.product((False, True), (8, 16, 32, 64, 128, 256, 512, 1024), (1, 8, 32, 128))
        if not (train and h > 512)
    ]
    cells += [{"hidden": h, "batch": 1, "steps": 1, "train": False} for h in (16, 32, 64, 128, 256, 512, 1024)]
    chosen = [c for c in cells if c["train"] in modes]
    return [c for c in chosen if c["hidden"] in (hidden or [c["hidden"]]) and c["batch"] in (batch or [c["batch"]])]


def takes_part(contender, cell):
    """Whether the contender can compute this kind of cell."""
    if contender == "fastgru-stepper" and cell["steps"] > 1:
        return False
    return CONTENDERS[contender][3] or not cell["train"]


def prepared(workers, cell, folder):
    """The workers that agree with torch on this cell, and a message for each other.

    torch comes first and writes the reference.
    """
    reference = Path(folder) / "reference.npz"
    reference.unlink(missing_ok=True)
    ready = []
    for worker in workers:
        if not takes_part(worker.contender, cell):
            continue
        try:
            worker.ask("prepare", cell, str(reference))
            ready.append(worker)
        except (Failure, OSError) as failure:
            if worker.contender == "torch":
                raise SystemExit(f"torch, the reference, fails: {failure}") from None
            print(
                f"{label(cell)}: {worker.contender} with {worker.threads} threads left out: {failure}", file=sys.stderr
            )
    return ready


def without_hopeless(ready, times):
    """The workers without those whose contender is far faster at another number of threads."""
    best = {}
    for worker in ready:
        best[worker.contender] = min(best.get(worker.contender, float("inf")), statistics.median(times[worker]))
    return [worker for worker in ready if statistics.median(times[worker]) <= HOPELESS * best[worker.contender]]


def compare(workers, cell, budget, folder):
    """Median microseconds by contender and number of threads, from turns taken in rounds."""
    ready = prepared(workers, cell, folder)
    times, start = {worker: [] for worker in ready}, time.monotonic()
    first, least = FIRST_ROUNDS, LEAST_ROUNDS
    for count in range(1, MOST_ROUNDS + 1):
        for worker in ready:
            times[worker].append(worker.ask("turn", TURN_SECONDS))
        elapsed = time.monotonic() - start
        if count == 1 and elapsed > SLOW_SECONDS:
            first, least = FIRST_SLOW_ROUNDS, LEAST_SLOW_ROUNDS
        if count == first:
            ready = without_hopeless(ready, times)
        if count >= least and elapsed >= budget:
            break
    us = {}
    for worker, seconds in times.items():
        us.setdefault(worker.contender, {})[str(worker.threads)] = round(statistics.median(seconds) * 1e6, 2)
    return cell | {"us": us, "rounds": count}


def label(cell):
    """A cell's name."""
    return f"{'train' if cell['train'] else 'infer'} H={cell['hidden']} B={cell['batch']} T={cell['steps']}"


def best(cell, contender):
    """A contender's microseconds at its better number of threads, and that number; None where it took no part."""
    by_threads = cell["us"].get(contender)
    return min((us, int(threads)) for threads, us in by_threads.items()) if by_threads else None


def verdict(cell):
    """Our microseconds, those of the fastest other library, its name, and its time over ours.

    At batch 1 our frozen layer and stepper count too.
    """
    own = OURS if cell["batch"] == 1 else OURS[:1]
    ours = min(found for name in own if (found := best(cell, name)))[0]
    other_us, other = min((best(cell, name)[0], name) for name in cell["us"] if name not in OURS)
    return ours, other_us, other, other_us / ours


def row(cell):
    """A line of the table: microseconds/threads of each contender, then the fastest other's time over ours."""
    times = [f"{found[0]:.5g}/{found[1]}" if (found := best(cell, name)) else "-" for name in CONTENDERS]
    *_, other, ratio = verdict(cell)
    return f"{label(cell):26}" + "".join(f"{text:>16}" for text in times) + f"{ratio:8.2f} {other}"


def heading():
    """The table's first line."""
    return f"{'us/threads':26}" + "".join(f"{name:>16}" for name in CONTENDERS) + "  fastest other / ours"


def summary(cells):
    """Geometric means against the fastest other and against each, then the cells where we are slower."""
    lines = []
    for train, mode in ((False, "inference"), (True, "training")):
        chosen = [cell for cell in cells if cell["train"] == train]
        if not chosen:
            continue
        ratios = {"fastest other": [verdict(cell)[3] for cell in chosen]}
        for name in CONTENDERS:
            took_part = [cell for cell in chosen if name not in OURS and best(cell, name)]
            ratios[name] = [best(cell, name)[0] / verdict(cell)[0] for cell in took_part]
        means = [f"{name} {statistics.geometric_mean(r):.2f}" for name, r in ratios.items() if r]
        lines.append(f"{mode}, {len(chosen)} cells, geometric mean of other / ours: {', '.join(means)}")
    behind = [cell for cell in cells if verdict(cell)[3] < 1 / BEHIND]
    lines.append(f"behind by more than 5 %: {len(behind)} of {len(cells)}")
    lines += [
        f"  {label(cell)}: {other} by {(1 / ratio - 1) * 100:.0f} %"
        for cell in behind
        for *_, other, ratio in [verdict(cell)]
    ]
    return lines


def about(workers, level):
    """The versions, the machine and the level that the figures come from."""
    versions = {}
    for worker in workers:
        versions |= worker.versions
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    machine = {"processor": models[0] if models else platform.processor(), "cores": len(os.sched_getaffinity(0))}
    return {"versions": versions, "commit": commit.stdout.strip(), "machine": machine, "level": level}


def merged(path, found, cells):
    """The new content of the file: these cells, and the earlier ones of other sizes.

    A file with figures of other versions, or of another machine or level, is refused.
    """
    if not path.exists():
        return found | {"cells": cells}
    earlier = json.loads(path.read_text())
    # A run of some contenders only knows the versions of those.
    versions = earlier["versions"] | found["versions"]
    if earlier | found | {"versions": versions} != earlier | {"versions": found["versions"] | earlier["versions"]}:
        raise SystemExit(
            f"{path} has figures of other versions, or of another machine or level: give another name to --json"
        )
    kept = [cell for cell in earlier["cells"] if label(cell) not in map(label, cells)]
    return found | {"versions": versions, "cells": kept + cells}


def save(path, content):
    """Writes under a temporary name and renames it, so that a reader never sees half a file."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(path)


def options():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=lambda text: Path(text).absolute(), required=True)
    parser.add_argument("--python", default=sys.executable, help="has torch and fastgru (default: this one)")
    parser.add_argument("--hidden", type=int, nargs="*", default=[])
    parser.add_argument("--batch", type=int, nargs="*", default=[])
    parser.add_argument("--threads", type=int, nargs="*", default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument(
        "--level", default="native", choices=list(LEVELS), help="the instructions that all libraries may use"
    )
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--train", dest="modes", action="store_const", const=[True], default=[False, True])
    parser.add_argument("--infer", dest="modes", action="store_const", const=[False])
    parser.add_argument("--budget", type=float, default=3.0, help="seconds per cell; at least 7 rounds in any case")
    parser.add_argument("--json", type=Path, help="where to write figures; other cells already there stay")
    return parser.parse_args()


def main():
    """Measures every cell, and prints each when it is done."""
    chosen = options()
    with tempfile.TemporaryDirectory() as folder:
        names = [name for name in CONTENDERS if name in {"torch", "fastgru", *chosen.contenders}]
        workers = [Worker(name, threads, chosen, folder) for name in names for threads in chosen.threads]
        cells, measured = [], []
        print(heading(), flush=True)
        for cell in grid(chosen.hidden, chosen.batch, chosen.modes):
            measured.append(compare(workers, cell, chosen.budget, folder))
            print(row(measured[-1]), flush=True)
            cells = measured
            if chosen.json:
                content = merged(chosen.json, about(workers, chosen.level), measured)
                cells = content["cells"]
                save(chosen.json, content)
        for worker in workers:
            worker.stop()
    print(*summary(cells), sep="\n")


if __name__ == "__main__":
    main()

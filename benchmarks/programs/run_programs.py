"""Runs programs of other people with `torch.nn.GRU` and with fastgru, and compares predictions and times.

Run `make-environments DIR` first; see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Client -> whether `replace_gru` can reach its model before training.
PROGRAMS = {
    "pytorch_forecasting": False,
    "neuralforecast": True,
    "sktime": False,
    "recbole": True,
    "darts": False,
    "skorch": True,
}
# How far predictions may be from stock's: this many times as far as those of `nudged`, or this fraction of their range.
TIMES_NUDGED, LEAST_TOLERANCE = 10, 1e-6


class Failure(Exception):  # noqa: N818  (it is what happened)
    """What went wrong in a run, in words."""


def modes(program):
    """The ways to run a program. `nudged` is stock, with the last bit of each GRU's results changed at random."""
    return ["stock", "patch", *["replace"] * PROGRAMS[program], "nudged"]


def run(program, mode, round_number, options):
    """The result of one run, in a process and a folder of its own."""
    count = str(options.threads)
    path = os.pathsep.join([str(HERE.parent), str(options.package)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    python = options.environments / program.replace("_", "-") / "bin/python"
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [str(python), "-m", "programs.worker", program, mode, count, str(round_number), str(result)]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Failure((done.stderr.strip().splitlines() or ["no words"])[-1])
        return json.loads(result.read_text())


def difference(predictions, expected):
    """The largest difference, relative to the range of what was expected."""
    if len(predictions) != len(expected):
        raise Failure(f"{len(predictions)} predictions, expected {len(expected)}")
    span = max(expected) - min(expected)
    if not 0 < span < float("inf"):
        raise Failure(f"expected predictions have the range {span}, which shows nothing")
    if not all(map(math.isfinite, predictions)):  # max() skips NaN
        raise Failure("predictions are not finite")
    return max(abs(a - b) for a, b in zip(predictions, expected, strict=True)) / span


def calls_fault(mode, calls):
    """An error text if the wrong GRU was called, torch's operator or our layer; None if the mode got the right one."""
    expected, other = ("torch", "fastgru") if mode in ("stock", "nudged") else ("fastgru", "torch")
    if calls[expected] and not calls[other]:
        return None
    return f"{mode}: called fastgru {calls['fastgru']} times, torch's operator {calls['torch']} times"


def judged(program, results):
    """The row of a program. `results` has a list for each mode, with one result for each round."""
    expected = results["stock"][0]["predictions"]
    differences = {mode: max(difference(r["predictions"], expected) for r in runs) for mode, runs in results.items()}
    tolerance = max(LEAST_TOLERANCE, TIMES_NUDGED * differences["nudged"])
    faults = [fault for mode, runs in results.items() for r in runs if (fault := calls_fault(mode, r["calls"]))]
    faults += [
        f"{mode}: predictions differ by {value:.1g} of their range, over {tolerance:.1g}"
        for mode, value in differences.items()
        if mode != "nudged" and not value <= tolerance
    ]
    timed = [mode for mode in results if mode != "nudged"]
    return {
        "program": program,
        "versions": results["stock"][0]["versions"],
        "fit": {mode: round(statistics.median(r["fit"] for r in results[mode]), 3) for mode in timed},
        "predict": {mode: round(statistics.median(r["predict"] for r in results[mode]), 4) for mode in timed},
        "loss": {mode: results[mode][0]["loss"] for mode in results},
        "calls": {mode: results[mode][0]["calls"] for mode in results},
        "difference": differences,
        "tolerance": tolerance,
        "faults": faults,
    }


def ratio(times, mode):
    """Stock's time over a mode's."""
    return times["stock"] / times[mode]


def lines(row):
    """The lines of the table, one for each way that uses fastgru."""
    verdict = "NO" if row["faults"] else "yes"
    return [
        f"| {row['program']} | {mode} | {verdict} | {row['difference'][mode]:.1e} | {row['difference']['nudged']:.1e} "
        f"| {row['loss']['stock']:.6g} / {row['loss'][mode]:.6g} "
        f"| {row['fit']['stock']:.2f} / {row['fit'][mode]:.2f} | {ratio(row['fit'], mode):.1f}x "
        f"| {row['predict']['stock']:.3f} / {row['predict'][mode]:.3f} | {ratio(row['predict'], mode):.1f}x |"
        for mode in row["fit"]
        if mode != "stock"
    ]


def heading():
    """The table's first lines."""
    names = ["program", "way", "equal", "difference", "by a last bit", "loss", "fit s", "ratio", "predict s", "ratio"]
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def about(options):
    """The machine and the commit that the figures come from."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True)
    found = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    machine = {"processor": found[0] if found else platform.processor(), "cores": len(os.sched_getaffinity(0))}
    return {"commit": commit.stdout.strip(), "machine": machine, "threads": options.threads, "rounds": options.rounds}


def collect(options):
    """Results by program and mode. All take turns in rounds; a program that fails is named and left out."""
    results = {program: {mode: [] for mode in modes(program)} for program in options.programs}
    failed = {}
    for number in range(options.rounds):
        for program in options.programs:
            for mode in modes(program):
                if program in failed:
                    continue
                print(f"round {number + 1}: {program}, {mode}", file=sys.stderr, flush=True)
                try:
                    results[program][mode].append(run(program, mode, number, options))
                except (Failure, OSError) as failure:
                    failed[program] = f"{mode}: {failure}"
    return {program: found for program, found in results.items() if program not in failed}, failed


def options(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=lambda text: Path(text).absolute(), required=True)
    package = "folder that has fastgru in it, compiled for the Python of the environments (default: package among them)"
    parser.add_argument("--package", type=lambda text: Path(text).absolute(), help=package)
    parser.add_argument("--programs", nargs="*", default=list(PROGRAMS), choices=list(PROGRAMS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args(arguments)
    chosen.package = chosen.package or chosen.environments / "package"
    return chosen


def main():
    """Runs, compares and prints. Exits with status 1 if a program fails or its predictions differ."""
    chosen = options()
    results, failed = collect(chosen)
    rows = []
    for program, found in results.items():
        try:
            rows.append(judged(program, found))
        except Failure as failure:
            failed[program] = str(failure)
    print(*heading(), *(line for row in rows for line in lines(row)), sep="\n")
    faults = [f"{row['program']}: {fault}" for row in rows for fault in row["faults"]]
    faults += [f"{program}: {fault}" for program, fault in failed.items()]
    print(*faults, sep="\n", file=sys.stderr)
    if chosen.json:
        chosen.json.write_text(json.dumps(about(chosen) | {"failed": failed, "programs": rows}, indent=1) + "\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()

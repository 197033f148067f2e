"""Prints what the layer should reach, and what it does, from the figures of `compare_libraries.py` and `peak.py`.

Run `goals.py`; see README.md. It exits with 1 when a goal is not reached.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import compare_libraries

RESULTS = Path(__file__).resolve().parent / "results"
RACES = {"avx2": "libraries-avx2.json", "avx512": "libraries.json"}
HIDDEN_OF_RACE, BATCH_OF_PEAK = (16, 32, 64, 128, 256, 512, 1024), (8, 32, 128)
# Geometric mean of the fastest other library's time over ours.
RACE_GOALS = {"avx2": {False: 1.4, True: 1.3}, "avx512": {False: 1.5, True: 1.5}}
# Percent of the multipliers' peak, the least of all batches from 8 on, by the hidden size; the last also above it.
INFERENCE_GOALS = {
    "avx2": {32: 62, 64: 78, 128: 85, 256: 90},
    "avx512": {32: 65, 64: 80, 128: 90, 256: 92},
}
BACKWARD_GOALS = {"avx2": 85, "avx512": 88}
# Microseconds of one step of one row, H = 64.
STEP_GOALS = {
    "avx2": {"frozen": 6.5, "plain": 10.0, "stepper": 1.5},
    "avx512": {"frozen": 5.0, "plain": 7.5, "stepper": 1.3},
}


@dataclass(frozen=True)
class Line:
    """A goal, what was found, and whether it is reached."""

    level: str
    what: str
    goal: str
    found: str
    is_reached: bool

    def __str__(self) -> str:
        return f"{self.level:7} {self.what:46} {self.goal:>8} {self.found:>27}  {'yes' if self.is_reached else 'NO'}"


def race_lines(level: str, cells: list[dict]) -> list[Line]:
    """The means against the fastest other library, and the worst cell: of sequences, and of single steps."""
    raced = [(cell, compare_libraries.verdict(cell)[3]) for cell in cells if cell["hidden"] in HIDDEN_OF_RACE]
    lines = []
    for train, goal in RACE_GOALS[level].items():
        chosen = [(cell, ratio) for cell, ratio in raced if cell["train"] == train and cell["steps"] > 1]
        if chosen:
            what = f"{'training' if train else 'inference'}, fastest other over ours"
            mean = statistics.geometric_mean([ratio for _, ratio in chosen])
            lines.append(Line(level, f"{what}, mean of {len(chosen)}", f"{goal:.1f}", f"{mean:.2f}", mean >= goal))
            lines.append(least_line(level, what, chosen))
    single = [(cell, ratio) for cell, ratio in raced if cell["steps"] == 1]
    return lines + ([least_line(level, "one step, fastest other over ours", single)] if single else [])


def least_line(level: str, what: str, chosen: list[tuple[dict, float]]) -> Line:
    """The worst of some cells: none should be below 1."""
    worst, least = min(chosen, key=lambda pair: pair[1])
    behind = sum(ratio < 1 for _, ratio in chosen)
    found = f"{least:.2f} H={worst['hidden']} B={worst['batch']}, {behind} below"
    return Line(level, f"{what}, least", "1.0", found, behind == 0)


def least_percent(cells: list[dict], level: str, hidden: list[int], name: str) -> tuple[float, str] | None:
    """The least percent of the peak among batches from 8 on, and its cell."""
    found = [
        (cell["percent"][name], f"H={cell['hidden']} B={cell['batch']}")
        for cell in cells
        if cell["level"] == level and cell["hidden"] in hidden and cell["batch"] in BATCH_OF_PEAK
    ]
    return min(found) if found else None


def peak_lines(level: str, cells: list[dict]) -> list[Line]:
    """Percents of the peak."""
    sizes = sorted({cell["hidden"] for cell in cells})
    wanted = [
        (f"inference, percent of the peak, H = {size}", size, "inference", goal)
        for size, goal in INFERENCE_GOALS[level].items()
    ]
    wanted.append(("backward, percent of the peak, H >= 64", 64, "backward", BACKWARD_GOALS[level]))
    lines = []
    for what, size, name, goal in wanted:
        larger = [s for s in sizes if s >= size]
        is_open = name == "backward" or size == max(INFERENCE_GOALS[level])
        found = least_percent(cells, level, larger if is_open else [size], name)
        if found:
            lines.append(Line(level, what, f"{goal}", f"{found[0]:.0f} {found[1]}", found[0] >= goal))
    return lines


def step_lines(level: str, steps: list[dict]) -> list[Line]:
    """Single steps of one row."""
    found = [step["us"] for step in steps if step["level"] == level and step["hidden"] == 64]
    return [
        Line(level, f"one step, H = 64, {name}, microseconds", f"{goal:.1f}", f"{us[name]:.2f}", us[name] <= goal)
        for us in found
        for name, goal in STEP_GOALS[level].items()
    ]


def lines_of(results: Path) -> list[Line]:
    """All goals of which there are figures."""
    peak = json.loads((results / "peak.json").read_text())
    lines = []
    for level, name in RACES.items():
        if (results / name).exists():
            lines += race_lines(level, json.loads((results / name).read_text())["cells"])
        lines += peak_lines(level, peak["cells"]) + step_lines(level, peak["steps"])
    return lines


def main() -> None:
    """Prints the table."""
    lines = lines_of(RESULTS)
    print(f"{'level':7} {'what':46} {'goal':>8} {'found':>27}  reached")
    print(*lines, sep="\n")
    sys.exit(not all(line.is_reached for line in lines))


if __name__ == "__main__":
    main()

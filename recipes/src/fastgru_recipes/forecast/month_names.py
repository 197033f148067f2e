"""Names of months and weekdays in other languages than English, from the package babel."""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import NamedTuple

import pandas as pd

EXTRA = "fastgru-recipes[languages]"
# Of each language the locales with names of their own; English is known without babel.
LANGUAGES = {
    "de": ("de", "de_AT"), "fr": ("fr", "fr_CA"), "es": ("es", "es_MX"), "it": ("it",), "pt": ("pt", "pt_PT"),
    "nl": ("nl",), "sv": ("sv",), "da": ("da",), "nb": ("nb",), "fi": ("fi",), "pl": ("pl",), "cs": ("cs",),
    "ro": ("ro",), "tr": ("tr",),
}  # fmt: skip
ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NAMED_ELSEWHERE = {"de": {"mrz": 3, "maerz": 3, "jaenner": 1}}  # spellings that babel does not have
LINKS = {"de", "del", "den", "der", "le", "el", "il", "di", "du", "d", "of", "the", "uhr"}
LEAST = 3  # letters of a short name
WORD = re.compile(r"[^\W\d_]+")
DATE = re.compile(r"\d{4}|\d+\D+\d+")  # what a time with the name of a month has besides
ORDINAL = re.compile(r"(?<=\d)(?:(?:er|re|o|a)\b|°|\.(?=\s*[^\W\d]))")  # 1er, 1º, 1. Januar


class Language(NamedTuple):
    """The words of a language, without accents and in lower case.

    Attributes:
        months: the number of each name of a month, also of a short one.
        others: names of weekdays, and words that link numbers.
    """

    months: dict[str, int]
    others: frozenset[str]


def in_english(texts: pd.Series) -> pd.Series:
    """Times whose months have names in one of the languages, with English ones; other texts are returned unchanged.

    Example:
        >>> import pandas as pd
        >>> from fastgru_recipes.forecast.month_names import in_english
        >>> in_english(pd.Series(["Montag, 1. Januar 2024", "1. März 2024"])).tolist()
        ['1 Jan 2024', '1 Mar 2024']
    """
    if not (len(texts) and _has_foreign_words(texts) and find_spec("babel")):
        return texts
    found = {each for language in _languages() if (each := _all_english(texts, language))}
    return pd.Series(found.pop(), texts.index, name=texts.name) if len(found) == 1 else texts


def numbers(names: Sequence[str]) -> dict[str, int]:
    """The months that twelve of the names stand for in one language; {} if there is no such language."""
    if not find_spec("babel"):
        return {}
    for language in _languages():
        found = {
            name: language.months[word] for name in names if (word := _folded(name).rstrip(".")) in language.months
        }
        if sorted(found.values()) == [*range(1, 13)]:
            return found
    return {}


def hint(text: str) -> str:
    """A sentence that names the package, if the text may hold the name of a month and the package is missing."""
    if find_spec("babel") or not _has_foreign_words(pd.Series([text])):
        return ""
    return f" Names of months in other languages than English need babel: pip install '{EXTRA}'."


def _has_foreign_words(texts: pd.Series) -> bool:
    return any(
        word not in _english_words() for text in texts if DATE.search(text) for word in WORD.findall(_folded(text))
    )


def _all_english(texts: pd.Series, language: Language) -> tuple[str, ...] | None:
    """All texts in English; None, as soon as one of them has words of no meaning in the language."""
    found = []
    for text in texts:
        if (each := _english(text, language)) is None:
            return None
        found.append(each)
    return tuple(found)


def _english(text: str, language: Language) -> str | None:
    """The text with an English month, and without the other words; None if it has words of no meaning."""
    text = ORDINAL.sub(" ", _folded(text))
    words = WORD.findall(text)
    months = [word for word in words if word in language.months]
    if len(months) > 1:  # mar 5 mar: the first one is a weekday
        months = months[-1:]
    if not months or any(word not in language.others | {*language.months} for word in words):
        return None
    last = len(words) - 1 - words[::-1].index(months[0])
    places = iter(range(len(words)))
    name = ENGLISH[language.months[months[0]] - 1]
    plain = WORD.sub(lambda _: name if next(places) == last else "", text)
    return " ".join(re.sub(r"[.,](?!\d)", " ", plain).split())


@lru_cache
def _languages() -> list[Language]:
    return [_language(name, locales) for name, locales in LANGUAGES.items()]


def _language(name: str, locales: Sequence[str]) -> Language:
    months: dict[str, int] = {}
    others = set(LINKS)
    for locale in locales:
        whole, short, days = _names(locale)
        for number, text in whole:
            months |= {text: number} | {text[:end]: number for end in _unique(text, [each for _, each in whole])}
        months |= {text: number for number, text in short}
        others |= {word for day in days for word in WORD.findall(day)}
    return Language(months | NAMED_ELSEWHERE.get(name, {}), frozenset(others))


def _names(locale: str) -> tuple[list[tuple[int, str]], list[tuple[int, str]], list[str]]:
    """Names and short names of the months with their numbers, and names of the weekdays."""
    from babel import Locale

    known = Locale.parse(locale)
    by_width: dict[str, list[tuple[int, str]]] = {
        width: [
            (number, _folded(text).rstrip("."))
            for context in known.months.values()
            for number, text in context[width].items()
        ]
        for width in ("wide", "abbreviated")
    }
    days = [_folded(text) for kinds in known.days.values() for width in kinds.values() for text in width.values()]
    return by_width["wide"], by_width["abbreviated"], days


def _unique(text: str, names: Sequence[str]) -> Iterator[int]:
    """The lengths of the beginnings of a name that no other month has."""
    for end in range(LEAST, len(text)):
        if len({name for name in names if name[:end] == text[:end]} - {text}) == 0:
            yield end


@lru_cache
def _english_words() -> frozenset[str]:
    whole = [*calendar.month_name[1:], *calendar.day_name]
    named = [word.lower() for name in whole for word in (name, name[:LEAST])]
    return frozenset([*named, "sept", "am", "pm", "utc", "gmt", "z", "t", "st", "nd", "rd", "th", "of", "the"])


def _folded(text: str) -> str:
    """Lower case without accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))

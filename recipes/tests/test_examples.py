"""The test parts of the examples are not in their training parts."""

from __future__ import annotations

from datetime import date

import pytest

pytest.importorskip("babel", reason="needs the extra examples")

from babel.dates import format_date

from fastgru_recipes.generate import examples as generate
from fastgru_recipes.translate import examples as translate


@pytest.fixture(scope="module")
def dates():
    return translate.dates(None, False)


def test_dates_of_the_test_are_of_days_and_texts_that_are_new(dates):
    assert not {*dates.training.sources} & {*dates.test.sources}
    assert not {*dates.training.targets} & {*dates.test.targets}
    assert len({*dates.test.sources}) == 1000


def test_dates_of_the_test_are_in_forms_that_their_language_has_not_shown(dates):
    forms = range(len(translate.FORMS))
    for text, iso in list(zip(dates.test.sources, dates.test.targets, strict=True))[::20]:
        day = date.fromisoformat(iso)
        for language, locale in enumerate(translate.LOCALES):
            learned = [form for form in forms if form != language % len(forms)]
            assert text not in [format_date(day, translate.FORMS[form], locale=locale) for form in learned]


def test_poems_of_the_test_share_no_line_with_training():
    parts = generate.chinese(None, False)
    lines = [line for line in parts.test.split("\n") if line]
    assert len(lines) > 1000
    assert not {*lines} & {*parts.training.split("\n")}

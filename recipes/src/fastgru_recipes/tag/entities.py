"""Named entities in tags of the form B-PER, I-PER, O: which tokens belong together, and the F1 of whole entities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

OUTSIDE = "O"
BEGINNINGS, INSIDES, ENDS = "BSU", "IELM", "ESLU"  # of IOB, IOBES and BILOU


def are_entities(tags: Iterable[str]) -> bool:
    """Whether these tags mark entities: O, and a letter of IOB, IOBES or BILOU with a kind, such as B-PER."""
    others = [tag for tag in set(tags) if tag != OUTSIDE]
    return bool(others) and all(tag[:1] in BEGINNINGS + INSIDES and tag[1:2] == "-" and tag[2:] for tag in others)


def entities(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """Kind, first token and token after the last one of each entity of a sentence.

    As in the evaluation of CoNLL-2003, an I- without a beginning begins an entity, and so does one of another kind.

    Example:
        >>> from fastgru_recipes.tag.entities import entities
        >>> sorted(entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]))
        [('LOC', 3, 4), ('LOC', 4, 5), ('PER', 0, 2)]
    """
    found, begin, kind = set(), 0, ""
    for place, tag in enumerate([*tags, OUTSIDE]):
        letter, here = tag[:1], tag[2:]
        if kind and (here != kind or letter in BEGINNINGS):
            found.add((kind, begin, place))
            kind = ""
        if here and not kind:
            begin, kind = place, here
        if kind and letter in ENDS:
            found.add((kind, begin, place + 1))
            kind = ""
    return found


def entity_f1(found: Iterable[Sequence[str]], right: Iterable[Sequence[str]]) -> float:
    """F1 of entities, 2 * hits / (predicted + true). A hit has the kind and exactly the tokens of a true entity."""
    hits = counted = 0
    for predicted, true in zip(found, right, strict=True):
        ours, theirs = entities(predicted), entities(true)
        hits += len(ours & theirs)
        counted += len(ours) + len(theirs)
    return 2 * hits / max(1, counted)

"""Texts as numbers: characters, words or byte pairs, by Hugging Face's tokenizers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

Unit = Literal["characters", "words", "bpe"]
PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"
SPECIAL = (PAD, UNKNOWN, START, END)
PAD_ID, UNKNOWN_ID, START_ID, END_ID = range(4)  # their numbers in every vocabulary


def learn(texts: Sequence[str], unit: Unit, size: int, least: int = 1) -> Tokenizer:
    """A tokenizer for texts like these.

    Args:
        texts: to learn from.
        unit: "characters"; "words", where punctuation is a word; or "bpe", pairs of bytes that stand together often.
        size: largest number of tokens, the four special ones included.
        least: how often a token must occur.

    Example:
        >>> from fastgru_recipes.text.vocabulary import learn
        >>> tokenizer = learn(["abba"], "characters", 100)
        >>> tokenizer.encode("ab!").ids  # "!" never occurred
        [4, 5, 1]
        >>> tokenizer.decode(tokenizer.encode("abba").ids)
        'abba'
    """
    options: dict[str, Any] = {
        "vocab_size": size,
        "special_tokens": list(SPECIAL),
        "min_frequency": least,
        "show_progress": False,
    }
    if unit == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer: Any = trainers.BpeTrainer(**options, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        pieces = r"[\s\S]" if unit == "characters" else r"\w+|[^\w\s]"
        behaviour = "isolated" if unit == "characters" else "removed"
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pieces), behaviour, invert=unit == "words")
        if unit == "characters":
            tokenizer.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(**options)
    tokenizer.train_from_iterator(texts, trainer)
    return _plain(tokenizer)


def _plain(tokenizer: Tokenizer) -> Tokenizer:
    """Takes <s> in a text for a text, and not for the start of one."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def to_state(tokenizer: Tokenizer) -> Any:
    """The tokenizer as JSON, for a recipe's state."""
    return json.loads(tokenizer.to_str())


def from_state(state: Any) -> Tokenizer:
    """And back."""
    return _plain(Tokenizer.from_str(json.dumps(state)))


def pieces(state: Any, text: str) -> list[str]:
    """The parts of a text that its tokens stand for."""
    return [text[begin:end] for begin, end in from_state(state).encode(text).offsets]

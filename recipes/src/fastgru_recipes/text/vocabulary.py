"""Vocabularies of characters, words or byte pairs, with Hugging Face's tokenizers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

Unit = Literal["characters", "words", "bpe"]
PAD, UNKNOWN, START, END = "<pad>", "<unk>", "<s>", "</s>"
SPECIAL = (PAD, UNKNOWN, START, END)
PAD_ID, UNKNOWN_ID, START_ID, END_ID = range(4)  # the same in every vocabulary


def learn(texts: Sequence[str], unit: Unit, size: int, least: int = 1) -> Tokenizer:
    """Learns a tokenizer from texts.

    Args:
        texts: the training texts.
        unit: "characters"; "words", with each punctuation mark as a word; or "bpe", byte-pair encoding.
        size: the largest number of tokens, including the four special ones.
        least: how often a token must occur to be included.

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
    """Makes the tokenizer read "<s>" in a text as text, not as the special token."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def to_state(tokenizer: Tokenizer) -> Any:
    """The tokenizer as JSON data, for a recipe's state."""
    return json.loads(tokenizer.to_str())


def from_state(state: Any) -> Tokenizer:
    """The tokenizer that `to_state` stored."""
    return _plain(Tokenizer.from_str(json.dumps(state)))


def pieces(state: Any, text: str) -> list[str]:
    """The piece of the text for each of its tokens."""
    return [text[begin:end] for begin, end in from_state(state).encode(text).offsets]

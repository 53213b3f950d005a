"""Texts to ids: words, characters, or subwords."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.data.batches import Array
from layerkit.data.parts import changed, checked_keys, parts_of
from layerkit.data.stage import Stage, mapped
from layerkit.errors import LayerkitError, UsageError, os_reason, shown, suggest
from layerkit.numbers import whole

__all__ = ["Tokenize", "Tokenizer", "tokenizer"]

UNKNOWN = "__UNK__"
"""The word that stands for all that a vocabulary does not have."""


@dataclass(frozen=True)
class Tokenizer:
    """A way to turn texts into ids and back."""

    encode: Callable[[str], Array]
    """text -> ids, int32 (l,)."""

    decode: Callable[[Sequence[int]], str]
    """ids -> text."""

    vocab_size: int
    """Number of ids, the reserved ones included."""


def tokenizer(
    vocab_type: str = "subwords", vocab_file: Any = None, vocabulary: Any = None, n_reserved_ids: int = 0
) -> Tokenizer:
    """A tokenizer of one of three kinds.

    Args:
        vocab_type: ``"words"``, what white space separates; ``"characters"``, whose ids are their code points;
            ``"subwords"``, by the package ``tokenizers``, an optional one (``pip install layerkit[text]``).
        vocab_file: for words a file with one in each line; for subwords one that ``tokenizers`` saved (JSON).
        vocabulary: for words, in place of a file, a list of them or a dict from word to id; a word that it does not
            have gets the id of ``__UNK__``, which it must have. For subwords a ``tokenizers.Tokenizer``.
        n_reserved_ids: ids kept free at the beginning, for padding and the like.

    Raises:
        UsageError: the kind is unknown, or what it needs is missing.

    >>> words = tokenizer("words", vocabulary=["__UNK__", "good", "bad"], n_reserved_ids=1)
    >>> words.encode("good or bad").tolist(), words.decode([2, 3]), words.vocab_size
    ([2, 1, 3], 'good bad', 4)
    """
    reserved = whole("n_reserved_ids", n_reserved_ids, 0)
    kinds: dict[str, Callable[[Any, Any], _Kind]] = {"words": _words, "characters": _characters, "subwords": _subwords}
    if vocab_type not in kinds:
        raise UsageError(f"unknown vocab_type {shown(vocab_type)}: {suggest(str(vocab_type), kinds)}")
    kind = kinds[vocab_type](vocab_file, vocabulary)

    def encode(text: str) -> Array:
        return np.array(kind.encode(text), np.int32) + np.int32(reserved)

    def decode(ids: Sequence[int]) -> str:
        plain = [int(i) - reserved for i in np.asarray(ids).ravel() if i >= reserved]
        outside = [i for i in plain if i >= kind.size]
        if outside:
            raise LayerkitError(f"the id {outside[0] + reserved} is outside a vocabulary of {kind.size + reserved}")
        return kind.decode(plain)

    return Tokenizer(encode, decode, kind.size + reserved)


def Tokenize(
    keys: Sequence[int] | None = None,
    vocab_type: str = "subwords",
    vocab_file: Any = None,
    vocabulary: Any = None,
    n_reserved_ids: int = 0,
) -> Stage:
    """A stage that makes ids of texts.    part: str    gives: int32 (l,)

    Args:
        keys: the parts that are texts; those that are one unless given.
        vocab_type: ``"words"``, ``"characters"`` or ``"subwords"``, see ``tokenizer``.
        vocab_file: the file of a vocabulary.
        vocabulary: the vocabulary itself.
        n_reserved_ids: ids kept free at the beginning, for padding and the like.

    Raises:
        UsageError: the kind is unknown, or what it needs is missing.
        LayerkitError: a part is no text.

    >>> [(ids.tolist(), label) for ids, label in Tokenize(vocab_type="characters")([("abc", 1)])]
    [([97, 98, 99], 1)]
    """
    encode = tokenizer(vocab_type, vocab_file, vocabulary, n_reserved_ids).encode
    texts = None if keys is None else checked_keys("Tokenize", "keys", keys)

    def ids_of(value: Any, key: int) -> Array:
        if not isinstance(value, str):
            raise LayerkitError(f"data.Tokenize: part {key} of an item is no text, got {shown(value)}")
        return encode(value)

    def tokenize(item: Any) -> Any:
        found = [key for key, value in enumerate(parts_of(item)) if isinstance(value, str)]
        if texts is None and not found:
            raise LayerkitError(f"data.Tokenize: an item has no text, got {shown(item)}")
        return changed("Tokenize", item, found if texts is None else texts, ids_of)

    return mapped("Tokenize", tokenize)


@dataclass(frozen=True)
class _Kind:
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    size: int


def _words(vocab_file: Any, vocabulary: Any) -> _Kind:
    if (vocab_file is None) == (vocabulary is None):
        raise UsageError("words need a vocabulary, or a vocab_file with one word in each line")
    words = _read(vocab_file).split() if vocabulary is None else vocabulary
    if isinstance(words, (str, bytes)) or not isinstance(words, (Mapping, Sequence)):
        raise UsageError(f"a vocabulary is a list of words, or a dict from word to id, got {shown(words)}")
    ids = dict(words) if isinstance(words, Mapping) else {word: number for number, word in enumerate(words)}
    if UNKNOWN not in ids:
        raise UsageError(f"the vocabulary of {len(ids)} words has no {UNKNOWN!r}, which stands for all others")
    by_id = {number: word for word, number in ids.items()}
    unknown = ids[UNKNOWN]
    return _Kind(
        lambda text: [ids.get(word, unknown) for word in text.split()],
        lambda plain: " ".join(by_id.get(number, UNKNOWN) for number in plain),
        max(by_id) + 1,
    )


def _characters(vocab_file: Any, vocabulary: Any) -> _Kind:
    if vocab_file is not None or vocabulary is not None:
        raise UsageError("characters take no vocabulary: their ids are their code points")
    return _Kind(lambda text: list(map(ord, text)), lambda plain: "".join(map(chr, plain)), 0x110000)


def _subwords(vocab_file: Any, vocabulary: Any) -> _Kind:
    if (vocab_file is None) == (vocabulary is None):
        raise UsageError("subwords need a vocab_file that the package tokenizers saved, or a tokenizers.Tokenizer")
    try:
        import tokenizers
    except ImportError:
        raise UsageError("subwords need the package tokenizers: pip install tokenizers") from None
    if vocabulary is None:
        text = _read(vocab_file)
        try:
            vocabulary = tokenizers.Tokenizer.from_str(text)
        except Exception as error:
            raise UsageError(f"{vocab_file} is no file that the package tokenizers saved: {error}") from None
    if not isinstance(vocabulary, tokenizers.Tokenizer):
        raise UsageError(f"for subwords the vocabulary is a tokenizers.Tokenizer, got {shown(vocabulary)}")
    return _Kind(
        lambda text: list(vocabulary.encode(text).ids),
        lambda plain: str(vocabulary.decode(plain)),
        int(vocabulary.get_vocab_size()),
    )


def _read(path: Any) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, TypeError, UnicodeDecodeError) as error:
        raise UsageError(f"the vocab_file {shown(path)} cannot be read: {os_reason(error)}") from None

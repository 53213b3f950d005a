"""Texts into tokens: those of NLTK's TweetTokenizer, most of them remembered from the last time they came up."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

from layerkit.errors import LayerkitError
from layerkit_plugins.sentiment.nltk_parts import casual_and_porter

__all__ = ["Nltk", "nltk", "pieces", "tokens"]

# Of all the tokenizer's patterns only two reach across a blank: telephone numbers, made of digits and of " *-.()", and
# dots, which may stand apart. So nothing reaches across a blank with a letter or another sign on one of its sides.
# The letters are Python's, in whose eyes a letter is never a digit or a space of the tokenizer's regex engine.
_LETTER = r"[^\W\d]"
_BLANKS = re.compile(rf"(?<={_LETTER}|[!-(+,/:-@\[-`{{-~]) +| +(?={_LETTER}|[!-'+,/:-@\[-`{{-~])")


_SHORTENED = re.compile(r"(.)\1\1")
"""What the tokenizer may shorten: three of a letter are left of more."""


class Nltk(NamedTuple):
    """What of NLTK is used."""

    tokenize: Callable[[str], list[str]]
    stem: Callable[[str], str]
    remove_handles: Callable[[str], str]


@functools.cache
def nltk() -> Nltk:
    """NLTK, made ready once.

    Raises:
        LayerkitError: it cannot be imported.
    """
    try:
        casual, porter = casual_and_porter()
    except ImportError as error:
        raise LayerkitError(
            f'texts are split into words by NLTK, which cannot be imported ({error}): pip install "layerkit[nlp]"'
        ) from error
    # Case is kept here and dropped where tokens become words, once a distinct token. The tokenizer would keep that of
    # an emoticon such as ":D", after a search in every token, only for the stemmer to drop it: the words are the same.
    tokenizer = casual.TweetTokenizer(preserve_case=True, strip_handles=True, reduce_len=True)
    return Nltk(tokenizer.tokenize, porter.PorterStemmer().stem, casual.remove_handles)


def pieces(text: str) -> list[str]:
    """Parts of a text whose tokens, one part after the other, are the tokens of the text. Handles are gone.

    >>> pieces("@bob it was good. Call 555 0199 now")
    ['', 'it', 'was', 'good.', 'Call', '555 0199', 'now']
    """
    if "&" in text:  # may become anything, once the tokenizer has replaced it
        return [text]
    return _BLANKS.split(nltk().remove_handles(text) if "@" in text else text)


def tokens(piece: str) -> list[str]:
    """The tokens of a text, or of one of its pieces, in their own case.

    >>> tokens("soooo good:)")
    ['sooo', 'good', ':)']
    """
    # Letters alone are one token. Most of the pieces that were not met before are that.
    if piece.isascii() and piece.isalpha() and not _SHORTENED.search(piece):
        return [piece]
    try:
        return nltk().tokenize(piece)
    except TimeoutError:
        # Newer NLTK gives up after five seconds by the clock, which a very busy machine can reach: try in halves.
        if len(piece) < 2:
            return piece.split()
        middle = len(piece) // 2
        return tokens(piece[:middle]) + tokens(piece[middle:])

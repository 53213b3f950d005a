"""Tweets into words: the notebook's ``process_tweet``, with everything it needs made once.

The notebook built a tokenizer, a stemmer and the list of stop words anew for every tweet, and stemmed the same
words again and again. Here each is made once, when the first text comes, and what becomes of a piece of text between
blanks, and of a token, is remembered.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Iterable, Sequence

from layerkit.errors import UsageError, warn
from layerkit_plugins.sentiment.stop_words import STOP_WORDS
from layerkit_plugins.sentiment.tokens import nltk, pieces, tokens

__all__ = ["MAX_CHARACTERS", "MAX_RUN", "as_tokens", "process_tweet", "require_text", "warn_of_cuts"]

MAX_CHARACTERS = 10_000
"""How much of one text is read. A tweet has at most 280 characters, a long film review about as many as this."""

MAX_RUN = 1_000
"""How much is read of one run without a space: on "a.a.a..." some NLTK releases need seconds for 4,000 characters."""

# What is longer is not remembered, and a full memo stays as it is: a stream of junk cannot fill memory.
_MAX_REMEMBERED_LENGTH = 64
_MAX_REMEMBERED = 200_000

_TICKER = re.compile(r"\$\w*")
_RETWEET = re.compile(r"^RT[\s]+")
_LINK = re.compile(r"https?:\/\/.*[\r\n]*")
_LONG_RUN = re.compile(rf"(\S{{{MAX_RUN}}})\S+")


def require_text(text: object) -> None:
    """Raises a UsageError unless it is a string."""
    if not isinstance(text, str):
        raise UsageError(_not_a_string(text))


def process_tweet(tweet: str, keep_stop_words: bool = False) -> list[str]:
    """The words of a tweet that carry meaning, lower-cased and stemmed.

    In this order, as in the notebook: stock tickers (``$GE``), a leading ``RT`` and links (with the rest of their
    line) go, and so does the sign ``#`` but not its word; NLTK's TweetTokenizer splits what is left, drops handles
    and shortens letters repeated more than three times; stop words and punctuation are dropped; Porter's algorithm
    stems the rest. The stop words come with this package, so the words of a text are the same on every machine.

    Of a text only the first MAX_CHARACTERS characters are read (up to the last space among them), and of a run
    without a space only the first MAX_RUN: a warning says so, once. Below that, no text raises and none takes long.

    Args:
        tweet: any string, however odd; an empty one, or one of handles and links only, has no words.
        keep_stop_words: keep words such as "the" and "not", which the notebook drops.

    Returns:
        The words in their order, a list of strings.

    Raises:
        UsageError: the text is not a string.
        LayerkitError: NLTK is not installed.

    Source: ``process_tweet`` in the utilities of the notebook "Sentiment with Deep Neural Networks" (2020);
    M. Porter, "An algorithm for suffix stripping", 1980.

    >>> process_tweet("#FollowFriday @France_Inte @PKuchly57 for being top engaged members this week :)")
    ['followfriday', 'top', 'engag', 'member', 'week', ':)']
    >>> process_tweet("it was not good"), process_tweet("it was not good", keep_stop_words=True)
    (['good'], ['it', 'wa', 'not', 'good'])
    """
    require_text(tweet)
    text = tweet if len(tweet) <= MAX_RUN else _shortened(tweet)
    text = _LINK.sub("", _RETWEET.sub("", _TICKER.sub("", text))).replace("#", "")
    words = _all if keep_stop_words else _some
    return [word for piece in pieces(text) for word in words[piece]]


def as_tokens(text: str | Sequence[str], keep_stop_words: bool = False) -> list[str]:
    """The words of a text, or the words themselves where somebody has processed the text already.

    >>> as_tokens("I hated my day"), as_tokens(["hate", "day"])
    (['hate', 'day'], ['hate', 'day'])
    """
    if isinstance(text, (list, tuple)):
        for word in text:
            if not isinstance(word, str):
                raise UsageError(f"a processed text is a list of strings, but holds {_shown(word)}")
        return list(text)
    return process_tweet(text, keep_stop_words)  # type: ignore[arg-type]  # anything else is refused there, with a sentence


class _Words(dict[str, "str | None"]):
    """What becomes of a token: its stem, or None where it is dropped. Worked out when first asked for."""

    def __init__(self, keep_stop_words: bool = False) -> None:
        super().__init__()
        self._dropped = frozenset() if keep_stop_words else STOP_WORDS

    def __missing__(self, token: str) -> str | None:
        lowered = token.lower()
        word = self._work_out(token) if lowered == token else self[lowered]
        if len(token) <= _MAX_REMEMBERED_LENGTH and len(self) < _MAX_REMEMBERED:
            self[token] = word
        return word

    def _work_out(self, token: str) -> str | None:
        # The notebook asks `in string.punctuation`, which is true of any piece of that string, such as "<=>", too.
        if token in self._dropped or token in string.punctuation:
            return None
        try:
            return nltk().stem(token)
        except RecursionError:  # older NLTK recurses once for every y of "yyyyyy..."
            return token


class _WordsOfPieces(dict[str, "tuple[str, ...]"]):
    """The words of a piece of text, worked out when first asked for."""

    def __init__(self, words: _Words) -> None:
        super().__init__()
        self._words = words

    def __missing__(self, piece: str) -> tuple[str, ...]:
        found = tuple([word for token in tokens(piece) if (word := self._words[token]) is not None])
        if len(piece) <= _MAX_REMEMBERED_LENGTH and len(self) < _MAX_REMEMBERED:
            self[piece] = found
        return found


_some, _all = _WordsOfPieces(_Words()), _WordsOfPieces(_Words(keep_stop_words=True))


def warn_of_cuts(texts: Iterable[str]) -> None:
    """Says so if not all of a text is read, as ``process_tweet`` does, for texts that were processed elsewhere."""
    for text in texts:
        if len(text) > MAX_RUN:
            _shortened(text)


def _shortened(text: str) -> str:
    short = text
    if len(text) > MAX_CHARACTERS:
        short = text.lstrip()[: MAX_CHARACTERS + 1]  # one more, to see whether the last word ends here
        if len(short) > MAX_CHARACTERS:
            short = short if short[-1].isspace() else short.rsplit(None, 1)[0]
            short = short[:MAX_CHARACTERS]
    short = _LONG_RUN.sub(r"\1", short)
    if len(short) < len(text.strip()):
        _say_that_texts_are_cut()
    return short


@functools.cache  # once a process; Python's own filter forgets what it has shown when a library adds a filter
def _say_that_texts_are_cut() -> None:
    warn(
        f"only the first {MAX_CHARACTERS:,} characters of a text are read, and the first {MAX_RUN:,} of a run "
        "without a space: a longer text was cut (split long documents to use all of them)"
    )


def _not_a_string(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"a text must be a string, got {_shown(value)}: decode it first, with .decode('utf-8')"
    return f"a text must be a string, got {_shown(value)}: leave out rows without text, or turn them into strings"


def _shown(value: object) -> str:
    if value is None:
        return "None"
    shown = " ".join(repr(value).split())
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    return f"{type(value).__name__} {shown}"

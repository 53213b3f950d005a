"""Words into numbers: the vocabulary, and a tweet as a list of ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from layerkit.errors import UsageError, shown
from layerkit_plugins.sentiment.text import as_tokens

__all__ = ["END", "PAD", "UNKNOWN", "build_vocabulary", "tokens_to_ids", "tweet_to_tensor"]

PAD, END, UNKNOWN = "__PAD__", "__</e>__", "__UNK__"


def build_vocabulary(tweets: Iterable[str | Sequence[str]]) -> dict[str, int]:
    """Gives every word of the training tweets an id: 0 to 2 for the special tokens, then in order of first use.

    Args:
        tweets: texts, or texts already processed into lists of words.

    Returns:
        A dict from word to id. ``__PAD__`` is 0, ``__</e>__`` (end of line) is 1, ``__UNK__`` (unknown word) is 2.

    Raises:
        UsageError: ``tweets`` is one string instead of a collection of them, or something in it is not a text.

    Source: the notebook's section 2.2.

    >>> build_vocabulary(["happy happy day", ["sad", "day"]])
    {'__PAD__': 0, '__</e>__': 1, '__UNK__': 2, 'happi': 3, 'day': 4, 'sad': 5}
    """
    if isinstance(tweets, (str, bytes)):
        raise UsageError("a vocabulary is built from a collection of texts, got one text: put it into a list")
    if not isinstance(tweets, Iterable):
        raise UsageError(f"a vocabulary is built from a collection of texts, got {shown(tweets)}")
    vocabulary = {PAD: 0, END: 1, UNKNOWN: 2}
    for tweet in tweets:
        for word in as_tokens(tweet):
            vocabulary.setdefault(word, len(vocabulary))
    return vocabulary


def tokens_to_ids(tokens: Iterable[str], vocab_dict: Mapping[str, int], unk_token: str = UNKNOWN) -> list[int]:
    """The id of every word; of ``unk_token`` for a word that the vocabulary does not have.

    Raises:
        UsageError: ``unk_token`` is not in the vocabulary.

    >>> tokens_to_ids(["maria", "happi"], {"__UNK__": 2, "happi": 3})
    [2, 3]
    """
    unknown_id = _unknown_id(vocab_dict, unk_token)
    return [vocab_dict.get(token, unknown_id) for token in tokens]


def tweet_to_tensor(
    tweet: str | Sequence[str],
    vocab_dict: Mapping[str, int],
    unk_token: str = UNKNOWN,
    verbose: bool = False,
) -> list[int]:
    """A tweet as the list of its words' ids, as long as it has words.

    Args:
        tweet: a text, or its words where it has been processed already.
        vocab_dict: from word to id, as ``build_vocabulary`` makes it.
        unk_token: stands for every word that ``vocab_dict`` does not have.
        verbose: print the words and the id of ``unk_token``.

    Raises:
        UsageError: the tweet is not a text, or ``unk_token`` is not in the vocabulary.

    Source: the notebook's exercise 1.

    >>> tweet_to_tensor("@happypuppy, is Maria happy?", {"__UNK__": 2, "happi": 3})
    [2, 3]
    """
    tokens = as_tokens(tweet)
    if verbose:
        print("List of words from the processed tweet:")
        print(tokens)
        print(f"The unique integer ID for the unk token is {_unknown_id(vocab_dict, unk_token)}")
    return tokens_to_ids(tokens, vocab_dict, unk_token)


def _unknown_id(vocab_dict: Mapping[str, int], unk_token: str) -> int:
    if not isinstance(vocab_dict, Mapping):
        raise UsageError(f"vocab_dict is a dict from word to id, as build_vocabulary makes it, got {shown(vocab_dict)}")
    try:
        return vocab_dict[unk_token]
    except KeyError:
        raise UsageError(
            f"the vocabulary of {len(vocab_dict)} words has no {unk_token!r}, which stands for unknown words: "
            "add it, or name the token that does as unk_token"
        ) from None

"""Many texts into words: from the disk where they were processed before, else here or in several processes."""

from __future__ import annotations

from collections.abc import Sequence

from layerkit_plugins.sentiment.processed import Processed, in_one, process_here
from layerkit_plugins.sentiment.text import require_text, warn_of_cuts
from layerkit_plugins.sentiment.text_cache import CachedTexts

__all__ = ["process"]

_LEAST_TEXTS = 500  # a worker that splits fewer is not worth its start


def process(texts: Sequence[str], keep_stop_words: bool = False, n_workers: int = 0) -> Processed:
    """The words of texts: those that ``process_tweet`` gives, wherever they come from.

    They are kept in layerkit's cache folder (LAYERKIT_CACHE) under a name made from the texts and all that has a say in
    what their words are.

    Args:
        texts: the texts.
        keep_stop_words: as in ``process_tweet``.
        n_workers: how many processes to start for it; with 0 or 1, or few texts, this one does the work.

    Raises:
        UsageError: one of them is not a text.
        LayerkitError: NLTK is not installed, or a process failed.
    """
    for text in texts:
        require_text(text)
    cache = CachedTexts(texts, keep_stop_words)
    processed = cache.read()
    if processed is None:
        n_workers = min(n_workers, len(texts) // _LEAST_TEXTS)
        if n_workers > 1:
            from layerkit_plugins.sentiment.text_workers import process_in_workers

            processed = in_one(process_in_workers(texts, keep_stop_words, n_workers))
        else:
            processed = process_here(texts, keep_stop_words)
        cache.write(processed)
    warn_of_cuts(texts)
    return processed

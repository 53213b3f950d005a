"""Two corpora that NLTK distributes, read straight from its data folders: ``import nltk`` takes most of a second."""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from layerkit.errors import LayerkitError
from layerkit_plugins.sentiment.examples import Corpus, first_of_each_class

__all__ = ["CorpusMissingError", "sentence_polarity", "twitter_samples"]


class CorpusMissingError(LayerkitError):
    """A corpus is neither on this machine nor to be had from the network."""


def twitter_samples(download: bool = True) -> Corpus:
    """The notebook's 10,000 tweets, half of them positive; the first 4,000 of each class are for training.

    Read from NLTK's data folders (``NLTK_DATA``, ``~/nltk_data``, ...), or fetched with ``nltk.download`` first.
    The split is the notebook's, repeated tweets and all, so that figures can be compared.

    Raises:
        CorpusMissingError: the corpus is not there and cannot be fetched.
        LayerkitError: what is there is damaged.
    """

    def texts(file: str) -> list[str]:
        lines = _member("twitter_samples", f"{file}_tweets.json", download).split("\n")
        return [json.loads(line)["text"] for line in lines if line.strip()]

    return _two_classes("twitter_samples", texts, lambda count: min(count * 4 // 5, 4000))


def sentence_polarity(download: bool = True) -> Corpus:
    """10,662 sentences from film reviews, half of them positive; the first 80 % of each class are for training.

    Found, fetched and refused as ``twitter_samples`` is. B. Pang and L. Lee, "Seeing stars", ACL 2005.
    """

    def texts(file: str) -> list[str]:
        lines = _member("sentence_polarity", f"rt-polarity.{file[:3]}", download).split("\n")
        return [line.strip() for line in lines if line.strip()]

    return _two_classes("sentence_polarity", texts, lambda count: count * 4 // 5)


def _two_classes(name: str, texts_of: Callable[[str], list[str]], n_train: Callable[[int], int]) -> Corpus:
    # Positive texts first, as in the notebook: the order decides which word gets which id.
    try:
        texts = {label: texts_of(label) for label in ("positive", "negative")}
    except (ValueError, KeyError, TypeError) as error:
        raise LayerkitError(f"{name}: not what NLTK distributes ({error}): delete it and fetch it again") from error
    labels = tuple(label for label, own in texts.items() for _ in own)
    train = {label: n_train(len(own)) for label, own in texts.items()}
    if not all(train.values()):
        raise LayerkitError(f"{name}: {dict(Counter(labels))} texts are not what NLTK distributes: fetch it again")
    return Corpus(
        name,
        tuple(text for own in texts.values() for text in own),
        labels,
        ("negative", "positive"),
        first_of_each_class(labels, train),
        f"the first {train['positive']:,} positive and {train['negative']:,} negative texts are for training",
    )


def _member(corpus: str, file: str, download: bool) -> str:
    place = _find(corpus)
    if place is None and download:
        _fetch(corpus)
        place = _find(corpus)
    if place is None:
        raise CorpusMissingError(
            f"the corpus {corpus!r} is not on this machine and could not be fetched: run `python -m nltk.downloader "
            f"{corpus}` where there is a network, set NLTK_DATA to the folder that holds corpora/{corpus}.zip, "
            "or choose the corpus 'starter'"
        )
    try:
        if place.is_dir():
            return (place / file).read_text("utf-8")
        with zipfile.ZipFile(place) as archive:
            return archive.read(f"{corpus}/{file}").decode("utf-8")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise LayerkitError(f"{place}: cannot be read ({error}): delete it and run again to fetch it anew") from error


def _find(corpus: str) -> Path | None:
    for folder in _data_folders():
        for place in (folder / "corpora" / corpus, folder / "corpora" / f"{corpus}.zip"):
            try:
                if place.is_dir() or place.is_file():
                    return place
            except (OSError, ValueError):
                continue  # a folder that may not be looked into, or no possible path: as if it were not there
    return None


def _data_folders() -> list[Path]:
    """Where NLTK looks, in its order: the variable, the home folder, the environment, the system."""
    folders = [os.path.expanduser(folder) for folder in os.environ.get("NLTK_DATA", "").split(os.pathsep) if folder]
    if "nltk" in sys.modules:
        folders += [str(folder) for folder in sys.modules["nltk"].data.path]
    folders.append(os.path.expanduser("~/nltk_data"))
    folders += [os.path.join(sys.prefix, *parts, "nltk_data") for parts in ((), ("share",), ("lib",))]
    if sys.platform == "win32":
        folders += [os.path.join(os.environ.get("APPDATA", "C:\\"), "nltk_data"), *map("{}:\\nltk_data".format, "CDE")]
    else:
        folders += [f"/usr/{place}/nltk_data" for place in ("share", "local/share", "lib", "local/lib")]
    return [Path(folder) for folder in folders]


def _fetch(corpus: str) -> None:
    """Asks NLTK to fetch a corpus; whether it did is seen by looking again."""
    try:
        import nltk
    except ImportError as error:
        raise CorpusMissingError(
            f"the corpus {corpus!r} is not on this machine, and NLTK, which fetches it, cannot be imported ({error}): "
            "pip install \"layerkit[nlp]\", or choose the corpus 'starter'"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nltk.download(corpus, quiet=True, print_error_to=io.StringIO())
    except Exception:  # no home, no permission, a proxy that answers oddly: all mean that it is not there
        return

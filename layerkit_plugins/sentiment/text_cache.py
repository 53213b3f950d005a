"""Processed texts kept on disk, so that a corpus is split into words once and not in every process.

A file is named after what it was made from: the texts, the settings, and the versions of everything that has a say in
what their words are. So a file never has to be thrown away because something changed; those that were not used for the
longest go when all of them together become too large. They hold numbers and JSON, and are read with suspicion.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from layerkit.cache_folder import cache_folder
from layerkit_plugins.sentiment.processed import Processed, from_bytes, to_bytes

__all__ = ["MOST_BYTES", "CachedTexts"]

MOST_BYTES = 512 << 20
"""How much all files may take together; the words of a million tweets take about 50 MB."""

_CODE = ("nltk_parts.py", "processed.py", "stop_words.py", "text.py", "text_cache.py", "tokens.py")
_DIGEST = hashlib.sha256().digest_size


class CachedTexts:
    """Where on disk the words of some texts are, or would be. Without a cache folder, nowhere.

    Nothing here raises: what cannot be read is made again, and what cannot be written is not kept.
    """

    def __init__(self, texts: Sequence[str], keep_stop_words: bool) -> None:
        folder, versions = cache_folder("text"), _versions()
        self._path: Path | None = None
        if folder is not None and versions is not None:
            self._path = folder / _digest(texts, f"{versions} {keep_stop_words}")

    def read(self) -> Processed | None:
        """What was kept; ``None`` where nothing was, or it is damaged."""
        if self._path is None:
            return None
        try:
            contents = self._path.read_bytes()
            if hashlib.sha256(contents[_DIGEST:]).digest() != contents[:_DIGEST]:
                return None
            processed = from_bytes(contents[_DIGEST:])
        except (OSError, ValueError):
            return None
        with contextlib.suppress(OSError):
            os.utime(self._path)  # it was used just now
        return processed

    def write(self, processed: Processed) -> None:
        """Keeps it. Somebody who reads at the same time sees all of it or nothing."""
        if self._path is None:
            return
        contents = to_bytes(processed)
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_name(f"draft-{os.urandom(8).hex()}")  # known before it is there
            try:
                with open(draft, "xb", opener=_for_its_owner) as file:
                    file.write(hashlib.sha256(contents).digest() + contents)
                os.replace(draft, self._path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(draft)
                raise
            _shrink(self._path.parent)


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _shrink(folder: Path) -> None:
    """Removes the files that were not used for the longest, drafts of processes that died among them."""
    files = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(folder)]
    total = 0
    for _, size, path in sorted(files, reverse=True):
        total += size
        if total > MOST_BYTES:
            os.unlink(path)


def _digest(texts: Sequence[str], made_with: str) -> str:
    """Names texts: their lengths and all of them in a row, so that no two lists of texts look the same."""
    digest = hashlib.sha256(f"{made_with} {[len(text) for text in texts]} ".encode())
    digest.update("".join(texts).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _versions() -> str | None:
    """What processes texts: this code, Python, NLTK, and its engine of regular expressions; ``None`` if unknown."""
    libraries = [_version(name) for name in ("nltk", "regex")]
    try:
        code = hashlib.sha256(b"".join(Path(__file__).with_name(name).read_bytes() for name in _CODE)).hexdigest()
    except OSError:  # the code is not in files
        return None
    return None if None in libraries else " ".join(map(str, [sys.version_info[:3], *libraries, code]))


def _version(library: str) -> str | None:
    """The name of the folder that pip keeps beside a library, which ends in its version: asking pip's own way, or the
    library itself, would take longer than all the rest."""
    spec = importlib.util.find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        return None
    beside = Path(spec.submodule_search_locations[0]).parent
    return ", ".join(sorted(path.name for path in beside.glob(f"{library}-*-info"))) or None

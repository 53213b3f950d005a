"""Texts are split by NLTK's own classes, and without the second that the rest of NLTK takes to import."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("nltk", reason="texts are split by NLTK")

TEXT = "@you Soooooo happy :) running http://t.co/x #days"
WORDS = "['sooo', 'happi', ':)', 'run']"


def python(code: str) -> str:
    """What a new process prints."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_only_what_is_needed_is_imported() -> None:
    said = python(f"""
        import sys
        from layerkit_plugins.sentiment.text import process_tweet
        print(process_tweet({TEXT!r}))
        print([name for name in sys.modules if name.split(".")[0] in ("nltk", "scipy", "http", "ssl", "xml")])
    """)
    assert said.splitlines() == [WORDS, "[]"]


def test_a_program_that_imports_nltk_afterwards_gets_all_of_it() -> None:
    said = python(f"""
        from layerkit_plugins.sentiment.text import process_tweet
        words = process_tweet({TEXT!r})
        import nltk
        from nltk.tokenize import TweetTokenizer
        from nltk.tokenize.casual import TweetTokenizer as casual
        print(callable(nltk.download), nltk.tokenize.TweetTokenizer is casual is TweetTokenizer)
        print(process_tweet({TEXT!r}) == words, nltk.__version__ > "3")
    """)
    assert said.splitlines() == ["True True", "True True"]


def test_what_was_left_out_is_imported_if_it_is_called() -> None:
    said = python("""
        from layerkit_plugins.sentiment.nltk_parts import casual_and_porter
        casual, _ = casual_and_porter()
        class Splits(casual.TokenizerI):
            def tokenize(self, text): return super().tokenize(text)
            def tokenize_sents(self, texts): return [text.split() for text in texts]
        print(Splits().tokenize("a b"))
    """)
    assert said.splitlines() == ["['a', 'b']"]


@pytest.mark.parametrize(
    "before",
    [
        "import nltk",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "from layerkit_plugins.sentiment import nltk_parts; nltk_parts._alone = lambda: 1 / 0",
    ],
    ids=["NLTK is there", "another thread runs", "it does not work"],
)
def test_else_nltk_is_imported_as_usual(before: str) -> None:
    said = python(f"""
        {before}
        import sys
        from layerkit_plugins.sentiment.text import process_tweet
        print(process_tweet({TEXT!r}))
        print("nltk.corpus" in sys.modules)
    """)
    assert said.splitlines() == [WORDS, "True"]


def test_a_failure_leaves_nothing_behind() -> None:
    said = python("""
        import sys
        sys.modules["nltk.stem.porter"] = None
        from layerkit_plugins.sentiment.text import process_tweet
        try:
            process_tweet("good day")
        except Exception as error:
            print(type(error).__name__, "pip install" in str(error))
        del sys.modules["nltk.stem.porter"]
        print(process_tweet("good days"))
    """)
    assert said.splitlines() == ["LayerkitError True", "['good', 'day']"]

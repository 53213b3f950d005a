"""Whether texts have the same tokens and words as with NLTK alone: on a million made-up strings, and on the tweets.

Run: ``python benchmarks/text_fuzz.py [--strings 1000000] [--seed 0]``. layerkit splits a text at blanks that NLTK's
TweetTokenizer cannot reach across, and remembers what becomes of the pieces. So the strings are made of what reaches
furthest: digits, dots, brackets, handles, entities, emoticons and every kind of space, with random characters between,
from all of Unicode. Prints the strings that differ, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import random
import re
import string
import sys
from collections.abc import Callable, Iterator

from nltk.stem.porter import PorterStemmer
from nltk.tokenize.casual import TweetTokenizer

from layerkit_plugins.sentiment.nltk_corpora import CorpusMissingError, twitter_samples
from layerkit_plugins.sentiment.stop_words import STOP_WORDS
from layerkit_plugins.sentiment.text import process_tweet
from layerkit_plugins.sentiment.tokens import pieces, tokens

PIECES = """
    1 5 0 01 +1 +0 555 (555) 0199 5550199 555-0199 1.800 +1(800)555-0199 555* *555 .555 555. 555) (800 12/34 -5 5- 5:30
    . .. ... .a a. - -- ( ) * + ) . *. -. .) (( )) [ ] { } < > -> <- <3 </3 :) :-( :D ;p 8) =[ :'( d: >: @ : ;
    @a @bob @bob_1 @bob: .@bob .@bob. @bob@eve @@bob a@bob @123456789012345 @1234567890123456 me@x.org @_
    & &amp; &lt; &gt; &#46; &#32; &#10; &#64; &#49; &nbsp; &foo; &; &#; &#x2e; &amp;lt; ; a&b; &a b;
    a I it not isn't wasn't u.s. a.b.co x.com x.com/ www.x.org/(a) foo.na@example.com sooooo aaa !!! ??? ---- ____ ***
    _ -_- é été ß ſ İ ΑΣ ок ١٢٣ ४ ½ ² 世界 \u0301 \U0001f600 \U0001f469\u200d\U0001f4bb \U0001f44d\U0001f3fd
    \U0001f1eb\U0001f1f7 \U0001f1eb \u200d \ufe0f \u2026 \u2019 \u201c \u00ab \ud800 \udfff \x00 \x1c \x1f \x7f
    $GE $ # #tag #1 RT http http: http:// https://t.co/x t.co/x <b> <a_b> <a (a) ((a)) (a(b)c) ' ` " “
""".split()
BLANKS = [" "] * 8 + ["", "", "", "  ", "   ", "    ", "\n", "\t", "\r\n", "\x0b", "\x85", "\xa0", "\u2003", "\u3000"]
BLANKS += ["\u2028", "\u200b", "\n\n\n\n", " \n", "\n ", "\t ", " \t"]


def made_up(seed: int) -> Iterator[str]:
    """Strings without end."""
    rng = random.Random(seed)
    while True:
        parts = []
        for _ in range(rng.choice((1, 2, 3, 4, 6, 10))):
            parts.append(_junk(rng) if rng.random() < 0.15 else rng.choice(PIECES))
            parts.append(rng.choice(BLANKS))
        yield "".join(parts)


def _junk(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        alphabet = rng.choice(("0155555555   -.*()", "...  \t\n\xa0", string.printable))
        return "".join(rng.choices(alphabet, k=rng.randint(2, 16)))
    if kind < 0.5:
        return rng.choice(("", "1 ", "0. ")) + rng.choice(("", "555 ", "(800) ", " (555 ")) + "555 0199"
    highest = 0x2FF if kind < 0.7 else 0xFFFF if kind < 0.9 else 0x10FFFF
    return "".join(chr(rng.randint(0, highest)) for _ in range(rng.randint(1, 4)))


def nltk_alone() -> tuple[Callable[[str], list[str]], Callable[[str], list[str]]]:
    """(tokens of a text, words of a tweet) as NLTK and the notebook make them, but for a memo of stems."""
    keep_case = TweetTokenizer(preserve_case=True, strip_handles=True, reduce_len=True)
    tokenizer = TweetTokenizer(preserve_case=False, strip_handles=True, reduce_len=True)
    stemmer = PorterStemmer()
    stems: dict[str, str] = {}

    def words(tweet: str) -> list[str]:
        tweet = re.sub(r"https?:\/\/.*[\r\n]*", "", re.sub(r"^RT[\s]+", "", re.sub(r"\$\w*", "", tweet)))
        kept = [t for t in tokenizer.tokenize(tweet.replace("#", "")) if t not in STOP_WORDS]
        kept = [t for t in kept if t not in string.punctuation]
        for token in kept:
            if token not in stems:
                stems[token] = stemmer.stem(token)
        return [stems[token] for token in kept]

    return keep_case.tokenize, words


def differences(texts: Iterator[str]) -> Iterator[str]:
    """The texts whose tokens or words are others."""
    their_tokens, their_words = nltk_alone()
    for text in texts:
        ours = [token for piece in pieces(text) for token in tokens(piece)]
        if ours != their_tokens(text) or process_tweet(text) != their_words(text):
            yield text


def main() -> int:
    """Prints what differs and how many were tried; the exit code is 1 if anything does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strings", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    endless = made_up(given.seed)
    kinds = {"made-up strings": [next(endless) for _ in range(given.strings)]}
    try:
        kinds["tweets"] = list(twitter_samples(download=False).texts)
    except CorpusMissingError as error:
        print(error)
    found = 0
    for kind, texts in kinds.items():
        different = list(differences(iter(texts)))
        for text in different[:20]:
            print(f"differs: {text!a}")
        print(f"{len(texts):,} {kind}: {len(different):,} differences")
        found += len(different)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())

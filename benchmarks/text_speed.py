"""Tweets per second of CPU time: process_tweet against the notebook's way, and whether the words agree.

Run: ``NLTK_DATA=... python benchmarks/text_speed.py [--rounds 5]`` (it needs twitter_samples and stopwords).
Every round has processes of its own, in which NLTK is imported and nothing has been processed yet: that is "cold".
"warm" is the second time in the same process, with what is remembered from the first. The ways take turns, so that
a busy spell of the machine falls on all. The time of importing is printed apart. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import statistics
import string
import subprocess
import sys
import time
from collections.abc import Callable

TARGET = 4.0  # times the notebook's, cold
WARM_TARGET = 16_000


def notebook_way() -> Callable[[str], list[str]]:
    """As the notebook's utilities do it: tokenizer, stemmer and list of stop words made for every tweet."""
    from nltk.corpus import stopwords
    from nltk.stem import PorterStemmer
    from nltk.tokenize import TweetTokenizer

    def process_tweet(tweet: str) -> list[str]:
        stemmer = PorterStemmer()
        stop_words = stopwords.words("english")
        tweet = re.sub(r"\$\w*", "", tweet)
        tweet = re.sub(r"^RT[\s]+", "", tweet)
        tweet = re.sub(r"https?:\/\/.*[\r\n]*", "", tweet)
        tweet = re.sub(r"#", "", tweet)
        tokenizer = TweetTokenizer(preserve_case=False, strip_handles=True, reduce_len=True)
        words = []
        for word in tokenizer.tokenize(tweet):
            if word not in stop_words and word not in string.punctuation:
                words.append(stemmer.stem(word))
        return words

    return process_tweet


def layerkit_way() -> Callable[[str], list[str]]:
    """layerkit's, with NLTK imported beforehand as it is for the other."""
    import nltk  # noqa: F401

    from layerkit_plugins.sentiment.text import process_tweet

    return process_tweet


WAYS = {"notebook": notebook_way, "layerkit": layerkit_way}


def measure(way: str) -> dict[str, object]:
    """Processes every tweet in this process, twice."""
    from layerkit_plugins.sentiment.corpus import twitter_samples

    tweets = twitter_samples().texts
    start = time.process_time()
    process_tweet = WAYS[way]()
    imported = time.process_time()
    words = [process_tweet(tweet) for tweet in tweets]
    done = time.process_time()
    again = [process_tweet(tweet) for tweet in tweets]
    twice = time.process_time()
    digest = hashlib.sha256(json.dumps([words, again]).encode()).hexdigest()
    rates = {"cold": len(tweets) / (done - imported), "warm": len(tweets) / (twice - done)}
    return {**rates, "import": imported - start, "words": digest}


def main() -> int:
    """Prints the table; ends with 1 where the words differ or the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help="measure one way once, and print JSON")
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way)))
        return 0
    results: dict[str, list[dict[str, object]]] = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way, rounds in results.items():
            command = [sys.executable, __file__, "--way", way]
            rounds.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
    medians = {}
    for way, rounds in results.items():
        for when in ("cold", "warm"):
            rates = [float(str(one[when])) for one in rounds]
            medians[way, when] = statistics.median(rates)
            spread = f"median of {len(rates)}; {min(rates):,.0f} to {max(rates):,.0f}"
            print(f"{way:9} {when} {medians[way, when]:8,.0f} tweets a CPU-second ({spread})")
        print(f"{way:9} import {statistics.median(float(str(one['import'])) for one in rounds):.2f} s")
    ratio, warm = medians["layerkit", "cold"] / medians["notebook", "cold"], medians["layerkit", "warm"]
    same = len({str(one["words"]) for rounds in results.values() for one in rounds}) == 1
    print(f"cold {ratio:.1f} times as fast (target {TARGET:.0f}), warm {warm:,.0f} (target {WARM_TARGET:,})")
    print(f"words {'the same' if same else 'DIFFERENT'}")
    return 0 if same and ratio >= TARGET and warm >= WARM_TARGET else 1


if __name__ == "__main__":
    sys.exit(main())

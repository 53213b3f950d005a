"""The rest of the notebook's functions under their own names: training, testing, predicting."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import layerkit as lk
from layerkit import UsageError, fastmath
from layerkit.errors import shown
from layerkit_plugins.sentiment import run as runs
from layerkit_plugins.sentiment.batches import pad
from layerkit_plugins.sentiment.corpus import Examples, load_corpus
from layerkit_plugins.sentiment.vocabulary import tweet_to_tensor

__all__ = ["compute_accuracy", "load_tweets", "predict", "test_model", "train_model"]


def train_model(
    classifier: lk.Layer,
    train_task: lk.TrainTask,
    eval_task: lk.EvalTask,
    n_steps: int,
    output_dir: str | os.PathLike[str] | None,
) -> lk.Loop:
    """Trains the classifier for a number of steps, and returns the training loop, which has the model.

    Args:
        classifier: the model.
        train_task: the training data, loss and optimizer.
        eval_task: the validation data and metrics.
        n_steps: how many steps to train.
        output_dir: folder for checkpoints, or None.

    Source: the notebook's exercise 6.
    """
    loop = lk.Loop(classifier, train_task, eval_tasks=[eval_task], output_dir=output_dir)
    loop.run(n_steps)
    return loop


def compute_accuracy(preds: Any, y: Any, y_weights: Any) -> tuple[float, float, float]:
    """(accuracy, weight of the correct predictions, weight of all).

    Args:
        preds: (batch, labels) scores; the highest is the prediction, the first of several that are equal.
        y: (batch,) the true labels.
        y_weights: (batch,) how much each example counts.

    Raises:
        UsageError: the sizes differ, or no example has a weight.

    Source: the notebook's exercise 7.

    >>> compute_accuracy(np.array([[-0.1, -2.0], [-3.0, -0.2], [-0.7, -0.7]]), np.array([0, 1, 1]), np.ones(3))
    (0.6666666666666666, 2.0, 3.0)
    """
    scores, labels, weights = (np.asarray(fastmath.to_host(part)) for part in (preds, y, y_weights))
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or weights.shape != labels.shape:
        raise UsageError(
            f"predictions {scores.shape}, labels {labels.shape} and weights {weights.shape} do not fit: "
            "give (batch, labels), (batch,) and (batch,)"
        )
    total = float(np.sum(weights, dtype=np.float64))
    if not total > 0:
        raise UsageError(f"the weights of the {len(labels)} examples sum to {total}: no accuracy can be had from them")
    correct = float(np.sum(weights * (scores.argmax(axis=1) == labels), dtype=np.float64))
    return correct / total, correct, total


def test_model(generator: Iterable[tuple[Any, Any, Any]], model: Any) -> float:
    """The accuracy of a model over all the batches of a generator that ends.

    Args:
        generator: batches (inputs, targets, example weights), as ``data_generator(..., loop=False)`` gives them.
        model: from inputs to scores; a layer with weights, or any function.

    Raises:
        UsageError: the generator gives no batch, or something else.

    Source: the notebook's exercise 8.
    """
    total_correct = total = 0.0
    if isinstance(generator, lk.Layer):
        raise UsageError(f"test_model takes the batches first, then the model, got {shown(generator)} for batches")
    for batch in generator:
        if len(batch) != 3:
            raise UsageError(f"a batch is (inputs, targets, example weights), got {len(batch)} arrays")
        inputs, targets, example_weights = batch
        _, correct, weight = compute_accuracy(model(inputs), targets, example_weights)
        total_correct += correct
        total += weight
    if not total:
        raise UsageError("there is not one batch to test the model on: the generator is at its end")
    return total_correct / total


test_model.__test__ = False  # type: ignore[attr-defined]  # the notebook's name, and no test


def predict(sentence: str, model: Any = None, vocab_dict: Mapping[str, int] | None = None) -> tuple[int, str]:
    """(1, "positive") or (0, "negative") for a sentence, by a model of two labels.

    The notebook's function takes the model and the vocabulary from the notebook's globals. Here they are arguments, or,
    without them, those of the run that was trained or loaded last in this process.

    Args:
        sentence: any text.
        model: from ids (1, length) to scores (1, 2).
        vocab_dict: from word to id, as in training.

    Raises:
        UsageError: the sentence is not a text, only one of model and vocabulary is given, or nothing was trained yet.

    Source: the notebook's part 6.
    """
    if model is None and vocab_dict is None:
        if not runs.latest:
            raise UsageError(
                'nothing was trained or loaded yet: lk.train("sentiment"), or predict(sentence, model, vocabulary)'
            )
        model, vocab_dict = runs.latest[-1].model, runs.latest[-1].vocabulary
    if model is None or vocab_dict is None:
        missing = "a model" if model is None else "the vocabulary it was trained with"
        raise UsageError(f"predict needs {missing} too: predict(sentence, model, vocabulary)")
    scores = np.asarray(fastmath.to_host(model(pad([tweet_to_tensor(sentence, vocab_dict)]))))
    prediction = int(scores[0, 1] > scores[0, 0])
    return prediction, "positive" if prediction else "negative"


def load_tweets() -> tuple[list[str], list[str]]:
    """(positive tweets, negative tweets): the 5,000 of each in NLTK's ``twitter_samples``, in its order.

    Raises:
        LayerkitError: the corpus is neither on this machine nor to be had from the network.

    Source: the notebook's section 2.1.
    """
    corpus = load_corpus("twitter_samples")
    both = Examples(list(corpus.texts), list(corpus.labels))
    return both.of("positive"), both.of("negative")

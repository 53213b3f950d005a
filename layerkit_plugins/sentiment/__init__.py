"""The sentiment recipe: a classifier of short texts, and every part of it as a function to call by hand."""

from typing import Any

from layerkit.plugins import hookimpl

__all__ = [
    "build_vocabulary",
    "classifier",
    "compute_accuracy",
    "data_generator",
    "load_tweets",
    "predict",
    "process_tweet",
    "test_model",
    "train_model",
    "tweet_to_tensor",
]

layerkit_api = 1

_HOME = {
    "batches": "data_generator",
    "model": "classifier",
    "notebook": "compute_accuracy load_tweets predict test_model train_model",
    "text": "process_tweet",
    "vocabulary": "build_vocabulary tweet_to_tensor",
}


def __getattr__(name: str) -> Any:
    """The functions are imported when they are first used: a prediction needs neither corpus nor training loop."""
    from importlib import import_module

    for module, names in _HOME.items():
        if name in names.split():
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def sentiment() -> Any:
    """Labels short texts, such as tweets, with the sentiment they express."""
    from layerkit_plugins.sentiment.recipe import Sentiment

    return Sentiment()


@hookimpl
def layerkit_recipes() -> list[Any]:
    """The bundled recipe."""
    return [sentiment]

"""The hooks a plugin may implement: what it offers, and to which part of layerkit.

A plugin is a module (or object) named by an entry point of the group ``layerkit``. It implements the hooks it
needs, each marked with ``lk.hookimpl``, and may state ``layerkit_api = 1``, the version it was written for::

    # pyproject.toml
    [project.entry-points.layerkit]
    scale = "my_package"

Hooks return constructors (classes or functions), never instances; a constructor's ``__name__`` is the name it is
asked for by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

__all__ = [
    "API_VERSION",
    "hookimpl",
    "layerkit_backends",
    "layerkit_commands",
    "layerkit_layers",
    "layerkit_models",
    "layerkit_optimizers",
    "layerkit_recipes",
]

API_VERSION = 1
"""The version of these hooks. It changes when a plugin written for them would have to change."""

F = TypeVar("F", bound=Callable[..., Any])


@overload
def hookimpl(function: F, /) -> F: ...
@overload
def hookimpl(*, specname: str | None = None, optionalhook: bool = False) -> Callable[[F], F]: ...
def hookimpl(function: Any = None, /, *, specname: str | None = None, optionalhook: bool = False) -> Any:
    """Marks a function as the implementation of the hook whose name it bears.

    The mark is pluggy's, which registers the plugins of other people; layerkit's own do not wait for its import.

    Args:
        function: the function.
        specname: the hook's name, where the function has another.
        optionalhook: whether a layerkit that does not have the hook passes over it in silence.
    """

    def mark(function: Any) -> Any:
        function.layerkit_impl = {"specname": specname, "optionalhook": optionalhook}
        return function

    return mark if function is None else mark(function)


def layerkit_layers() -> Sequence[Callable[..., Any]]:  # type: ignore[empty-body]
    """Constructors of layers, found as ``layerkit.layers.NAME``.

    A complete plugin::

        import layerkit as lk

        class Double(lk.Layer):
            def forward(self, x):
                return 2 * x

        @lk.hookimpl
        def layerkit_layers():
            return [Double]
    """


def layerkit_optimizers() -> Sequence[Callable[..., Any]]:  # type: ignore[empty-body]
    """Optimizer classes, found as ``layerkit.optimizers.NAME``.

    A complete plugin::

        import layerkit as lk

        class SignDescent(lk.Optimizer):
            def update(self, step, grads, param, slots, opt_params):
                return param - opt_params.learning_rate * lk.fastmath.numpy.sign(grads), slots

        @lk.hookimpl
        def layerkit_optimizers():
            return [SignDescent]
    """


def layerkit_backends() -> Sequence[Callable[..., Any]]:  # type: ignore[empty-body]
    """Functions that make a backend (``layerkit.fastmath.Backend``), each named as the backend is asked for.

    ``requires`` names the modules it needs, ``remedy`` says how to install them; nothing of them is imported
    before the function is called. The default is the bundled backend of highest ``preference`` whose modules are
    there.

    A complete plugin::

        import layerkit as lk

        def torch():
            from my_package.torch_backend import TorchBackend
            return TorchBackend()

        torch.requires = ("torch",)
        torch.remedy = "pip install torch"

        @lk.hookimpl
        def layerkit_backends():
            return [torch]
    """


def layerkit_models() -> Sequence[Callable[..., Any]]:  # type: ignore[empty-body]
    """Functions that compose a model from layers, found as ``layerkit.models.NAME``.

    A complete plugin::

        import layerkit as lk
        from layerkit import layers as tl

        def Perceptron(n_classes=2):
            return lk.Serial(tl.Dense(64), tl.Relu(), tl.Dense(n_classes), tl.LogSoftmax())

        @lk.hookimpl
        def layerkit_models():
            return [Perceptron]
    """


def layerkit_recipes() -> Sequence[Callable[..., Any]]:  # type: ignore[empty-body]
    """Recipe classes (``layerkit.recipe.Recipe`` says what one is): whole tasks, from data to predictions.

    ``class Haiku`` is found as ``lk.train("haiku")`` and ``layerkit train haiku``.

    A complete plugin, whose recipe is in a module that is imported when recipes are asked for::

        import layerkit as lk

        @lk.hookimpl
        def layerkit_recipes():
            from my_package.haiku import Haiku

            return [Haiku]
    """


def layerkit_commands(cli: Any) -> None:
    """Adds commands to ``cli``, a click group: each is then run as ``layerkit NAME``.

    A complete plugin::

        import click
        import layerkit as lk

        @lk.hookimpl
        def layerkit_commands(cli):
            @cli.command()
            @click.argument("text")
            def shout(text):
                '''Prints TEXT in capitals.'''
                click.echo(text.upper())
    """

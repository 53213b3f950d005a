"""``layerkit bench``: how fast is it, on which backend, and is it right?"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from layerkit.cli.path import PATH
from layerkit.cli.say import say
from layerkit.errors import UsageError, os_reason, printable

__all__ = ["command"]


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--backends", metavar="A,B", help="Backends to compare.  [default: the bundled ones that can run]")
@click.option(
    "--sizes",
    default="example",
    show_default=True,
    metavar="SIZES",
    help="Batches (16,128), or batches, lengths and widths (1,16,128x20x256); '-' leaves one as it is; 'grid'.",
)
@click.option("--train/--forward", default=False, help="Measure gradients, or calls in evaluation.  [default: forward]")
@click.option("--seconds", type=float, default=3.0, show_default=True, help="Sampling time of each case, all told.")
@click.option("--processes", type=int, default=6, show_default=True, help="Processes; an interval takes 6.")
@click.option("--compare", type=PATH, metavar="FILE", help="Compare with the JSON of an earlier run on this machine.")
@click.option("--fail-above", metavar="5%", help="Exit with 1 if a slow-down by more than this is shown.")
@click.option("--json", "json_file", type=PATH, metavar="FILE", help="Write everything as JSON.")
@click.option("--html", "html_file", type=PATH, metavar="FILE", help="Write a page with pictures.")
@click.pass_context
def command(
    ctx: click.Context,
    names: tuple[str, ...],
    backends: str | None,
    sizes: str,
    train: bool,
    seconds: float,
    processes: int,
    compare: Path | None,
    fail_above: str | None,
    json_file: Path | None,
    html_file: Path | None,
) -> None:
    """Measure how fast layers and models are on each backend.

    NAME is a registered layer, model, optimizer or recipe, or one with arguments: 'Dense(512)'. Without one, every
    layer, model and optimizer is measured on its own example. What does not compute what NumPy does gets no time, and
    the exit code is 1.
    """
    from layerkit import bench
    from layerkit.bench import compare as comparing

    share = _share(fail_above, compare)
    earlier = comparing.read(compare) if compare else None
    for file in filter(None, (json_file, html_file)):
        _check_writable(file)
    if json_file and html_file and os.path.realpath(json_file) == os.path.realpath(html_file):
        raise UsageError(f"--json and --html both write {str(json_file)!r}: give each a file of its own")
    wanted = None if backends is None else [name.strip() for name in backends.split(",") if name.strip()]
    with _progress() as show:
        result = bench.run(
            names,
            backends=wanted,
            sizes=sizes,
            train=train,
            seconds=seconds,
            processes=processes,
            progress=show,
            earlier=earlier,
        )
    try:
        _write(json_file, result.to_json)
        _write(html_file, result.to_html)
    finally:  # what took minutes is shown, also if a disk is full by now
        say(str(result))
    failed = not result.ok
    if earlier is not None:
        comparison = comparing.compare(result, earlier)
        say(f"\n{comparison}")
        failed = failed or (share is not None and bool(comparison.slower(share)))
    if failed:
        ctx.exit(1)


def _share(text: str | None, compare: Path | None) -> float | None:
    """``5%`` as 0.05."""
    if text is None:
        return None
    if compare is None:
        raise UsageError("--fail-above needs an earlier run to compare with: give --compare FILE")
    with contextlib.suppress(ValueError):
        share = float(text.strip().removesuffix("%")) / 100
        if 0 <= share < float("inf"):
            return share
    raise UsageError(f"--fail-above {text!r} is no percentage: give one such as 5%")


def _check_writable(file: Path) -> None:
    """Says before anything is measured if the file could not be written after it."""
    existed = os.path.exists(file)
    try:
        with file.open("ab"):
            pass
        if not existed:
            file.unlink()
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(file)!r} cannot be written: {os_reason(error)}") from error


def _write(file: Path | None, text: Callable[[], str]) -> None:
    from layerkit.files.disk import writing

    if file is not None:
        with writing(repr(str(file))):
            file.write_text(text(), "utf-8")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Shows on a terminal what is being measured, in one line that goes in the end."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda text: None
        return
    width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1  # 0: it does not say

    def show(text: str) -> None:
        print(f"\r{printable(text)[:width]:<{width}}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(f"\r{'':<{width}}\r", end="", file=sys.stderr, flush=True)

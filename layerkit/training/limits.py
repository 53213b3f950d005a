"""Whether a run can fit into memory and onto the disk, said before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerkit.errors import LayerkitError
from layerkit.fastmath import tree_leaves
from layerkit.fastmath.memory import check_room, in_words

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_disk", "check_memory", "size_of"]


def size_of(tree: Any) -> int:
    """The bytes of the arrays in a tree; of signatures and traced arrays as well."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in tree_leaves(tree))


def check_memory(weights: Any, state: Any, slots: Any, batch: Any) -> None:
    """Refuses a run that needs more memory than there is, whatever its layers take in between.

    A step holds weights and state twice (the layers' own stay as they are), the slots, and a batch.

    Raises:
        MemoryShortageError: it needs more.
    """
    parts = {"weights": size_of(weights), "slots": size_of(slots), "state": size_of(state), "a batch": size_of(batch)}
    held = 2 * (parts["weights"] + parts["state"]) + parts["slots"] + parts["a batch"]
    told = ", ".join(f"{name} {in_words(size)}" for name, size in parts.items() if size)
    remedy = f"make the model smaller, or take an optimizer with fewer slots ({told})"
    check_room("training holds at least", held, remedy)


def check_disk(folder: Path, kept: Any, keep: int) -> None:
    """Refuses a run whose checkpoints the disk cannot hold.

    Args:
        folder: where they are written.
        kept: the arrays of a checkpoint.
        keep: how many are kept; one more stands there while it is written, and those of an earlier run go.

    Raises:
        LayerkitError: they take more than is free.
    """
    import shutil  # with its compressors: only a run that writes waits for them

    size, number = size_of(kept), max(1, keep + 1 - len(list(folder.glob("checkpoints/step-*"))))
    free = shutil.disk_usage(folder).free
    if size * number > free:
        raise LayerkitError(
            f"{folder}: checkpoints take {in_words(size * number)} ({number} of {in_words(size)}), and "
            f"{in_words(free)} are free on that disk: make room, keep fewer (keep_checkpoints), or name another "
            "output_dir"
        )

"""The memory of attention's train step by the length of the text: python benchmarks/attention_memory.py

One causal layer, d 256, 4 heads, batch 1; the step is the gradient of the mean square of what it gives, for weights and
input, taken off the weights. The figure is what XLA sets aside for it (``temp_size_in_bytes`` of its memory analysis of
the compiled step) beside arguments and results; nothing is run, so a busy machine changes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl

D, HEADS = 256, 4
_SIZES = {"n_heads": HEADS, "d_qk": D // HEADS, "d_v": D // HEADS, "causal": True}
LAYERS: dict[str, Callable[[], lk.Layer]] = {
    "`CausalAttention`": lambda: tl.CausalAttention(D, HEADS),
    "`CausalAttention`, `chunk_size=256`": lambda: tl.CausalAttention(D, HEADS, chunk_size=256),
    "`SelfAttention`": lambda: tl.SelfAttention(**_SIZES),
    "`SelfAttention`, `chunk_len=128`, one chunk before": lambda: tl.SelfAttention(
        **_SIZES, chunk_len=128, n_chunks_before=1
    ),
    "`LSHSelfAttention`, `chunk_len=128`, 1 round": lambda: tl.LSHSelfAttention(**_SIZES, chunk_len=128),
    "`LSHSelfAttention`, `chunk_len=64`, 4 rounds": lambda: tl.LSHSelfAttention(**_SIZES, chunk_len=64, n_hashes=4),
}


def megabytes(make: Callable[[], lk.Layer], length: int) -> float:
    """What a train step of the layer sets aside."""
    layer, of_x = make(), lk.f32(1, length, D)
    weights, state = layer.init(of_x, fastmath.random.get_prng(0))

    def step(weights: Any, x: Any, rng: Any) -> Any:
        loss = lambda weights, x: jnp.mean(layer.pure_fn(x, weights, state, rng, True)[0] ** 2)
        of_weights, of_x = jax.grad(loss, argnums=(0, 1))(weights, x)
        return jax.tree.map(lambda w, g: w - 0.1 * g, weights, of_weights), of_x

    x = jax.ShapeDtypeStruct(of_x.shape, of_x.dtype)
    program = jax.jit(step, donate_argnums=0).lower(weights, x, fastmath.random.get_prng(1)).compile()
    return float(program.memory_analysis().temp_size_in_bytes) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    lengths = parser.parse_args().lengths
    print("| MB at length |", " | ".join(f"{length:,}" for length in lengths), "|")
    print("|---" * (len(lengths) + 1) + "|")
    with lk.use_backend("jax"):
        for name, make in LAYERS.items():
            found = [megabytes(make, length) for length in lengths]
            print(f"| {name} |", " | ".join(f"{size:,.0f}" for size in found), "|", flush=True)


if __name__ == "__main__":
    main()

"""Feed-forward blocks of which each token uses a part: single units, one block, or one expert."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.initializers import GlorotUniformInitializer, RandomNormalInitializer
from layerkit_plugins.layers.activations import relu
from layerkit_plugins.layers.dropout import Dropout
from layerkit_plugins.layers.inputs import as_float, bfloat16, first_weights, require_last, require_rank

__all__ = ["BlockSparseFF", "ExpertWeights", "SparseFF", "SparseFFWeights", "SwitchSparseFF"]

_KERNEL = GlorotUniformInitializer()
_BIAS = RandomNormalInitializer(1e-6)

_STRAIGHT = "while training it gives the hard choice the gradient of the soft one"
_NO_TRUE_GRADIENT = {"gradient_of_weights_is_right": _STRAIGHT, "gradient_of_inputs_is_right": _STRAIGHT}

# A token that reads its own rows of both kernels pays for few of them, but gets no matrix product: worth it for few.
_WORTH_READING = 4


class _Chosen(lk.Layer):
    """y = (relu(x U^T) mask) V + b, with a mask of d_ff numbers for each token, and both kernels stored by unit."""

    def __init__(self, name: str, d_ff: int, n_out: int = 1, mode: str | None = None) -> None:
        super().__init__(1, n_out, name, mode=mode)
        self.d_ff = arguments.whole_number(name, "d_ff", d_ff)

    def feed_forward(self, x: Any, mask: Any, kernel_in: Any, kernel_out: Any, bias: Any) -> Any:
        """For tokens x (t, d) and a mask (t, d_ff)."""
        return np.matmul(relu(np.matmul(x, kernel_in.T)) * mask, kernel_out) + bias

    def read_units(self, x: Any, units: Any, scale: Any, kernel_in: Any, kernel_out: Any, bias: Any) -> Any:
        """The same for the units (t, k) alone, each scaled by ``scale``."""
        active = relu(np.einsum("td,tkd->tk", x, fastmath.take_rows(kernel_in, units))) * scale
        return np.einsum("tk,tkd->td", active, fastmath.take_rows(kernel_out, units)) + bias

    def tokens(self, x: Any, d: int) -> Any:
        require_last(x, d)
        return np.reshape(as_float(x), (math.prod(x.shape[:-1]), d))

    def noisy(self, scores: Any, temperature: float) -> Any:
        """Scores as they are, with Gumbel noise while training."""
        if not self.training or not temperature:
            return scores
        return scores + temperature * random.gumbel(random.fold_in(self.rng, 0), scores.shape)


class SparseFFWeights(NamedTuple):
    """The weights of a SparseFF: those of the controller, which chooses, and of the layer itself."""

    controller_in: Any
    controller_out: Any
    controller_bias: Any
    kernel_in: Any
    kernel_out: Any
    bias: Any


class _SparseFF(_Chosen):
    def __init__(
        self,
        d_ff: int,
        n_elements_in_block: int,
        d_lowrank: int,
        temperature: float,
        quant_prob: float,
        dtypes: tuple[Any, Any],
        mode: str | None,
        initializers: tuple[Callable[..., Any], Callable[..., Any]],
        multiply_by_controller_output: bool,
        kernel_scaling: bool,
    ) -> None:
        super().__init__("SparseFF", d_ff, mode=mode)
        self.block = arguments.whole_number("SparseFF", "n_elements_in_block", n_elements_in_block)
        self.d_lowrank = arguments.whole_number("SparseFF", "d_lowrank", d_lowrank)
        self.temperature = arguments.number("SparseFF", "temperature", temperature, at_least=0)
        self.quant_prob = arguments.number("SparseFF", "quant_prob", quant_prob, at_least=0, at_most=1)
        if d_ff % n_elements_in_block:
            raise lk.LayerError(f"SparseFF: d_ff {d_ff} cannot be cut into blocks of {n_elements_in_block}")
        self.dtype, self.big_dtype = dtypes
        self.kernel_initializer, self.bias_initializer = initializers
        self.multiplies, self.scales = multiply_by_controller_output, kernel_scaling

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 1)
        d = signature.shape[-1]
        keys = random.split(self.rng, 6)

        def make(name: str, initializer: Any, shape: tuple[int, ...], i: int, dtype: Any) -> Any:
            return first_weights(name, initializer, shape, keys[i], dtype)

        kernel, bias = self.kernel_initializer, self.bias_initializer
        out = make("kernel_initializer", kernel, (self.d_ff, d), 4, self.big_dtype)
        self.weights = SparseFFWeights(
            make("kernel_initializer", kernel, (d, self.d_lowrank), 0, self.dtype),
            make("kernel_initializer", kernel, (self.d_lowrank, self.d_ff), 1, self.dtype),
            make("bias_initializer", bias, (self.d_ff,), 2, self.dtype),
            make("kernel_initializer", kernel, (self.d_ff, d), 3, self.big_dtype),
            (out * math.sqrt(self.block)).astype(out.dtype) if self.scales else out,
            make("bias_initializer", bias, (d,), 5, self.dtype),
        )

    def forward(self, x: Any) -> Any:
        w = self.weights
        tokens = self.tokens(x, w.kernel_in.shape[1])
        blocks = (tokens.shape[0], self.d_ff // self.block, self.block)
        scores = np.matmul(np.matmul(tokens, w.controller_in), w.controller_out) + w.controller_bias
        scores = self.noisy(np.reshape(scores, blocks), self.temperature)
        chosen = np.argmax(scores, axis=-1)
        if not self.training and _WORTH_READING * tokens.shape[0] <= self.block:
            units = chosen + self.block * np.arange(blocks[1])
            scale = np.max(fastmath.softmax(scores), axis=-1) if self.multiplies else 1
            y = self.read_units(tokens, units, scale, *w[3:])
        else:
            y = self.feed_forward(tokens, np.reshape(self._mask(scores, chosen), (blocks[0], self.d_ff)), *w[3:])
        return np.reshape(y, x.shape)

    def _mask(self, scores: Any, chosen: Any) -> Any:
        soft = fastmath.softmax(scores)
        hard = fastmath.one_hot(chosen, self.block, soft.dtype)
        if self.multiplies:
            hard = hard * soft
        if not self.training:
            return hard
        # The output of the hard choice with the gradient of the soft one; or the soft one, so that all units learn.
        through = soft + fastmath.stop_gradient(hard - soft)
        draw = random.uniform(random.fold_in(self.rng, 1), (scores.shape[0], 1, 1))
        return np.where(draw < self.quant_prob, through, soft)


@lk.example(lk.f32(3, 5, 8), d_ff=16, n_elements_in_block=4, d_lowrank=3, expected_failures=_NO_TRUE_GRADIENT)
def SparseFF(
    d_ff: int,
    n_elements_in_block: int = 32,
    d_lowrank: int = 64,
    temperature: float = 0.1,
    quant_prob: float = 0.3,
    use_bfloat16: bool = False,
    big_weights_in_bfloat16: bool = False,
    mode: str | None = None,
    kernel_initializer: Callable[..., Any] = _KERNEL,
    bias_initializer: Callable[..., Any] = _BIAS,
    dropout_rate: float = 0.0,
    dropout_shared_axes: Sequence[int] | None = None,
    ff_chunk_size: int = 0,
    multiply_by_controller_output: bool = False,
    kernel_scaling: bool = False,
) -> lk.Layer:
    """y = (relu(x U^T) c(x)) V + b: in each block of hidden units, one is on for a token.    x, y: (..., d)

    U, V: (d_ff, d)    b: (d,)    c(x): (..., d_ff), 1 for one unit of each block of n_elements_in_block, else 0.

    A controller of low rank chooses. While training, Gumbel noise is added to its scores, and a token uses their
    softmax, or with probability quant_prob the hard choice with the gradient of the softmax. In evaluation the choice
    is hard; few tokens at once read only the units that are on. Jaszczur et al., "Sparse is enough in scaling
    transformers", NeurIPS 2021, arXiv:2111.12763; noise: Jang et al., ICLR 2017, arXiv:1611.01144.

    Args:
        d_ff: hidden units, a multiple of n_elements_in_block.
        n_elements_in_block: how many units one is chosen from.
        d_lowrank: the rank of the controller.
        temperature: how much noise there is while training.
        quant_prob: how often the choice is hard while training.
        use_bfloat16: keeps all weights in bfloat16.
        big_weights_in_bfloat16: keeps U and V in bfloat16.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.
        kernel_initializer: function of (shape, rng) that makes kernels.
        bias_initializer: the same for biases.
        dropout_rate, dropout_shared_axes: of a Dropout after it.
        ff_chunk_size: how many rows of a batch are computed at a time; all of them for 0.
        multiply_by_controller_output: scales a unit that is on by its softmax.
        kernel_scaling: makes V larger at first, by the root of n_elements_in_block, for the units that are off.

    Raises:
        LayerError: an argument is out of range; the last axis of x is not the one it was initialized for.

    >>> SparseFF(64, n_elements_in_block=8, d_lowrank=4).output_signature(lk.f32(2, 5, 16))
    float32[2,5,16]
    """
    small = bfloat16("SparseFF") if use_bfloat16 else None
    big = bfloat16("SparseFF") if use_bfloat16 or big_weights_in_bfloat16 else None
    initializers = (
        arguments.function("SparseFF", "kernel_initializer", kernel_initializer, "(shape, rng)"),
        arguments.function("SparseFF", "bias_initializer", bias_initializer, "(shape, rng)"),
    )
    layer: lk.Layer = _SparseFF(
        d_ff,
        n_elements_in_block,
        d_lowrank,
        temperature,
        quant_prob,
        (small, big),
        mode,
        initializers,
        multiply_by_controller_output,
        kernel_scaling,
    )
    if arguments.whole_number("SparseFF", "ff_chunk_size", ff_chunk_size, at_least=0):
        layer = lk.Chunk(layer, ff_chunk_size)
    return lk.Serial(layer, Dropout(dropout_rate, dropout_shared_axes, mode)) if dropout_rate else layer


class ExpertWeights(NamedTuple):
    """The weights of a BlockSparseFF or SwitchSparseFF: the router's, and those of all experts together."""

    router: Any
    kernel_in: Any
    kernel_out: Any
    bias: Any


class _Experts(_Chosen):
    """What the two layers of experts have in common: the hidden units in n_experts blocks, and a router."""

    def __init__(
        self,
        name: str,
        d_ff: int,
        n_experts: int,
        temperature: float,
        mode: str | None,
        kernel_initializer: Callable[..., Any],
        bias_initializer: Callable[..., Any],
        n_out: int = 1,
    ) -> None:
        super().__init__(name, d_ff, n_out, mode)
        self.n_experts = arguments.whole_number(name, "n_experts", n_experts)
        self.temperature = arguments.number(name, "temperature", temperature, at_least=0)
        if d_ff % n_experts:
            raise lk.LayerError(f"{name}: d_ff {d_ff} cannot be shared by {n_experts} experts")
        self.kernel_initializer = arguments.function(name, "kernel_initializer", kernel_initializer, "(shape, rng)")
        self.bias_initializer = arguments.function(name, "bias_initializer", bias_initializer, "(shape, rng)")

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 1)
        d = signature.shape[-1]
        keys = random.split(self.rng, 4)
        shapes = (d, self.n_experts), (self.d_ff, d), (self.d_ff, d)
        kernels = (
            first_weights("kernel_initializer", self.kernel_initializer, shape, key)
            for shape, key in zip(shapes, keys[:3], strict=True)
        )
        bias = first_weights("bias_initializer", self.bias_initializer, (d,), keys[3])
        self.weights = ExpertWeights._make((*kernels, bias))

    def route(self, x: Any) -> tuple[Any, Any, Any]:
        """(tokens, each one's softmax over the experts, the expert it goes to)."""
        tokens = self.tokens(x, self.weights.router.shape[0])
        scores = self.noisy(np.matmul(tokens, self.weights.router), self.temperature)
        return tokens, fastmath.softmax(scores), np.argmax(scores, axis=-1)

    def ask(self, tokens: Any, chosen: Any, gate: Any) -> Any:
        """What the chosen experts say: ``gate`` (t, n_experts) is 0 for the others."""
        w, units = self.weights, self.d_ff // self.n_experts
        if not self.training and _WORTH_READING * tokens.shape[0] <= self.n_experts:
            ids = np.expand_dims(chosen * units, 1) + np.arange(units)
            return self.read_units(tokens, ids, np.sum(gate, axis=-1, keepdims=True), *w[1:])
        return self.feed_forward(tokens, np.repeat(gate, units, axis=-1), *w[1:])


@lk.example(lk.f32(3, 5, 8), d_ff=16, n_experts=4, expected_failures=_NO_TRUE_GRADIENT)
class BlockSparseFF(_Experts):
    """y = (relu(x U^T) c(x)) V + b: one block of the hidden units is on for a token.    x, y: (..., d)

    U, V: (d_ff, d)    b: (d,)    c(x): (..., d_ff), 1 for the units of one of n_experts blocks, else 0.

    A router chooses the block: hard, with Gumbel noise and the gradient of the softmax while training. In evaluation
    few tokens at once read only their block. Jang et al., "Categorical reparameterization with Gumbel-softmax", ICLR
    2017, arXiv:1611.01144.

    Args:
        d_ff: hidden units of all blocks together, a multiple of n_experts.
        n_experts: how many blocks.
        temperature: how much noise there is while training.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.
        kernel_initializer: function of (shape, rng) that makes kernels.
        bias_initializer: the same for b.

    Raises:
        LayerError: an argument is out of range; the last axis of x is not the one it was initialized for.

    >>> BlockSparseFF(64, n_experts=8).output_signature(lk.f32(2, 5, 16))
    float32[2,5,16]
    """

    def __init__(
        self,
        d_ff: int,
        n_experts: int = 64,
        temperature: float = 0.7,
        mode: str | None = None,
        kernel_initializer: Callable[..., Any] = _KERNEL,
        bias_initializer: Callable[..., Any] = _BIAS,
    ) -> None:
        super().__init__("BlockSparseFF", d_ff, n_experts, temperature, mode, kernel_initializer, bias_initializer)

    def forward(self, x: Any) -> Any:
        tokens, soft, chosen = self.route(x)
        hard = fastmath.one_hot(chosen, self.n_experts, soft.dtype)
        gate = soft + fastmath.stop_gradient(hard - soft) if self.training else hard
        return np.reshape(self.ask(tokens, chosen, gate), x.shape)


@lk.example(lk.f32(3, 5, 8), d_ff=16, n_experts=4)
class SwitchSparseFF(_Experts):
    """y = p_i(x) (relu(x U_i^T) V_i) + b: a mixture of experts, of which each token asks one.    x, y: (..., d)

    p(x) = softmax(x R), i = argmax p(x)    R: (d, n_experts)    U, V: (d_ff, d)    b: (d,)

    With return_loss the second output is the load-balancing loss, n_experts sum_i f_i P_i, with f_i the share of tokens
    that go to expert i and P_i the mean of p_i: 1 where all experts get as much, n_experts where one gets everything.
    Added to the training loss, times 0.01 or so, it keeps experts in use. Fedus et al., "Switch transformers", JMLR
    2022, arXiv:2101.03961.

    Args:
        d_ff: hidden units of all experts together, a multiple of n_experts.
        n_experts: how many experts.
        temperature: how much Gumbel noise is added to the scores while training.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.
        kernel_initializer: function of (shape, rng) that makes kernels.
        bias_initializer: the same for b.
        return_loss: gives the load-balancing loss, a number, as a second output.

    Raises:
        LayerError: an argument is out of range; the last axis of x is not the one it was initialized for.

    >>> [str(y) for y in SwitchSparseFF(64, n_experts=8, return_loss=True).output_signature(lk.f32(2, 5, 16))]
    ['float32[2,5,16]', 'float32[]']
    """

    def __init__(
        self,
        d_ff: int,
        n_experts: int = 64,
        temperature: float = 0.1,
        mode: str | None = None,
        kernel_initializer: Callable[..., Any] = _KERNEL,
        bias_initializer: Callable[..., Any] = _BIAS,
        return_loss: bool = False,
    ) -> None:
        initializers = kernel_initializer, bias_initializer
        super().__init__(
            "SwitchSparseFF", d_ff, n_experts, temperature, mode, *initializers, n_out=2 if return_loss else 1
        )

    def forward(self, x: Any) -> Any:
        tokens, soft, chosen = self.route(x)
        hard = fastmath.one_hot(chosen, self.n_experts, soft.dtype)
        y = np.reshape(self.ask(tokens, chosen, soft * hard), x.shape)
        if self.n_out == 1:
            return y
        n_tokens = max(1, tokens.shape[0])
        return y, self.n_experts * np.sum(np.sum(hard, axis=0) * np.sum(soft, axis=0)) / n_tokens**2

"""Thirty broken models, the inputs each is initialized for, and what is said.

Each model is built by a function; the line in it that makes the layer at fault ends with ``# HERE``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import layers as tl
from layerkit.fastmath import numpy as np

f32, i32 = lk.f32, lk.i32
Case = tuple[Callable[[], lk.Layer], Any, str]


class Sum(lk.Layer):
    """The sum of what its sublayers make of the same input, added by a layer or with ``+``."""

    def __init__(self, *sublayers: lk.Layer) -> None:
        super().__init__(sublayers=sublayers)

    def forward(self, x: Any) -> Any:
        left, right = self.sublayers[0](x), self.sublayers[1](x)
        return self.sublayers[2]((left, right)) if len(self.sublayers) > 2 else left + right


def sum_of_branches() -> lk.Layer:
    return tl.Serial(
        tl.Relu(),
        tl.Branch(tl.Dense(4), tl.Dense(3)),
        tl.Add(),  # HERE
    )


def rank_zero() -> lk.Layer:
    return tl.Serial(
        tl.Relu(),
        tl.Dense(4),  # HERE
    )


def width_of_a_shared_layer() -> lk.Layer:
    tied = tl.Dense(4)  # HERE
    return tl.Serial(tied, tl.Relu(), tied)


def width_deep_in_branches() -> lk.Layer:
    tied = tl.Dense(4)  # HERE
    inner = tl.Parallel([tl.Relu(), tl.Dense(3), tied], None)
    return tl.Serial(tied, tl.Branch([tl.Dup(), inner, tl.Add()], None))


def width_deep_in_serials() -> lk.Layer:
    tied = tl.Dense(5)  # HERE
    return tl.Serial(tied, tl.Branch(None, tl.Serial(tl.Relu(), tl.Serial(tl.Tanh(), tied))), tl.Add())


def float_ids() -> lk.Layer:
    return tl.Serial(
        tl.Relu(),
        tl.Embedding(10, 4),  # HERE
    )


def float_ids_in_a_branch() -> lk.Layer:
    return tl.Serial(
        tl.Branch(
            tl.Dense(4),
            [
                tl.Dense(3),
                tl.Embedding(10, 4),  # HERE
            ],
        ),
        tl.Concatenate(),
    )


def float_ids_in_a_map() -> lk.Layer:
    return tl.Serial(
        tl.Relu(),
        lk.Map(
            tl.Serial(
                tl.Dense(4),
                tl.Embedding(10, 3),  # HERE
            ),
            axis=1,
        ),
    )


def too_few_inputs() -> lk.Layer:
    return tl.Serial(tl.Dense(3), tl.Add())  # HERE


def too_many_for_a_bare_layer() -> lk.Layer:
    return tl.Dense(3)  # HERE


def too_many_for_a_parallel() -> lk.Layer:
    return tl.Parallel(tl.Dense(3), tl.Relu())  # HERE


def too_few_for_a_sublayer() -> lk.Layer:
    return tl.Serial(
        tl.Relu(),
        Sum(
            tl.Dense(3),
            tl.Dense(3),
            tl.Fn("Three", lambda a, b, c: a + b + c),  # HERE
        ),
    )


def ranks_to_concatenate() -> lk.Layer:
    return tl.Serial(
        tl.Branch(None, tl.Mean(axis=-1)),
        tl.Concatenate(),  # HERE
    )


def sizes_to_concatenate() -> lk.Layer:
    return tl.Serial(
        tl.Branch([tl.Dense(5), tl.Relu()], tl.Select([0])),
        tl.Dup(),
        tl.Parallel(
            None,
            tl.Concatenate(axis=0),  # HERE
        ),
    )


def odd_split() -> lk.Layer:
    return tl.Serial(
        tl.Residual(tl.Dense(5), shortcut=tl.Dense(5)),
        tl.Split(2),  # HERE
    )


def missing_axis() -> lk.Layer:
    return tl.Serial(
        tl.Swap(),
        tl.Dense(5),
        tl.Mean(axis=2),  # HERE
    )


def residual_of_another_width() -> lk.Layer:
    return tl.Serial(
        tl.Relu(),
        tl.Residual(tl.Dense(5), tl.Relu()),  # HERE
    )


def inside_a_residual() -> lk.Layer:
    return tl.Serial(
        tl.Dense(4),
        tl.Residual(
            tl.Relu(),
            tl.Split(3),  # HERE
            tl.Drop(),
        ),
    )


def shortcut_of_another_width() -> lk.Layer:
    return tl.Serial(
        tl.Residual(
            tl.Relu(),
            shortcut=tl.Serial(
                tl.Dense(3),
                tl.Mean(axis=3),  # HERE
            ),
        ),
    )


def carry_of_another_width() -> lk.Layer:
    return tl.Serial(
        lk.Scan(tl.Parallel(None, tl.Dense(4))),  # HERE
    )


def inside_a_scan() -> lk.Layer:
    return tl.Serial(
        tl.Parallel(tl.Relu(), None),
        lk.Scan(
            tl.Serial(
                tl.Swap(),
                tl.Parallel(tl.Tanh(), tl.Sigmoid()),
                tl.Branch(
                    tl.Concatenate(axis=1),  # HERE
                    None,
                ),
            ),
        ),
    )


def targets_of_another_rank() -> lk.Layer:
    return tl.Serial(
        tl.Dense(2),
        tl.LogSoftmax(),
        tl.WeightedCategoryCrossEntropy(),  # HERE
    )


def normalized_axes_that_are_not_there() -> lk.Layer:
    return tl.Serial(
        tl.Dense(2),
        tl.BatchNorm(),  # HERE
    )


def constant_of_another_width() -> lk.Layer:
    return tl.Serial(
        tl.Dense(4),
        tl.Fn("AddThree", lambda x: x + np.ones(3)),  # HERE
    )


def product_of_another_width() -> lk.Layer:
    return tl.Serial(
        tl.Branch(tl.Dense(4), tl.Dense(5)),
        tl.Fn("Product", lambda a, b: a @ b),  # HERE
    )


def reshaped_to_another_size() -> lk.Layer:
    return tl.Serial(
        tl.Dense(4),
        tl.Fn("Square", lambda x: np.reshape(x, (5, 5))),  # HERE
    )


def too_many_indices() -> lk.Layer:
    return tl.Serial(
        tl.Dense(4),
        tl.Fn("Fifth", lambda x: x[:, :, 5]),  # HERE
    )


def more_outputs_than_declared() -> lk.Layer:
    return tl.Serial(
        tl.Branch(None, [tl.Relu(), tl.Dense(4)]),
        tl.Parallel(
            tl.Tanh(),
            tl.Fn("Both", lambda x: (x, x)),  # HERE
        ),
    )


def no_array() -> lk.Layer:
    return tl.Serial(
        tl.Dense(4),
        lk.BatchLeadingAxes(
            tl.Fn("Size", lambda x: x.shape[0]),  # HERE
        ),
    )


def subtracted_booleans() -> lk.Layer:
    return tl.Serial(
        tl.Branch(tl.Fn("IsPositive", lambda x: x > 0), tl.Fn("IsBig", lambda x: x > 9)),
        tl.SubtractTop(),  # HERE
    )


def added_in_a_custom_layer() -> lk.Layer:
    return tl.Serial(
        tl.Relu(),
        lk.Chunk(
            Sum(tl.Dense(4), tl.Dense(5)),  # HERE
            2,
        ),
    )


def layers_of_a_custom_layer() -> lk.Layer:
    return tl.Serial(
        tl.Branch(
            None,
            Sum(
                tl.Dense(4),
                tl.Dense(5),
                tl.Add(),  # HERE
            ),
        ),
    )


def python_fault() -> lk.Layer:
    return tl.Serial(
        tl.Relu(),
        lk.Cond(
            tl.Fn("Yes", lambda: np.array(True)),
            tl.Serial(
                tl.Tanh(),
                tl.Fn("Lookup", lambda x: x * {}["scale"]),  # HERE
            ),
        ),
    )


MODELS: list[Case] = [
    (
        sum_of_branches,
        f32(16, 8),
        "Serial > 2:Add: shapes (16, 4) and (16, 3) do not broadcast together; "
        "its inputs are from 1:Branch > 0:Dense_4 and 1:Branch > 1:Dense_3",
    ),
    (rank_zero, f32(), "Serial > 1:Dense_4: expected at least 1 axis, got () from 0:Relu"),
    (width_of_a_shared_layer, f32(16, 8), "Serial > 2:Dense_4: expected last axis 8, got (16, 4) from 1:Relu"),
    (
        width_deep_in_branches,
        f32(16, 8),
        "Serial > 1:Branch > 0:Serial > 1:Parallel > 0:Serial > 2:Dense_4: expected last axis 8, got (16, 3) "
        "from 1:Branch > 0:Serial > 1:Parallel > 0:Serial > 1:Dense_3",
    ),
    (
        width_deep_in_serials,
        f32(16, 8),
        "Serial > 1:Branch > 1:Serial > 1:Serial > 1:Dense_5: expected last axis 8, got (16, 5) from "
        "1:Branch > 1:Serial > 1:Serial > 0:Tanh",
    ),
    (
        float_ids,
        f32(16, 8),
        "Serial > 1:Embedding_10_4: ids must be whole numbers (int32), got float32 (16, 8) from 0:Relu",
    ),
    (
        float_ids_in_a_branch,
        f32(16, 8),
        "Serial > 0:Branch > 1:Serial > 1:Embedding_10_4: ids must be whole numbers (int32), got float32 "
        "(16, 3) from 0:Branch > 1:Serial > 0:Dense_3",
    ),
    (
        float_ids_in_a_map,
        f32(2, 7, 3),
        "Serial > 1:Map > 0:Serial > 1:Embedding_10_3: ids must be whole numbers (int32), got float32 (2, 4) "
        "from 1:Map > 0:Serial > 0:Dense_4",
    ),
    (too_few_inputs, f32(16, 8), "Serial: takes 2 inputs, got 1: the last is read by 1:Add; its input is (16, 8)"),
    (
        too_many_for_a_bare_layer,
        (f32(2, 3), f32(2, 3)),
        "Dense_3: takes 1 input, got 2; its inputs are (2, 3) and (2, 3)",
    ),
    (
        too_many_for_a_parallel,
        (f32(2, 3),) * 3,
        "Parallel: takes 2 inputs, got 3; its inputs are (2, 3) and (2, 3) and (2, 3)",
    ),
    (
        too_few_for_a_sublayer,
        f32(16, 8),
        "Serial > 1:Sum > 2:Three: takes 3 inputs, got 2; "
        "its inputs (16, 3) and (16, 3) are from 1:Sum > 0:Dense_3 and 1:Sum > 1:Dense_3",
    ),
    (
        ranks_to_concatenate,
        f32(16, 8),
        "Serial > 1:Concatenate: np.concatenate: shapes (16, 8) and (16,) do not fit together with axis=-1; "
        "its inputs are from the input and 0:Branch > 1:Mean",
    ),
    (
        sizes_to_concatenate,
        f32(16, 8),
        "Serial > 2:Parallel > 1:Concatenate_axis0: np.concatenate: shapes (16, 5) and (16, 8) do not fit "
        "together with axis=0; "
        "its inputs are from 0:Branch > 0:Serial > 1:Relu and the input",
    ),
    (
        odd_split,
        f32(16, 8),
        "Serial > 1:Split: axis -1 of size 5 cannot be split into 2 equal parts; its input (16, 5) is from 0:Residual",
    ),
    (
        missing_axis,
        (f32(16, 8), f32(16, 4)),
        "Serial > 2:Mean: expected an array with axis 2, got (16, 5) from 1:Dense_5",
    ),
    (
        residual_of_another_width,
        f32(16, 8),
        "Serial > 1:Residual: its shortcut gives float32[16,8] and its layers float32[16,5]: they cannot be "
        "added; "
        "its input (16, 8) is from 0:Relu",
    ),
    (
        inside_a_residual,
        f32(16, 8),
        "Serial > 1:Residual > 1:Split: axis -1 of size 4 cannot be split into 3 equal parts; "
        "its input (16, 4) is from 1:Residual > 0:Relu",
    ),
    (
        shortcut_of_another_width,
        f32(16, 8),
        "Serial > 0:Residual > 1:Serial > 1:Mean: expected an array with axis 3, got (16, 3) from 0:Residual "
        "> 1:Serial > 0:Dense_3",
    ),
    (
        carry_of_another_width,
        (f32(7, 2, 3), f32(2, 3)),
        "Serial > 0:Scan: its carry goes in as float32[2,3] and comes out as float32[2,4]; "
        "a carry keeps its form; "
        "its inputs are (7, 2, 3) and (2, 3)",
    ),
    (
        inside_a_scan,
        (f32(7, 2, 3), f32(2, 4, 3)),
        "Serial > 1:Scan > 0:Serial > 2:Branch > 0:Concatenate_axis1: np.concatenate: shapes (2, 4, 3) and "
        "(2, 3) do not fit together with axis=1; "
        "its inputs are from 1:Scan > 0:Serial > 1:Parallel > 0:Tanh and 1:Scan > 0:Serial > 1:Parallel > "
        "1:Sigmoid",
    ),
    (
        targets_of_another_rank,
        (f32(16, 8), i32(16, 2), f32(16)),
        "Serial > 2:WeightedCategoryCrossEntropy: predictions (16, 2) need targets (16,), got (16, 2); "
        "its inputs are from 1:LogSoftmax and the input",
    ),
    (
        normalized_axes_that_are_not_there,
        f32(16, 8),
        "Serial > 1:BatchNorm: axis is (0, 1, 2), inputs (batch, d) take axis=0: "
        "expected an array with axis 2, got (16, 2) from 0:Dense_2",
    ),
    (
        constant_of_another_width,
        f32(16, 8),
        "Serial > 1:AddThree: shapes (16, 4) and (3,) do not broadcast together; its input is from 0:Dense_4",
    ),
    (
        product_of_another_width,
        f32(16, 8),
        "Serial > 1:Product: matrix product of sizes that do not match: 4 and 16; "
        "its inputs (16, 4) and (16, 5) are from 0:Branch > 0:Dense_4 and 0:Branch > 1:Dense_5",
    ),
    (
        reshaped_to_another_size,
        f32(16, 8),
        "Serial > 1:Square: np.reshape: shape (16, 4) does not fit (5, 5); its input is from 0:Dense_4",
    ),
    (
        too_many_indices,
        f32(16, 8),
        "Serial > 1:Fifth: 3 indices for an array of 2 axes; its input (16, 4) is from 0:Dense_4",
    ),
    (
        more_outputs_than_declared,
        f32(16, 8),
        "Serial > 1:Parallel > 1:Both: declares 1 output, and forward returned 2; "
        "its input (16, 4) is from 0:Branch > 1:Serial > 1:Dense_4",
    ),
    (
        no_array,
        f32(16, 8),
        "Serial > 1:BatchLeadingAxes > 0:Size: forward returned 16, which is no array; "
        "its input (16, 4) is from 0:Dense_4",
    ),
    (
        subtracted_booleans,
        f32(16, 8),
        "Serial > 1:SubtractTop: an operation that is not defined for such arrays; "
        "its inputs bool (16, 8) and bool (16, 8) are from 0:Branch > 0:IsPositive and 0:Branch > 1:IsBig",
    ),
    (
        added_in_a_custom_layer,
        f32(16, 8),
        "Serial > 1:Chunk > 0:Sum: shapes (2, 4) and (2, 5) do not broadcast together; its input (2, 8) is from 0:Relu",
    ),
    (
        layers_of_a_custom_layer,
        f32(16, 8),
        "Serial > 0:Branch > 1:Sum > 2:Add: shapes (16, 4) and (16, 5) do not broadcast together; "
        "its inputs are from 0:Branch > 1:Sum > 0:Dense_4 and 0:Branch > 1:Sum > 1:Dense_5",
    ),
    (
        python_fault,
        f32(16, 8),
        "Serial > 1:Cond > 1:Serial > 1:Lookup: KeyError: 'scale'; "
        "its input (16, 8) is from 1:Cond > 1:Serial > 0:Tanh",
    ),
]

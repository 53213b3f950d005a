"""Backends that each break one rule, and the check that has to catch each: the NumPy backend, changed in one place."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.fastmath import ArrayError, Backend, nested_map
from layerkit.fastmath import numpy as np
from layerkit.plugins import registry

__all__ = ["MUTANTS", "sound"]

Maker = Callable[[], Any]


def _changed(name: str, change: Callable[[Any], None]) -> Maker:
    """A constructor of the NumPy backend under another name, with ``change`` made to it."""

    def make() -> Any:
        inner = registry.make_backend("numpy")
        members = [*Backend.__annotations__, *(member for member in vars(Backend) if not member.startswith("_"))]
        backend = SimpleNamespace(**{member: getattr(inner, member) for member in members})
        backend.name = name
        backend.numpy = SimpleNamespace(**{known: getattr(inner.numpy, known) for known in np.NAMES})
        backend.random = SimpleNamespace(**{known: getattr(inner.random, known) for known in fastmath.random.NAMES})
        change(backend)
        return backend

    make.__name__ = name
    return make


sound = _changed("sound", lambda backend: None)
"""The NumPy backend under another name, unchanged."""

MUTANTS: list[tuple[Maker, str]] = []
"""Each with the check that is meant for it; others may fail as well."""


def _mutant(check: str) -> Callable[[Callable[[Any], None]], None]:
    def add(change: Callable[[Any], None]) -> None:
        MUTANTS.append((_changed(change.__name__.replace("_", "-"), change), check))

    return add


@_mutant("it_starts")
def without_a_device(b: Any) -> None:
    raise RuntimeError("no device")


@_mutant("has_every_member")
def no_while_loop(b: Any) -> None:
    del b.while_loop


@_mutant("answers_to_its_name")
def incognito(b: Any) -> None:
    b.name = "somebody"


@_mutant("numpy_has_every_name")
def no_einsum(b: Any) -> None:
    del b.numpy.einsum


@_mutant("random_has_every_name")
def no_gumbel(b: Any) -> None:
    del b.random.gumbel


@_mutant("devices_are_named")
def nowhere(b: Any) -> None:
    b.devices = list


@_mutant("operations_give_numpys_numbers")
def population_variance_for_all(b: Any) -> None:
    var = b.numpy.var
    b.numpy.var = lambda x, axis=None, ddof=0, keepdims=False: var(x, axis=axis, keepdims=keepdims)


@_mutant("operations_stay_in_32_bits")
def wide_ranges(b: Any) -> None:
    b.numpy.arange = onp.arange


@_mutant("arrays_have_numpys_methods")
def arrays_without_strides(b: Any) -> None:
    class Rigid(onp.ndarray):
        def clip(self, *args: Any, **kwargs: Any) -> Any:
            return self

    b.numpy.asarray = lambda x, dtype=None: onp.asarray(x, dtype).view(Rigid)


@_mutant("operations_beyond_numpy_agree")
def natural_erf(b: Any) -> None:
    b.erf = lambda x: onp.tanh(x)


@_mutant("operations_beyond_numpy_agree")
def turned_kernels(b: Any) -> None:
    conv = b.conv
    b.conv = lambda x, kernel, *options: conv(x, kernel[::-1], *options)


@_mutant("dtypes_are_numpys_own")
def foreign_dtypes(b: Any) -> None:
    class Foreign(onp.ndarray):
        @property
        def dtype(self) -> Any:
            return "float32"

    b.numpy.asarray = lambda x, dtype=None: onp.asarray(x, dtype).view(Foreign)


@_mutant("numbers_beyond_all_bounds_pass")
def strict_logarithm(b: Any) -> None:
    def log(x: Any) -> Any:
        return onp.nan_to_num(onp.log(x))

    b.numpy.log = log


@_mutant("arguments_are_not_written_to")
def sorts_in_place(b: Any) -> None:
    def sort(x: Any, axis: int = -1) -> Any:
        x.setflags(write=True)
        x.sort(axis=axis)
        return x

    b.numpy.sort = sort


@_mutant("misfits_are_refused_in_one_line")
def lenient_top_k(b: Any) -> None:
    top_k = b.top_k
    b.top_k = lambda x, k: top_k(x, min(k, x.shape[-1]))


@_mutant("canonical_narrows")
def wide_outputs(b: Any) -> None:
    b.canonical = lambda x: x


@_mutant("float64_on_request")
def stuck_in_32_bits(b: Any) -> None:
    b.numpy.zeros = lambda shape, dtype="float32": onp.zeros(shape, "float32" if dtype == "float64" else dtype)


@_mutant("keys_have_the_same_bits")
def shifted_folds(b: Any) -> None:
    fold_in = b.random.fold_in
    b.random.fold_in = lambda key, data: fold_in(key, data + 1)


@_mutant("draws_have_the_same_bits")
def numpys_coins(b: Any) -> None:
    def bernoulli(key: Any, p: Any, shape: Any) -> Any:
        return onp.random.default_rng(int(key[1])).random(shape) < p

    b.random.bernoulli = bernoulli


@_mutant("known_numbers_come_out")
def upside_down(b: Any) -> None:
    uniform = b.random.uniform
    b.random.uniform = lambda *args: 1 - uniform(*args)


@_mutant("normal_numbers_are_near")
def twelve_uniforms(b: Any) -> None:
    b.random.normal = lambda key, shape, dtype: onp.float32(12**0.5) * (b.random.uniform(key, shape, dtype, 0, 1) - 0.5)


@_mutant("classes_are_the_same")
def always_likeliest(b: Any) -> None:
    b.random.categorical = lambda key, logits, axis, shape: onp.broadcast_to(onp.argmax(logits, axis), shape)


@_mutant("keys_decide")
def moody(b: Any) -> None:
    b.random.uniform = lambda key, shape, dtype, low, high: onp.random.default_rng().uniform(low, high, shape)


@_mutant("compiled_draws_are_the_same")
def other_draws_when_compiled(b: Any) -> None:
    inside = []
    jit, uniform = b.jit, b.random.uniform
    b.random.uniform = lambda *args: uniform(*args) / (2 if inside else 1)

    def marked(f: Any) -> Any:
        def run(*args: Any) -> Any:
            inside.append(f)
            try:
                return f(*args)
            finally:
                inside.pop()

        return run

    b.jit = lambda f, static_argnums=(), donate_argnums=(): jit(marked(f))


def _scaled(b: Any, factor: Callable[[Any], Any]) -> None:
    value_and_grad = b.value_and_grad

    def changed(f: Any, argnums: Any = 0, has_aux: bool = False) -> Any:
        inner = value_and_grad(f, argnums, has_aux)

        def run(*args: Any) -> Any:
            value, gradient = inner(*args)
            return value, factor(gradient)

        return run

    b.value_and_grad = changed


@_mutant("gradients_agree")
def steep(b: Any) -> None:
    _scaled(b, lambda gradient: nested_map(lambda g: g * 2, gradient))


@_mutant("gradients_are_slopes")
def flat(b: Any) -> None:
    _scaled(b, lambda gradient: nested_map(lambda g: g * 0, gradient))


@_mutant("gradients_have_their_arguments_form")
def gradients_in_lists(b: Any) -> None:
    _scaled(b, lambda gradient: fastmath.tree_leaves(gradient))


@_mutant("what_stands_beside_the_value_comes_back")
def boxed_aux(b: Any) -> None:
    value_and_grad = b.value_and_grad

    def changed(f: Any, argnums: Any = 0, has_aux: bool = False) -> Any:
        if not has_aux:
            return value_and_grad(f, argnums)

        def run(*args: Any) -> Any:
            (value, aux), gradient = value_and_grad(f, argnums, True)(*args)
            return (value, fastmath.tree_leaves(aux)), gradient

        return run

    b.value_and_grad = changed


@_mutant("whole_numbers_get_zeros")
def gradients_for_whole_numbers(b: Any) -> None:
    _scaled(b, lambda gradient: nested_map(lambda g: g.astype(onp.float32), gradient))


@_mutant("several_arguments_have_gradients")
def first_argument_alone(b: Any) -> None:
    value_and_grad = b.value_and_grad
    b.value_and_grad = lambda f, argnums=0, has_aux=False: value_and_grad(f, 0, has_aux)


@_mutant("vjp_takes_gradients_back")
def one_way_back(b: Any) -> None:
    vjp = b.vjp

    def once(f: Any, *primals: Any) -> Any:
        y, back = vjp(f, *primals)
        kept: list[Any] = []

        def first(dy: Any) -> Any:
            kept.append(back(dy))
            return kept[0]

        return y, first

    b.vjp = once


@_mutant("own_gradients_are_used")
def ignores_own_gradients(b: Any) -> None:
    b.custom_vjp = lambda f, forward, backward: f


@_mutant("remat_changes_nothing")
def remat_stops_gradients(b: Any) -> None:
    b.remat = lambda f: lambda *args: f(*map(b.stop_gradient, args[:1]), *args[1:])


@_mutant("stop_gradient_stops_it")
def unstoppable(b: Any) -> None:
    b.stop_gradient = lambda x: x


@_mutant("gradients_pass_compiled_functions")
def compiled_constants(b: Any) -> None:
    b.jit = lambda f, static_argnums=(), donate_argnums=(): lambda *args: f(*map(b.stop_gradient, args))


@_mutant("repeated_rows_add_up")
def last_row_wins(b: Any) -> None:
    take_rows = b.take_rows

    def backward(kept: Any, dy: Any) -> Any:
        table, ids = kept
        gradient = onp.zeros_like(table)
        gradient[ids] = dy
        return gradient, None

    b.take_rows = b.custom_vjp(take_rows, lambda t, i: (take_rows(t, i), (t, i)), backward)


def _scan_with(b: Any, change: Callable[..., Any]) -> None:
    scan = b.scan
    b.scan = lambda f, init, xs, length=None, reverse=False: change(scan, f, init, xs, length, reverse)


@_mutant("scan_is_a_loop")
def carry_as_a_tuple(b: Any) -> None:
    def change(scan: Any, *args: Any) -> Any:
        carry, ys = scan(*args)
        return (tuple(carry) if isinstance(carry, tuple) else carry), ys

    _scan_with(b, change)


@_mutant("scan_goes_backwards")
def drops_reverse(b: Any) -> None:
    _scan_with(b, lambda scan, f, init, xs, length, reverse: scan(f, init, xs, length, False))


@_mutant("scan_of_nothing")
def needs_a_first_turn(b: Any) -> None:
    def change(scan: Any, f: Any, init: Any, xs: Any, length: Any, reverse: Any) -> Any:
        if fastmath.tree_leaves(xs) and len(fastmath.tree_leaves(xs)[0]) == 0:
            return init, ()
        return scan(f, init, xs, length, reverse)

    _scan_with(b, change)


@_mutant("scan_counts")
def ignores_length(b: Any) -> None:
    _scan_with(b, lambda scan, f, init, xs, length, reverse: scan(f, init, xs, 1 if xs is None else None, reverse))


@_mutant("scan_over_replaces")
def writes_on_what_is_not_its_own(b: Any) -> None:
    def scan_over(f: Any, init: Any, over: Any, xs: Any, reverse: bool = False) -> Any:
        last, (places, ys) = b.scan(
            lambda c, x: (lambda c, z, y: (c, (z, y)))(*f(c, *x)), init, (over, xs), None, reverse
        )
        over[0][:] = places[0]
        return last, over, ys

    b.scan_over = scan_over


@_mutant("scan_has_a_gradient")
def forgets_the_past(b: Any) -> None:
    def change(scan: Any, f: Any, init: Any, xs: Any, length: Any, reverse: Any) -> Any:
        return scan(lambda carry, x: f(b.stop_gradient(carry), x), init, xs, length, reverse)

    _scan_with(b, change)


@_mutant("cond_takes_one_branch")
def always_true(b: Any) -> None:
    cond = b.cond
    b.cond = lambda pred, one, other, *operands: cond(pred, one, one, *operands)


@_mutant("cond_takes_one_branch")
def both_branches(b: Any) -> None:
    def cond(pred: Any, one: Any, other: Any, *operands: Any) -> Any:
        return fastmath.nested_map(functools.partial(b.numpy.where, pred), one(*operands), other(*operands))

    b.cond = cond


@_mutant("while_loop_ends")
def at_least_once(b: Any) -> None:
    while_loop = b.while_loop
    b.while_loop = lambda going, body, init: while_loop(going, body, body(init))


@_mutant("map_goes_row_by_row")
def all_rows_at_once(b: Any) -> None:
    b.map = lambda f, xs: f(xs)


@_mutant("vmap_equals_one_by_one")
def first_axis_always(b: Any) -> None:
    vmap = b.vmap
    b.vmap = lambda f, in_axes=0, out_axes=0: vmap(f, in_axes, 0)


@_mutant("bodies_see_what_they_close_over")
def closed_bodies(b: Any) -> None:
    cond = b.cond
    b.cond = lambda pred, one, other, *operands: b.stop_gradient(cond(pred, one, other, *operands))


@_mutant("ids_outside_are_refused")
def counts_from_the_end(b: Any) -> None:
    b.take_rows = lambda table, ids: onp.asarray(table)[onp.asarray(ids)]


@_mutant("ids_outside_read_no_row_when_compiled")
def clamps_ids(b: Any) -> None:
    b.take_rows = lambda table, ids: onp.take(onp.asarray(table), onp.asarray(ids), axis=0, mode="clip")


@_mutant("ids_outside_add_to_no_row_when_compiled")
def adds_modulo(b: Any) -> None:
    segment_sum = b.segment_sum
    b.segment_sum = lambda values, ids, n: segment_sum(values, onp.asarray(ids) % n, n)


@_mutant("ids_of_any_shape_read_rows")
def flat_ids_alone(b: Any) -> None:
    take_rows = b.take_rows

    def flat(table: Any, ids: Any) -> Any:
        if onp.ndim(ids) != 1:
            raise ArrayError("take_rows: ids have one axis")
        return take_rows(table, ids)

    b.take_rows = flat


@_mutant("largest_numbers_come_in_order")
def rising_values(b: Any) -> None:
    top_k = b.top_k
    b.top_k = lambda x, k: tuple(part[..., ::-1] for part in top_k(x, k))


@_mutant("compiled_equals_eager")
def compiled_results_in_lists(b: Any) -> None:
    b.jit = lambda f, static_argnums=(), donate_argnums=(): lambda *args: fastmath.tree_leaves(f(*args))


@_mutant("static_arguments_are_values")
def first_static_argument_stays(b: Any) -> None:
    def jit(f: Any, static_argnums: Any = (), donate_argnums: Any = ()) -> Any:
        first: list[Any] = []

        def run(*args: Any) -> Any:
            first[:] = first or [args]
            return f(*(first[0][i] if i in static_argnums else arg for i, arg in enumerate(args)))

        return run

    b.jit = jit


@_mutant("donated_arguments_give_the_same")
def donates_everything(b: Any) -> None:
    def jit(f: Any, static_argnums: Any = (), donate_argnums: Any = ()) -> Any:
        def run(*args: Any) -> Any:
            result = f(*args)
            for leaf in fastmath.tree_leaves(args) if donate_argnums else ():
                leaf[...] = 0
            return result

        return run

    b.jit = jit


@_mutant("compilations_are_counted")
def counts_calls(b: Any) -> None:
    calls: list[None] = []
    b.compilations = lambda: len(calls)
    b.jit = lambda f, static_argnums=(), donate_argnums=(): lambda *args: (calls.append(None), f(*args))[1]


@_mutant("failures_leave_it_sound")
def swallows_exceptions(b: Any) -> None:
    def jit(f: Any, static_argnums: Any = (), donate_argnums: Any = ()) -> Any:
        def run(*args: Any) -> Any:
            try:
                return f(*args)
            except Exception:
                return None

        return run

    b.jit = jit


@_mutant("arrays_come_back_to_the_host")
def keeps_arrays_in_lists(b: Any) -> None:
    to_host = b.to_host
    b.to_host = lambda tree: to_host(fastmath.tree_leaves(tree) if isinstance(tree, dict) else tree)


@_mutant("arrays_come_back_to_the_host")
def narrows_on_the_way(b: Any) -> None:
    to_host = b.to_host

    def narrow(array: Any) -> Any:
        return array.astype("float32") if array.dtype == "float64" else array

    b.to_host = lambda tree: fastmath.nested_map(narrow, to_host(tree))


@_mutant("waiting_returns_the_tree")
def waits_and_forgets(b: Any) -> None:
    b.block_until_ready = lambda tree: None


@_mutant("signatures_without_computing")
def computes_signatures(b: Any) -> None:
    def abstract_eval(f: Any, *signatures: Any) -> Any:
        largest = max((s.size for s in fastmath.tree_leaves(signatures)), default=0)
        if largest > 1 << 30:
            raise MemoryError(f"{largest} numbers")
        return nested_map(onp.shape, f(*nested_map(lambda s: onp.zeros(s.shape, s.dtype), signatures)))

    b.abstract_eval = abstract_eval


@_mutant("unknown_values_are_known_as_such")
def knows_everything(b: Any) -> None:
    b.is_traced = lambda x: False


@_mutant("threads_do_not_disturb_each_other")
def shares_a_buffer(b: Any) -> None:
    shared: dict[str, Any] = {}
    tanh = b.numpy.tanh

    def slow(x: Any) -> Any:
        shared["x"] = x
        time.sleep(0.005)
        return tanh(shared["x"])

    b.numpy.tanh = b.numpy.exp = slow


@_mutant("float64_stays_in_its_thread")
def float64_for_everybody(b: Any) -> None:
    wide = threading.Event()

    class Widened:
        def __enter__(self) -> None:
            wide.set()

        def __exit__(self, *_: Any) -> None:
            wide.clear()

    b.float64 = Widened
    b.numpy.zeros = lambda shape, dtype=None: onp.zeros(shape, dtype or ("float64" if wide.is_set() else "float32"))


@_mutant("backends_stand_side_by_side")
def takes_over(b: Any) -> None:
    value_and_grad = b.value_and_grad
    seen: list[str] = []

    def changed(f: Any, argnums: Any = 0, has_aux: bool = False) -> Any:
        seen.append(threading.current_thread().name)
        factor = 1 if len(set(seen)) == 1 else 2
        inner = value_and_grad(f, argnums, has_aux)
        return lambda *args: (inner(*args)[0], nested_map(lambda g: g * factor, inner(*args)[1]))

    b.value_and_grad = changed


@_mutant("figures_are_plain")
def a_cost_below_zero(b: Any) -> None:
    b.program_cost = lambda program, *args: {"flops": -1.0}

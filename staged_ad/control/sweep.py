"""Checkpointed loops in reverse mode: what ``scan(..., checkpoint=slots)`` is split into.

A scan G that is linear in some operands, ``y = L(known) lin``, is split in two. ``sweep_forward: known -> (y, cache)``
runs what is known and stores states or residual sets of some iterations; ``sweep_linear: (cache, known, lin) -> y`` is
the rest. Its transpose, ``sweep_backward: (cache, known, y_bar) -> L(known)^T y_bar``, runs iterations again from what
is stored.

The rules of ``sweep_backward`` follow from G. Along ``(known_dot, y_bar_dot)`` its derivative is the transpose, with
respect to lin, of the jvp of G, ``lin -> (L lin, dL[known_dot] lin)``, at the cotangents ``(y_bar_dot, y_bar)``: again
a sweep. It is linear in y_bar, and in those known operands that are tangents themselves.

Invariant: the cache has no tangent, and no transform looks inside; all but ``sweep_backward`` itself ignores it.
Start at ``checkpointed``; sweep_plan.py decides what is stored, sweep_run.py runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from staged_ad.control.fixpoints import linear_carries
from staged_ad.control.layout import chosen, groups, merged, others, spread
from staged_ad.control.scan import SCAN
from staged_ad.control.sweep_plan import Keeping, keeping
from staged_ad.control.sweep_programs import backward_program, forward_program
from staged_ad.control.sweep_run import cache_type
from staged_ad.ir import ArrayType, Equation, Linear, Primitive, Program, Var, evaluate
from staged_ad.ir.lowerings import Inlined
from staged_ad.ir.types import INT64
from staged_ad.primitives.makers import instantiate, with_batch, zeros
from staged_ad.tracing import bind
from staged_ad.transforms.call import call
from staged_ad.transforms.jvp import symbolic_jvp
from staged_ad.transforms.transpose import symbolic_transpose
from staged_ad.transforms.vmap import vmap_program


def checkpointed(equation: Equation, known: Sequence[bool], split: Any) -> Any:
    """The split of a checkpointed scan; None where the plain one stores no more."""
    before, (after,), _ = split
    params = dict(equation.params)
    length = params["length"]
    parts = groups(equation.inputs, length is None, params["consts"], params["carries"])
    moving = parts.xs or len(params["body"].outputs) > params["carries"]
    results = set(equation.outputs)
    residuals = sum(var not in results for var in before[0].outputs) if before else 0
    ragged = any(atom.type.ragged for atom in (*equation.inputs, *equation.outputs))
    if (
        not residuals
        or ragged
        or (length is None and moving)
        or (length is not None and params["checkpoint"] >= length)
    ):
        return None
    unknown = dict.fromkeys(atom for atom, flag in zip(equation.inputs, known, strict=True) if not flag)
    linear = groups([atom in unknown for atom in after.inputs], length is None, *_sizes(after))
    if not all(linear_carries(after.params["body"], linear)):
        return None
    first = before[0]
    outputs = [var for var in first.outputs if var in results]
    sizes = {**first.params, "residuals": residuals}
    cache = Var(cache_type(_plan(sizes).layout))
    forward = Equation(SWEEP_FORWARD, first.inputs, sizes, (*outputs, cache), equation.source)
    return [forward], [linear_half(equation, known, cache, outputs)], [*outputs, cache]


def _sizes(scan: Equation) -> tuple[int, int]:
    return scan.params["consts"], scan.params["carries"]


def linear_half(equation: Equation, known: Sequence[bool], cache: Var, sooner: Sequence[Var]) -> Equation:
    """The whole scan once more, for the results that are not known."""
    outputs = tuple([Var(var.type) if var in sooner else var for var in equation.outputs])
    params = {**equation.params, "known": tuple(known)}
    return Equation(SWEEP_LINEAR, (cache, *equation.inputs), params, outputs, equation.source)


def _plan(params: dict[str, Any]) -> Keeping:
    return keeping(
        params["body"], params["consts"], params["carries"], params["residuals"], params["length"], params["checkpoint"]
    )


def _without(params: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in names}


def placed(program: Program, equation: Equation) -> Program:
    """`program` with its equations where `equation` stands in the user's code."""
    equations = tuple(
        [Equation(e.primitive, e.inputs, e.params, e.outputs, equation.source) for e in program.equations]
    )
    return Program(program.inputs, equations, program.outputs, program.name)


# -- sweep_forward: known -> (y, cache) ---------------------------------------------------------------------------


def _loop(params: dict[str, Any]) -> dict[str, Any]:
    """The scan that gives the results alone."""
    body: Program = params["body"]
    outputs = body.outputs[: len(body.outputs) - params["residuals"]]
    return {**_without(params, "residuals"), "body": Program(body.inputs, body.equations, outputs, body.name)}


@lru_cache(maxsize=256)
def _forward_program(*items: Any) -> Program:
    params = dict(items)
    return forward_program(params, _plan(params), params.get("cond"))


def forward_primitive(name: str, loop: Primitive, results: Callable[[dict[str, Any]], dict[str, Any]]) -> Primitive:
    """A run of `loop` that leaves a cache; ``results(params)`` are the parameters of the loop without one."""

    def cache(params: dict[str, Any]) -> ArrayType:
        return cache_type(_plan(params).layout)

    def abstract(*types: ArrayType, **params: Any) -> list[ArrayType]:
        return [*loop.abstract_eval(*types, **results(params)), cache(params)]

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
        """The cache from the primals; results and tangents from the jvp of the loop."""
        made = bind(primitive, *primals, **params)[-1]
        ys, y_dots = loop.jvp(primals, tangents, **results(params))
        return [*ys, made], [*y_dots, None]

    def transpose(cts: Sequence[Any], inputs: Sequence[Any], **params: Any) -> list[Any]:
        found: list[Any] = loop.transpose(cts[:-1], inputs, **results(params))
        return found

    def batch(size: int, values: Sequence[Any], batched: Sequence[int], **params: Any) -> tuple[list[Any], list[int]]:
        """The batch of the loop. The cache is nobody's: a batch of ``sweep_backward`` makes its own."""
        ys, flags = loop.batch(size, values, batched, **results(params))
        return [*ys, zeros(cache(params))], [*flags, False]

    primitive = Primitive(
        name,
        abstract_eval=abstract,
        evaluate=lambda *arrays, **params: evaluate(_forward_program(*sorted(params.items())), *arrays),
        jvp=jvp,
        transpose=transpose,
        batch=batch,
        lower=Inlined(lambda equation: placed(_forward_program(*sorted(equation.params.items())), equation)),
        multiple_results=True,
    )
    return primitive


SWEEP_FORWARD = forward_primitive("sweep_forward", SCAN, _loop)


# -- sweep_linear: (cache, known, lin) -> y -----------------------------------------------------------------------


def _transpose_linear(cts: Sequence[Any], inputs: Sequence[Any], **params: Any) -> list[Any]:
    cache, *operands = inputs
    scan = _without(params, "known")
    linear = [isinstance(x, Linear) for x in operands]
    if isinstance(cache, Linear) or linear != [not flag for flag in params["known"]]:
        return [None, *SCAN.transpose(cts, operands, **scan)]
    given = [ct is not None for ct in cts]
    results = bind(
        SWEEP_BACKWARD,
        cache,
        *others(operands, linear),
        *chosen(cts, given),
        **scan,
        linear=tuple(linear),
        given=tuple(given),
    )
    return [None, *spread(results, linear)]


def _as_scan(equation: Equation) -> Program:
    return _whole(_without(dict(equation.params), "known"), equation.inputs[0].type)


SWEEP_LINEAR = Primitive(
    "sweep_linear",
    abstract_eval=lambda cache, *types, **params: SCAN.abstract_eval(*types, **_without(params, "known")),
    evaluate=lambda cache, *arrays, **params: SCAN.evaluate(*arrays, **_without(params, "known")),
    jvp=lambda primals, tangents, **params: SCAN.jvp(primals[1:], tangents[1:], **_without(params, "known")),
    transpose=_transpose_linear,
    batch=lambda size, values, batched, **params: _batch_linear(size, values[1:], batched[1:], params),
    lower=Inlined(_as_scan),
    multiple_results=True,
)


def _batch_linear(
    size: int, values: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> tuple[list[Any], list[bool]]:
    scan = _without(params, "known")
    if not any(batched):
        return list(bind(SCAN, *values, **scan)), [False] * len(params["body"].outputs)
    found: tuple[list[Any], list[bool]] = SCAN.batch(size, values, batched, **scan)
    return found


# -- sweep_backward: (cache, known, y_bar) -> lin_bar -------------------------------------------------------------


def _operand_types(params: dict[str, Any]) -> list[ArrayType]:
    """Of G."""
    body, length = params["body"], params["length"]
    inner = groups(body.input_types, 0, params["consts"], params["carries"])
    trips = [ArrayType((), INT64)] if length is None else []
    return [*trips, *inner.consts, *inner.carry, *(type.stacked(length) for type in inner.xs)]


def _whole(params: dict[str, Any], *unused: ArrayType) -> Program:
    """G as a program."""
    inputs = [Var(type) for type in _operand_types(params)]
    outputs = [Var(type) for type in SCAN.abstract_eval(*[var.type for var in inputs], **params)]
    ignored = tuple([Var(type) for type in unused])
    return Program(
        (*ignored, *inputs), (Equation(SCAN, tuple(inputs), params, tuple(outputs)),), tuple(outputs), "scan"
    )


def _scan_params(params: dict[str, Any]) -> dict[str, Any]:
    return _without(params, "linear", "given")


def _cut(operands: Sequence[Any], params: dict[str, Any]) -> tuple[Any, list[Any], list[Any]]:
    """The cache, the known operands of G, the cotangents."""
    cache, *rest = operands
    count = len(params["linear"]) - sum(params["linear"])
    return cache, rest[:count], rest[count:]


def _abstract_backward(*types: ArrayType, **params: Any) -> list[ArrayType]:
    return [type.strong() for type in chosen(_operand_types(params), params["linear"])]


def _jvp_backward(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
    linear, given = params["linear"], params["given"]
    cache, known, cts = _cut(primals, params)
    _, known_dots, ct_dots = _cut(tangents, params)
    results = list(bind(SWEEP_BACKWARD, *primals, **params))
    if all(t is None for t in known_dots):
        moving = [flag and ct_dot is not None for flag, ct_dot in zip(given, spread(ct_dots, given), strict=True)]
        along = [ct_dot for ct_dot in ct_dots if ct_dot is not None]
        return results, list(bind(SWEEP_BACKWARD, cache, *known, *along, **{**params, "given": tuple(moving)}))
    program = _whole(_scan_params(params))
    full = spread(known_dots, [not flag for flag in linear])
    both, flags = symbolic_jvp(program, [t is not None for t in full], [False] * len(given))
    y_bars = [*spread(ct_dots, given), *chosen(spread(cts, given), flags)]
    dots = [t for t in known_dots if t is not None]
    turned = [*linear, *[False] * len(dots)]
    back, found = symbolic_transpose(both, turned, [ct is not None for ct in y_bars], [False] * len(turned))
    bars = call(back, *known, *dots, *(ct for ct in y_bars if ct is not None))
    return results, spread(bars, found)


def _transpose_backward(cts: Sequence[Any], inputs: Sequence[Any], **params: Any) -> list[Any]:
    """With w for `cts`: L(known) w for cotangents, and for known operands K the vjp of ``K -> L(K) w`` at K = 0."""
    linear, given = params["linear"], params["given"]
    _, known, y_bars = _cut(inputs, params)
    types = _operand_types(params)
    values = [
        instantiate(None if isinstance(value, Linear) else value, type.strong())
        for value, type in zip(merged(cts, known, linear), types, strict=True)
    ]
    scan = _scan_params(params)
    tangents = [isinstance(x, Linear) for x in known]
    fixed = [isinstance(x, Linear) for x in y_bars]
    ct_bars: list[Any] = [None] * len(y_bars)
    if any(fixed):
        results = chosen(bind(SCAN, *values, **scan), given)
        ct_bars = [y if flag else None for y, flag in zip(results, fixed, strict=True)]
    known_bars: list[Any] = [None] * len(known)
    if any(tangents) and not all(fixed):
        active = [bool(flag) for flag in spread(tangents, [not flag for flag in linear])]
        both, flags = symbolic_jvp(_whole(scan), active, [False] * len(given))
        whole = spread([None if flag else ct for ct, flag in zip(y_bars, fixed, strict=True)], given)
        seeds = chosen(whole, flags)
        turned = [*[False] * len(types), *[True] * sum(active)]
        needed = [*[False] * len(given), *(ct is not None for ct in seeds)]
        back, found = symbolic_transpose(both, turned, needed, [False] * len(turned))
        bars = call(back, *values, *(ct for ct in seeds if ct is not None))
        known_bars = spread(spread(bars, found), tangents)
    return [None, *known_bars, *ct_bars]


def _batch_backward(
    size: int, values: Sequence[Any], batched: Sequence[int], **params: Any
) -> tuple[list[Any], list[bool]]:
    """The transpose of the batch of G, with respect to a batch of each linear operand."""
    linear, given = params["linear"], params["given"]
    _, known, cts = _cut(values, params)
    _, known_flags, ct_flags = _cut(batched, params)
    flags = [True if flag is None else flag for flag in spread(known_flags, [not flag for flag in linear])]
    mapped, _ = vmap_program(_whole(_scan_params(params)), flags, size, list(given))
    wanted = [True] * len(linear)
    back, _ = symbolic_transpose(mapped, linear, given, wanted)
    seeds = [with_batch(size, ct, flag) for ct, flag in zip(cts, ct_flags, strict=True)]
    return call(back, *known, *seeds), [True] * sum(linear)


@lru_cache(maxsize=256)
def _backward_program(*items: Any) -> Program:
    params = dict(items)
    return backward_program(_whole(_scan_params(params)).equations[0], params["linear"], params["given"])


def _as_backward(equation: Equation) -> Program:
    return placed(_backward_program(*sorted(equation.params.items())), equation)


SWEEP_BACKWARD: Primitive = Primitive(
    "sweep_backward",
    abstract_eval=_abstract_backward,
    evaluate=lambda *arrays, **params: evaluate(_backward_program(*sorted(params.items())), *arrays),
    jvp=_jvp_backward,
    transpose=_transpose_backward,
    batch=_batch_backward,
    lower=Inlined(_as_backward),
    multiple_results=True,
)

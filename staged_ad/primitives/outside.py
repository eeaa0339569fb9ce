"""outside: an operation for which a target has no code of its own, computed from whole arrays by its `evaluate`.

Invariant: it stands in programs only after all transforms and passes.
Start at ``outside``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.ir import ArrayType, Primitive
from staged_ad.ir.lowerings import Outside


def _types(*types: ArrayType, of: Primitive, params: tuple[tuple[str, Any], ...]) -> list[ArrayType]:
    found = of.abstract_eval(*types, **dict(params))
    return list(found) if of.multiple_results else [found]


def _evaluate(*arrays: Any, of: Primitive, params: tuple[tuple[str, Any], ...]) -> list[Any]:
    found = of.evaluate(*arrays, **dict(params))
    return list(found) if of.multiple_results else [found]


def _no_rule(*values: Any, **params: Any) -> Any:
    raise AssertionError("operations leave the target after all transforms")


outside: Primitive = Primitive(
    "outside",
    abstract_eval=_types,
    evaluate=_evaluate,
    jvp=_no_rule,
    transpose=_no_rule,
    batch=_no_rule,
    lower=Outside(),
    multiple_results=True,
)

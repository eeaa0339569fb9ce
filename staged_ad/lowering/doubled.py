"""A nest as text: as it stands, or twice, where its sums tell whether strong products needed their masks.

Sums over everything are NaN if a term is. So a chunk adds up plain products, and does it all once more with masks
only if one of its sums came out as NaN.

Invariant: where no sum is NaN, no product was; then the results of both functions are equal.
Start at ``nest_text``.
"""

from __future__ import annotations

import math
from itertools import chain

from staged_ad.ir import Var
from staged_ad.ir.lowerings import Fold
from staged_ad.ir.types import BOOL
from staged_ad.lowering.nest import REGION, NestWriter
from staged_ad.lowering.regions import Apply, Guarded, Load, Nest, Reduce
from staged_ad.lowering.schedule import Schedule
from staged_ad.lowering.storage import Place, Places
from staged_ad.lowering.trusting import may_trust, shown_by
from staged_ad.lowering.values import Externals, Value
from staged_ad.primitives.makers import scale

PRODUCTS = 4
"""Strong products in a body from which it is written twice."""
POINTS = 1024
"""Points of a nest from which it is."""

_EITHER = f"""define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{
  %doubt = call i1 @{REGION}.plain(i64 %chunk, ptr %arrays)
  br i1 %doubt, label %careful, label %sure
careful:
  call void @{REGION}.careful(i64 %chunk, ptr %arrays)
  br label %sure
sure:
  ret void
}}"""


def nest_text(
    plan: Schedule, storage: Places, externals: Externals, partials: dict[Var, Var], repeated: bool = False
) -> tuple[str, list[Place]]:
    """The functions of a nest, the last called ``@REGION``, and what their table must hold."""
    careful = NestWriter(plan, storage, externals, partials, repeated)
    if not repeated and _adds_up(plan.nest):
        plain = _PlainWriter(plan, storage, externals, partials)
        careful.memory.places = plain.memory.places
        text = plain.text(f"{REGION}.plain")
        if plain.tells:
            return "\n".join([text, careful.text(f"{REGION}.careful"), _EITHER]), careful.places
    return careful.text(), careful.places


def _adds_up(nest: Nest) -> bool:
    """Whether a nest gives nothing but sums over all of a large domain, with several strong products in its terms."""
    applied = [node.equation.primitive for node in nest.nodes if isinstance(node, Apply)]
    guarded = any(isinstance(node, Load | Guarded) and node.guard for node in nest.nodes)
    return (
        len(nest.reduced) == len(nest.domain)
        and math.prod(nest.domain) >= POINTS
        and applied.count(scale.primitive) >= PRODUCTS
        and not nest.stores
        and not guarded
        and all(map(_is_sum, nest.reduces))
        and may_trust(nest)
    )


def _is_sum(reduce: Reduce) -> bool:
    dtype = reduce.array.type.dtype
    return isinstance(reduce.rule, Fold) and dtype.kind == "f" and reduce.rule.identity(dtype) == 0


class _PlainWriter(NestWriter):
    """The function without masks, which returns whether a sum is NaN. `tells` says whether the sums would be."""

    tells = False

    def _write(self) -> None:
        code = self.code
        self.totals: list[Value] = []
        products: list[str] = []
        code.plain_products = products
        super()._write()
        code.plain_products = None
        shown, _ = shown_by(chain(*code.blocks), products)
        told = 0
        for value in self.folded:
            told |= shown.get(value.name, 0)
        self.tells = bool(products) and told.bit_count() == len(products)
        doubt = code.constant(False, BOOL)
        for total in self.totals:
            doubt = code.or_(doubt, code.apply("fcmp uno", (total, total), BOOL))
        self.result = f"i1 {doubt.name}"

    def _across(self, reduce: Reduce, whole: list[Value]) -> Value:
        self.totals.append(super()._across(reduce, whole))
        return self.totals[-1]

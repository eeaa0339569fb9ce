"""Whether two traced values are the same whatever the arguments are, as ``x > 0`` written twice is.

Invariant: values that are said to be the same are; of equal ones computed in different ways nothing is said.
Start at ``same``.
"""

from __future__ import annotations

from staged_ad.ir import Atom, Literal
from staged_ad.tracing.trace import Trace
from staged_ad.tracing.tracer import Tracer

_Place = tuple[Trace, Atom]


def same(one: Tracer, other: Tracer) -> bool:
    """Whether both come from one value by equal equations; all primitives are pure."""
    pending: list[tuple[_Place, _Place]] = [((one.owner, one.atom), (other.owner, other.atom))]
    seen = set[tuple[Atom, Atom]]()
    while pending:
        (trace, first), (second_trace, second) = (_origin(*place) for place in pending.pop())
        if first is second or (first, second) in seen:
            continue
        seen.add((first, second))
        if isinstance(first, Literal) or isinstance(second, Literal):
            if not (isinstance(first, Literal) and isinstance(second, Literal) and first.key == second.key):
                return False
            continue
        made, again = trace.equation_of(first), second_trace.equation_of(second)
        if made is None or again is None or made.primitive is not again.primitive or made.params != again.params:
            return False
        if made.outputs.index(first) != again.outputs.index(second) or len(made.inputs) != len(again.inputs):
            return False
        pending += [((trace, a), (second_trace, b)) for a, b in zip(made.inputs, again.inputs, strict=True)]
    return True


def _origin(trace: Trace, atom: Atom) -> _Place:
    """Where a captured value comes from."""
    while True:
        outer = next((tracer for tracer, var in trace.captured.values() if var is atom), None)
        if outer is None:
            return trace, atom
        trace, atom = outer.owner, outer.atom

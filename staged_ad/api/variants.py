"""Variants: the compiled programs of one signature, which differ by what Python read of the arguments' values.

Invariant: a result is used only where every guard of its program held; two variants that agree on guards 0 to k - 1
have the same guard k, so that all of them form a tree. Start at ``Variants.first``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

from staged_ad.api.calling import Traced
from staged_ad.api.routes import Reader, make_builder
from staged_ad.ir import ArrayType, Program, Source
from staged_ad.native.failures import FAILED, raise_status
from staged_ad.tracing.source import location
from staged_ad.tracing.trees import unflatten
from staged_ad.transforms.call import CALL

if TYPE_CHECKING:
    from staged_ad.api.prepared import Prepared
    from staged_ad.cuda.compiled import DeviceCompiled
    from staged_ad.lowering.compiled import Compiled

LIMIT = 32
"""Variants kept for one signature; the least recently used one goes first."""
MANY = 8
"""Variants of one signature from which on the user is told what makes them."""

LONG = 20_000
"""Equations of a program from which on the user is told where they come from: compiling them takes seconds."""

_clock = count(1)


class Variant:
    """The machine code for one signature and one outcome of its guards, and the structure of its result.

    `donated` are the numbers of the arguments' leaves that results may take the memory of.
    """

    def __init__(self, traced: Traced, compiled: Compiled | DeviceCompiled, donated: frozenset[int]) -> None:
        self.traced = traced
        self.compiled = compiled
        self.donated = donated
        self.outcomes = traced.outcomes
        self.used = next(_clock)
        spec = traced.out_spec
        plain_tuple = spec.type is tuple and spec.num_leaves > 1 and all(c.is_leaf() for c in spec.children())
        self.plain_result = spec.is_leaf() or plain_tuple
        self._restored = False
        self._build: Callable[[Any], Any] | None = None

    def entry(self, kinds: tuple[type, ...]) -> Callable[..., Any]:
        """The native function for arguments of the given Python types."""
        return self.compiled.entry(kinds, self.donated)

    def failed_guard(self, status: int) -> int:
        """The number of the guard that a status means; raises for statuses that mean another failure."""
        if not 0 < status < FAILED:
            raise_status(status, self.compiled.failures)
        return status - 1

    def restore(self, result: Any) -> Any:
        """What the user gets for what the machine code returned."""
        if self.plain_result:
            return result
        if self._build is None:
            spec = self.traced.out_spec
            if not self._restored:  # many a function is called once, which is not worth code of its own
                self._restored = True
                return unflatten(spec, [result] if spec.num_leaves == 1 else result)
            self._build = make_builder(spec)
        return self._build(result)


class Variants:
    """All variants of one signature, whose leaves are of `types`.

    Only ``add`` changes the tuple `known`; callers hold a lock for it.
    """

    def __init__(self, types: Sequence[ArrayType]) -> None:
        self.types = types
        self.known: tuple[Variant, ...] = ()
        self._readers: list[Reader | None] = []

    def reader(self, prepared: Prepared) -> Reader | None:
        """What takes the leaves from calls like this one; None where there is no code for their structure."""
        if not self._readers:
            self._readers.append(prepared.reader())
        return self._readers[0]

    @property
    def used(self) -> int:
        """When one of them was used last, as far as is noted: routes go straight to machine code."""
        return max((variant.used for variant in self.known), default=0)

    def find(self, outcomes: tuple[bool | int, ...]) -> Variant | None:
        """The variant of exactly these guards."""
        return next((variant for variant in self.known if variant.outcomes == outcomes), None)

    def add(self, variant: Variant) -> None:
        """Let a variant join; beyond LIMIT, the one used longest ago goes."""
        kept = sorted(self.known, key=lambda v: v.used, reverse=True)[: LIMIT - 1]
        self.known = (variant, *kept)

    def first(
        self, attempt: Callable[[Variant], Any], tried: dict[Variant, int], among: Sequence[Variant] | None = None
    ) -> tuple[Variant, Any] | None:
        """The first variant whose guards hold, and its result; `tried` is filled with those that failed, and where.

        Each failure leaves the variants on the other side of the guard that failed, so that the search goes down
        the tree and runs at most one variant for each branch on the way.
        """
        candidates = self.known if among is None else among
        while candidates:
            variant = max(candidates, key=lambda v: v.used)
            result = attempt(variant)
            if type(result) is not int:
                variant.used = next(_clock)
                return variant, result
            tried[variant] = variant.failed_guard(result)
            candidates = rivals(candidates, variant, tried[variant])
        return None

    def most_varied(self) -> tuple[Source, type] | None:
        """The user's line whose guards split the tree most often, and whether they are of bool or int."""
        # sorted, neighbours part where the tree splits: n children of a node make n - 1 such places
        ordered = sorted(self.known, key=lambda variant: variant.outcomes)
        places: Counter[tuple[Source, type]] = Counter()
        for one, other in pairwise(ordered):
            parted = (
                guard for guard, a, b in zip(one.traced.guards, one.outcomes, other.outcomes, strict=False) if a != b
            )
            guard = next(parted, None)
            if guard is not None and guard.source is not None:
                places[guard.source, type(guard.expected)] += 1
        return places.most_common(1)[0][0] if places else None


def rivals(variants: Iterable[Variant], failed: Variant, number: int) -> list[Variant]:
    """The variants that agree with `failed` before guard `number` and expect another outcome of it."""
    before, outcome = failed.outcomes[:number], failed.outcomes[number : number + 1]
    return [
        v for v in variants if v.outcomes[:number] == before and v.outcomes[number : number + 1] not in ((), outcome)
    ]


def unrolled(name: str, program: Program) -> tuple[Source, str] | None:
    """The user's line that made most equations of a long program, and the text of the warning; None for others."""
    places: Counter[Source | None] = Counter()
    total = _count(program, places)
    source, number = places.most_common(1)[0] if total > LONG else (None, 0)
    if not isinstance(source, Source):
        return None
    return source, (
        f"{name} is a program of {total} operations, {number} of them made at {location(source)}, so that compiling it "
        "takes seconds. Where Python's loops were unrolled, staged_ad.scan, fori_loop and while_loop compile one step; "
        "where a function is called for many items, vmap compiles one call"
    )


def _count(program: Program, places: Counter[Source | None]) -> int:
    """The equations of a program, those of programs that it calls among them, counted by their places."""
    total = len(program.equations)
    for equation in program.equations:
        places[equation.source] += 1
        if equation.primitive is CALL:
            total += _count(equation.params["program"], places)
    return total


def advice(name: str, source: Source, kind: type, number: int) -> str:
    """The text of the warning that a function has many variants."""
    if kind is bool:
        what = "the outcome of a comparison"
        instead = (
            "np.where or staged_ad.cond instead of `if`, and staged_ad.while_loop instead of `while`, compile once for "
            "all values"
        )
    else:
        what = "an integer"
        instead = (
            "staged_ad.fori_loop instead of `for k in range(n)` compiles once for all values; an integer that takes "
            "few values is better a static argument: jit(f, static_argnums=...)"
        )
    return (
        f"{name} has been compiled {number} times for arguments of the same types, because {what} read at "
        f"{location(source)}, differs from call to call; the {LIMIT} paths used last are kept. {instead}"
    )

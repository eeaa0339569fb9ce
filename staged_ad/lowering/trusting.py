"""Bodies that compute strong products as plain ones first, and once more with their masks only where that may differ.

Zero times an infinity or a NaN is NaN, and sums, products, quotients and roots of a NaN are NaN again. So a few values
at the end of a body, the witnesses, tell whether any of its products would have needed a mask.

Invariant: where no witness is NaN, no product was; then the results of both bodies are equal.
Start at ``trusting``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from staged_ad.lowering.code import Code
from staged_ad.lowering.regions import Apply, Guarded, Load, Nest, Node, OfIndex, Times
from staged_ad.lowering.values import Instruction, Value

LONGEST = 500
"""Nodes up to which a body may be written twice."""
_KEEP_NAN = ("fadd ", "fsub ", "fmul ", "fdiv ", "fneg ", "call double @llvm.sqrt", "call float @llvm.sqrt")
_RARE = '!0 = !{!"branch_weights", i32 1, i32 4000}'


def may_trust(nest: Nest) -> bool:
    """Whether all places in a nest are known before its values are: what was loaded is then loaded once."""
    indices = [store.address for store in nest.stores]
    for node in nest.nodes:
        match node:
            case Load():
                indices += [node.address, *(affine for affine, _ in node.guard)]
            case Guarded():
                indices += [affine for affine, _ in node.guard]
            case OfIndex():
                indices += node.index
    return len(nest.nodes) <= LONGEST and not any(affine.nodes for affine in indices)


def trusting(code: Code, nest: Nest, emit: Callable[[Node, list[Value]], Value]) -> tuple[list[Value], bool]:
    """The value of every node of a body without loops, and whether the body branches.

    Of nodes that only others read it is the plain one.
    """
    body, nodes = code.blocks[0], nest.nodes
    products: list[str] = []
    code.plain_products = products
    values: list[Value] = []
    doubtful: set[int] = set()
    for number, node in enumerate(nodes):
        before = len(products)
        values.append(emit(node, values))
        if len(products) > before or not doubtful.isdisjoint(_operands(node)):
            doubtful.add(number)
    code.plain_products = None
    if not products:
        return values, False
    _branch(code, _witnesses(body, products))
    careful = list(values)
    for number in sorted(doubtful):
        careful[number] = emit(nodes[number], careful)
    code.effect("br label %sure", (), 0)
    code.effect("sure:", (), 0)
    ends = {store.node for store in nest.stores} | {reduce.node for reduce in nest.reduces}
    for number in sorted(ends & doubtful):
        values[number] = _either(code, values[number], careful[number])
    return values, True


def _either(code: Code, plain: Value, careful: Value) -> Value:
    text = f"phi {plain.type} [ {plain.name}, %entry ], [ {careful.name}, %careful ]"
    return plain._replace(name=code.write(text, plain.type, (plain, careful), 0))


def _operands(node: Node) -> tuple[int, ...]:
    match node:
        case Apply():
            return node.operands
        case Times():
            return node.left, node.right
        case Guarded():
            return (node.operand,)
        case _:
            return ()


def _branch(code: Code, witnesses: Sequence[tuple[str, str]]) -> None:
    """Go on at ``careful`` where a witness (register, type) is NaN, else at ``sure``."""
    code.externals.helpers.setdefault("!0", _RARE)
    doubt = ""
    while witnesses:
        (a, type), *witnesses = witnesses
        b = next((name for name, other in witnesses if other == type), a)
        witnesses = [pair for pair in witnesses if pair[0] != b]
        nan = code.write(f"fcmp uno {type} {a}, {b}", "i1", (a, b), 0)
        doubt = code.write(f"or i1 {doubt}, {nan}", "i1", (doubt, nan), 0) if doubt else nan
    code.effect(f"br i1 {doubt}, label %careful, label %sure, !prof !0", (doubt,), 0)
    code.effect("careful:", (), 0)


def shown_by(body: Iterable[Instruction], products: Sequence[str]) -> tuple[dict[str, int], dict[str, str]]:
    """The products whose NaN each register would be, as bits; and the types of these registers."""
    bits = {name: 1 << k for k, name in enumerate(products)}
    shown: dict[str, int] = {}
    types: dict[str, str] = {}
    for made in body:
        found = bits.get(made.result, 0)
        if made.text.partition(" = ")[2].startswith(_KEEP_NAN):
            for use in made.uses:
                found |= shown.get(use, 0)
        if found:
            shown[made.result], types[made.result] = found, made.type
    return shown, types


def _witnesses(body: Sequence[Instruction], products: Sequence[str]) -> list[tuple[str, str]]:
    """Few registers, with their types, of which one is NaN where one of `products` is."""
    shown, types = shown_by(body, products)
    left = (1 << len(products)) - 1
    chosen = []
    while left:
        best = max(shown, key=lambda name: (shown[name] & left).bit_count())
        left &= ~shown[best]
        chosen.append((best, types[best]))
    return chosen

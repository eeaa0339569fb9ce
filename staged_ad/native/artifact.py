"""What compilation leaves of a program, and its form on disk: object code and what is needed to call it.

Invariant: what is decoded is what was encoded, for a program of the same identity; data of the user's that the program
holds as constants is not part of it. Start at ``Artifact``.
"""

from __future__ import annotations

import importlib
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from staged_ad.ir import Source
from staged_ad.native.failures import Failure
from staged_ad.native.identity import Identity, content_of

INLINE: Final = 1 << 20
"""Bytes of constants, computed while compiling, up to which they are kept with the code."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Artifact:
    """Object code, and what calls it.

    names
        What it calls, to be found in each process.
    constants
        The arrays between inputs and outputs among its slots.
    workspace
        Bytes of working memory.
    slow
        Whether it may run for long, so that other threads of Python should run meanwhile.
    failures
        The exceptions that statuses from ``FAILED`` on stand for.
    successions
        Pairs of an output and an input whose memory it may take.
    local
        Addresses that only this process knows; with these, it is of no use to another one.
    """

    code: bytes = field(repr=False)
    names: Sequence[str]
    constants: list[Array]
    workspace: int
    slow: bool
    failures: list[Failure]
    successions: list[tuple[int, int]]
    local: Mapping[str, int] = field(default_factory=dict)


def encode(artifact: Artifact, identity: Identity) -> bytes | None:
    """The form on disk; None where there is none."""
    if artifact.local:
        return None
    tail: list[bytes] = [artifact.code]
    constants = _encoded_constants(artifact.constants, identity, tail)
    failures = [_encoded_failure(failure, identity) for failure in artifact.failures]
    if constants is None or None in failures:
        return None
    head = {
        "names": artifact.names,
        "constants": constants,
        "workspace": artifact.workspace,
        "slow": artifact.slow,
        "failures": failures,
        "successions": artifact.successions,
        "sizes": [len(part) for part in tail],
    }
    text = marshal.dumps(head, 2)
    return b"".join([len(text).to_bytes(8, "little"), text, *tail])


def decode(content: bytes, identity: Identity) -> Artifact:
    start = 8 + int.from_bytes(content[:8], "little")
    head = marshal.loads(content[8:start])
    tail = []
    for size in head["sizes"]:
        tail.append(content[start : start + size])
        start += size
    constants = [_decoded_constant(row, identity, tail) for row in head["constants"]]
    failures = [_decoded_failure(row, identity) for row in head["failures"]]
    workspace, slow, successions = head["workspace"], head["slow"], head["successions"]
    return Artifact(tail[0], head["names"], constants, workspace, slow, failures, successions)


# -- constants: those of the program by their number, others by their bytes -------------------------------------------


def _encoded_constants(constants: Sequence[Array], identity: Identity, tail: list[bytes]) -> list[Any] | None:
    known = {content_of(value): number for number, value in enumerate(identity.constants)}
    rows: list[Any] = []
    for constant in constants:
        number = known.get(content_of(constant))
        if number is not None:
            rows.append({"number": number})
            continue
        flat = constant.reshape(-1)
        words = flat.view(np.uint8).reshape(flat.size, flat.itemsize)
        filled = flat.size > 0 and bool((words == words[0]).all())
        rows.append({"dtype": constant.dtype.str, "shape": constant.shape, "part": len(tail), "filled": filled})
        tail.append(words[0].tobytes() if filled else constant.tobytes())
    return rows if sum(map(len, tail[1:])) <= INLINE else None


def _decoded_constant(row: Any, identity: Identity, tail: Sequence[bytes]) -> Array:
    if "number" in row:
        return np.asarray(identity.constants[row["number"]], order="C")
    stored = np.frombuffer(tail[row["part"]], row["dtype"])
    if row["filled"]:
        return np.full(row["shape"], stored[0])
    return np.array(stored.reshape(row["shape"]))  # aligned


# -- failures: exceptions by name, the user's lines by their number ---------------------------------------------------


def _encoded_failure(failure: Failure, identity: Identity) -> Any:
    arguments = [_encoded_argument(argument, identity) for argument in failure.arguments]
    make = _encoded_argument(failure.make, identity)
    return None if make is None or None in arguments else [make, failure.reads, *arguments]


def _encoded_argument(value: Any, identity: Identity) -> Any:
    if isinstance(value, Source):
        return {"line": identity.sources.index(value)} if value in identity.sources else None
    if isinstance(value, str | int):
        return value
    name = f"{getattr(value, '__module__', '')}:{getattr(value, '__qualname__', '')}"
    return {"name": name} if _named(name) is value else None


def _decoded_failure(row: Sequence[Any], identity: Identity) -> Failure:
    make, reads, *arguments = [_decoded_argument(value, identity) for value in row]
    return Failure(make, tuple(arguments), reads)


def _decoded_argument(value: Any, identity: Identity) -> Any:
    match value:
        case {"line": number}:
            return identity.sources[number]
        case {"name": name}:
            return _named(name)
        case _:
            return value


def _named(name: str) -> Any:
    """What a module calls so, as ``numpy.linalg:LinAlgError``; None where there is no such thing."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute, None) if module and attribute else None

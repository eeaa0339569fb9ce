"""The machine code of a program: from the disk where an earlier process has compiled it, else compiled, and kept there.

Invariant: whichever way it comes, it is the same code, linked with the addresses of this process.
Start at ``machine_code``.
"""

from __future__ import annotations

from dataclasses import dataclass

from staged_ad.ir import Program
from staged_ad.native import disk
from staged_ad.native.artifact import Artifact, decode, encode
from staged_ad.native.identity import Identity, identity
from staged_ad.native.linking import NativeCode, load_object
from staged_ad.native.objects import disk_key
from staged_ad.native.once import LOCK
from staged_ad.native.symbols import addresses


@dataclass(frozen=True)
class MachineCode:
    """Code that can be called, and what calls it."""

    native: NativeCode
    artifact: Artifact


def machine_code(program: Program, precise: bool) -> MachineCode:
    """The code of a traced program."""
    with LOCK:
        known = identity(program) if disk.enabled() else None
        key = disk_key("program", known.digest, str(precise)) if known is not None else None
        if known is None or key is None:
            return _linked(_compiled(program, precise))
        found = _stored(key, known)
        if found is not None:
            return found
        artifact = _compiled(program, precise)
        made = _linked(artifact)  # what cannot be linked is not kept
        content = encode(artifact, known)
        if content is not None:
            disk.write(key, content)
        return made


def _stored(key: str, known: Identity) -> MachineCode | None:
    content = disk.read(key)
    if content is None:
        return None
    try:
        return _linked(decode(content, known))
    except RuntimeError:  # a library has lost a function since
        return None


def _compiled(program: Program, precise: bool) -> Artifact:
    from staged_ad.lowering.compiling import compiled_artifact  # all of the compiler, which stored code does without

    return compiled_artifact(program, precise)


def _linked(artifact: Artifact) -> MachineCode:
    return MachineCode(load_object(artifact.code, {**addresses(artifact.names), **artifact.local}), artifact)

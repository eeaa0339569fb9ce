"""Code that every program shares, kept on disk by its name: the entry, the thread pool's region, matrix products.

Invariant: the texts depend on their names, this package's sources and the processor alone; what they need of a process
are symbols. Start at ``shared_code``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from staged_ad.ir.digests import blake2b
from staged_ad.native import disk, llvm
from staged_ad.native.environment import environment
from staged_ad.native.linking import NativeCode, load_object


def shared_code(name: str, text: Callable[[], str], symbols: Mapping[str, int]) -> NativeCode:
    """The machine code of ``header() + text()``, which is asked for only where it is not on disk."""
    key = disk_key("code", name)
    code = disk.read(key) if key else None
    if code is None:
        code = llvm.object_code(llvm.header() + text())
        if key:
            disk.write(key, code)
    return load_object(code, symbols)


def disk_key(*parts: str) -> str | None:
    """The name of the entry for something that these texts and the environment determine; None where none are kept."""
    if not disk.enabled():
        return None
    digest = blake2b(size=20)
    for part in (environment(), *parts):
        digest.update(b"%d " % len(part))
        digest.update(part.encode())
    return digest.hexdigest()

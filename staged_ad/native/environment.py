"""What machine code depends on besides its program: this package, the libraries, Python and the processor.

Nothing is imported to find out: code from the cache needs neither llvmlite nor Numba nor SciPy.

Invariant: two processes with the same text may run each other's machine code.
Start at ``environment``.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import struct
import sys
from collections.abc import Iterator
from typing import Final

import numpy as np

from staged_ad.native.once import once

_VERSIONS: Final = {"llvmlite": "_version.py", "numba": "_version.py", "scipy": "version.py"}
"""The file in which each of these packages says its version."""
_PROCESSOR: Final = re.compile(
    "vendor_id|cpu family|model|model name|stepping|flags|CPU implementer|CPU architecture|CPU variant|CPU part|"
    "CPU revision|Features|isa|uarch"
)
"""What /proc/cpuinfo says that decides which instructions there are: on x86, AArch64, RISC-V."""
_PACKAGE: Final = os.path.dirname(os.path.dirname(__file__))


@once
def environment() -> str:
    """One text, to be part of every key."""
    python = f"{sys.implementation.cache_tag} {sys.version} {struct.calcsize('P')} {sys.platform} {platform.machine()}"
    libraries = [f"numpy {np.__version__}", *(f"{name} {_version(name, file)}" for name, file in _VERSIONS.items())]
    return "\n".join([python, *libraries, processor(), *_sources(_PACKAGE)])


def processor() -> str:
    """The processor: every feature that code generation may use."""
    try:
        with open("/proc/cpuinfo", "rb") as file:
            first = file.read(8192).decode("ascii", "replace").partition("\n\n")[0]
    except OSError:
        from staged_ad.native import llvm  # elsewhere LLVM has to say it, which takes long to load

        return llvm.processor()
    fields = (line.partition(":") for line in first.splitlines())
    return "\n".join(
        f"{name.strip()}: {value.strip()}" for name, _, value in fields if _PROCESSOR.fullmatch(name.strip())
    )


def _version(package: str, file: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return "not installed"
    try:
        with open(os.path.join(os.path.dirname(spec.origin), file), "rb") as found:
            return str(found.read())
    except OSError:
        return spec.origin + _stamp(os.stat(spec.origin))


def _sources(folder: str) -> Iterator[str]:
    """The files of this package, so that a change of any of them is another package."""
    pending = [folder]
    while pending:
        place = pending.pop()
        with os.scandir(place) as files:
            for file in sorted(files, key=lambda file: file.name):
                if file.name.endswith(".py"):
                    yield file.path + _stamp(file.stat())
                elif "." not in file.name and file.name != "__pycache__" and file.is_dir():
                    pending.append(file.path)


def _stamp(found: os.stat_result) -> str:
    return f" {found.st_size} {found.st_mtime_ns}"

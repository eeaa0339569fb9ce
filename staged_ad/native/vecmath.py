"""Where the machine code of mathematical functions is: libmvec by vector, libm by element, scipy.special.

Invariant: an address is given only for a symbol that this CPU and C library really have; it never changes.
Start at `vector_function`; the error bound of everything it returns is `ULP_BOUND`.
"""

from __future__ import annotations

import ctypes
import importlib
import platform
from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from staged_ad.native import llvm
from staged_ad.native.linking import ENTRY, NativeCode
from staged_ad.native.objects import shared_code
from staged_ad.native.once import once
from staged_ad.tracing.libraries import scipy_special

Item = Literal["float", "double"]
Symbol = tuple[str, int]

ULP_BOUND: Final = 4
"""libmvec's bound for every function and width, edges and subnormal numbers included."""

_ITEM_BYTES: Final[Mapping[str, int]] = {"float": 4, "double": 8}
_BINARY: Final = frozenset({"atan2", "hypot", "pow"})

# glibc's letters of the vector ABI: 16 bytes (SSE4), 32 bytes (AVX2), 64 bytes (AVX-512).
_LETTER: Final[Mapping[int, tuple[str, str]]] = {16: ("b", "sse4.1"), 32: ("d", "avx2"), 64: ("e", "avx512f")}


@once
def vector_function(name: str, item: Item, lanes: int) -> Symbol | None:
    """Symbol and address of `name` on `lanes` elements at once, or None where libmvec has no such function."""
    letter, feature = _LETTER.get(lanes * _ITEM_BYTES[item], ("", ""))
    library = _libmvec()
    if library is None or not letter or not llvm.has_feature(feature):
        return None
    arguments = "vv" if name in _BINARY else "v"
    symbol = f"_ZGV{letter}N{lanes}{arguments}_{_c_name(name, item)}"
    return _lookup(library, symbol)


@once
def scalar_function(name: str, item: Item) -> Symbol | None:
    """Symbol and address of a libm function (``sin``, ``lgamma``, ``hypot``, ...) on one element."""
    return _lookup(_libm(), _c_name(name, item))


@once
def special_function(name: str, item: Item, result: int = 0) -> Symbol | None:
    """Symbol and address of a real `scipy.special` ufunc as a C function of scalars, or None.

    ``psi(x)`` and ``zeta(x, q)`` (polygamma), ``ndtri(p)``, ``betainc(a, b, x)``, ... The code is the
    ufunc's own inner loop, so results are those of SciPy to the last bit. Of several results it gives one.
    """
    # scipy.special.zeta is a Python function around the ufunc _zeta.
    ufunc = getattr(scipy_special, name, None)
    if not isinstance(ufunc, np.ufunc):
        ufunc = getattr(scipy_special._ufuncs, "_" + name, None)
    loop = _inner_loop(ufunc, item) if isinstance(ufunc, np.ufunc) else None
    if ufunc is None or loop is None:
        return None
    symbol = f"special.{name}.{item}.{result}"
    function, data = loop
    symbols = {"loop": function, "data": data}
    code = shared_code(symbol, lambda: _call_of_loop(item, ufunc.nin, ufunc.nout, result, bool(data)), symbols)
    _kept.append(code)
    return symbol, code.address


def special_address(symbol: str) -> int | None:
    """The address of what `special_function` names: ``psi.double.0``."""
    name, item, result = symbol.split(".")
    found = special_function(name, "float" if item == "float" else "double", int(result))
    return found and found[1]


def library_address(symbol: str) -> int | None:
    """The address of a function of libmvec or libm by its name there."""
    library = _libmvec() if symbol.startswith("_ZGV") else _libm()
    found = _lookup(library, symbol) if library is not None else None
    return found and found[1]


_kept: Final[list[NativeCode]] = []


class _UFuncObject(ctypes.Structure):
    # numpy/ufuncobject.h: public, and part of NumPy's stable ABI.
    _fields_ = (
        ("refcount", ctypes.c_ssize_t),
        ("type", ctypes.c_void_p),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
    )


def ufunc_loop(ufunc: np.ufunc, types: str) -> tuple[int, int]:
    """Addresses of the inner loop of a ufunc for types such as ``dd->d``, and of the data that it is called with."""
    fields = _UFuncObject.from_address(id(ufunc))
    k = ufunc.types.index(types)
    return fields.functions[k] or 0, (fields.data[k] or 0) if fields.data else 0


def ufunc_symbol(module: str, name: str, types: str) -> str:
    """What machine code calls the inner loop of a ufunc: ``ufunc.numpy.fft._pocketfft_umath.fft.DD.D``."""
    return f"ufunc.{module}.{name}.{types.replace('->', '.')}"


def ufunc_address(symbol: str) -> int | None:
    """The address of the loop that is named so, without ``ufunc.``; or, with ``.data`` at the end, that of its data."""
    wants_data = symbol.endswith(".data")
    module, name, operands, results = symbol.removesuffix(".data").rsplit(".", 3)
    function, data = ufunc_loop(getattr(importlib.import_module(module), name), f"{operands}->{results}")
    return data if wants_data else function


def _inner_loop(ufunc: np.ufunc, item: Item) -> tuple[int, int] | None:
    kind = "f" if item == "float" else "d"
    wanted = f"{kind * ufunc.nin}->{kind * ufunc.nout}"
    return ufunc_loop(ufunc, wanted) if wanted in ufunc.types else None


def _call_of_loop(item: Item, count: int, results: int, result: int, with_data: bool) -> str:
    total = count + results
    parameters = ", ".join(f"{item} %x{k}" for k in range(count))
    lines = [
        f"define {item} @{ENTRY}({parameters}) nounwind {{",
        f"  %values = alloca [{total} x {item}]",
        f"  %pointers = alloca [{total} x ptr]",
        f"  %strides = alloca [{total} x i64]",
        "  %size = alloca i64",
        "  store i64 1, ptr %size",
        f"  call void @llvm.memset.p0.i64(ptr %strides, i8 0, i64 {8 * total}, i1 false)",
    ]
    for k in range(total):
        lines.append(f"  %v{k} = getelementptr {item}, ptr %values, i64 {k}")
        lines.append(f"  %p{k} = getelementptr ptr, ptr %pointers, i64 {k}")
        lines.append(f"  store ptr %v{k}, ptr %p{k}")
        if k < count:
            lines.append(f"  store {item} %x{k}, ptr %v{k}")
    lines += [
        f"  call void @loop(ptr %pointers, ptr %size, ptr %strides, ptr {'@data' if with_data else 'null'})",
        f"  %result = load {item}, ptr %v{count + result}",
        f"  ret {item} %result",
        "}",
        "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
        "declare void @loop(ptr, ptr, ptr, ptr)",
        "@data = external global i8\n",
    ]
    return "\n".join(lines)


def _c_name(name: str, item: Item) -> str:
    return name + "f" if item == "float" else name


def _lookup(library: ctypes.CDLL, symbol: str) -> Symbol | None:
    try:
        address = ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
    except AttributeError:
        return None
    return (symbol, address) if address else None


@once
def _libmvec() -> ctypes.CDLL | None:
    # AArch64's libmvec has other names and another calling convention.
    if platform.machine() not in ("x86_64", "AMD64"):
        return None
    try:
        return ctypes.CDLL("libmvec.so.1")
    except OSError:
        return None


@once
def _libm() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libm.so.6")
    except OSError:  # musl and macOS keep libm in the C library
        return ctypes.CDLL(None)

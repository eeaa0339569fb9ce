"""Object code in, a function in memory out: what a linker does, without LLVM, so that stored code loads at once.

Object files of x86-64 ELF with the relocations that the large code model leaves are placed here; all others are given
to llvmlite's LLJIT.

Invariant: machine code lives exactly as long as the `NativeCode` that owns it, and is never writable while executable.
Start at ``load_object``.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from staged_ad.native.once import LOCK, once

ENTRY: Final = "body"
"""Name of the one exported function: ``i64 body(ptr slots)``."""


@dataclass(frozen=True, eq=False)
class NativeCode:
    """Machine code of one module; dropped code is freed, so keep this object while `address` is in use."""

    address: int
    _memory: Any = field(repr=False)


class UnsupportedObjectError(Exception):
    """An object file that only LLVM can link."""


def load_object(code: bytes, symbols: Mapping[str, int]) -> NativeCode:
    """Link object code of this machine.

    Parameters
    ----------
    symbols
        Addresses of external functions and variables by name. Names that the code does not use cost nothing. Of others
        the C library of the process is asked, since code generation may call it by itself: memset for a zeroing loop,
        fmod for frem.

    Raises
    ------
    RuntimeError
        When a symbol has no address.
    """
    with LOCK:
        try:
            return _placed(_Object(code), symbols)
        except UnsupportedObjectError:
            from staged_ad.native import llvm  # it needs llvmlite, which code that is placed here does not

            return llvm.link(code, symbols)


def address_of(name: str) -> int | None:
    """Address of a C symbol already loaded in this process, or None."""
    try:
        return ctypes.cast(getattr(_process(), name), ctypes.c_void_p).value
    except AttributeError:
        return None


@once
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


# -- the format (System V ABI, AMD64 supplement) ----------------------------------------------------------------------

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_RELOCATION: Final = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
_MAGIC: Final = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian
_RELOCATABLE, _X86_64 = 1, 62
_RELA, _NOBITS, _SYMTAB, _REL = 4, 8, 2, 9
_WRITE, _ALLOC, _THREAD_LOCAL = 1, 2, 0x400
_UNDEFINED, _ABSOLUTE, _RESERVED = 0, 0xFFF1, 0xFF00
_R_64, _R_PC32, _R_PLT32, _R_PC64 = 1, 2, 4, 24


class _Section(NamedTuple):
    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


class _Object:
    """The tables of an object file."""

    def __init__(self, code: bytes) -> None:
        self.code = code
        if code[:7] != _MAGIC:
            raise UnsupportedObjectError
        header = _HEADER.unpack_from(code)
        if header[1] != _RELOCATABLE or header[2] != _X86_64:
            raise UnsupportedObjectError
        table, count = header[6], header[12]
        self.sections = [_Section(*_SECTION.unpack_from(code, table + k * _SECTION.size)) for k in range(count)]
        names = self.sections[header[13]]
        # nobody unwinds through this code: its tables are left out
        self.kept = [
            k
            for k, section in enumerate(self.sections)
            if section.flags & _ALLOC and section.size and self.text(names, section.name) != ".eh_frame"
        ]
        kept = [self.sections[k] for k in self.kept]
        strange = any(section.flags & _THREAD_LOCAL or section.align > mmap.PAGESIZE for section in kept)
        if strange or any(section.type == _REL for section in self.sections):
            raise UnsupportedObjectError

    def text(self, table: _Section, at: int) -> str:
        """A name of a string table."""
        start = table.offset + at
        return self.code[start : self.code.index(b"\0", start)].decode()

    def layout(self) -> tuple[dict[int, int], int, int]:
        """Offsets of the sections, where those that are written to begin, and the size of all."""
        places: dict[int, int] = {}
        end = split = 0
        for writable in (0, _WRITE):
            for k in self.kept:
                section = self.sections[k]
                if section.flags & _WRITE == writable:
                    end = places[k] = _above(end, max(1, section.align))
                    end += section.size
            end = _above(end, mmap.PAGESIZE)
            split = split if writable else end
        return places, split, end


def _above(value: int, step: int) -> int:
    return -(-value // step) * step


def _placed(file: _Object, symbols: Mapping[str, int]) -> NativeCode:
    places, split, size = file.layout()
    memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for k, place in places.items():
        section = file.sections[k]
        if section.type != _NOBITS:
            memory[place : place + section.size] = file.code[section.offset : section.offset + section.size]
    values, entry = _symbol_values(file, places, base, symbols)
    image = np.frombuffer(memory, np.uint8)
    for section in file.sections:
        if section.type == _RELA and section.info in places:
            found = np.frombuffer(file.code, _RELOCATION, section.size // _RELOCATION.itemsize, section.offset)
            _relocate(image, base, places[section.info], found, values)
    del image
    if split and _process().mprotect(ctypes.c_void_p(base), ctypes.c_size_t(split), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "memory cannot be made executable")
    return NativeCode(entry, memory)


def _symbol_values(
    file: _Object, places: Mapping[int, int], base: int, symbols: Mapping[str, int]
) -> tuple[np.ndarray[Any, Any], int]:
    """The address of every symbol, and that of the exported function."""
    table = next(section for section in file.sections if section.type == _SYMTAB)
    names = file.sections[table.link]
    values: list[int] = []
    missing: list[str] = []
    entry = 0
    for k in range(table.size // _SYMBOL.size):
        name, info, _, section, value, _ = _SYMBOL.unpack_from(file.code, table.offset + k * _SYMBOL.size)
        if section == _UNDEFINED and k:
            text = file.text(names, name)
            address = symbols[text] if text in symbols else address_of(text)
            if address is None:
                missing.append(text)
            values.append(address or 0)
            continue
        if section >= _RESERVED and section != _ABSOLUTE:
            raise UnsupportedObjectError
        values.append(base + places[section] + value if section in places else value)
        if info >> 4 and section in places and file.text(names, name) == ENTRY:
            entry = values[-1]
    if missing:
        raise RuntimeError(f"functions without an address: {missing}")
    return np.array(values, np.uint64), entry


def _relocate(image: Any, base: int, place: int, relocations: Any, values: Any) -> None:
    """Write the addresses that a section asks for."""
    kinds = relocations["type"]
    offsets = relocations["offset"] + np.uint64(place)
    targets = values[relocations["symbol"]] + relocations["addend"].astype(np.uint64)
    relative = (kinds == _R_PC64) | (kinds == _R_PC32) | (kinds == _R_PLT32)
    if not np.all(relative | (kinds == _R_64)):
        raise UnsupportedObjectError
    targets = np.where(relative, targets - (offsets + np.uint64(base)), targets)
    short = relative & (kinds != _R_PC64)
    distances = targets[short].view(np.int64)
    if np.any(distances != distances.astype(np.int32)):
        raise UnsupportedObjectError
    for chosen, width in ((~short, 8), (short, 4)):
        at = offsets[chosen].astype(np.int64)[:, None] + np.arange(width)
        image[at] = targets[chosen].astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width]

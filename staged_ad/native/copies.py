"""Copies of shared libraries in the directory of the cache, so that no process has to copy them into memory.

Comparing or hashing a library takes as long as copying it. So a copy is flushed to disk when it is made, and an entry
of the cache notes its inode and its times: whatever writes to the file afterwards, or replaces it, changes these.

A copy has no name (`_forget_name`): whoever asks for the library later must get the library, and not its copy.

Invariant: a copy is used only if nothing has touched it since it was made from the very file that is asked for.
Start at ``copied``.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import Final

from staged_ad.native import disk
from staged_ad.native.objects import disk_key

SHARE = 4
"""A copy takes at most the limit of the cache divided by this."""


def copied(source: str) -> int | None:
    """A handle of a file with the content of `source` and an inode of its own; None where none can be kept."""
    found = os.stat(source)
    key = disk_key("copy", source, str(found.st_size), str(found.st_mtime_ns))
    if key is None or not os.path.isdir("/proc/self/fd") or found.st_size * SHARE > disk.cache_limit():
        return None
    name = key + disk.LIBRARY
    with disk.opened(create=True) as folder:
        if folder is None:
            return None
        handle = _open(folder, name)
        if handle is not None:
            if disk.read(key) == _identity(handle):
                return handle
            os.close(handle)
        try:
            with open(source, "rb") as file:
                content = bytearray(file.read())
            _forget_name(content)
            disk.put(folder, name, content, durable=True)
        except OSError as error:
            disk.warn(f"{os.path.basename(source)} cannot be copied to {disk.cache_directory()}: {error.strerror}")
            return None
        handle = _open(folder, name)
        if handle is not None:
            disk.write(key, _identity(handle))
            for entry in disk.listed(folder):
                if entry.name.endswith(disk.LIBRARY) and entry.name != name:
                    os.unlink(entry.name, dir_fd=folder)
        return handle


def in_memory(source: str) -> int:
    """A handle of a copy that is in no directory."""
    handle = os.memfd_create("staged_ad_library")
    try:
        with open(source, "rb") as file:
            done, size = 0, os.fstat(file.fileno()).st_size
            while done < size:
                done += os.sendfile(handle, file.fileno(), done, size - done)
        with mmap.mmap(handle, size) as content:
            _forget_name(content)
    except BaseException:
        os.close(handle)
        raise
    return handle


# -- the format (System V ABI, chapters 4 and 5) ----------------------------------------------------------------------

_MAGIC: Final = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_ENTRY: Final = struct.Struct("<qQ")
_DYNAMIC: Final = 2
_NAME, _FINDS_ITS_OWN = 14, 16  # DT_SONAME, and DT_SYMBOLIC, which has no value


def _forget_name(library: bytearray | mmap.mmap) -> None:
    """Let the loader give a shared library to nobody who asks for it by name, and find its own names in it first.

    It does anyway, its functions being protected, but only after a search through all other libraries.
    """
    if library[: len(_MAGIC)] != _MAGIC:
        return
    table, count = struct.unpack_from("<Q", library, 32)[0], struct.unpack_from("<H", library, 56)[0]
    for kind, _, start, _, _, size, _, _ in _SEGMENT.iter_unpack(library[table : table + count * _SEGMENT.size]):
        if kind == _DYNAMIC:
            for at in range(start, start + size, _ENTRY.size):
                if _ENTRY.unpack_from(library, at)[0] == _NAME:
                    _ENTRY.pack_into(library, at, _FINDS_ITS_OWN, 0)


def _open(folder: int, name: str) -> int | None:
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    if disk.owned(handle):
        return handle
    os.close(handle)
    return None


def _identity(handle: int) -> bytes:
    found = os.fstat(handle)
    return repr((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)).encode()

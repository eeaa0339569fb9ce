"""The directory where compiled code is kept from process to process.

Each entry is a file of its own: a digest, and the content that it is the digest of. It is written under another name
and renamed when it is complete, so that processes need no locks: a reader finds a whole entry or none.

Invariant: nothing is read from, or written to, a directory or a file that another user could have written; content
whose digest is wrong is deleted and never used. Start at ``read`` and ``write``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
import warnings
from collections.abc import Iterator
from typing import Final, NamedTuple

from staged_ad.errors import ArgumentError, CacheWarning
from staged_ad.ir.digests import blake2b

DEFAULT_LIMIT: Final = 512 << 20
SUFFIX, LIBRARY, _PARTIAL = ".entry", ".so", ".partial"
_STALE: Final = 3600.0
"""Seconds after which an unfinished file was left by a process that died."""
_TOUCHED: Final = 60.0
"""Seconds within which a second use of an entry is not noted."""
_DIGEST: Final = 32
_POSSIBLE: Final = hasattr(os, "geteuid") and os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")


class _Settings:
    """What ``configure_cache`` sets, and what this process knows of the directory."""

    def __init__(self) -> None:
        self.directory: str | None = None
        self.limit: int | None = None
        self.enabled: bool | None = None
        self.warned = False
        self.written = -1  # bytes in the directory as far as known, or -1


_settings = _Settings()


def configure_cache(
    directory: str | os.PathLike[str] | None = None, *, limit: int | None = None, enabled: bool | None = None
) -> None:
    """Say where compiled code is kept between processes, and how much of it; what is not given stays as it is.

    Parameters
    ----------
    directory
        A directory that belongs to the user and that nobody else can write to; it is made where there is none. At the
        start ``$STAGED_AD_CACHE_DIR``, else ``$XDG_CACHE_HOME/staged_ad``, else ``~/.cache/staged_ad``.
    limit
        Bytes; beyond it, the entries used longest ago are deleted. At the start ``$STAGED_AD_CACHE_LIMIT``, else
        512 MB.
    enabled
        Whether there is such a cache at all. At the start it is, unless ``STAGED_AD_CACHE=0`` in the environment.

    Raises
    ------
    ArgumentError
        `limit` is not a positive number of bytes.

    Examples
    --------
    >>> import staged_ad as sad
    >>> sad.configure_cache(limit=100_000_000)
    """
    if limit is not None and not (type(limit) is int and limit > 0):
        raise ArgumentError(f"configure_cache needs a limit of a positive number of bytes, got {limit!r}")
    if directory is not None:
        _settings.directory = os.path.expanduser(os.fspath(directory))
        _settings.warned = False
        _settings.written = -1
    if limit is not None:
        _settings.limit = limit
    if enabled is not None:
        _settings.enabled = bool(enabled)


def cache_directory() -> str:
    """Where entries are kept, if anywhere."""
    if _settings.directory is not None:
        return _settings.directory
    chosen = os.environ.get("STAGED_AD_CACHE_DIR")
    if chosen:
        return os.path.expanduser(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.cache"), "staged_ad")


def cache_limit() -> int:
    """The bytes that entries may take together."""
    if _settings.limit is not None:
        return _settings.limit
    text = os.environ.get("STAGED_AD_CACHE_LIMIT", "")
    return int(text) if text.isdecimal() and int(text) else DEFAULT_LIMIT


def enabled() -> bool:
    """Whether entries are kept at all."""
    if _settings.enabled is not None:
        return _settings.enabled and _POSSIBLE
    return _POSSIBLE and os.environ.get("STAGED_AD_CACHE", "").strip().lower() not in ("0", "off", "no", "false")


def read(key: str) -> bytes | None:
    """The content of an entry, or None where there is none that can be trusted."""
    with opened(create=False) as folder:
        if folder is None:
            return None
        return _content(folder, key)


def write(key: str, content: bytes) -> None:
    """Keep an entry. Where that fails, there is a warning, once, and nothing else."""
    with opened(create=True) as folder:
        if folder is None:
            return
        try:
            put(folder, key + SUFFIX, _digest(key, content) + content)
        except OSError as error:
            warn(f"compiled code cannot be kept in {cache_directory()}: {error.strerror}")


def put(folder: int, name: str, content: bytes | bytearray, durable: bool = False) -> None:
    """Write a file of the directory, whole or not at all; a durable one is on disk before it has its name."""
    size = len(content)
    if size > cache_limit():
        return
    _make_room(folder, size)
    partial = f"{os.urandom(8).hex()}{_PARTIAL}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(partial, flags, 0o600, dir_fd=folder)
    try:
        with open(handle, "wb", buffering=0) as file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]
            if durable:
                os.fsync(handle)
        os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial, dir_fd=folder)
        raise
    _settings.written += size


class Entry(NamedTuple):
    """A file of the cache: its name, its bytes, and when it was last used, in seconds since 1970."""

    name: str
    bytes: int
    used: float


def entries() -> list[Entry]:
    """The files of the cache, the one used last first."""
    with opened(create=False, always=True) as folder:
        return [] if folder is None else sorted(listed(folder), key=lambda entry: -entry.used)


def clear() -> list[Entry]:
    """Delete all entries; those that are gone."""
    with opened(create=False, always=True) as folder:
        if folder is None:
            return []
        _settings.written = -1
        return [entry for entry in listed(folder) if _removed(folder, entry.name)]


@contextlib.contextmanager
def opened(create: bool, always: bool = False) -> Iterator[int | None]:
    """A handle of the directory, or None where there is none to be used; `always`: though nothing is to be kept.

    What is checked is the open directory itself: afterwards, names cannot lead elsewhere.
    """
    folder = _open_directory(create) if enabled() or (always and _POSSIBLE) else None
    try:
        yield folder
    finally:
        if folder is not None:
            os.close(folder)


def owned(handle: int) -> bool:
    """Whether an open file belongs to this user, and nobody else can write to it."""
    found = os.fstat(handle)
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


# -- the directory ----------------------------------------------------------------------------------------------------


def _open_directory(create: bool) -> int | None:
    path = cache_directory()
    if path.startswith("~"):
        warn("compiled code is not kept: this user has no home directory. Choose a directory by STAGED_AD_CACHE_DIR")
        return None
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        try:
            folder = os.open(path, flags)
        except FileNotFoundError:
            if not create:
                return None
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.mkdir(path, mode=0o700)
            folder = os.open(path, flags)
    except OSError as error:
        if error.errno != errno.EACCES or create:
            warn(f"compiled code is not kept: {path}: {error.strerror}")
        return None
    if not owned(folder):
        os.close(folder)
        warn(
            f"compiled code is not kept: {path} is a directory that other users can write to. Make one that belongs to "
            f"you alone (chmod go-w {path}), or choose another by STAGED_AD_CACHE_DIR"
        )
        return None
    return folder


def warn(text: str) -> None:
    """Say, once, that the cache does not work."""
    if not _settings.warned:
        _settings.warned = True
        warnings.warn(text, CacheWarning, stacklevel=2)


# -- entries ----------------------------------------------------------------------------------------------------------


def _digest(key: str, content: bytes) -> bytes:
    return blake2b(content, size=_DIGEST, key=key.encode()[:64]).digest()


def _content(folder: int, key: str) -> bytes | None:
    name = key + SUFFIX
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    with open(handle, "rb", buffering=0) as file:
        found = os.fstat(handle)
        if not (stat.S_ISREG(found.st_mode) and owned(handle)):
            return None
        try:
            whole = file.readall()
        except OSError:
            return None
        content = whole[_DIGEST:]
        if whole[:_DIGEST] != _digest(key, content):
            _removed(folder, name)
            return None
        note_use(handle, found)
    return content


def note_use(handle: int, found: os.stat_result) -> None:
    """Its time of change says when an entry was last used."""
    if time.time() - found.st_mtime > _TOUCHED:
        with contextlib.suppress(OSError):
            os.utime(handle)


def listed(folder: int) -> Iterator[Entry]:
    """The files of the cache."""
    with os.scandir(folder) as files:
        for file in files:
            with contextlib.suppress(OSError):  # another process deleted it
                found = file.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and file.name.endswith((SUFFIX, LIBRARY, _PARTIAL)):
                    yield Entry(file.name, found.st_size, found.st_mtime)


def _removed(folder: int, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return False
    return True


def _make_room(folder: int, size: int) -> None:
    """Delete what was used longest ago, down to three quarters of the limit, and what dead processes left."""
    limit = cache_limit()
    if _settings.written >= 0 and _settings.written + size <= limit:
        return
    now = time.time()
    known: list[Entry] = []
    for entry in listed(folder):
        if entry.name.endswith(_PARTIAL) and now - entry.used > _STALE:
            _removed(folder, entry.name)
        else:
            known.append(entry)
    total = sum(entry.bytes for entry in known)
    if total + size > limit:
        for entry in sorted(known, key=lambda entry: entry.used):
            if total + size <= limit * 3 // 4:
                break
            if entry.name.endswith(SUFFIX) and _removed(folder, entry.name):
                total -= entry.bytes
    _settings.written = total

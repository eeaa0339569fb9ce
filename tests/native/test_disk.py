"""The directory of compiled code: where it is, how large it grows, and what happens when processes meet in it.

Invariant: where nothing can be kept, everything works as without it.
Start at the first test; ``start`` runs a program in a process of its own.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError, CacheWarning
from staged_ad.lowering import machine
from staged_ad.native import copies, disk, linking

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(not disk._POSSIBLE, reason="this system has no owners of files")


def smooth(x: Any) -> Any:
    return np.sum(np.tanh(x) ** 2 + np.arange(7.0) * x)


X = np.linspace(-1.0, 2.0, 7)


# -- where nothing can be kept ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["open", "write", "rename", "mkdir"])
def test_without_room_on_disk_there_is_one_warning(
    failing: str, cache: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    def opened_to_read(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        return refused() if flags & os.O_CREAT else opened(path, flags, *args, **kwargs)

    if failing == "open":
        monkeypatch.setattr(os, "open", opened_to_read)
    elif failing == "write":
        monkeypatch.setattr(disk, "memoryview", refused, raising=False)
    elif failing == "rename":
        monkeypatch.setattr(os, "rename", refused)
    else:
        monkeypatch.setattr(os, "mkdir", refused)
    with pytest.warns(CacheWarning, match="No space left"):
        assert sad.jit(smooth)(X) == pytest.approx(smooth(X))
    assert sad.jit(smooth)(X[::-1].copy()) == pytest.approx(smooth(X[::-1]))  # a second warning would be an error
    assert len(compilations) == 2
    assert not cache.exists() or not list(cache.iterdir())


def test_a_file_in_the_place_of_the_directory_is_one_warning(cache: Path) -> None:
    cache.write_text("not a directory")
    with pytest.warns(CacheWarning, match="Not a directory"):
        assert sad.jit(smooth)(X) == pytest.approx(smooth(X))


def test_a_user_without_a_home_is_one_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(disk, "_settings", disk._Settings())
    for name in ("STAGED_AD_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    sad.configure_cache(enabled=True)
    with pytest.warns(CacheWarning, match="no home directory"):
        disk.write("key", b"code")
    assert disk.read("key") is None
    assert not list(tmp_path.iterdir())


def test_nothing_is_kept_where_the_cache_is_off(cache: Path) -> None:
    sad.configure_cache(enabled=False)
    sad.jit(smooth)(X)
    assert not cache.exists()


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "1 GB"])
def test_an_impossible_limit_is_refused(limit: Any) -> None:
    with pytest.raises(ArgumentError, match="positive number of bytes"):
        sad.configure_cache(limit=limit)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"STAGED_AD_CACHE_DIR": "/a/b"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/staged_ad"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/staged_ad"),
        ({"HOME": "/home/me"}, "/home/me/.cache/staged_ad"),
    ],
)
def test_the_directory_is_that_of_the_environment(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_settings", disk._Settings())
    for name in ("STAGED_AD_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(disk.cache_directory()) == expected


# -- size -------------------------------------------------------------------------------------------------------------


def test_entries_used_longest_ago_are_deleted(cache: Path) -> None:
    sad.configure_cache(limit=10_000)
    disk.write("old", bytes(3000))
    disk.write("used", bytes(3000))
    disk.write("new", bytes(3000))
    now = time.time()
    for age, name in [(4000, "old"), (5000, "used"), (3000, "new")]:
        os.utime(cache / f"{name}.entry", (now - age, now - age))
    assert disk.read("used") == bytes(3000)
    disk.write("newest", bytes(3000))
    assert {entry.name for entry in disk.entries()} == {"used.entry", "newest.entry"}


def test_an_entry_beyond_the_limit_is_not_kept(cache: Path) -> None:
    sad.configure_cache(limit=1000)
    disk.write("small", bytes(500))
    disk.write("large", bytes(2000))
    assert [entry.name for entry in disk.entries()] == ["small.entry"]


def test_what_a_dead_process_left_is_deleted(cache: Path) -> None:
    disk.write("a", b"1")
    for name, age in [("dead.partial", 7200), ("alive.partial", 1)]:
        (cache / name).write_bytes(b"half")
        os.utime(cache / name, (time.time() - age, time.time() - age))
    disk._settings.written = -1
    disk.write("b", b"2")
    assert {entry.name for entry in disk.entries()} == {"a.entry", "b.entry", "alive.partial"}


def test_clearing_deletes_all_entries(cache: Path) -> None:
    disk.write("a", b"1")
    disk.write("b", b"2")
    (cache / "mine.txt").write_text("a file of the user's")
    assert {entry.name for entry in disk.clear()} == {"a.entry", "b.entry"}
    assert [file.name for file in cache.iterdir()] == ["mine.txt"]


# -- the copy of a library --------------------------------------------------------------------------------------------


def test_a_copy_of_a_library_is_made_once_and_again_when_it_was_touched(cache: Path, tmp_path: Path) -> None:
    def content() -> bytes:
        handle = copies.copied(str(source))
        assert handle is not None
        with open(handle, "rb") as file:
            return file.read()

    source = tmp_path / "library.so"
    source.write_bytes(b"first")
    assert content() == b"first"
    (copy,) = cache.glob("*.so")
    inode = copy.stat().st_ino
    assert content() == b"first"
    assert copy.stat().st_ino == inode
    copy.write_bytes(b"wrong")
    assert content() == b"first"
    source.write_bytes(b"second")
    assert content() == b"second"
    assert len(list(cache.glob("*.so"))) == 1


def forgotten(library: bytes) -> bytes:
    changed = bytearray(library)
    copies._forget_name(changed)
    return bytes(changed)


def test_a_copy_of_a_library_has_no_name() -> None:
    entries = b"".join(copies._ENTRY.pack(tag, 7) for tag in (1, 14, 5, 0, 0))
    segments = copies._SEGMENT.pack(1, 0, 0, 0, 0, 14, 0, 0) + copies._SEGMENT.pack(2, 0, 200, 0, 0, len(entries), 0, 0)
    header = copies._MAGIC.ljust(32, b"\0") + struct.pack("<Q", 64) + bytes(16) + struct.pack("<H", 2)
    library = (header.ljust(64, b"\0") + segments).ljust(200, b"\0") + entries + b"rest"
    assert forgotten(library) == library[:216] + copies._ENTRY.pack(16, 0) + library[232:]
    assert forgotten(forgotten(library)) == forgotten(library)
    assert forgotten(b"no library") == b"no library"


# -- other processes --------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
import numpy as np
import staged_ad as sad

def loss(w, x):
    h = np.tanh(x @ w)
    return np.sum(np.log1p(np.exp(h))) + np.linalg.slogdet(w.T @ w)[1]

rng = np.random.default_rng(0)
w, x = rng.normal(size=(30, 20)), rng.normal(size=(50, 30))
value, slope = sad.jit(sad.value_and_grad(loss))(w, x)
print(float(value).hex(), slope.tobytes().hex()[:200], sorted({"llvmlite", "numba"} & set(sys.modules)))
"""


def start(cache: Path, program: str = PROGRAM) -> subprocess.Popen[str]:
    variables = {**os.environ, "STAGED_AD_CACHE": "1", "STAGED_AD_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def output(process: subprocess.Popen[str]) -> str:
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return printed


def test_processes_at_the_same_time_and_after_agree(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    together = [start(cache) for _ in range(3)]
    first, *others = [output(process).rsplit(" ['", 1)[0] for process in together]
    assert others == [first, first]
    names = {file.name for file in cache.iterdir()}
    assert not any(name.endswith(".partial") for name in names)
    found = output(start(cache))
    assert found.split()[:2] == first.split()[:2]
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert found.endswith(" []\n")  # neither llvmlite nor Numba is loaded for code from the disk
    assert {file.name for file in cache.iterdir()} == names


KILLED = """
import os, signal
import staged_ad as sad
from staged_ad.native import disk
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
os.rename = die
disk.write("key", bytes(10000))
"""


def test_a_process_killed_while_it_writes_leaves_no_entry(cache: Path, compilations: list[str]) -> None:
    process = start(cache, KILLED)
    process.communicate(timeout=300)
    assert process.returncode == -9
    assert disk.read("key") is None
    assert [entry.name.endswith(".partial") for entry in disk.entries()] == [True]
    disk.write("key", b"whole")
    assert disk.read("key") == b"whole"


def test_threads_that_read_while_others_write_find_whole_entries(cache: Path) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for k in range(30):
            disk.write("shared", bytes([number]) * 5000)
            found = disk.read("shared")
            if found is not None and (len(found) != 5000 or len(set(found)) != 1):
                wrong.append((number, k))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- linking ----------------------------------------------------------------------------------------------------------


def test_objects_that_are_not_placed_here_are_linked_by_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> Any:
        raise linking.UnsupportedObjectError

    monkeypatch.setattr(linking, "_placed", refuse)
    f = lambda x: np.sum(np.sort(np.sin(x))[:5]) + np.linalg.norm(np.outer(x, x) @ x)
    assert sad.jit(f)(X) == pytest.approx(f(X))


def test_code_that_needs_a_lost_function_is_compiled_again(
    cache: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = sad.jit(smooth)(X)
    monkeypatch.setattr(machine, "load_object", _failing_once(machine.load_object))
    assert sad.jit(smooth)(X) == expected
    assert len(compilations) == 2


def _failing_once(load: Any) -> Any:
    calls: list[int] = []

    def load_object(code: bytes, symbols: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("functions without an address: ['lost']")
        return load(code, symbols)

    return load_object

"""Compiled code on disk: what is found again, and what is never trusted.

Invariant: with the cache in any state, results and exceptions are those without it.
Start at the first test; the fixtures are in conftest.py. Where entries are, and other processes: test_disk.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import CacheWarning, IndexingError
from staged_ad.native import disk, environment, objects
from staged_ad.native.artifact import Artifact, decode, encode
from staged_ad.native.identity import identity

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.skipif(not disk._POSSIBLE, reason="this system has no owners of files")


def programs(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.entry"))


def smooth(x: Any) -> Any:
    return np.sum(np.tanh(x) ** 2 + np.arange(7.0) * x)


X = np.linspace(-1.0, 2.0, 7)


# -- what is found again ----------------------------------------------------------------------------------------------


def test_a_second_function_with_the_same_program_is_not_compiled(cache: Path, compilations: list[str]) -> None:
    first = sad.jit(sad.value_and_grad(smooth))(X)
    assert len(compilations) == 1
    second = sad.jit(sad.value_and_grad(lambda y: np.sum(np.tanh(y) ** 2 + np.arange(7.0) * y)))(X)
    assert len(compilations) == 1
    assert second[0] == first[0]
    np.testing.assert_array_equal(second[1], first[1])


@pytest.mark.parametrize(
    "changed",
    [
        lambda x: np.sum(np.tanh(x) ** 2 - np.arange(7.0) * x),
        lambda x: np.sum(np.tanh(x) ** 3 + np.arange(7.0) * x),
        lambda x: np.sum(np.tanh(x) ** 2 + np.arange(7.0)[::-1] * x),
        lambda x: np.sum(np.tanh(x) ** 2 + np.arange(7.0) * x, keepdims=True),
    ],
    ids=["operation", "number", "constant", "parameter"],
)
def test_another_program_is_compiled(changed: Any, cache: Path, compilations: list[str]) -> None:
    sad.jit(smooth)(X)
    found = sad.jit(changed)(X)
    assert len(compilations) == 2
    np.testing.assert_allclose(found, changed(X), rtol=1e-14)


def test_types_and_options_are_part_of_what_is_looked_up(cache: Path, compilations: list[str]) -> None:
    sad.jit(smooth)(X)
    sad.jit(smooth)(X.astype(np.float32))
    sad.jit(smooth, precise_math=True)(X)
    assert len(compilations) == 3


@pytest.mark.parametrize("what", ["package", "processor", "library"])
def test_code_of_another_environment_is_not_used(
    what: str, cache: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sad.jit(smooth)(X)
    changes = {
        "package": ("_sources", lambda folder: iter(["another"])),
        "processor": ("processor", lambda: "flags: fpu"),
        "library": ("_version", lambda package, file: "0.0"),
    }
    monkeypatch.setattr(environment, *changes[what])
    other = environment.environment._function()  # type: ignore[attr-defined]
    assert other != environment.environment()
    monkeypatch.setattr(objects, "environment", lambda: other)
    sad.jit(smooth)(X)
    assert len(compilations) == 2


def test_a_changed_file_of_the_package_is_another_environment(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    file = tmp_path / "inner" / "code.py"
    file.write_text("1")
    before = list(environment._sources(tmp_path))
    file.write_text("2")
    os.utime(file, ns=(1, 1))
    assert len(before) == 1
    assert list(environment._sources(tmp_path)) != before


def test_constants_of_the_user_are_not_on_disk(cache: Path, compilations: list[str]) -> None:
    secret = np.random.default_rng(0).normal(size=1000)
    for scale in (1.0, 1.0, 2.0):
        data = secret * scale
        f = sad.jit(lambda x, data=data: np.sum(np.sin(x) * data))
        x = np.ones(1000)
        np.testing.assert_allclose(f(x), np.sum(np.sin(x) * data), rtol=1e-12)
    assert len(compilations) == 2  # other data, another program
    for row in (secret[:2].tobytes(), (2 * secret[:2]).tobytes()):
        assert all(row not in file.read_bytes() for file in programs(cache))


LIBRARY = {
    "loops": lambda x: sad.grad(lambda x: sad.while_loop(lambda c: np.sum(c) < 50, lambda c: c * 1.5 + 1, x).sum())(x),
    "checkpointed": lambda x: sad.grad(
        lambda x: sad.while_loop(lambda c: np.sum(c) < 5e3, lambda c: c * 1.1 + 1, x, checkpoint=4).sum()
    )(x),
    "branches": lambda x: sad.cond(x[0] > 0, lambda: np.sin(x), lambda: np.cos(x)),
    "LAPACK": lambda x: np.linalg.solve(np.outer(x, x) + np.eye(7), x),
    "transforms": lambda x: np.abs(np.fft.rfft(x)),
    "sorting": lambda x: np.sort(x)[::-1] + np.argsort(x),
    "threads": lambda x: np.sum(np.sin(np.outer(np.ones(40000), x)), axis=0),
    "products": lambda x: np.outer(x, x) @ np.ones((7, 300)) @ np.ones((300, 40)),
    "guards": lambda x: x * 2 if x[0] > 0 else np.exp(x),
    "filled": lambda x: np.cumsum(np.concatenate([x, np.zeros(5)])),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_code_from_disk_gives_the_same_bits(name: str, cache: Path, compilations: list[str]) -> None:
    f = LIBRARY[name]
    expected = sad.jit(f)(X)
    compiled = len(compilations)
    again = sad.jit(f)(X)
    assert len(compilations) == compiled
    np.testing.assert_array_equal(again, expected)
    sad.configure_cache(enabled=False)
    fresh = sad.jit(f)(X)
    assert len(compilations) == compiled + 1
    np.testing.assert_array_equal(fresh, expected)


@pytest.mark.parametrize(
    "constant",
    [
        np.zeros((0, 3)),
        np.full((4, 5), -2.5),
        np.array([[0.0, -0.0, np.nan]]),
        np.array([True, False]),
        np.arange(6, dtype=np.int32).reshape(3, 1, 2),
    ],
    ids=["empty", "filled", "signs", "booleans", "integers"],
)
def test_constants_come_back_as_they_were(constant: np.ndarray[Any, Any]) -> None:
    own = np.linspace(0.0, 1.0, 200_000)
    known = identity(sad.trace(lambda x: x * own)(own))
    assert known is not None
    content = encode(Artifact(b"code", ["f"], [constant, own], 64, True, [], [(0, 1)]), known)
    assert content is not None
    assert len(content) < 1000
    found = decode(content, known)
    assert (found.code, list(found.names), found.workspace, found.slow) == (b"code", ["f"], 64, True)
    assert found.successions == [(0, 1)]
    for one, other in zip(found.constants, [constant, own], strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
        assert one.flags.c_contiguous
        assert one.flags.aligned


def test_functions_of_scipy_are_found_again(cache: Path, compilations: list[str]) -> None:
    special = pytest.importorskip("scipy.special")
    f = lambda x: special.psi(x) + special.gammainc(2.0, x)
    x = np.linspace(0.5, 3.0, 9)
    expected = sad.jit(f)(x)
    np.testing.assert_array_equal(sad.jit(f)(x), expected)
    assert len(compilations) == 1


def test_functions_of_python_are_compiled_in_every_process(cache: Path, compilations: list[str]) -> None:
    for factor in (2.0, 3.0):
        f = sad.jit(
            lambda x, k=factor: sad.pure_callback(lambda x: k * x, sad.ShapeDtypeStruct((7,), "float64"), x) + 1
        )
        np.testing.assert_array_equal(f(X), factor * X + 1)
    assert len(compilations) == 2
    assert sad.jit(smooth)(X) == sad.jit(smooth)(X)
    assert len(compilations) == 3


def test_stages_of_code_from_disk_can_be_read(cache: Path) -> None:
    expected = [sad.jit(smooth).lower(X).text(stage) for stage in ("program", "loops", "llvm", "asm")]
    assert [sad.jit(smooth).lower(X).text(stage) for stage in ("program", "loops", "llvm", "asm")] == expected


# -- errors name the lines of the program at hand ---------------------------------------------------------------------

FAILING = """
import numpy as np
import staged_ad as sad
{blank}
def cholesky(a):
    return np.linalg.cholesky(a)

def at(x, k):
    return x[k]

def long(x):
    return sad.while_loop(lambda c: c[0] < 10**6, lambda c: (c[0] + 1, c[1] * x), (0, 1.0))[1]
"""


def load(path: Path, blank: int) -> dict[str, Any]:
    """The functions of FAILING, below so many empty lines."""
    path.write_text(FAILING.format(blank="\n" * blank))
    scope: dict[str, Any] = {"__name__": "failing"}
    exec(compile(path.read_text(), str(path), "exec"), scope)
    return scope


def test_exceptions_of_code_from_disk_name_the_lines_of_now(
    cache: Path, tmp_path: Path, compilations: list[str]
) -> None:
    for number, (name, blank) in enumerate([("first.py", 0), ("second.py", 10)]):
        scope = load(tmp_path / name, blank)
        with pytest.raises(np.linalg.LinAlgError, match=f"{name}:{6 + blank}"):
            sad.jit(scope["cholesky"])(-np.eye(3))
        with pytest.raises(IndexingError, match=rf"size 7.*{name}:{9 + blank}"):
            sad.jit(scope["at"])(X, np.array([8]))
        before = sad.get_tape_limit()
        sad.set_tape_limit(4096)
        try:
            with pytest.raises(MemoryError, match=f"{name}:{12 + blank}"):
                sad.jit(sad.grad(scope["long"]))(1.0)
        finally:
            sad.set_tape_limit(before)
        if not number:
            compiled = len(compilations)
    assert len(compilations) == compiled


def test_lines_that_become_two_are_told_apart(cache: Path, tmp_path: Path) -> None:
    texts = ["def f(x, j, k):\n    return x[j] + x[k]\n", "def f(x, j, k):\n    a = x[j]\n    return a + x[k]\n"]
    for number, text in enumerate(texts):
        path = tmp_path / f"split{number}.py"
        path.write_text(text)
        scope: dict[str, Any] = {}
        exec(compile(text, str(path), "exec"), scope)
        f = sad.jit(scope["f"])
        with pytest.raises(IndexingError, match=f"split{number}.py:2"):
            f(X, np.array([9]), np.array([0]))
        with pytest.raises(IndexingError, match=f"split{number}.py:{2 + number}"):
            f(X, np.array([0]), np.array([9]))


# -- what is never trusted --------------------------------------------------------------------------------------------

DAMAGES: dict[str, Any] = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "a flipped bit": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "another digest": lambda data: bytes(32) + data[32:],
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_compiled_again_and_replaced(damage: str, cache: Path, compilations: list[str]) -> None:
    expected = sad.jit(smooth)(X)
    (entry,) = programs(cache)
    whole = entry.read_bytes()
    entry.write_bytes(DAMAGES[damage](whole))
    assert sad.jit(smooth)(X) == expected
    assert len(compilations) == 2
    assert entry.read_bytes() == whole


def test_an_entry_under_the_name_of_another_is_not_used(cache: Path, compilations: list[str]) -> None:
    other = lambda x: np.sum(np.cos(x))
    sad.jit(smooth)(X)
    (mine,) = programs(cache)
    sad.jit(other)(X)
    (its,) = set(programs(cache)) - {mine}
    its.write_bytes(mine.read_bytes())
    assert sad.jit(other)(X) == pytest.approx(other(X))
    assert len(compilations) == 3


def test_a_link_to_an_entry_is_not_followed(cache: Path, tmp_path: Path, compilations: list[str]) -> None:
    sad.jit(smooth)(X)
    (entry,) = programs(cache)
    entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    sad.jit(smooth)(X)
    assert len(compilations) == 2


def test_an_entry_that_others_can_write_to_is_not_used(cache: Path, compilations: list[str]) -> None:
    sad.jit(smooth)(X)
    (entry,) = programs(cache)
    entry.chmod(0o666)
    sad.jit(smooth)(X)
    assert len(compilations) == 2
    assert entry.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_a_directory_that_others_can_write_to_is_refused(mode: int, cache: Path, compilations: list[str]) -> None:
    cache.mkdir()
    cache.chmod(mode)
    with pytest.warns(CacheWarning, match="other users can write to"):
        sad.jit(smooth)(X)
    sad.jit(smooth)(X)  # no second warning
    assert len(compilations) == 2
    assert not list(cache.iterdir())


def test_a_directory_of_another_user_is_refused(
    cache: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sad.jit(smooth)(X)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.warns(CacheWarning, match="other users can write to"):
        sad.jit(smooth)(X)
    assert len(compilations) == 2


def test_the_directory_is_made_for_the_user_alone(cache: Path) -> None:
    sad.jit(smooth)(X)
    assert cache.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in cache.iterdir())

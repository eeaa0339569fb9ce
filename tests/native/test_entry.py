"""Calls through the native entry: what matches runs, what does not is refused, nothing leaks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from staged_ad.native import llvm
from staged_ad.native.entry import InputSpec, make_entry

F64 = np.dtype(np.float64)
PAIR = InputSpec(np.ndarray, F64, (2,))


def body(lines: str, declarations: str = "") -> llvm.NativeCode:
    return llvm.compile_ir(f"{llvm.header()}{declarations}\ndefine i64 @body(ptr %slots) {{\n{lines}\n}}\n", {})


def slot(name: str, k: int) -> str:
    return f"  %{name}.p = getelementptr ptr, ptr %slots, i64 {k}\n  %{name} = load ptr, ptr %{name}.p\n"


def double_pair() -> Callable[..., object]:
    code = body(
        slot("x", 0)
        + slot("y", 1)
        + "  %v = load <2 x double>, ptr %x, align 8\n  %w = fadd <2 x double> %v, %v\n"
        + "  store <2 x double> %w, ptr %y, align 8\n  ret i64 0"
    )
    return make_entry(code.address, [PAIR], [], [((2,), F64)], 0, False, code)


def copy_scalar(spec: InputSpec, dtype: np.dtype[Any]) -> Callable[..., object]:
    bits = f"i{8 * dtype.itemsize}"
    code = body(slot("x", 0) + slot("y", 1) + f"  %v = load {bits}, ptr %x\n  store {bits} %v, ptr %y\n  ret i64 0")
    return make_entry(code.address, [spec], [], [((), dtype)], 0, False, code)


def test_an_exact_match_runs_the_body() -> None:
    result = double_pair()(np.array([1.0, 2.0]))
    assert isinstance(result, np.ndarray)
    np.testing.assert_array_equal(result, [2.0, 4.0])
    assert result.flags.owndata
    assert result.flags.c_contiguous


@pytest.mark.parametrize(
    "argument",
    [
        np.zeros(3),
        np.zeros((2, 1)),
        np.zeros(2, np.float32),
        np.zeros(2, ">f8"),
        np.zeros(4)[::2],
        np.frombuffer(bytes(17), np.uint8)[1:].view(np.float64),
        np.ma.zeros(2),
        [1.0, 2.0],
        None,
        1.0,
    ],
    ids=repr,
)
def test_anything_else_is_refused_without_running(argument: object) -> None:
    assert double_pair()(argument) is NotImplemented


def test_a_wrong_number_of_arguments_is_refused() -> None:
    entry = double_pair()
    assert entry() is NotImplemented
    assert entry(np.zeros(2), np.zeros(2)) is NotImplemented


@pytest.mark.parametrize(
    "value", [np.float64(1.5), np.float32(2.5), np.int64(-7), np.bool_(True), np.uint8(200), np.complex128(1 + 2j)]
)
def test_numpy_scalars_are_read_in_place_and_returned_as_numpy_scalars(value: np.generic) -> None:
    result = copy_scalar(InputSpec(type(value)), value.dtype)(value)
    assert type(result) is type(value)
    assert result == value


def test_python_numbers_are_read_by_exact_type() -> None:
    assert copy_scalar(InputSpec(float), F64)(2.5) == 2.5
    assert copy_scalar(InputSpec(float), F64)(np.float64(2.5)) is NotImplemented
    integer = copy_scalar(InputSpec(int), np.dtype(np.int64))
    assert [integer(k) for k in (0, -1, 2**63 - 1, -(2**63))] == [0, -1, 2**63 - 1, -(2**63)]
    assert integer(2**63) is NotImplemented
    assert integer(True) is NotImplemented
    assert copy_scalar(InputSpec(bool), np.dtype(np.bool_))(True) is np.True_


@pytest.mark.parametrize("release", [False, True])
def test_slots_come_as_inputs_constants_outputs_workspace(release: bool) -> None:
    # out0 = x + c through the workspace; out1 = address of the workspace modulo 64.
    lines = "".join(slot(name, k) for k, name in enumerate(("x", "c", "y", "z", "w")))
    code = body(
        lines
        + "  %a = load double, ptr %x\n  %b = load double, ptr %c\n  %s = fadd double %a, %b\n"
        + "  store double %s, ptr %w\n  %t = load double, ptr %w\n  store double %t, ptr %y\n"
        + "  %n = ptrtoint ptr %w to i64\n  %m = and i64 %n, 63\n  store i64 %m, ptr %z\n  ret i64 0"
    )
    outputs = [((1, 1), F64), ((), np.dtype(np.int64))]
    entry = make_entry(code.address, [InputSpec(float)], [np.array([10.0])], outputs, 100, release, code)
    result = entry(1.5)
    assert isinstance(result, tuple)
    first, second = result
    assert first.tolist() == [[11.5]]
    assert second == 0
    assert type(second) is np.int64


def test_no_output_gives_an_empty_tuple() -> None:
    code = body("  ret i64 0")
    assert make_entry(code.address, [], [], [], 0, False, code)() == ()


def test_a_status_comes_back_as_a_python_int() -> None:
    code = body("  ret i64 -3")
    outputs = [((2,), F64), ((), F64)]
    assert make_entry(code.address, [], [], outputs, 8, True, code)() == -3


def test_an_array_that_cannot_be_allocated_raises_memory_error() -> None:
    code = body("  ret i64 0")
    huge = make_entry(code.address, [], [], [((2,), F64), ((2**44,), F64)], 0, False, code)
    with pytest.raises(MemoryError):
        huge()
    with pytest.raises(MemoryError):
        make_entry(code.address, [], [], [((2,), F64)], 2**50, False, code)()


def test_the_entry_keeps_its_code_and_constants_alive() -> None:
    constant = np.arange(3.0)
    code = body("  ret i64 0")
    before = sys.getrefcount(constant), sys.getrefcount(code)
    entry = make_entry(code.address, [], [constant], [], 0, False, code)
    assert (sys.getrefcount(constant), sys.getrefcount(code)) == (before[0] + 1, before[1] + 1)
    del entry
    assert (sys.getrefcount(constant), sys.getrefcount(code)) == before


def test_no_path_leaks_a_reference() -> None:
    entry, argument, wrong = double_pair(), np.zeros(2), np.zeros(3)
    refusing = body("  ret i64 1")
    refused = make_entry(refusing.address, [PAIR], [], [((2,), F64), ((), F64)], 64, True, refusing)
    scalar = copy_scalar(InputSpec(float), F64)
    watched = (entry, argument, wrong, F64, np.ndarray, np.float64, NotImplemented)

    def exercise(count: int) -> None:
        for _ in range(count):
            entry(argument)
            entry(wrong)
            refused(argument)
            scalar(1.0)

    exercise(10)
    blocks, counts = sys.getallocatedblocks(), [sys.getrefcount(each) for each in watched]
    exercise(250_000)
    assert [sys.getrefcount(each) for each in watched] == counts
    assert sys.getallocatedblocks() - blocks < 100


def test_constants_must_be_contiguous() -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        make_entry(0, [], [np.zeros((4, 4))[:, 1]], [], 0, False)


def test_a_type_without_a_native_form_is_named() -> None:
    with pytest.raises(TypeError, match="str"):
        make_entry(0, [InputSpec(str)], [], [], 0, False)


THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(not THP.exists(), reason="the system has no large pages")
def test_large_workspaces_are_in_large_pages() -> None:
    # the workspace's address is the result; its block is kept when the call is over
    code = body(slot("y", 0) + slot("w", 1) + "  %a = ptrtoint ptr %w to i64\n  store i64 %a, ptr %y\n  ret i64 0")
    for size, large in ((1 << 16, False), (16 << 20, True)):
        address = make_entry(code.address, [], [], [((), np.dtype(np.int64))], size, False, code)()
        assert ("hg" in flags_of(int(address) + size // 2)) == large


def flags_of(address: int) -> list[str]:
    """What the system notes of the memory at an address."""
    within = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if "-" in first and not first.endswith(":"):
            start, end = (int(text, 16) for text in first.split("-"))
            within = start <= address < end
        elif within and first == "VmFlags:":
            return rest.split()
    raise AssertionError(f"no memory at {address:#x}")

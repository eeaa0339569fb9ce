"""Text of LLVM modules compiles to code that runs, is freed, and calls what it names."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import threading

import numpy as np
import pytest
import scipy.special

from staged_ad.native import linking, llvm, vecmath


def returning(value: int) -> str:
    return f"{llvm.header()}define i64 @body(ptr %slots) {{\n  ret i64 {value}\n}}\n"


def call(code: llvm.NativeCode, *pointers: int) -> int:
    slots = (ctypes.c_int64 * max(1, len(pointers)))(*pointers)
    return int(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(code.address)(ctypes.addressof(slots)))


def test_a_module_compiles_and_runs() -> None:
    assert call(llvm.compile_ir(returning(42), {})) == 42


def test_object_code_links_again_without_its_text() -> None:
    assert call(linking.load_object(llvm.object_code(returning(7)), {})) == 7


def test_the_optimised_module_and_assembly_are_given_on_demand() -> None:
    assert "ret i64 1234" in llvm.optimised_ir(returning(1234))
    assert "1234" in llvm.assembly(returning(1234))
    assert "body" in llvm.assembly(returning(1234))


def test_text_that_does_not_parse_raises() -> None:
    with pytest.raises(RuntimeError, match="parsing"):
        llvm.compile_ir("define i64 @body(ptr %slots) { ret double 0.0 }", {})


def test_a_missing_symbol_raises() -> None:
    text = llvm.header() + "declare i64 @nowhere(ptr)\ndefine i64 @body(ptr %slots) {\n"
    with pytest.raises(RuntimeError, match="nowhere"):
        llvm.compile_ir(text + "  %r = call i64 @nowhere(ptr %slots)\n  ret i64 %r\n}\n", {})


def test_code_generation_may_call_the_c_library_by_itself() -> None:
    text = llvm.header() + (
        "define i64 @body(ptr %slots) {\n  %p = load ptr, ptr %slots\n  %x = load double, ptr %p\n"
        "  %y = frem double %x, 3.0\n  store double %y, ptr %p\n  ret i64 0\n}\n"
    )
    cell = ctypes.c_double(7.5)
    assert call(llvm.compile_ir(text, {}), ctypes.addressof(cell)) == 0
    assert cell.value == 1.5


def test_repeated_calls_of_a_pure_function_are_merged() -> None:
    text = llvm.header() + (
        "declare double @sin(double) nounwind willreturn memory(none)\n"
        "define i64 @body(ptr %slots) {\n  %x = load double, ptr %slots\n"
        "  %a = call double @sin(double %x)\n  %b = call double @sin(double %x)\n"
        "  %c = fadd double %a, %b\n  store double %c, ptr %slots\n  ret i64 0\n}\n"
    )
    assert llvm.optimised_ir(text).count("call double @sin") == 1


def test_dropped_code_returns_its_memory() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    if not os.path.exists("/proc/self/statm"):
        pytest.skip("resident memory is read from /proc")
    large = ", ".join(["double 1.5"] * 4000)
    text = returning(1) + f"@table = global [4000 x double] [{large}]\n"
    for _ in range(50):
        llvm.compile_ir(text, {})
    gc.collect()
    before = resident()
    for _ in range(400):
        llvm.compile_ir(text, {})
    gc.collect()
    # The JIT keeps the name and the tables of each library, about 9 kB; code and constants are returned.
    assert resident() - before < 400 * 15_000


def test_threads_may_compile_at_the_same_time() -> None:
    found: list[bool] = []

    def work(first: int) -> None:
        found.extend(call(llvm.compile_ir(returning(k), {})) == k for k in range(first, first + 20))

    threads = [threading.Thread(target=work, args=(100 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80


EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, math.inf, -math.inf, math.nan, 1e10, 1e300, 5e-324, -1e-310, 710.0, -745.0]


@pytest.mark.parametrize("lanes", [2, 4, 8])
@pytest.mark.parametrize("name", ["sin", "cos", "tan", "exp", "log", "log1p", "expm1", "tanh", "sinh", "atan", "cbrt"])
def test_vector_functions_agree_with_numpy_at_edges(name: str, lanes: int) -> None:
    symbol = vecmath.vector_function(name, "double", lanes)
    if symbol is None:
        pytest.skip("this machine has no such function")
    kind = f"<{lanes} x double>"
    text = llvm.header() + (
        f"declare {kind} @{symbol[0]}({kind}) nounwind willreturn memory(none)\n"
        f"define i64 @body(ptr %slots) {{\n  %p = load ptr, ptr %slots\n  %x = load {kind}, ptr %p, align 8\n"
        f"  %y = call {kind} @{symbol[0]}({kind} %x)\n  store {kind} %y, ptr %p, align 8\n  ret i64 0\n}}\n"
    )
    code = llvm.compile_ir(text, dict([symbol]))
    with np.errstate(all="ignore"):
        function = getattr(np, {"atan": "arctan"}.get(name, name))
        for start in range(0, len(EDGES), lanes):
            x = np.resize(EDGES[start : start + lanes], lanes)
            want = function(x)
            call(code, x.ctypes.data)
            np.testing.assert_array_max_ulp(x, want, vecmath.ULP_BOUND + 1)


def test_unknown_functions_and_widths_are_none() -> None:
    assert vecmath.vector_function("digamma", "double", 4) is None
    assert vecmath.vector_function("sin", "double", 3) is None
    assert vecmath.scalar_function("no_such_function", "double") is None
    assert vecmath.special_function("no_such_function", "double") is None


@pytest.mark.parametrize(("name", "arguments"), [("psi", (0.7,)), ("zeta", (2.0, 0.3)), ("betainc", (0.5, 2.0, 0.3))])
def test_special_functions_are_those_of_scipy(name: str, arguments: tuple[float, ...]) -> None:
    symbol = vecmath.special_function(name, "double")
    assert symbol is not None
    function = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * len(arguments))(symbol[1])
    assert function(*arguments) == getattr(scipy.special, name)(*arguments)


def test_scalar_functions_have_both_precisions() -> None:
    double, single = vecmath.scalar_function("hypot", "double"), vecmath.scalar_function("hypot", "float")
    assert double is not None
    assert single is not None
    assert (double[0], single[0]) == ("hypot", "hypotf")
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_double)(double[1])(3.0, 4.0) == 5.0

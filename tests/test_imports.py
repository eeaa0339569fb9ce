"""What importing the package loads, and what it does to libraries that are imported later."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import staged_ad as sad
from staged_ad.ir import PRIMITIVES

ROOT = Path(__file__).parent.parent

LOADED = """
def loaded():
    import sys
    names = ("numba", "numba.cuda", "cupy", "cupyx", "cuda", "llvmlite", "scipy", "numpy.ma", "numpy.random")
    return [name for name in names if name in sys.modules]
"""

NUMPY_ALONE = """
import numpy as np
import staged_ad as sad

assert not loaded(), loaded()
import sys

late = ("staged_ad.control", "staged_ad.random", "staged_ad.primitives.special")
assert not [name for name in late if name in sys.modules], "loaded before anybody needs them"
f = lambda x: np.sum(np.tanh(x @ x) * np.linalg.norm(x))
gradient = sad.grad(f)(np.eye(3))
sad.hessian(f)(np.eye(3))
sad.vmap(sad.grad(lambda x: np.exp(np.sin(x))))(np.ones(3))
sad.random.normal(sad.random.key(0), (3,))
sad.set_num_threads(sad.get_num_threads())
assert not loaded(), loaded()
assert not [name for name in sys.modules if name.startswith("staged_ad.lowering.")], "the compiler is loaded"
"""

COMPILED = """
import numpy as np
import staged_ad as sad

x = np.linspace(0.0, 1.0, 300_000)
total = lambda x: np.sum(np.sin(x) ** 2)
slope = sad.jit(sad.grad(total))(x)  # by several threads
assert set(loaded()) <= {"llvmlite"}, loaded()
assert np.allclose(slope, np.sin(2 * x))

import numba

@numba.njit(parallel=True)
def double(x):
    y = np.empty_like(x)
    for k in numba.prange(x.size):
        y[k] = 2 * x[k]
    return y

before = numba.get_num_threads()
assert np.array_equal(double(x), 2 * x)
assert np.array_equal(sad.jit(sad.grad(total))(x), slope)
assert numba.get_num_threads() == before == numba.config.NUMBA_NUM_THREADS
"""

ON_THE_PROCESSOR = """
import os
import numpy as np
import staged_ad as sad

total = lambda x: np.sum(np.sin(x))
assert sad.jit(sad.grad(total))(np.zeros(3)).tolist() == [1.0] * 3
sad.jit(total, device="cuda")  # nothing is compiled yet
assert not {"cupy", "cupyx", "cuda", "numba.cuda"} & set(loaded()), loaded()
if os.path.exists("/proc/self/maps"):
    with open("/proc/self/maps") as libraries:
        assert "libcuda" not in libraries.read()
"""

IMPORTED_BEFORE = """
import numpy as np
import scipy.linalg
import scipy.special
from scipy.linalg import cho_factor, cho_solve
import staged_ad as sad

A = np.array([[3.0, 1.0], [1.0, 2.0]])
f = lambda b: scipy.special.gammaln(b).sum() + cho_solve(cho_factor(A), b).sum() + scipy.linalg.solve(A, b).sum()
"""

IMPORTED_AFTER = """
import numpy as np
import staged_ad as sad
import scipy.linalg
import scipy.special

A = np.array([[3.0, 1.0], [1.0, 2.0]])
f = lambda b: scipy.special.gammaln(b).sum() + 2 * scipy.linalg.solve(A, b).sum()
"""

IMPORTED_WHILE_TRACED = """
import numpy as np
import staged_ad as sad

A = np.array([[3.0, 1.0], [1.0, 2.0]])

def f(b):
    import scipy.special
    from scipy import linalg
    return scipy.special.gammaln(b).sum() + linalg.solve(A, b).sum() + np.linalg.solve(A, b).sum()
"""

OURS_FIRST = """
import numpy as np
import staged_ad as sad
from staged_ad.scipy import linalg, special

A = np.array([[3.0, 1.0], [1.0, 2.0]])

def f(b):
    return special.gammaln(b).sum() + 2 * sad.scipy.linalg.solve(A, b).sum()
"""

UNPICKLED = """
import pickle
import sys

program = pickle.loads(bytes.fromhex(sys.argv[1]))
assert "digamma" in str(program) and "while" in str(program), program
"""

COMPARED = """
found = sad.grad(f)(np.array([1.0, 2.0])), sad.jit(sad.grad(f))(np.array([1.0, 2.0]))
import scipy.linalg
import scipy.special

expected = scipy.special.digamma(np.array([1.0, 2.0])) + 2 * np.linalg.solve(A, np.ones(2))
assert np.allclose(found[0], expected) and np.allclose(found[1], expected), (found, expected)
"""

NUMPYS_OWN = """
import sys
import numpy as np
import staged_ad as sad

def f(x):
    import numba
    import scipy.optimize
    made, drawn = np.zeros(3), np.random.uniform(size=3)
    made[0], drawn[:] = x, x
    return np.sum(made * drawn)

assert "numpy.random" not in sys.modules
assert sad.grad(f)(2.0) == 4.0
assert isinstance(np.random.uniform(), float)
originals = {name: getattr(np, name) for name in ("array", "zeros", "asarray", "atleast_1d", "empty", "eye")}
for name, module in list(sys.modules.items()):
    if name.startswith(("scipy", "numba")):
        for key, original in originals.items():
            found = vars(module).get(key, original)
            assert "staged_ad" not in type(found).__module__, (name, key, found)

import inspect
import numba
import scipy.linalg

assert type(scipy.linalg.__loader__) is type(scipy.linalg.__spec__.loader) is type(numba.__loader__)
assert "staged_ad" not in type(scipy.linalg.__loader__).__module__
assert inspect.getsource(scipy.linalg)

@numba.njit
def three(x):
    return np.zeros(3) + x

assert np.array_equal(three(1.0), np.ones(3))
"""


@pytest.mark.parametrize(
    "script",
    [
        NUMPY_ALONE,
        COMPILED,
        ON_THE_PROCESSOR,
        IMPORTED_BEFORE + COMPARED,
        IMPORTED_AFTER + COMPARED,
        IMPORTED_WHILE_TRACED + COMPARED,
        OURS_FIRST + COMPARED,
        NUMPYS_OWN,
    ],
    ids=[
        "functions of NumPy need neither SciPy nor Numba nor LLVM",
        "compiled code shares the threads of Numba, which it does not import",
        "neither CuPy nor a driver is loaded for the processor",
        "SciPy imported before",
        "SciPy imported after",
        "SciPy imported by a traced function",
        "functions of staged_ad.scipy before those of SciPy",
        "libraries imported by a traced function get the functions of NumPy",
    ],
)
def test_libraries_are_loaded_when_they_are_needed(script: str) -> None:
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", LOADED + script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_program_is_unpickled_where_its_primitives_have_not_been_imported() -> None:
    loop = sad.trace(lambda x: sad.while_loop(lambda c: c < 3.0, lambda c: c + sad.scipy.special.digamma(x), x))(1.0)
    scripts = [sys.executable, "-c", UNPICKLED, pickle.dumps(loop).hex()]
    done = subprocess.run(scripts, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(KeyError, match="nowhere"):
        PRIMITIVES["nowhere"]


def test_checkers_see_the_names_that_are_loaded_late_and_no_others() -> None:
    tree = ast.parse(Path(sad.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name)]
    seen = {alias.asname: node.module for node in block.body for alias in node.names}  # type: ignore[attr-defined]  # imports alone
    package = {name: "staged_ad" if module == f"staged_ad.{name}" else module for name, module in sad._MODULES.items()}
    assert seen == package


def test_names_that_are_loaded_late_are_there_as_others_are() -> None:
    public = [name for name in dir(sad) if not name.startswith("_")]
    assert {"cond", "scan", "vmap", "random", "jit"} <= set(public)
    assert all(getattr(sad, name) is getattr(sad, name) for name in public)
    with pytest.raises(AttributeError, match="no attribute 'nowhere'"):
        sad.nowhere  # noqa: B018


AT_EXIT = """
import atexit
import staged_ad as sad

total = sad.jit(lambda nest: nest["a"] + nest["b"])
atexit.register(lambda: print(total({"b": 2.0, "a": 1.0})))
print(total({"b": 1.0, "a": 2.0}))
"""

IN_THREADS = """
from concurrent.futures import ThreadPoolExecutor
import sys
import staged_ad as sad

sys.setswitchinterval(1e-6)
uses = [
    lambda: sad.grad(lambda x: sad.numpy.polygamma(1, x))(1.0) < 0,
    lambda: sad.grad(lambda x: sad.scipy.special.gammaln(x))(2.0) > 0,
    lambda: sad.jit(sad.grad(lambda nest: nest["a"] ** 2))({"a": 1.0})["a"] == 2.0,
    lambda: sad.scan(lambda c, x: (c + x, c), 0.0, sad.numpy.asarray([1.0, 1.0, 1.0]))[0] == 3.0,
]

def own():
    import scipy.special

    return scipy.special.gammaln(3.0) > 0

with ThreadPoolExecutor(8) as pool:
    found = [task.result() for task in [pool.submit(use) for use in [own, *uses, own, *uses]]]
assert all(found), found
"""

STAR = """
from staged_ad import *

assert cond(True, lambda x: x, lambda x: -x, 1.0) == 1.0 and callable(scan) and random.key(0) is not None
assert numpy.asarray([0.0]).shape == (1,) and callable(jit) and "_MODULES" not in globals()
"""


@pytest.mark.parametrize("script", [IN_THREADS, STAR])
def test_first_uses_in_threads_and_all_names_at_once(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)


def test_what_runs_at_the_end_of_a_process_works_and_nothing_else_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", AT_EXIT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("3.0\n3.0\n", "")

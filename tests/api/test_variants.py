"""Variants: a jitted function follows Python's control flow from call to call, each path compiled once.

Invariant: whatever was called before, the result is that of the function without jit.
Start at ``test_any_sequence_of_calls_gives_what_the_plain_function_gives``.
"""

from __future__ import annotations

import inspect
import pickle
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.api import variants as variants_of
from staged_ad.api.variants import LIMIT, MANY, rivals
from staged_ad.errors import ArgumentError, CompileTimeWarning, StagedADError, VariantsWarning
from tests.branching import Interpreted, branching_functions, derivatives, interpreted


@pytest.fixture(params=["interpreted", "compiled"], autouse=True)
def way(request: pytest.FixtureRequest) -> Any:
    """Every test runs without and with machine code."""
    if request.param == "compiled":
        yield None
    else:
        with interpreted() as made:
            yield made


def sign(x: Any) -> Any:
    if x > 0:
        return x * 1.0
    if x < 0:
        return -x
    return x * 0.0


def collatz(n: Any) -> Any:
    steps = 0 * n
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps = steps + 1
    return steps


def counted(f: Any) -> tuple[Any, list[int]]:
    """The jitted function and a list that grows with every tracing."""
    traces: list[int] = []

    def g(*args: Any) -> Any:
        traces.append(1)
        return f(*args)

    return sad.jit(g), traces


@given(branching_functions(), st.lists(st.floats(-2.5, 2.5, allow_subnormal=False), min_size=1, max_size=4), st.data())
def test_any_sequence_of_calls_gives_what_the_plain_function_gives(f: Any, points: list[float], data: Any):
    points = [x for x in points if derivatives(f.function, x) is not None]
    if not points:
        return
    with interpreted():
        jitted = sad.jit(f.function)
        for x in data.draw(st.lists(st.sampled_from(points), min_size=1, max_size=12)):
            assert jitted(x) == f(np.float64(x))


def test_each_path_is_traced_once():
    f, traces = counted(sign)
    for x in (1.0, 2.0, -1.0, 3.0, 0.0, -4.0, 0.0, 5.0, -0.0, -2.0):
        assert f(x) == sign(x)
    assert len(traces) == 3


def test_paths_of_different_length_share_their_beginning():
    f, traces = counted(collatz)
    for n in (6, 1, 7, 3, 6, 2, 7, 1, 3, 6):
        assert f(n) == collatz(n)
    assert len(traces) == 5


def test_alternating_paths_run_one_variant_each(way: list[Interpreted] | None):
    f = sad.jit(sign)
    for x in (0.0, 1.0, -1.0):
        f(x)
    if way is not None:
        before = sum(made.runs for made in way)
        for x in (1.0, -1.0) * 10:
            f(x)
        assert sum(made.runs for made in way) - before <= 40  # the one that fails and the one that fits


def test_rivals_agree_up_to_the_guard_that_failed(way: list[Interpreted] | None):
    f = sad.jit(collatz)
    for n in (3, 6, 1, 2, 4, 5):
        f(n)
    (known,) = [variants.known for variants in f._variants.values()]
    for variant in known:
        for number in range(len(variant.outcomes)):
            for rival in known:
                shared = next(
                    (k for k, (a, b) in enumerate(zip(rival.outcomes, variant.outcomes, strict=False)) if a != b), None
                )
                assert (rival in rivals(known, variant, number)) == (shared == number)


@pytest.mark.filterwarnings("ignore::staged_ad.errors.VariantsWarning")
def test_the_search_goes_down_the_tree(way: list[Interpreted] | None):
    def choose(a: Any, b: Any, c: Any) -> Any:
        return (1 if a > 0 else 2) * (3 if b > 0 else 5) * (7 if c > 0 else 11) * 1.0

    f, traces = counted(choose)
    points = [(a, b, c) for a in (1.0, -1.0) for b in (1.0, -1.0) for c in (1.0, -1.0)]
    for point in points:
        f(*point)
    assert len(traces) == 8
    for one in points:
        for other in points:
            f(*one)
            before = sum(made.runs for made in way or [])
            assert f(*other) == choose(*other)
            assert sum(made.runs for made in way or []) - before <= 4  # at most one failure for each guard
    assert len(traces) == 8


def test_arguments_of_any_kind_and_nest_take_their_path():
    def f(tree: Any, *, scale: Any = 1.0) -> Any:
        if np.sum(tree["a"]) > 0 and scale > 0:
            return {"b": tree["a"] * scale}
        return tree["a"][0], [scale * 2]

    g = sad.jit(f)
    for _ in range(2):
        for a in (np.arange(6.0)[::2], -np.arange(3.0), np.arange(3.0, dtype=">f8")):
            for scale in (2.0, -1.0, np.float32(3.0)):
                found, expected = g({"a": a}, scale=scale), f({"a": a}, scale=scale)
                assert type(found) is type(expected)
                np.testing.assert_array_equal(
                    found["b"] if isinstance(found, dict) else found[0],
                    expected["b"] if isinstance(expected, dict) else expected[0],
                )


def test_results_of_different_structure_follow_the_path():
    f = sad.jit(lambda x: (x, -x) if x > 1 else (x if x > 0 else [x]))
    for x in (2.0, 0.5, -1.0, 0.5, 2.0, -1.0, 2.0):
        assert f(x) == ((x, -x) if x > 1 else (x if x > 0 else [x]))


def test_derivatives_follow_the_path():
    f = sad.jit(sad.value_and_grad(lambda x: np.sum(np.sin(x)) if x[0] > 0 else np.sum(x**2)))
    up, down = np.array([1.0, 2.0]), np.array([-1.0, 2.0])
    for x in (up, down, up, up, down):
        value, gradient = f(x)
        np.testing.assert_allclose(value, np.sum(np.sin(x)) if x[0] > 0 else np.sum(x**2), rtol=1e-14)
        np.testing.assert_allclose(gradient, np.cos(x) if x[0] > 0 else 2 * x, rtol=1e-14)


def test_newtons_method_stops_when_it_has_converged():
    def root(a: Any) -> Any:
        x = a
        while abs(x * x - a) > 1e-10 * a:
            x = 0.5 * (x + a / x)
        return x

    f = sad.jit(sad.grad(root))
    for a in (2.0, 3.0, 50.0, 2.0, 3.0):
        np.testing.assert_allclose(f(a), 0.5 / np.sqrt(a), rtol=1e-5)


def test_lower_gives_the_variant_of_its_arguments(way: list[Interpreted] | None):
    f, traces = counted(sign)
    texts = [str(f.lower(x).program) for x in (1.0, -1.0, 0.0, 1.0)]
    assert texts[0] == texts[3]
    assert len(set(texts)) == 3
    assert [f(x) for x in (1.0, -1.0, 0.0)] == [1.0, 1.0, 0.0]
    if way is not None:
        assert len(way) == 3
    assert len(traces) == 4


def test_clear_caches_forgets_the_paths():
    f, traces = counted(sign)
    for _ in range(2):
        assert [f(1.0), f(-1.0)] == [1.0, 1.0]
        sad.clear_caches()
    assert len(traces) == 4


def test_static_arguments_and_methods_have_paths_of_their_own():
    class Model:
        def __init__(self, sign: float) -> None:
            self.sign = sign

        @sad.jit
        def apply(self, x: Any) -> Any:
            return self.sign * x if x > 0 else x

    models = Model(1.0), Model(-1.0)
    assert [m.apply(x) for m in models for x in (2.0, -2.0, 2.0)] == [2, -2, 2, -2, -2, -2]
    f = sad.jit(lambda x, mode: x if (x > 0) == mode else -x, static_argnums=1)
    assert [f(x, mode) for mode in (True, False) for x in (2.0, -2.0)] == [2.0, 2.0, -2.0, -2.0]


def test_a_pickled_function_follows_its_paths():
    copy = pickle.loads(pickle.dumps(sad.jit(sign)))
    assert [copy(x) for x in (1.0, -2.0, 0.0)] == [1.0, 2.0, 0.0]


def test_an_exception_on_a_path_is_raised_whenever_it_is_taken():
    def f(x: Any) -> Any:
        if x > 3:
            raise KeyError("too large")
        return x

    g = sad.jit(f)
    assert g(1.0) == 1.0
    for _ in range(2):
        with pytest.raises(KeyError, match="too large"):
            g(4.0)
        assert g(2.0) == 2.0


def test_nested_jit_functions_follow_the_path_of_the_outer_one():
    inner, traces = counted(sign)
    f = sad.jit(lambda x: inner(x) + inner(2 * x) + inner(3.0))
    for x in (1.0, -1.0, 1.0, 0.0, -5.0):
        assert f(x) == 3 * abs(x) + 3.0
    assert len(traces) == 3 * 2 + 1  # twice on each path of f, once for 3.0


def test_an_inner_jit_without_branches_is_traced_once():
    inner, traces = counted(lambda x: np.sin(x) * 2)
    f = sad.jit(lambda x: inner(x) if x > 0 else inner(-x))
    for x in (1.0, -1.0, 2.0):
        assert f(x) == inner(abs(x))
    assert len(traces) == 1


def test_threads_that_take_different_paths_do_not_disturb_each_other():
    f = sad.jit(sad.grad(lambda x: x * x if x > 1 else (-x if x > -1 else x**3)))
    slopes = {2.0: 4.0, 0.5: -1.0, -2.0: 12.0, 3.0: 6.0}
    wrong: list[float] = []

    def work(shift: int) -> None:
        points = list(slopes)
        for k in range(300):
            x = points[(k * (shift + 1) + shift) % 4]
            if f(x) != slopes[x]:
                wrong.append(x)

    threads = [threading.Thread(target=work, args=[k]) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- many variants --------------------------------------------------------------------------------------------------


def test_many_variants_warn_once_and_name_the_line():
    def f(x: Any, n: Any) -> Any:
        if x > 0:
            x = 2 * x
        for _ in range(n):
            x = x + 1
        return x

    g = sad.jit(f)
    for n in range(MANY - 1):
        assert g(1.0, n) == 2 + n
    with pytest.warns(VariantsWarning, match=f"compiled {MANY} times.*fori_loop.*static_argnums") as caught:
        assert g(1.0, MANY) == 2 + MANY
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, f.__code__.co_firstlineno + 3)
    assert f"f has been compiled {MANY} times" in str(warning.message)
    assert f"{__file__}:{f.__code__.co_firstlineno + 3}, in" in str(warning.message)
    for n in range(MANY, MANY + 3):  # no second warning, which would be an error here
        assert g(-1.0, n) == -1 + n


def test_a_long_while_loop_is_advised_to_be_staged():
    f = sad.jit(collatz)
    with pytest.warns(VariantsWarning, match=r"np\.where or staged_ad\.cond.*staged_ad\.while_loop"):
        [f(n) for n in range(1, 12)]


def test_beyond_the_limit_the_path_used_longest_ago_goes():
    f, traces = counted(lambda n: sum(range(n), 0 * n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VariantsWarning)
        for n in range(LIMIT):
            f(n)
        assert len(traces) == LIMIT
        f(0)
        f(LIMIT)  # 1 goes
        assert len(traces) == LIMIT + 1
        f(0)
        f(2)
        assert len(traces) == LIMIT + 1
        assert f(1) == 0
        assert len(traces) == LIMIT + 2


# -- where machine code and NumPy disagree --------------------------------------------------------------------------


def test_the_path_that_machine_code_sees_is_compiled_where_rounding_decides():
    def f(x: Any) -> Any:
        y = 10.0 * x if x > 0 else x
        return y + 1 if y < 100 else y

    with interpreted(lambda number, expected, found: found and number != 1) as made:
        jitted, traces = counted(f)
        assert jitted(1.0) == 10.0  # the second guard is False for the machine code of this test
        assert len(traces) == len(made) == 2
        assert [jitted(1.0), jitted(2.0)] == [10.0, 20.0]
        assert len(traces) == len(made) == 2


def test_numpy_has_the_last_word_where_machine_code_contradicts_itself():
    with interpreted(lambda number, expected, found: not expected if number == 1 else found) as made:
        for f, x in ((lambda x: x if x > 0 and x < 9 else -x, 3.0), (lambda x: x * int(x) if x > 0 else x, 3.0)):
            jitted = sad.jit(f)
            assert [jitted(x), jitted(x)] == [f(x)] * 2
    assert len(made) <= 4


def test_other_failures_of_machine_code_are_no_guards(way: list[Interpreted] | None):
    f = sad.jit(lambda x: x if x > 0 else -x)
    f.lower(1.0)
    ((variant,),) = [variants.known for variants in f._variants.values()]
    assert variant.failed_guard(1) == 0
    if way is None:
        for status in (-1, 1 << 40):
            with pytest.raises(StagedADError):
                variant.failed_guard(status)


def test_a_function_that_reads_an_outer_value_has_no_code_of_its_own():
    def f(x: Any) -> Any:
        inner = sad.jit(lambda y: y if x > 0 else -y)
        with pytest.raises(ArgumentError, match="no code of its own"):
            inner.lower(1.0)
        return inner(x)

    assert sad.grad(f)(-2.0) == -1.0


def test_a_long_program_is_compiled_with_a_warning_that_names_the_line_that_made_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(variants_of, "LONG", 40)

    def chain(x: Any, n: int) -> Any:
        for _ in range(n):
            x = np.sin(x) * x
        return x

    f = sad.jit(chain, static_argnames="n")
    one = np.float64(1.0)
    with pytest.warns(CompileTimeWarning, match=r"chain is a program of 60 operations, 60 .*fori_loop") as caught:
        f(one, 30)
    assert caught[0].lineno == inspect.getsourcelines(chain)[1] + 2
    assert f(one, 15) == pytest.approx(chain(one, 15))  # short
    assert f(one, 31) == pytest.approx(chain(one, 31))  # said before


def test_operations_of_functions_that_are_called_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants_of, "LONG", 40)
    step = sad.jit(lambda x: np.sin(np.cos(x)) + x)

    def steps(x: Any) -> Any:
        for _ in range(20):
            x = step(x)
        return x

    with pytest.warns(CompileTimeWarning, match="of 80 operations"):
        sad.jit(steps)(np.float64(1.0))

"""The demonstration in small: each task learns, its derivatives agree, and its command line answers clearly.

Invariant: nothing here looks at a time.
Start reading at `test_the_digits_are_learnt_in_a_few_epochs`.
"""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn.linear_model import LogisticRegression

import staged_ad as sad
from staged_ad.__main__ import main
from staged_ad.demo import checks, hypergradient, mlp, newton, report
from staged_ad.demo.adam import Adam
from staged_ad.demo.data import breast_cancer, digits

CANCER = breast_cancer()
SMALL_SPLIT = breast_cancer(train_rows=100, seed=1)
LOSS = newton.make_loss(CANCER.train_inputs, CANCER.train_labels)
SIZE: int = CANCER.train_inputs.shape[1]

eager_and_jit = pytest.mark.parametrize(
    "stage", [pytest.param(lambda f: f, id="eager"), pytest.param(sad.jit, id="jit")]
)
Stage = Callable[[Callable[..., Any]], Callable[..., Any]]


def test_the_digits_are_learnt_in_a_few_epochs() -> None:
    split = digits()
    parameters = mlp.train(split, epochs=5)
    assert mlp.accuracy(parameters, split.held_inputs, split.held_labels) > 0.9


@eager_and_jit
def test_the_mlp_gradient_equals_the_one_by_hand(stage: Stage) -> None:
    split = digits()
    arguments = mlp.initial_parameters(np.random.default_rng(0)), split.train_inputs[:32], split.train_labels[:32]
    value, gradient = stage(sad.value_and_grad(mlp.loss))(*arguments)
    expected_value, expected_gradient = mlp.loss_and_gradient_by_hand(*arguments)
    assert value == pytest.approx(expected_value, rel=1e-12)
    assert {name: leaf.shape for name, leaf in gradient.items()} == {n: a.shape for n, a in arguments[0].items()}
    assert checks.distance(gradient, expected_gradient) < 1e-10


def test_the_mlp_gradient_by_hand_matches_central_differences() -> None:
    split = digits()
    images, labels = split.train_inputs[:32], split.train_labels[:32]
    parameters = mlp.initial_parameters(np.random.default_rng(0))
    _, gradient = mlp.loss_and_gradient_by_hand(parameters, images, labels)
    rng = np.random.default_rng(1)
    assert checks.gradient_error(lambda p: mlp.loss(p, images, labels), gradient, parameters, rng) < 1e-8


def test_newton_reaches_a_gradient_norm_below_1e_10() -> None:
    minimum = newton.minimise(LOSS, np.zeros(SIZE))
    assert minimum.gradient_norm < 1e-10
    assert minimum.steps < 20


def test_newton_finds_the_weights_that_scikit_learn_finds() -> None:
    rows = len(CANCER.train_inputs)
    model = LogisticRegression(C=1 / (rows * newton.PENALTY), solver="newton-cholesky", tol=1e-10, max_iter=100)
    model.fit(CANCER.train_inputs[:, :-1], CANCER.train_labels)
    weights = newton.minimise(LOSS, np.zeros(SIZE)).weights
    np.testing.assert_allclose(weights, [*model.coef_[0], *model.intercept_], rtol=1e-6, atol=1e-8)


@eager_and_jit
@pytest.mark.parametrize("spread", [0.0, 0.3, 30.0])
def test_logistic_derivatives_equal_those_by_hand(stage: Stage, spread: float) -> None:
    # At a spread of 0 every margin is 0, where a softplus made of abs and maximum has a wrong second derivative;
    # at 30 the margins reach the hundreds, where exp(margin) alone would lose everything.
    rng = np.random.default_rng(2)
    w, v = spread * rng.standard_normal(SIZE), rng.standard_normal(SIZE)
    value, gradient = stage(sad.value_and_grad(LOSS))(w)
    expected_value, expected = newton.make_gradient_by_hand(CANCER.train_inputs, CANCER.train_labels)(w)
    assert value == pytest.approx(expected_value, rel=1e-12)
    assert checks.distance(gradient, expected) < 1e-10
    product = stage(lambda w, v: sad.hvp(LOSS, (w,), (v,)))(w, v)
    assert checks.distance(product, newton.make_product_by_hand(CANCER.train_inputs, CANCER.train_labels)(w, v)) < 1e-10


def test_conjugate_gradients_solve_a_system_in_as_many_products_as_it_has_rows() -> None:
    rng = np.random.default_rng(3)
    factor, right_side = rng.standard_normal((6, 6)), rng.standard_normal(6)
    matrix = factor @ factor.T + np.eye(6)
    solution, products = newton.conjugate_gradients(lambda v: matrix @ v, right_side, tolerance=1e-9, limit=20)
    np.testing.assert_allclose(matrix @ solution, right_side, atol=1e-8)
    assert products <= 7


@eager_and_jit
def test_the_hypergradient_equals_the_one_by_hand(stage: Stage) -> None:
    validation_loss = hypergradient.make_validation_loss(SMALL_SPLIT, steps=6)
    value, slope = stage(sad.value_and_grad(validation_loss))(np.float64(-1.0))
    expected_value, expected = hypergradient.make_hypergradient_by_hand(SMALL_SPLIT, steps=6)(np.float64(-1.0))
    assert value == pytest.approx(expected_value, rel=1e-12)
    assert slope == pytest.approx(expected, rel=1e-10)


def test_the_hypergradient_by_hand_matches_central_differences() -> None:
    by_hand = hypergradient.make_hypergradient_by_hand(SMALL_SPLIT)
    point = np.float64(-2.0)
    rng = np.random.default_rng(4)
    assert checks.gradient_error(lambda p: by_hand(p)[0], by_hand(point)[1], point, rng) < 1e-8


def test_tuning_the_penalty_lowers_the_validation_loss() -> None:
    validation_loss = hypergradient.make_validation_loss(SMALL_SPLIT, steps=20)
    tuning = hypergradient.tune(sad.jit(sad.value_and_grad(validation_loss)), start=0.0, steps=15)
    assert tuning.loss_after < 0.5 * tuning.loss_before
    assert tuning.log_penalty_after < tuning.log_penalty_before


def test_adam_leaves_the_parameters_it_was_given_alone() -> None:
    parameters = {"w": np.ones(3)}
    moved = Adam(rate=0.1).step(parameters, {"w": np.array([1.0, -2.0, 0.0])})
    np.testing.assert_array_equal(parameters["w"], np.ones(3))
    np.testing.assert_allclose(moved["w"], [0.9, 1.1, 1.0])


def _print_rows(**changes: float) -> tuple[int, str]:
    numbers = {"difference_error": 1e-11, "hand_error": 1e-15, "compiled": 1.5, "eager": 1500.0, "by_hand": 15.0}
    row = checks.Outcome("small", "done", **(numbers | changes))

    def task(advance: Callable[[float], None]) -> list[checks.Outcome]:
        for fraction in np.linspace(0.0, 1.0, 50):
            advance(float(fraction))
        return [row]

    text = io.StringIO()
    code = report.run([("a small task", task)], Console(file=text, width=80))
    return code, text.getvalue()


def test_a_report_that_is_not_on_a_terminal_has_one_line_per_task_and_a_table() -> None:
    code, text = _print_rows()
    assert code == 0
    assert text.splitlines()[0] == "a small task: done"
    assert text.count("a small task") == 1
    assert "\x1b" not in text
    assert "1.5" in text
    assert "1,500" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("error", ["difference_error", "hand_error"])
def test_a_derivative_that_disagrees_fails_the_report(error: str) -> None:
    code, text = _print_rows(**{error: 1e-3})
    assert code == 1
    assert "FAILED small" in text


@pytest.mark.parametrize("error", ["difference_error", "hand_error"])
def test_a_derivative_that_is_not_a_number_fails_the_report(error: str) -> None:
    assert _print_rows(**{error: float("nan")})[0] == 1


def test_a_gradient_with_a_nan_in_it_is_never_called_close() -> None:
    tree = {"a": np.ones(2), "b": np.array([1.0, np.nan]), "c": np.ones(2)}
    ones = {name: np.ones(2) for name in tree}
    assert np.isnan(checks.distance(tree, ones))
    rng = np.random.default_rng(5)
    assert np.isnan(checks.gradient_error(lambda p: np.sum(p["a"] + p["b"] + p["c"]), tree, ones, rng))


@pytest.mark.parametrize(("module", "package"), [("rich", "rich"), ("sklearn", "scikit-learn")])
def test_a_missing_extra_is_one_line_that_says_what_to_install(module: str, package: str) -> None:
    script = f"import sys; sys.modules[{module!r}] = None; from staged_ad.__main__ import main; sys.exit(main([]))"
    home = Path(sad.__file__).parent.parent
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=home)
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr.count("\n") == 1
    assert package in finished.stderr
    assert "python -m pip install 'staged-ad[demo]'" in finished.stderr


def test_info_names_every_library_the_package_stands_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("staged-ad", "Python", "NumPy", "Numba", "llvmlite", "CPU", "SIMD", "BLAS"))
    assert np.__version__ in text


def test_an_unknown_command_prints_the_usage_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["nonsense"])
    assert stopped.value.code == 2
    assert "usage: python -m staged_ad" in capsys.readouterr().err

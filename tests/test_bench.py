"""The benchmark's own promises: figures go between the markers of README.md, and hand-written code is right.

Invariant: nothing here is timed. Start at ``figures``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest

import staged_ad as sad
from bench import document
from bench.agreement import disagreement
from bench.by_hand import helmholtz as helmholtz_by_hand
from bench.by_hand import rosenbrock as rosenbrock_by_hand
from bench.libraries import this_project as measured_project
from bench.libraries.python_loops import scan_with, vmap_with
from bench.library import Library
from bench.problems import determinant, helmholtz, kmeans, rosenbrock
from bench.problems.on_host import ROWS
from bench.table import Result, means
from staged_ad.native import disk


def this_project() -> Library:
    """As it is measured, but with the cache on disk left as it was for the other tests."""
    before = disk.enabled()
    try:
        return measured_project()
    finally:
        sad.configure_cache(enabled=before)


def figures() -> dict[str, Any]:
    rows = [
        Result(
            "a",
            "one",
            {"staged_ad": 1.0, "JAX": 2.0},
            {"staged_ad": 1.0, "JAX": 4.0, "by hand": 1.0},
            {"JAX": 4.0, "by hand": 1.0},
        ),
        Result("b", "two", {"staged_ad": 1.0, "JAX": 8.0}, {"staged_ad": 1.0, "JAX": 1.0}, {"JAX": 1.0}),
    ]
    environment = {"cpu": "a processor", "threads": 2, "versions": {"python": "3"}}
    return {"environment": environment, "rows": [row.as_json() for row in rows]}


def test_readme_has_one_place_for_the_figures():
    text = document.README.read_text()
    assert text.count(document.BEGIN) == text.count(document.END) == 1
    assert text.index(document.BEGIN) < text.index(document.END)


def test_figures_replace_the_old_ones_and_nothing_else(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{document.BEGIN}\nold\n{document.END}\nbelow\n")
    document.rewrite(figures(), tmp_path / "docs" / "speed.png", page)
    once = page.read_text()
    document.rewrite(figures(), tmp_path / "docs" / "speed.png", page)
    assert page.read_text() == once
    assert once.startswith(f"above\n{document.BEGIN}\n")
    assert once.endswith(f"{document.END}\nbelow\n")
    assert "old" not in once
    assert "| all rows | 4.00x | 2.00x | 1.00x |" in once
    assert "](docs/speed.png)" in once


def test_a_document_without_markers_is_refused(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match="needs one line"):
        document.rewrite(figures(), None, page)


def test_means_are_of_the_rows_that_have_the_side():
    results = [Result(**row) for row in figures()["rows"]]
    assert dict(means(results, "steady", "by hand")) == {"one": 1.0, "two": None, "all rows": 1.0}


def test_names_of_rows_are_different_and_rows_match_their_patterns():
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.matches(row.name) and row.matches(row.group) and row.matches("") for row in ROWS)
    assert [row.name for row in ROWS if row.matches("llsq*n=100")] == ["llsq m=16 n=100"]


def test_determinant_by_minors_has_the_gradient_of_the_determinant():
    (A,) = determinant.data(4)
    gradient = determinant.gradient(this_project())(A)
    numpy.testing.assert_allclose(gradient, numpy.linalg.det(A) * numpy.linalg.inv(A).T, rtol=1e-12)


def test_newtons_direction_of_kmeans_leads_to_the_means_of_the_clusters():
    centres, points = kmeans.data(200, 4, 3)
    direction = kmeans.direction(this_project())(centres, points)
    nearest = numpy.argmin(((points[:, None] - centres) ** 2).sum(axis=2), axis=1)
    means_of_clusters = [points[nearest == c].mean(axis=0) for c in range(4)]
    numpy.testing.assert_allclose(centres - direction, means_of_clusters, rtol=1e-10)


@pytest.mark.parametrize("size", [2, 3, 20])
def test_derivatives_of_rosenbrock_by_hand_are_right(size: int):
    x, v = rosenbrock.data(size, 2)
    library = this_project()
    assert not disagreement(rosenbrock_by_hand.gradient.py_func(x), rosenbrock.gradient(library)(x))
    assert not disagreement(rosenbrock_by_hand.hessian_vector.py_func(x, v), rosenbrock.hessian_vector(library)(x, v))


def test_gradient_of_helmholtz_by_hand_is_right():
    x, b, _ = helmholtz.data(3)
    A = numpy.random.default_rng(0).random((3, 3))
    assert not disagreement(helmholtz_by_hand.gradient(x, b, A), helmholtz.gradient(this_project())(x, b, A))


def test_loops_in_python_are_those_of_the_package():
    xs = numpy.arange(5.0), {"a": numpy.arange(10.0).reshape(5, 2)}

    def step(carry: Any, x: Any) -> Any:
        total = carry * 0.5 + x[0]
        return total, (total, numpy.sum(x[1]["a"]) * carry)

    for reverse in (False, True):
        ours = sad.scan(step, 1.0, xs, reverse=reverse)
        assert not disagreement(ours, scan_with(numpy.array)(step, 1.0, xs, reverse=reverse))

    def lane(x: Any, y: Any) -> Any:
        return x * y, numpy.sum(y)

    arguments = numpy.arange(3.0), numpy.arange(6.0).reshape(3, 2)
    assert not disagreement(sad.vmap(lane)(*arguments), vmap_with(numpy.array)(lane)(*arguments))

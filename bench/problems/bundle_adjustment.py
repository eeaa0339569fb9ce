"""Bundle adjustment: the blocks of the sparse Jacobian, 2 x 15 of each of 31 843 observations.

The problem of ADBench (Srajer, Kukelova, Fitzgibbon, A Benchmark of Selected Algorithmic Differentiation Tools, 2018;
data set 1: 49 cameras, 7776 points). A camera is (rotation 3, centre 3, focal length, principal point 2, radial
distortion 2); an observation is a camera, a point, a weight, and where in the image the point was seen.
"""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row


def rotated(library: Library, axis: Any, point: Any) -> Any:
    """Rodrigues' formula: the point turned about the axis, by as many radians as the axis is long."""
    np = library.np
    square = np.sum(axis**2)
    angle = np.sqrt(np.where(square > 0.0, square, 1.0))
    unit = axis / angle
    turned = (
        point * np.cos(angle)
        + cross(library, unit, point) * np.sin(angle)
        + unit * (np.sum(unit * point) * (1.0 - np.cos(angle)))
    )
    return np.where(square > 0.0, turned, point + cross(library, axis, point))


def cross(library: Library, a: Any, b: Any) -> Any:
    return library.np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def reprojection_error(library: Library) -> Function:
    """``(camera (11), point (3), weight, seen (2)) -> (2)``."""
    np = library.np

    def f(camera: Any, point: Any, weight: Any, seen: Any) -> Any:
        rotation, centre, focal, principal, radial = camera[:3], camera[3:6], camera[6], camera[7:9], camera[9:]
        x = rotated(library, rotation, point - centre)
        image = x[:2] / x[2]
        square = np.sum(image**2)
        distorted = image * (1.0 + radial[0] * square + radial[1] * square**2)
        return weight * (distorted * focal + principal - seen)

    return f


def jacobian(library: Library) -> Function:
    """``(cameras, points, weights (p), seen (p, 2), camera and point (p, 2)) -> blocks, weights' errors``."""
    blocks = library.vmap(library.jacrev(reprojection_error(library), argnums=(0, 1, 2)))
    weight_error = library.vmap(library.grad(lambda weight: 1.0 - weight**2))

    def f(cameras: Any, points: Any, weights: Any, seen: Any, observed: Any) -> Any:
        by_observation = cameras[observed[:, 0]], points[observed[:, 1]], weights, seen
        return *blocks(*by_observation), weight_error(weights)

    return f


def data(cameras: int = 49, points: int = 7776, observations: int = 31_843) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    scales = numpy.array([0.3] * 3 + [0.5] * 3 + [50.0] + [5.0] * 2 + [1e-2] * 2)
    camera = random.normal(size=(cameras, 11)) * scales + numpy.array([0.0] * 5 + [-5.0, 500.0] + [0.0] * 4)
    observed = numpy.stack([random.integers(cameras, size=observations), random.integers(points, size=observations)], 1)
    weights, seen = random.uniform(0.5, 1.0, observations), random.normal(size=(observations, 2)) * 100
    return camera, random.normal(size=(points, 3)) * 0.5, weights, seen, observed


ROWS = [
    Row("bundle adjustment, 31843 blocks", "ADBench", data, jacobian, small=(partial(data, observations=20), jacobian))
]

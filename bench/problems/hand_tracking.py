"""Hand tracking: the Jacobian of 400 distances from points to the skin of a hand, for the 26 numbers of its pose.

The simple problem of ADBench (Srajer, Kukelova, Fitzgibbon, A Benchmark of Selected Algorithmic Differentiation Tools,
2018) on a hand of 22 bones and 544 vertices. Its bones are made up here: five chains of four on a wrist.
"""

from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row

BONES = 22  # a root, a wrist, five fingers of four
PARENTS = [-1, 0, *(1 if joint == 0 else 4 * finger + joint + 1 for finger in range(5) for joint in range(4))]


def places_of_theta() -> numpy.ndarray[Any, Any]:
    """(3, 25): which entry of (theta, 0, 1) each number of the pose is.

    Its columns are the whole hand's rotation, scale and place, and the angles of each bone. Of a finger's four bones
    the first stays, the second turns about two axes, the others about one.
    """
    zero, one = 26, 27
    places = numpy.full((3, BONES + 3), zero)
    places[:, 0], places[:, 1], places[:, 2] = (0, 1, 2), one, (3, 4, 5)
    theta = iter(range(6, 26))
    for finger in range(5):
        for joint in (1, 2, 3):
            column = 5 + 4 * finger + joint
            places[0, column] = next(theta)
            if joint == 1:
                places[1, column] = next(theta)
    return places


def matrices(library: Library, rows: list[list[Any]]) -> Any:
    """Arrays of one shape in rows and columns -> an array of matrices."""
    return library.np.stack([library.np.stack(row, axis=-1) for row in rows], axis=-2)


def rotations(library: Library, angles: Any) -> Any:
    """``(3, n) -> (n, 4, 4)``: turned about x, then y, then z, in homogeneous coordinates."""
    np = library.np
    (sx, sz, sy), (cx, cz, cy) = np.sin(angles), np.cos(angles)
    zero, one = np.zeros_like(sx), np.ones_like(sx)
    return matrices(
        library,
        [
            [cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz, zero],
            [cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz, zero],
            [-sy, sx * cy, cx * cy, zero],
            [zero, zero, zero, one],
        ],
    )


def about_axis(library: Library, axis: Any) -> Any:
    """The matrix (3, 3) of the rotation about the axis, by as many radians as it is long."""
    np = library.np
    angle = np.sqrt(np.sum(axis**2))
    x, y, z = (axis / angle)[0], (axis / angle)[1], (axis / angle)[2]
    s, c = np.sin(angle), np.cos(angle)
    v = 1.0 - c
    return matrices(
        library,
        [
            [x * x * v + c, x * y * v - z * s, x * z * v + y * s],
            [x * y * v + z * s, y * y * v + c, y * z * v - x * s],
            [x * z * v - y * s, y * z * v + x * s, z * z * v + c],
        ],
    )


def distances(library: Library) -> Function:
    """``(theta (26), bones, inverses (22, 4, 4), vertices (4, v), weights (22, v), points (3, c), vertex of each)``."""
    np, places = library.np, places_of_theta()

    def f(theta: Any, bones: Any, inverses: Any, vertices: Any, weights: Any, points: Any, corresponding: Any) -> Any:
        pose = np.concatenate([theta, np.zeros_like(theta[:1]), np.ones_like(theta[:1])])[places]
        relative = bones @ rotations(library, pose[:, 3:])
        absolute: list[Any] = []
        for bone, parent in enumerate(PARENTS):
            absolute.append(relative[bone] if parent < 0 else absolute[parent] @ relative[bone])
        transforms = np.stack(absolute) @ inverses
        skin = np.sum((transforms[:, :3] @ vertices) * weights[:, None, :], axis=0)
        skin = (about_axis(library, pose[:, 0]) * pose[:, 1]) @ skin + pose[:, 2:3]
        return points - skin[:, corresponding]

    return f


def jacobian(library: Library) -> Function:
    return library.jacfwd(distances(library))


def data(vertices: int = 544, points: int = 400) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    bones = numpy.tile(numpy.eye(4), (BONES, 1, 1))
    bones[:, :3, 3] = random.normal(size=(BONES, 3))
    absolute: list[Any] = []
    for bone, parent in enumerate(PARENTS):
        absolute.append(bones[bone] if parent < 0 else absolute[parent] @ bones[bone])
    homogeneous = numpy.concatenate([random.normal(size=(3, vertices)) * 3, numpy.ones((1, vertices))])
    weights = random.random((BONES, vertices)) ** 8
    return (
        random.normal(size=26) * 0.3,
        bones,
        numpy.linalg.inv(numpy.stack(absolute)),
        homogeneous,
        weights / weights.sum(axis=0),
        random.normal(size=(3, points)),
        random.integers(vertices, size=points),
    )


ROWS = [Row("hand tracking, 26 x 1200", "ADBench", data, jacobian)]

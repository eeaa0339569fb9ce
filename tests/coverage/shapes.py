"""Examples of functions that join, cut, repeat, pad and rearrange.

Invariant: see example.py. Start at ``SHAPES``.
"""

from __future__ import annotations

import numpy as np

from tests.coverage.example import M, Q, Table, V, X, m, numbers, on, steps, v, x

C = np.array([[0.5, -1.0], [2.0, 0.25], [1.5, 3.0]])
EMPTY = on(np.zeros((0, 3)))

SHAPES: Table = {
    "numpy.reshape": [
        *x(lambda x: np.reshape(x, (3, 4)), lambda x: np.reshape(x, -1)),
        *EMPTY(lambda x: np.reshape(x, (3, 0))),
    ],
    "numpy.ravel": [*x(np.ravel), *EMPTY(np.ravel)],
    "numpy.transpose": x(np.transpose, lambda x: np.transpose(x, (1, 2, 0))),
    "numpy.permute_dims": x(lambda x: np.permute_dims(x, (2, 0, 1))),
    "numpy.matrix_transpose": x(np.matrix_transpose),
    "numpy.swapaxes": x(lambda x: np.swapaxes(x, 0, -1)),
    "numpy.moveaxis": x(lambda x: np.moveaxis(x, [0, 1], [-1, 0])),
    "numpy.rollaxis": x(lambda x: np.rollaxis(x, 2), lambda x: np.rollaxis(x, 0, 3), lambda x: np.rollaxis(x, -1, 1)),
    "numpy.squeeze": x(lambda x: np.squeeze(x[:1]), lambda x: np.squeeze(x[:, :1], axis=1)),
    "numpy.expand_dims": x(lambda x: np.expand_dims(x, (1, -1))),
    "numpy.broadcast_to": x(lambda x: np.broadcast_to(x[:, :1], (4, 2, 3, 2))),
    "numpy.broadcast_arrays": x(lambda x: np.broadcast_arrays(x[0], x[1, 0], 2.0)),
    "numpy.concatenate": [
        *x(lambda x: np.concatenate((x, x[:, :1]), axis=1), lambda x: np.concatenate([x, x[0]], axis=None)),
        *EMPTY(lambda x: np.concatenate([x, x])),
    ],
    "numpy.stack": [*x(lambda x: np.stack([x[0], C], axis=-1)), *EMPTY(lambda x: np.stack([x, x], 1))],
    "numpy.hstack": x(lambda x: np.hstack([x, x]), lambda x: np.hstack([x[0, 0, 0], x[0, 1]])),
    "numpy.vstack": x(lambda x: np.vstack([x[0, 0], x[1]])),
    "numpy.dstack": x(lambda x: np.dstack([x[0], x[1]]), lambda x: np.dstack([x[0, 0], x[1, 0]])),
    "numpy.column_stack": x(lambda x: np.column_stack([x[0, 0], x[1].T])),
    "numpy.block": x(
        lambda x: np.block([[x[0], C], [np.ones((1, 4))]]),
        lambda x: np.block([x[0, 0], 3.0]),
        lambda x: np.block(x),
    ),
    "numpy.append": x(lambda x: np.append(x, 2.0), lambda x: np.append(x, x[:1], axis=0)),
    "numpy.split": x(lambda x: np.split(x, 3, axis=1), lambda x: np.split(x, [1, 2], axis=1)),
    "numpy.array_split": v(lambda v: np.array_split(v, 3), lambda v: np.array_split(v, [1, 3])),
    "numpy.hsplit": [*x(lambda x: np.hsplit(x, 3)), *v(lambda v: np.hsplit(v, [2]))],
    "numpy.vsplit": x(lambda x: np.vsplit(x, 2)),
    "numpy.dsplit": x(lambda x: np.dsplit(x, [1])),
    "numpy.unstack": x(lambda x: np.unstack(x, axis=1)),
    "numpy.atleast_1d": [*on(np.float64(2.0))(np.atleast_1d), *x(lambda x: np.atleast_1d(x, x[0, 0, 0]))],
    "numpy.atleast_2d": [*v(np.atleast_2d), *on(np.float64(2.0))(np.atleast_2d)],
    "numpy.atleast_3d": [*v(np.atleast_3d), *m(np.atleast_3d), *x(lambda x: np.atleast_3d(x, x[0, 0, 0]))],
    "numpy.tile": [
        *x(lambda x: np.tile(x, 2), lambda x: np.tile(x, (2, 1, 1, 3)), lambda x: np.tile(x[0, 0], (2, 2))),
        *EMPTY(lambda x: np.tile(x, (2, 2))),
    ],
    "numpy.repeat": x(
        lambda x: np.repeat(x, 2),
        lambda x: np.repeat(x, 3, axis=1),
        lambda x: np.repeat(x, [2, 0, 3], axis=1),
        lambda x: x.repeat(0, axis=0),
    ),
    "numpy.resize": x(lambda x: np.resize(x, (3, 7)), lambda x: np.resize(x, 5)),
    "numpy.delete": x(
        lambda x: np.delete(x, 1, axis=1),
        lambda x: np.delete(x, [0, 3, -1]),
        lambda x: np.delete(x, slice(None, None, 2), axis=1),
        lambda x: np.delete(x, np.array([True, False, True]), axis=1),
    ),
    "numpy.insert": x(
        lambda x: np.insert(x, 1, 5.0, axis=1),
        lambda x: np.insert(x, [0, 3], x[:, :2], axis=1),
        lambda x: np.insert(x, 2, x[:, 0], axis=1),
        lambda x: np.insert(x, [1, 1, 4], x[0, :, 0]),
        lambda x: np.insert(x, slice(0, 2), 1.5, axis=1),
    ),
    "numpy.flip": x(np.flip, lambda x: np.flip(x, (0, -1))),
    "numpy.fliplr": x(np.fliplr),
    "numpy.flipud": x(np.flipud),
    "numpy.rot90": x(np.rot90, lambda x: np.rot90(x, 2, (1, 2)), lambda x: np.rot90(x, -1), lambda x: np.rot90(x, 4)),
    "numpy.roll": x(lambda x: np.roll(x, 1), lambda x: np.roll(x, (1, 5), axis=(0, 1))),
    "numpy.meshgrid": on(V, numbers(3))(
        lambda a, b: np.meshgrid(a, b),
        lambda a, b: np.meshgrid(a, b, [1.0, 2.0], indexing="ij"),
        lambda a, b: np.meshgrid(a, b, sparse=True),
        lambda a, b: np.meshgrid(a),
    ),
    "numpy.ix_": steps(lambda k: np.ix_(k.astype(int), np.array([True, False, True])), args=(V,)),
    "numpy.compress": x(lambda x: np.compress([True, False, True], x, axis=1), lambda x: np.compress([0, 1, 1], x)),
    "numpy.extract": x(lambda x: np.extract(X > 0, x)),
    "numpy.pad": [
        *x(
            lambda x: np.pad(x, 1),
            lambda x: np.pad(x, ((0, 1), (2, 0), (1, 1)), constant_values=((0, 0), (1.5, 0), (2, 3))),
            lambda x: np.pad(x, ((1, 2), (3, 4), (0, 0)), mode="edge"),
            lambda x: np.pad(x, (1, 2), mode="wrap"),
            lambda x: np.pad(x, ((1, 1), (5, 7), (0, 0)), mode="reflect"),
            lambda x: np.pad(x, ((1, 1), (4, 5), (0, 0)), mode="reflect", reflect_type="odd"),
            lambda x: np.pad(x, ((3, 4), (5, 7), (1, 0)), mode="symmetric"),
            lambda x: np.pad(x, ((3, 4), (5, 7), (1, 0)), mode="symmetric", reflect_type="odd"),
            lambda x: np.pad(x, 2, mode="maximum"),
            lambda x: np.pad(x, ((1, 1), (2, 2), (0, 0)), mode="minimum", stat_length=2),
        ),
        *on(X, dtypes=("float32",))(
            lambda x: np.pad(x, (3, 2), mode="linear_ramp", end_values=(2.0, -1.0)),
            lambda x: np.pad(x, 1, mode="mean"),
            lambda x: np.pad(x, 1, mode="mean", stat_length=((1, 2),)),
        ),
        *EMPTY(lambda x: np.pad(x, 1)),
    ],
    "numpy.diagonal": [
        *x(np.diagonal, lambda x: np.diagonal(x, -1, 1, 2), lambda x: x.diagonal(1, axis1=2, axis2=1)),
        *EMPTY(np.diagonal),
    ],
    "numpy.trace": x(np.trace, lambda x: np.trace(x, 1, 1, 2), lambda x: x.trace(offset=-1), lambda x: np.trace(x, 9)),
    "numpy.diag": [
        *v(np.diag, lambda v: np.diag(v, 2), lambda v: np.diag(v, -1)),
        *m(np.diag, lambda m: np.diag(m, -1)),
        *on(np.zeros(0))(np.diag),
    ],
    "numpy.diagflat": m(np.diagflat, lambda m: np.diagflat(m, 1)),
    "numpy.tril": [*x(np.tril, lambda x: np.tril(x, 1)), *v(np.tril)],
    "numpy.triu": [*x(np.triu, lambda x: np.triu(x, -1)), *v(np.triu)],
    "numpy.vander": v(np.vander, lambda v: np.vander(v, 3, increasing=True), lambda v: np.vander(v, 0)),
    "numpy.diag_indices_from": steps(lambda q: q * np.diag_indices_from(q)[0], args=(Q,)),
    "numpy.tril_indices_from": steps(lambda q: q * np.tril_indices_from(q, -1)[0], args=(Q,)),
    "numpy.triu_indices_from": steps(lambda m: m * len(np.triu_indices_from(m)[1]), args=(M,)),
    "numpy.copy": x(np.copy),
    "numpy.astype": x(lambda x: np.astype(x, np.float64) * x) + steps(lambda x: np.astype(9 * x, int)),
    "numpy.zeros_like": x(lambda x: np.zeros_like(x, shape=(2,)), lambda x: np.zeros_like(x, dtype=int)),
    "numpy.ones_like": x(lambda x: np.ones_like(x) * x),
    "numpy.empty_like": x(lambda x: np.where(False, np.empty_like(x), 0)),
    "numpy.full_like": x(lambda x: np.full_like(x, x[0, 0, 0]), lambda x: np.full_like(x, 2.5, dtype=int)),
    "numpy.shape": steps(lambda x: x * np.shape(x)[1], args=(X,)),
    "numpy.ndim": steps(lambda x: x * np.ndim(x), args=(X,)),
    "numpy.size": steps(lambda x: x * np.size(x, 1), args=(X,)),
    "numpy.result_type": steps(lambda x: x * np.ones(2, np.result_type(x, np.float32, 1)), args=(X,)),
    "numpy.common_type": steps(lambda x: x * (np.common_type(x, np.ones(1, "float32")) is np.float64), args=(X,)),
    "numpy.can_cast": steps(lambda x: x * np.can_cast(x.dtype, np.float32), args=(X,)),
    "numpy.linspace": on(np.float64(0.3), M)(
        lambda a, b: np.linspace(a, b, 4),
        lambda a, b: np.linspace(b, a, 5, endpoint=False, axis=1),
        lambda a, b: np.linspace(a, b[0, 0], 3, retstep=True),
        lambda a, b: np.linspace(a, b, 1),
        lambda a, b: np.linspace(a, 9.5, 4, dtype=int),
        lambda a, b: np.linspace(b, b, 3),
    ),
    "numpy.logspace": on(np.float64(0.3), M)(
        lambda a, b: np.logspace(a, b, 4), lambda a, b: np.logspace(a, b[0], 3, base=b[1], axis=-1)
    ),
    "numpy.geomspace": on(np.float64(0.3), M, dtypes=("float32",))(
        lambda a, b: np.geomspace(a, b, 4),
        lambda a, b: np.geomspace(-b, -a, 3, axis=1),
        lambda a, b: np.geomspace(a, b, 3, endpoint=False),
    ),
}

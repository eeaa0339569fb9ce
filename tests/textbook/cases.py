"""The calls at which the codes of this folder are tested.

Invariant: a function takes and returns arrays of real or complex numbers; all of its arguments are differentiated.
Start at ``CASES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.textbook import (
    bundle_adjustment,
    cholesky,
    convolution,
    gaussian_process,
    jacobi,
    kmeans,
    power_flow,
    rk4,
    thomas,
    viterbi,
)

OF_SCIPY = "scipy.linalg and scipy.signal ask no array for its own functions"


@dataclass(frozen=True)
class Case:
    """A function at a point; `smooth` where second derivatives exist there; `step` for finite differences;
    `missing` is why it fails."""

    name: str
    f: Callable[..., Any]
    args: tuple[Any, ...]
    smooth: bool = True
    step: float = 1e-3
    missing: str = ""


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def dominant(n: int) -> Any:
    """A symmetric matrix whose diagonal dominates."""
    A = rng(n).uniform(-1, 1, (n, n))
    return A + A.T + 2.5 * n * np.eye(n)


def positive_definite(n: int) -> Any:
    A = rng(n).normal(size=(n, n))
    return A @ A.T + n * np.eye(n)


def jacobi_cases() -> list[Case]:
    A, b = dominant(4), rng(1).normal(size=4)
    top, left = rng(2).uniform(1, 2, 6), rng(3).uniform(1, 2, 6)
    f = rng(4).normal(size=(4, 5))
    return [
        Case("jacobi_loops", lambda A, b: jacobi.jacobi_loops(A, b, sweeps=5), (A, b)),
        Case("jacobi_matrix", lambda A, b: jacobi.jacobi_matrix(A, b, sweeps=8), (A, b)),
        Case("jacobi_matrix_start", lambda A, b, x: jacobi.jacobi_matrix(A, b, x, sweeps=3), (A, b, b + 1)),
        Case("jacobi_until", lambda A, b: jacobi.jacobi_until(A, b, tol=1e-3), (A, b)),
        Case("gauss_seidel", lambda A, b: jacobi.gauss_seidel(A, b, sweeps=4), (A, b)),
        Case("sor", lambda A, b, omega: jacobi.sor(A, b, omega, sweeps=4), (A, b, 1.1)),
        Case("laplace", lambda top, left: jacobi.laplace(top, left, n=6, sweeps=8), (top, left)),
        Case("poisson_red_black", lambda f, h: jacobi.poisson_red_black(f, h, sweeps=3), (f, 0.3)),
    ]


def thomas_cases() -> list[Case]:
    n = 6
    a, c = rng(1).uniform(0.5, 1, n), rng(2).uniform(0.5, 1, n)
    b, r = rng(3).uniform(3, 4, n), rng(4).normal(size=n)
    u, kappa = rng(5).uniform(1, 2, n), rng(6).uniform(1, 2, n - 1)
    return [
        Case("tridag", thomas.tridag, (a, b, c, r)),
        Case("tdma", thomas.tdma, (a[1:], b, c[1:], r)),
        Case("thomas_lists", thomas.thomas_lists, (a[1:], b, c[1:], r)),
        Case("implicit_heat", thomas.implicit_heat, (u, 0.7, 0.2, 0.05)),
        Case("crank_nicolson", lambda u, k, dt: thomas.crank_nicolson(u, k, dt, steps=2), (u, kappa, 0.1)),
    ]


def cholesky_cases() -> list[Case]:
    A, b, m = positive_definite(4), rng(1).normal(size=4), rng(2).normal(size=4)
    L = np.linalg.cholesky(A)
    return [
        Case("cholesky_rows", cholesky.cholesky_rows, (A,)),
        Case("choldc", cholesky.choldc, (A,)),
        Case("cholesky_gaxpy", cholesky.cholesky_gaxpy, (A,)),
        Case("cholesky_outer", cholesky.cholesky_outer, (A,)),
        Case("cholesky_recursive", cholesky.cholesky_recursive, (A,)),
        Case("ldl", cholesky.ldl, (A,)),
        Case("forward_substitution", cholesky.forward_substitution, (L, b)),
        Case("back_substitution", cholesky.back_substitution, (L.T, b)),
        Case("solve_spd", cholesky.solve_spd, (A, b)),
        Case("normal_log_density", cholesky.normal_log_density, (b, m, A)),
    ]


def rk4_cases() -> list[Case]:
    positions, velocities = rng(1).normal(size=(3, 2)), 0.1 * rng(2).normal(size=(3, 2))
    return [
        Case(
            "lotka_volterra",
            lambda *x: rk4.lotka_volterra(*x, t_end=1.0, n=6),
            (np.array([1.0, 0.7]), 1.1, 0.4, 0.1, 0.4),
        ),
        Case("lorenz", lambda s, *p: rk4.lorenz(s, *p, steps=6), (np.array([1.0, 1.0, 0.5]), 10.0, 28.0, 2.6)),
        Case("pendulum", lambda *x: rk4.pendulum(*x, n=6), (1.0, 0.3, 0.8, 0.2)),
        Case("n_body", lambda *x: rk4.n_body(*x, steps=2), (positions, velocities, np.array([1.0, 0.5, 0.8]))),
        Case("bogacki_shampine", lambda y, mu: rk4.bogacki_shampine(y, mu, t_end=0.4), (np.array([1.0, 0.5]), 0.7)),
    ]


def kmeans_cases() -> list[Case]:
    centres = np.array([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]])
    X = np.concatenate([c + 0.4 * rng(k).normal(size=(4, 2)) for k, c in enumerate(centres)])
    start = centres + 0.3
    return [
        Case("kmeans", lambda X, c: kmeans.kmeans(X, c, iterations=2)[::2], (X, start)),
        Case("kmeans_until", kmeans.kmeans_until, (X, start)),
        Case("kmeans_sums", lambda X, c: kmeans.kmeans_sums(X, c, iterations=2), (X, start)),
        Case("kmeans_one_hot", lambda X, c: kmeans.kmeans_one_hot(X, c, iterations=2), (X, start)),
        Case("distortion", kmeans.distortion, (X, start)),
        Case("mixture_em", lambda X, c: kmeans.mixture_em(X, c, iterations=2), (X, start)),
    ]


def viterbi_cases() -> list[Case]:
    A = rng(1).dirichlet(np.ones(3), 3)
    B = rng(2).dirichlet(np.ones(4), 3)
    pi = np.array([0.5, 0.3, 0.2])
    obs = np.array([0, 3, 1, 2, 2])
    x = np.array([0.1, 1.2, 0.9, 2.3, -0.2])
    mu, sigma = np.array([0.0, 1.0, 2.0]), np.array([0.4, 0.5, 0.6])
    return [
        Case("viterbi", lambda *p: viterbi.viterbi(obs, *p)[1], (pi, A, B)),
        Case("viterbi_log", lambda *p: viterbi.viterbi_log(obs, *p)[1], (pi, A, B)),
        Case("viterbi_gaussian", viterbi.viterbi_gaussian, (x, np.log(pi), np.log(A), mu, sigma)),
        Case("forward_scaled", lambda *p: viterbi.forward_scaled(obs, *p), (pi, A, B)),
        Case("posterior", lambda *p: viterbi.posterior(obs, *p), (pi, A, B)),
        Case("forward_log", lambda *p: viterbi.forward_log(obs, *p), (np.log(pi), np.log(A), np.log(B))),
    ]


def bundle_cases() -> list[Case]:
    cameras = np.zeros((2, 9))
    cameras[:, :6] = 0.2 * rng(1).normal(size=(2, 6))
    cameras[:, 5] -= 6
    cameras[:, 6:] = [3.0, 0.1, 0.02]
    points = rng(2).normal(size=(3, 3))
    which, where = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 2])
    seen = rng(3).normal(size=(5, 2))
    params = np.hstack((cameras.ravel(), points.ravel()))
    observations = [(k, p, u, v) for k, p, (u, v) in zip(which, where, seen, strict=True)]
    poses = np.array([[0.1, -0.2, 0.3, 0.1, 0.2, 5.0], [-0.3, 0.1, 0.2, 0.0, -0.2, 6.0]])
    angles, t, q = poses[0, :3], poses[0, 3:], np.array([0.9, 0.1, -0.2, 0.3])
    image = rng(4).normal(size=(3, 2))
    return [
        Case("residuals", lambda p, uv: bundle_adjustment.residuals(p, 2, 3, which, where, uv), (params, seen)),
        Case(
            "reprojection_error",
            lambda *x: bundle_adjustment.reprojection_error(*x, observations),
            (poses, points, np.array([2.0, 2.2, 0.5, 0.4])),
        ),
        Case("huber_cost", bundle_adjustment.huber_cost, (angles, t, points, image)),
        Case("quaternion_residual", bundle_adjustment.quaternion_residual, (q, t, points, image, 2.5)),
        Case("small_rotation", bundle_adjustment.rodrigues, (np.zeros(3),), smooth=False),
    ]


def gaussian_process_cases() -> list[Case]:
    X, X2, y = rng(1).normal(size=(5, 2)), rng(2).normal(size=(3, 2)), rng(3).normal(size=5)
    theta = np.log([1.2, 0.9, 0.3])
    x = np.sort(X[:, 0])
    return [
        Case("log_marginal_likelihood", gaussian_process.log_marginal_likelihood, (theta, X, y)),
        Case("ard", gaussian_process.negative_log_likelihood_ard, (theta[:2], -1.0, X, y)),
        Case("matern", gaussian_process.matern_likelihood, (x, y, 1.2, 0.3), missing=OF_SCIPY),
        Case("matern_32", lambda *a: gaussian_process.matern_loops(*a, nu=1.5), (x, 1.2)),
        Case("posterior", gaussian_process.posterior, (X, y, X2, 1.2, 0.3), missing=OF_SCIPY),
        Case("predict", gaussian_process.predict, (X[:4], y[:4], X2[:2], 1.2, 0.3)),
        Case("leave_one_out", gaussian_process.leave_one_out, (X, y, 1.2, 0.3)),
        Case("periodic_kernel", gaussian_process.periodic_kernel, (x, 2.0, 1.3)),
    ]


def convolution_cases() -> list[Case]:
    image, kernel = rng(1).normal(size=(5, 6)), rng(2).normal(size=(3, 2))
    x, w, b = rng(3).normal(size=(2, 2, 4, 4)), rng(4).normal(size=(2, 2, 3, 3)), rng(5).normal(size=2)
    y = np.array([2, 0])
    W2, b2 = rng(6).normal(size=(8, 3)), rng(7).normal(size=3)
    one = convolution
    return [
        Case("conv2d_single", one.conv2d_single, (image, kernel)),
        Case("conv_forward", one.conv_forward, (x, w, b)),
        Case("conv_forward_stride", lambda x, w, b: one.conv_forward(x, w, b, stride=2), (x, w, b)),
        Case("conv_im2col", one.conv_im2col, (x[0], w)),
        Case("conv_windows", one.conv_windows, (x[0], w)),
        Case("conv_fft", one.conv_fft, (image, kernel)),
        Case("sobel_magnitude", one.sobel_magnitude, (image,), missing=OF_SCIPY),
        Case("relu_mask", one.relu_mask, (image,)),
        Case("max_pool", one.max_pool, (x,)),
        Case("max_pool_loops", one.max_pool_loops, (x,)),
        Case(
            "network",
            lambda W1, b1, W2, b2, x: one.network_loss({"W1": W1, "b1": b1, "W2": W2, "b2": b2}, x, y),
            (w, b, W2, b2, x),
        ),
        Case("network_smooth", lambda W1, W2, x: one.network_loss_smooth(W1, W2, x, y), (w, W2[:2].T, x)),
        Case("batch_norm", one.batch_norm, (x, b, b + 1)),
    ]


def power_flow_cases() -> list[Case]:
    branches = [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 3)]
    f, t = np.array(branches).T
    r, x, b = rng(1).uniform(0.01, 0.1, 6), rng(2).uniform(0.1, 0.4, 6), rng(3).uniform(0, 0.1, 6)
    Y = power_flow.make_ybus(4, branches, r, x, b)
    S = np.array([0.0, 0.4, -0.3 - 0.1j, -0.2 - 0.1j])
    Va, Vm = np.array([0.0, 0.02, -0.05, -0.08]), np.array([1.02, 1.0, 0.98, 0.97])
    V = Vm * np.exp(1j * Va)
    z = r + 1j * x
    tap, shift = rng(4).uniform(0.97, 1.03, 6), rng(5).uniform(-3, 3, 6)
    pv, pq = np.array([1]), np.array([2, 3])
    loads = S - np.array([0, 0.5, 0, 0])
    return [
        Case("make_ybus", lambda r, x, b: power_flow.make_ybus(4, branches, r, x, b), (r, x, b)),
        Case("make_ybus_taps", lambda *a: power_flow.make_ybus_taps(4, f, t, *a), (z, tap, shift)),
        Case("mismatch", lambda *a: power_flow.mismatch(*a, pv, pq), (Va, Vm, Y, S)),
        Case(
            "mismatch_of_lines",
            lambda Va, Vm, r, x, b: power_flow.mismatch(Va, Vm, power_flow.make_ybus(4, branches, r, x, b), S, pv, pq),
            (Va, Vm, r, x, b),
        ),
        Case("mismatch_polar", power_flow.mismatch_polar, (Va, Vm, Y, S.real, S.imag)),
        Case("mismatch_angles", power_flow.mismatch_angles, (Va, Vm, Y, S.real)),
        Case("newton", lambda Y, S, V: power_flow.newton(Y, S, V, pv, pq, iterations=2), (Y, S, V)),
        Case("gauss_seidel", lambda Y, S, V: power_flow.gauss_seidel(Y, S, V, sweeps=2), (Y, loads, V)),
        Case("losses", lambda V, z: power_flow.losses(V, f, t, z), (V, z)),
        Case(
            "fault_currents",
            lambda Y, V: power_flow.fault_currents(Y, V, 2),
            (Y, V),
            missing="linear algebra of complex matrices",
        ),
    ]


CASES = {
    "jacobi": jacobi_cases(),
    "thomas": thomas_cases(),
    "cholesky": cholesky_cases(),
    "rk4": rk4_cases(),
    "kmeans": kmeans_cases(),
    "viterbi": viterbi_cases(),
    "bundle_adjustment": bundle_cases(),
    "gaussian_process": gaussian_process_cases(),
    "convolution": convolution_cases(),
    "power_flow": power_flow_cases(),
}

COMPILED_TWICE = [
    "jacobi-laplace",
    "thomas-thomas_lists",
    "cholesky-cholesky_gaxpy",
    "rk4-pendulum",
    "kmeans-kmeans",
    "viterbi-viterbi_log",
    "bundle_adjustment-quaternion_residual",
    "gaussian_process-log_marginal_likelihood",
    "convolution-conv_im2col",
    "power_flow-make_ybus",
]
"""The cases whose second derivatives are compiled too."""

"""Cholesky's factorization by hand, triangular systems, and what they are used for.

Golub and Van Loan, Matrix Computations, sections 3.1 and 4.2; Press et al., Numerical Recipes, section 2.9.
"""

import math

import numpy as np


def cholesky_rows(A):
    """Cholesky and Banachiewicz: row by row."""
    n = A.shape[0]
    L = np.zeros_like(A)
    for i in range(n):
        for j in range(i + 1):
            s = 0
            for k in range(j):
                s += L[i, k] * L[j, k]
            if i == j:
                L[i, j] = np.sqrt(A[i, i] - s)
            else:
                L[i, j] = (A[i, j] - s) / L[j, j]
    return L


def choldc(a):
    """Numerical Recipes: the factor below the diagonal, the pivots tested as they come."""
    n = len(a)
    el = np.array(a)
    for i in range(n):
        for j in range(i, n):
            s = el[i][j]
            for k in range(i - 1, -1, -1):
                s -= el[i][k] * el[j][k]
            if i == j:
                if s <= 0.0:
                    raise np.linalg.LinAlgError("Cholesky failed")
                el[i][i] = np.sqrt(s)
            else:
                el[j][i] = s / el[i][i]
    for i in range(n):
        for j in range(i):
            el[j][i] = 0.0
    return el


def cholesky_gaxpy(A):
    """Golub and Van Loan, algorithm 4.2.1: column by column on a copy."""
    G = A.copy()
    n = G.shape[0]
    for j in range(n):
        if j > 0:
            G[j:, j] -= G[j:, :j] @ G[j, :j]
        G[j:, j] /= np.sqrt(G[j, j])
    return np.tril(G)


def cholesky_outer(A):
    """Golub and Van Loan, algorithm 4.2.2: outer products."""
    A = np.array(A, dtype=np.float64)
    n, _ = A.shape
    for k in range(n):
        A[k, k] = np.sqrt(A[k, k])
        A[k + 1 :, k] = A[k + 1 :, k] / A[k, k]
        for j in range(k + 1, n):
            A[j:, j] = A[j:, j] - A[j:, k] * A[j, k]
    for i in range(n):
        A[i, i + 1 :] = 0
    return A


def cholesky_recursive(A):
    """Golub and Van Loan, section 4.2.7: by halves."""
    n = len(A)
    if n == 1:
        return np.sqrt(A)
    m = n // 2
    L11 = cholesky_recursive(A[:m, :m])
    L21 = np.linalg.solve(L11, A[m:, :m].T).T
    L22 = cholesky_recursive(A[m:, m:] - L21 @ L21.T)
    return np.block([[L11, np.zeros((m, n - m))], [L21, L22]])


def ldl(A):
    """A = L D L', without square roots."""
    n = len(A)
    L = np.eye(n)
    D = np.zeros(n)
    for j in range(n):
        D[j] = A[j, j] - np.sum(L[j, :j] ** 2 * D[:j])
        for i in range(j + 1, n):
            L[i, j] = (A[i, j] - (L[i, :j] * L[j, :j] * D[:j]).sum()) / D[j]
    return L, D


def forward_substitution(L, b):
    n = L.shape[0]
    y = np.zeros(n)
    for i in range(n):
        y[i] = (b[i] - np.dot(L[i, :i], y[:i])) / L[i, i]
    return y


def back_substitution(U, y):
    n = U.shape[0]
    x = np.empty_like(y)
    for i in range(n - 1, -1, -1):
        x[i] = y[i]
        for k in range(i + 1, n):
            x[i] -= U[i, k] * x[k]
        x[i] /= U[i, i]
    return x


def solve_spd(A, b):
    L = cholesky_rows(A)
    return back_substitution(L.T, forward_substitution(L, b))


def normal_log_density(x, mean, cov):
    """Of a normal distribution of several variables."""
    d = len(x)
    L = cholesky_gaxpy(cov)
    z = forward_substitution(L, x - mean)
    return -0.5 * (d * math.log(2 * math.pi) + z @ z) - np.log(L.diagonal()).sum()

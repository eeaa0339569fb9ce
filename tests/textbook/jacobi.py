"""Stationary iterations for A x = b and for Laplace's equation.

Golub and Van Loan, Matrix Computations, section 11.2; Press et al., Numerical Recipes, section 20.5.
"""

import numpy as np


def jacobi_loops(A, b, sweeps=25):
    """Element by element: x_i = (b_i - sum over j != i of a_ij x_j) / a_ii."""
    n = len(b)
    x = np.zeros(n)
    for k in range(sweeps):
        x_new = np.zeros(n)
        for i in range(n):
            s = 0.0
            for j in range(n):
                if j != i:
                    s += A[i, j] * x[j]
            x_new[i] = (b[i] - s) / A[i, i]
        x = x_new
    return x


def jacobi_matrix(A, b, x0=None, sweeps=25):
    """With the splitting A = D + R: x = (b - R x) / D."""
    if x0 is None:
        x0 = np.zeros(len(A[0]))
    x = x0.copy()
    D = np.diag(A)
    R = A - np.diagflat(D)
    for i in range(sweeps):
        x = (b - np.dot(R, x)) / D
    return x


def jacobi_until(A, b, tol=1e-10, max_sweeps=500):
    """Until the change is below the tolerance."""
    x = np.zeros_like(b)
    for it in range(max_sweeps):
        x_new = np.zeros_like(x)
        for i in range(A.shape[0]):
            s1 = np.dot(A[i, :i], x[:i])
            s2 = np.dot(A[i, i + 1 :], x[i + 1 :])
            x_new[i] = (b[i] - s1 - s2) / A[i, i]
        if np.allclose(x, x_new, atol=tol, rtol=0.0):
            break
        x = x_new
    return x_new


def gauss_seidel(A, b, sweeps=15):
    """Each new value is used at once."""
    n = b.size
    x = np.zeros_like(b)
    for _ in range(sweeps):
        for i in range(n):
            x[i] = (b[i] - A[i, :i] @ x[:i] - A[i, i + 1 :] @ x[i + 1 :]) / A[i, i]
    return x


def sor(A, b, omega, sweeps=20):
    """Successive over-relaxation, stopped by the norm of the residual."""
    x = np.zeros(b.shape)
    sweep = 0
    while np.linalg.norm(b - A.dot(x)) > 1e-9 * np.linalg.norm(b) and sweep < sweeps:
        for i in range(len(x)):
            x[i] += omega * (b[i] - A[i].dot(x)) / A[i, i]
        sweep += 1
    return x


def laplace(top, left, n=7, sweeps=30):
    """Laplace's equation on a square plate: given top and left edges, cold at the other two."""
    u = np.zeros((n, n))
    u[0, :] = top
    u[:, 0] = left
    for _ in range(sweeps):
        u_old = u.copy()
        u[1:-1, 1:-1] = 0.25 * (u_old[2:, 1:-1] + u_old[:-2, 1:-1] + u_old[1:-1, 2:] + u_old[1:-1, :-2])
    return u


def poisson_red_black(f, h, omega=1.2, sweeps=10):
    """Poisson's equation with zero boundary values, red points and then black ones."""
    u = np.zeros((f.shape[0] + 2, f.shape[1] + 2))
    i, j = np.indices(f.shape)
    for _ in range(sweeps):
        for colour in (0, 1):
            mask = (i + j) % 2 == colour
            residual = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1] - h**2 * f
            u[1:-1, 1:-1][mask] += omega * residual[mask] / 4
    return u[1:-1, 1:-1]

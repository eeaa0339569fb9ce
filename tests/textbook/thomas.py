"""Tridiagonal systems and two equations of heat that need them.

Press et al., Numerical Recipes, section 2.4 (tridag); Golub and Van Loan, section 4.3; Conte and de Boor, section 4.3.
"""

import numpy as np


def tridag(a, b, c, r):
    """Numerical Recipes: sub-, main and super-diagonal of the same length; a[0] and c[n-1] are not used."""
    n = len(r)
    u = np.zeros(n)
    gam = np.zeros(n)
    if b[0] == 0.0:
        raise ValueError("Error 1 in tridag")
    bet = b[0]
    u[0] = r[0] / bet
    for j in range(1, n):
        gam[j] = c[j - 1] / bet
        bet = b[j] - a[j] * gam[j]
        if bet == 0.0:
            raise ZeroDivisionError("Error 2 in tridag")
        u[j] = (r[j] - a[j] * u[j - 1]) / bet
    for j in range(n - 2, -1, -1):
        u[j] -= gam[j + 1] * u[j + 1]
    return u


def tdma(a, b, c, d):
    """The version on copies of the diagonals, of n - 1, n and n - 1 entries."""
    nf = len(d)
    ac, bc, cc, dc = map(np.array, (a, b, c, d))
    for it in range(1, nf):
        mc = ac[it - 1] / bc[it - 1]
        bc[it] = bc[it] - mc * cc[it - 1]
        dc[it] = dc[it] - mc * dc[it - 1]
    xc = bc
    xc[-1] = dc[-1] / bc[-1]
    for il in range(nf - 2, -1, -1):
        xc[il] = (dc[il] - cc[il] * xc[il + 1]) / bc[il]
    return xc


def thomas_lists(a, b, c, d):
    """With lists of modified coefficients."""
    n = len(d)
    cp = [c[0] / b[0]]
    dp = [d[0] / b[0]]
    for i in range(1, n):
        m = b[i] - a[i - 1] * cp[i - 1]
        if i < n - 1:
            cp.append(c[i] / m)
        dp.append((d[i] - a[i - 1] * dp[i - 1]) / m)
    x = [0.0] * n
    x[-1] = dp[-1]
    for i in reversed(range(n - 1)):
        x[i] = dp[i] - cp[i] * x[i + 1]
    return np.array(x)


def implicit_heat(u0, alpha, dx, dt, steps=3):
    """Backward Euler for u_t = alpha u_xx with both ends held fixed."""
    u = np.array(u0, dtype=float)
    n = u.size
    s = alpha * dt / dx**2
    lower = np.full(n, -s)
    diagonal = np.full(n, 1 + 2 * s)
    upper = np.full(n, -s)
    diagonal[0] = diagonal[-1] = 1.0
    lower[-1] = 0.0
    upper[0] = 0.0
    for _ in range(steps):
        u = tridag(lower, diagonal, upper, u)
    return u


def crank_nicolson(u0, kappa, dt, steps=3):
    """Crank and Nicolson with a conductivity for each face between two cells, no flux at the ends."""
    u = u0.copy()
    n = len(u)
    L = np.diag(kappa, 1) + np.diag(kappa, -1)
    L -= np.diag(L.sum(axis=1))
    for _ in range(steps):
        A = np.eye(n) - 0.5 * dt * L
        rhs = u + 0.5 * dt * L @ u
        u = tdma(np.diag(A, -1), np.diag(A), np.diag(A, 1), rhs)
    return u

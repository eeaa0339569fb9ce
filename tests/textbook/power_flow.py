"""Power flow with complex admittances.

Grainger and Stevenson, Power System Analysis, chapters 7 and 9; Zimmerman, AC power flows and their derivatives in
complex matrix notation (MATPOWER technical note 2).
"""

import numpy as np


def make_ybus(n, branches, r, x, b):
    """The admittance matrix of lines given by their impedance and charging."""
    Y = np.zeros((n, n), dtype=complex)
    for k, (i, j) in enumerate(branches):
        y = 1 / (r[k] + 1j * x[k])
        Y[i, i] += y + 0.5j * b[k]
        Y[j, j] += y + 0.5j * b[k]
        Y[i, j] -= y
        Y[j, i] -= y
    return Y


def make_ybus_taps(n, f, t, z, tap, shift):
    """By the matrices of connection, with tap ratios and phase shifts in degrees."""
    nl = len(f)
    a = tap * np.exp(1j * np.pi / 180 * shift)
    ys = 1 / z
    Ytt = ys
    Yff = Ytt / (a * np.conj(a))
    Yft = -ys / np.conj(a)
    Ytf = -ys / a
    Cf = np.zeros((nl, n))
    Ct = np.zeros((nl, n))
    Cf[np.arange(nl), f] = 1
    Ct[np.arange(nl), t] = 1
    Yf = np.diag(Yff) @ Cf + np.diag(Yft) @ Ct
    Yt = np.diag(Ytf) @ Cf + np.diag(Ytt) @ Ct
    return Cf.T @ Yf + Ct.T @ Yt


def mismatch(Va, Vm, Ybus, Sbus, pv, pq):
    """The equations of power flow in complex notation."""
    V = Vm * np.exp(1j * Va)
    mis = V * np.conj(Ybus @ V) - Sbus
    return np.r_[mis[pv].real, mis[pq].real, mis[pq].imag]


def mismatch_polar(theta, V, Y, P, Q):
    """Sums of sines and cosines over the network; bus 0 is the slack."""
    n = len(V)
    G, B = Y.real, Y.imag
    dP = np.zeros(n)
    dQ = np.zeros(n)
    for i in range(n):
        Pi = 0
        Qi = 0
        for k in range(n):
            d = theta[i] - theta[k]
            Pi += V[i] * V[k] * (G[i, k] * np.cos(d) + B[i, k] * np.sin(d))
            Qi += V[i] * V[k] * (G[i, k] * np.sin(d) - B[i, k] * np.cos(d))
        dP[i] = P[i] - Pi
        dQ[i] = Q[i] - Qi
    return np.concatenate((dP[1:], dQ[1:]))


def mismatch_angles(theta, V, Y, P):
    """Grainger and Stevenson's form with |Y| and its angle."""
    mag, angle = np.abs(Y), np.angle(Y)
    n = len(V)
    result = np.empty(n)
    for i in range(n):
        result[i] = P[i] - sum(V[i] * V[j] * mag[i, j] * np.cos(angle[i, j] + theta[j] - theta[i]) for j in range(n))
    return result


def newton(Ybus, Sbus, V0, pv, pq, iterations=4):
    """Newton's method with the derivatives in complex matrix notation."""
    V = V0.copy()
    Va = np.angle(V)
    Vm = np.abs(V)
    pvpq = np.r_[pv, pq]
    npv, npq = len(pv), len(pq)
    for _ in range(iterations):
        I = Ybus @ V
        mis = V * np.conj(I) - Sbus
        F = np.r_[mis[pvpq].real, mis[pq].imag]
        Vnorm = V / np.abs(V)
        dS_dVm = np.diag(V) @ np.conj(Ybus @ np.diag(Vnorm)) + np.conj(np.diag(I)) @ np.diag(Vnorm)
        dS_dVa = 1j * np.diag(V) @ np.conj(np.diag(I) - Ybus @ np.diag(V))
        J11 = dS_dVa[np.ix_(pvpq, pvpq)].real
        J12 = dS_dVm[np.ix_(pvpq, pq)].real
        J21 = dS_dVa[np.ix_(pq, pvpq)].imag
        J22 = dS_dVm[np.ix_(pq, pq)].imag
        J = np.vstack([np.hstack([J11, J12]), np.hstack([J21, J22])])
        dx = -np.linalg.solve(J, F)
        Va[pvpq] += dx[: npv + npq]
        Vm[pq] += dx[npv + npq :]
        V = Vm * np.exp(1j * Va)
    return V


def gauss_seidel(Y, S, V0, sweeps=20):
    """Grainger and Stevenson, equation 9.20; bus 0 is the slack and the others are loads."""
    V = np.array(V0, dtype=complex)
    n = len(V)
    for _ in range(sweeps):
        for i in range(1, n):
            total = 0
            for k in range(n):
                if k != i:
                    total += Y[i, k] * V[k]
            V[i] = (np.conj(S[i]) / np.conj(V[i]) - total) / Y[i, i]
    return V


def losses(V, f, t, z):
    """The power lost in all lines."""
    I = (V[f] - V[t]) / z
    S_from = V[f] * I.conj()
    S_to = -V[t] * I.conjugate()
    return np.sum(S_from + S_to).real


def fault_currents(Y, V, bus):
    """Voltages and current after a short circuit at a bus, by the impedance matrix (chapter 10)."""
    Z = np.linalg.inv(Y)
    If = V[bus] / Z[bus, bus]
    return V - Z[:, bus] * If, np.absolute(If)
